#!/usr/bin/env python3
"""Writes the tiny random models of tests/fixtures/tiny.

They are small enough to commit, load in ebb and in libllama, and have weights that make attention
far from uniform and logits spread out, so that a wrong rotation, mask, bias or head order shows.
Every number comes from a seed and the tensor's name: running this again gives the same bytes.
K-quants are made by ggml itself (ctypes), the other types by the gguf package.
"""
import argparse
import ctypes
import glob
import math
import os
import sys
import zlib
from dataclasses import dataclass, replace

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>",
           "<start_of_turn>", "<end_of_turn>", "<pad>"]
MERGES = ["Ġ t", "h e", "Ġ a", "i n", "Ġt he", "r e", "o n", "Ġ s", "e r", "Ġ w", "n d", "o u",
          "Ġ c", "Ġ o", "i s", "o r", "a t", "e n", "in g", "Ġa nd", "i t", "e s", "Ġo f", "e d"]


@dataclass(frozen=True)
class Spec:
    arch: str
    name: str
    n_layers: int = 2
    n_embd: int = 64
    n_ff: int = 64
    n_q_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 16
    rope_base: float = 10000.0
    tied: bool = False
    window: int = 0
    linear_factor: float = 0.0
    llama3_context: int = 0  # > 0: Llama 3 frequency factors for this original context
    seed: int = 1
    type: Type = Type.F32


def byte_alphabet():
    """The printable stand-ins that byte-level BPE gives to the 256 bytes, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_in, n = {}, 0
    for b in range(256):
        if b in printable:
            stand_in[b] = chr(b)
        else:
            stand_in[b] = chr(256 + n)
            n += 1
    return [stand_in[b] for b in range(256)]


def vocabulary():
    tokens = byte_alphabet() + [m.replace(" ", "") for m in MERGES] + SPECIAL
    types = [gguf.TokenType.NORMAL] * (256 + len(MERGES)) + [gguf.TokenType.CONTROL] * len(SPECIAL)
    assert len(set(tokens)) == len(tokens)
    return tokens, types


def llama3_factors(spec):
    """Llama 3.1's factors: short waves untouched, long ones slowed by 8, a ramp between."""
    factor, low, high = 8.0, 1.0, 4.0
    out = []
    for i in range(spec.head_dim // 2):
        wave = 2 * math.pi * spec.rope_base ** (2 * i / spec.head_dim)
        if wave < spec.llama3_context / high:
            out.append(1.0)
        elif wave > spec.llama3_context / low:
            out.append(factor)
        else:
            smooth = (spec.llama3_context / wave - low) / (high - low)
            out.append(1.0 / ((1 - smooth) / factor + smooth))
    return np.array(out, np.float32)


def tensors(spec):
    """name -> float32 array, rows first (numpy order is the reverse of ggml order)."""
    d, n_vocab = spec.n_embd, len(vocabulary()[0])
    d_q, d_kv = spec.n_q_heads * spec.head_dim, spec.n_kv_heads * spec.head_dim
    gemma, qwen3 = spec.arch == "gemma3", spec.arch == "qwen3"
    out = {}

    def normal(name, shape, std, mean=0.0):
        rng = np.random.default_rng([spec.seed, zlib.crc32(name.encode())])
        out[name] = (mean + std * rng.standard_normal(shape)).astype(np.float32)

    def fan_in(name, n_out, n_in, gain):
        normal(name, (n_out, n_in), gain / math.sqrt(n_in))

    fan_in("token_embd.weight", n_vocab, d, 2.0)
    normal("output_norm.weight", (d,), 0.2, 1.0)
    if not spec.tied:
        fan_in("output.weight", n_vocab, d, 2.0)
    if spec.llama3_context:
        out["rope_freqs.weight"] = llama3_factors(spec)
    for i in range(spec.n_layers):
        b = f"blk.{i}."
        normal(b + "attn_norm.weight", (d,), 0.2, 1.0)
        fan_in(b + "attn_q.weight", d_q, d, 1.4)
        fan_in(b + "attn_k.weight", d_kv, d, 1.4)
        fan_in(b + "attn_v.weight", d_kv, d, 1.0)
        fan_in(b + "attn_output.weight", d, d_q, 0.8)
        if spec.arch == "qwen2":
            normal(b + "attn_q.bias", (d_q,), 0.6)
            normal(b + "attn_k.bias", (d_kv,), 0.6)
            normal(b + "attn_v.bias", (d_kv,), 0.3)
        if gemma or qwen3:
            normal(b + "attn_q_norm.weight", (spec.head_dim,), 0.3, 1.7)
            normal(b + "attn_k_norm.weight", (spec.head_dim,), 0.3, 1.2)
        normal(b + "ffn_norm.weight", (d,), 0.2, 1.0)
        fan_in(b + "ffn_gate.weight", spec.n_ff, d, 1.0)
        fan_in(b + "ffn_up.weight", spec.n_ff, d, 1.0)
        fan_in(b + "ffn_down.weight", d, spec.n_ff, 0.8)
        if gemma:
            normal(b + "post_attention_norm.weight", (d,), 0.2, 1.0)
            normal(b + "post_ffw_norm.weight", (d,), 0.2, 1.0)
    return out


class Quantiser:
    def __init__(self, library):
        self.ggml_library = library
        self.ggml = None

    def _load(self):
        path = self.ggml_library
        if not path:
            found = glob.glob(os.path.join(ROOT, ".venv/lib/python3*/site-packages/lib/libggml-base.so"))
            if not found:
                sys.exit("no libggml-base.so under .venv: run ./dev setup or pass --ggml")
            path = found[0]
        self.ggml = ctypes.CDLL(path)
        self.ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.ggml.ggml_quantize_chunk.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
            ctypes.c_int64, ctypes.c_void_p]

    def __call__(self, array, kind):
        if kind not in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
            return gguf.quants.quantize(array, kind)
        if self.ggml is None:
            self._load()
        rows, columns = array.shape
        block, size = gguf.GGML_QUANT_SIZES[kind]
        assert columns % block == 0, f"{kind.name} needs rows of a multiple of {block}"
        out = np.zeros((rows, columns // block * size), np.uint8)
        source = np.ascontiguousarray(array)
        n = self.ggml.ggml_quantize_chunk(int(kind), source.ctypes.data, out.ctypes.data, 0, rows,
                                          columns, None)
        assert n == out.nbytes
        return out


def add_metadata(w, spec):
    file_types = {Type.F32: 0, Type.F16: 1, Type.Q4_0: 2, Type.Q4_1: 3, Type.Q8_0: 7, Type.Q5_0: 8,
                  Type.Q5_1: 9, Type.Q4_K: 15, Type.Q5_K: 17, Type.Q6_K: 18, Type.BF16: 32}
    w.add_name(f"tiny random {spec.name}")
    w.add_file_type(file_types[spec.type])
    w.add_context_length(8192)
    w.add_embedding_length(spec.n_embd)
    w.add_block_count(spec.n_layers)
    w.add_feed_forward_length(spec.n_ff)
    w.add_head_count(spec.n_q_heads)
    w.add_head_count_kv(spec.n_kv_heads)
    w.add_layer_norm_rms_eps(1e-6 if spec.arch in ("gemma3", "qwen3") else 1e-5)
    w.add_rope_freq_base(spec.rope_base)
    if spec.arch == "llama":
        w.add_rope_dimension_count(spec.head_dim)
    else:
        w.add_key_length(spec.head_dim)
        w.add_value_length(spec.head_dim)
    if spec.window:
        w.add_sliding_window(spec.window)
    if spec.linear_factor:
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(spec.linear_factor)


def add_vocabulary(w, spec):
    tokens, types = vocabulary()
    w.add_vocab_size(len(tokens))
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(MERGES)
    w.add_bos_token_id(tokens.index("<s>"))
    w.add_eos_token_id(tokens.index("<|im_end|>"))
    w.add_pad_token_id(tokens.index("<pad>"))
    w.add_add_bos_token(spec.arch == "gemma3")
    w.add_chat_template(CHAT_TEMPLATE)


def write_model(spec, folder, quantise):
    path = os.path.join(folder, spec.name + ".gguf")
    part = path + ".part"
    w = gguf.GGUFWriter(part, spec.arch)
    add_metadata(w, spec)
    add_vocabulary(w, spec)
    for name, array in tensors(spec).items():
        if array.ndim == 1 or spec.type == Type.F32:
            w.add_tensor(name, array)
        elif spec.type == Type.F16:
            w.add_tensor(name, array.astype(np.float16))
        else:
            w.add_tensor(name, quantise(array, spec.type), raw_dtype=spec.type)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(part, path)
    print(f"{os.path.getsize(path) / 1024:8.0f} KiB  {path}")


def specs():
    llama = Spec("llama", "llama-f32")
    gemma = Spec("gemma3", "gemma3-f32", n_layers=7, n_embd=32, rope_base=1e6, tied=True, window=16,
                 seed=5)
    wide = Spec("llama", "", n_layers=1, n_embd=256, n_ff=256, head_dim=64, tied=True, seed=8)
    yield llama
    yield replace(llama, name="llama-1layer-f32", n_layers=1)
    yield replace(llama, name="llama3-f32", rope_base=500000.0, tied=True, llama3_context=64, seed=2)
    yield Spec("qwen2", "qwen2-f32", rope_base=1e6, tied=True, seed=3)
    yield Spec("qwen3", "qwen3-f32", head_dim=32, rope_base=1e6, tied=True, seed=4)
    yield gemma
    yield replace(gemma, name="gemma3-scaled-f32", window=8, linear_factor=8.0, seed=6)
    yield replace(gemma, name="gemma3-sliding-f32", n_layers=5, window=8, seed=7)
    for kind in (Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0):
        yield replace(llama, name=f"llama-{kind.name.lower()}", type=kind)
    yield replace(wide, name="llama-q4_k", n_layers=2, type=Type.Q4_K)
    for kind in (Type.Q5_K, Type.Q6_K):
        yield replace(wide, name=f"llama-{kind.name.lower()}", type=kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=os.path.join(ROOT, "tests/fixtures/tiny"))
    parser.add_argument("--ggml", help="libggml-base.so; default: the one in .venv")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    quantise = Quantiser(args.ggml)
    for spec in specs():
        write_model(spec, args.out, quantise)


if __name__ == "__main__":
    main()
