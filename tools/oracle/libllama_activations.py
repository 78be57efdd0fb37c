"""What libllama itself computes inside attention: the input of every attention block, its rotated
keys and its values, taken while it evaluates a prompt with its default settings.

Only for measuring libllama's own distance from float32. Keys and values are rounded to float16, as
in libllama's default cache, and put in the channel order of HF transformers.
"""
import ctypes
import glob
import os
import re

import numpy as np

import libllama
from libllama import llama_cpp

WANTED = re.compile(r"(attn_norm|Kcur|Vcur)-(\d+)")


def _ggml_base():
    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
    base = ctypes.CDLL(sorted(glob.glob(os.path.join(folder, "libggml-base.*")))[0])
    base.ggml_get_name.restype = ctypes.c_char_p
    base.ggml_get_name.argtypes = [ctypes.c_void_p]
    base.ggml_nelements.restype = ctypes.c_int64
    base.ggml_nelements.argtypes = [ctypes.c_void_p]
    base.ggml_nbytes.restype = ctypes.c_size_t
    base.ggml_nbytes.argtypes = [ctypes.c_void_p]
    base.ggml_backend_tensor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
                                             ctypes.c_size_t]
    return base


def _half_split(keys):
    """llama files turn channel pairs (2i, 2i + 1); HF turns (i, i + d/2)."""
    return np.concatenate([keys[..., 0::2], keys[..., 1::2]], -1)


def activations(path, ids, n_kv_heads):
    """[(attention input [n, n_embd], keys, values [n_kv_heads, n, head_dim])] by layer."""
    base = _ggml_base()
    seen = {}

    @llama_cpp.ggml_backend_sched_eval_callback
    def on_tensor(tensor, ask, _data):
        match = WANTED.fullmatch(base.ggml_get_name(tensor).decode())
        if ask or match is None:
            return match is not None or not ask
        n = base.ggml_nelements(tensor)
        assert base.ggml_nbytes(tensor) == 4 * n, match.group(0)
        out = np.empty(n, np.float32)
        base.ggml_backend_tensor_get(tensor, out.ctypes.data, 0, 4 * n)
        # Keys come twice, before and after rotation: the later ones stay.
        seen[match.group(1), int(match.group(2))] = out
        return True

    model = libllama.Model(path)
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = max(256, len(ids))
    params.n_threads = params.n_threads_batch = model.n_threads
    params.cb_eval = on_tensor
    context = llama_cpp.llama_init_from_model(model.handle, params)
    if not context:
        raise SystemExit("libllama refused the context")
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0] = 0
        batch.logits[i] = 1  # else the last layer's input is cut to the rows whose logits are wanted
    if llama_cpp.llama_decode(context, batch) != 0:
        raise SystemExit("llama_decode failed")
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    model.close()
    layers = []
    for layer in range(1 + max(i for _, i in seen)):
        shape = (len(ids), n_kv_heads, -1)
        keys, values = (seen[name, layer].reshape(shape).transpose(1, 0, 2).astype(np.float16)
                        for name in ("Kcur", "Vcur"))
        layers.append((seen["attn_norm", layer].reshape(len(ids), -1),
                       _half_split(keys).astype(np.float32), values.astype(np.float32)))
    return layers
