"""Logits from libllama for the oracle scripts, through the ctypes API of llama-cpp-python.

Only for comparisons: nothing that ebb builds or tests links to this. The package is looked for in
this Python first, then in the project's .venv.
"""
import ctypes
import glob
import os
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
try:
    import llama_cpp
except ImportError:
    sys.path += glob.glob(os.path.join(ROOT, ".venv/lib/python3*/site-packages"))
    import llama_cpp


@llama_cpp.llama_log_callback
def _quiet(_level, _text, _data):
    pass


llama_cpp.llama_log_set(_quiet, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()


class Model:
    def __init__(self, path, n_threads=2):
        self.n_threads = n_threads
        params = llama_cpp.llama_model_default_params()
        self.handle = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not self.handle:
            raise SystemExit(f"libllama cannot load {path}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.handle)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text, add_special=True, parse_special=False):
        raw = text.encode()
        room = len(raw) + 16
        out = (llama_cpp.llama_token * room)()
        n = llama_cpp.llama_tokenize(self.vocab, raw, len(raw), out, room, add_special, parse_special)
        if n < 0:
            raise SystemExit(f"tokenising needs {-n} tokens, room for {room}")
        return list(out[:n])

    def logits(self, ids, flash=False, f32_cache=True):
        """float32 [n, n_vocab]; row i = logits after token i. One batch, every row wanted."""
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = max(256, len(ids))
        params.n_batch = params.n_ubatch = params.n_ctx
        params.n_threads = params.n_threads_batch = self.n_threads
        params.flash_attn_type = 1 if flash else 0
        if f32_cache:
            params.type_k = params.type_v = 0
        context = llama_cpp.llama_init_from_model(self.handle, params)
        if not context:
            raise SystemExit("libllama refused the context")
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = token
            batch.pos[i] = i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = 1
        if llama_cpp.llama_decode(context, batch) != 0:
            raise SystemExit("llama_decode failed")
        pointer = llama_cpp.llama_get_logits(context)
        out = np.ctypeslib.as_array(pointer, shape=(len(ids) * self.n_vocab,)).copy()
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)
        return out.reshape(len(ids), self.n_vocab)

    def close(self):
        llama_cpp.llama_model_free(self.handle)
        self.handle = None


def log_softmax(x):
    x = np.asarray(x, np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def kl(p_logits, q_logits):
    """KL(p || q) per row in nats, from logits."""
    p, q = log_softmax(p_logits), log_softmax(q_logits)
    return (np.exp(p) * (p - q)).sum(-1)
