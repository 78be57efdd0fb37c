#!/usr/bin/env python3
"""Shows that the goldens can catch mistakes: breaks the reference in one way at a time and prints the
mean KL to the golden logits, with eviction (position mode original, one chunk) and without. A mistake
that moves nothing would mean that a fixture proves nothing about it. Left out because it moves almost
nothing anywhere (KL 2e-7): the exact gelu in place of its tanh form.
"""
import argparse
import json
import os
import sys

import numpy as np
import torch

import hf_models
import libllama
from ragged_decoder import RaggedDecoder

ROOT = libllama.ROOT
BOUND = 2e-5  # what tests against the goldens allow


def each_attention(model):
    return [layer.self_attn for layer in model.model.layers]


def swap_rotation(model):
    """Q and K rows in the file's order, turned as halves."""
    c = model.config
    for a in each_attention(model):
        for part, n in ((a.q_proj, c.num_attention_heads), (a.k_proj, c.num_key_value_heads)):
            w = part.weight
            rows, columns = w.shape
            w.data = w.reshape(n, 2, rows // n // 2, columns).transpose(1, 2).reshape(rows, columns)


def drop_bias(which):
    def apply(model):
        for a in each_attention(model):
            getattr(a, which).bias.data.zero_()
    return apply


def drop_norm(which):
    def apply(model):
        for a in each_attention(model):
            setattr(a, which, torch.nn.Identity())
    return apply


def scale_frequencies(name, factor):
    def apply(model):
        rotary = model.model.rotary_emb
        setattr(rotary, name, getattr(rotary, name) * factor)
    return apply


def plain_frequencies(model):
    c = model.config
    i = torch.arange(0, c.head_dim, 2).float()
    model.model.rotary_emb.inv_freq = 1.0 / (c.rope_parameters["rope_theta"] ** (i / c.head_dim))


def one_base(model):
    rotary = model.model.rotary_emb
    rotary.sliding_attention_inv_freq = rotary.full_attention_inv_freq


def window(delta):
    def apply(model):
        model.config.sliding_window += delta
    return apply


def activation(function):
    def apply(model):
        for layer in model.model.layers:
            layer.mlp.act_fn = function
    return apply


def epsilon(value):
    def apply(model):
        for module in model.modules():
            for name in ("variance_epsilon", "eps"):
                if hasattr(module, name):
                    setattr(module, name, value)
    return apply


def kv_heads_swapped(model):
    c = model.config
    for a in each_attention(model):
        for part in (a.k_proj, a.v_proj):
            w = part.weight
            w.data = w.reshape(c.num_key_value_heads, -1, w.shape[-1]).flip(0).reshape(w.shape)


gelu, silu = torch.nn.GELU(), torch.nn.SiLU()
MISTAKES = [
    ("llama-f32", "q and k not un-permuted", swap_rotation),
    ("llama-f32", "KV heads swapped", kv_heads_swapped),
    ("llama-f32", "frequencies 1 % off", scale_frequencies("inv_freq", 1.01)),
    ("llama-f32", "gelu for silu", activation(gelu)),
    ("llama-f32", "norm epsilon 1e-3", epsilon(1e-3)),
    ("llama3-f32", "rope factors ignored", plain_frequencies),
    ("qwen2-f32", "q bias dropped", drop_bias("q_proj")),
    ("qwen2-f32", "k bias dropped", drop_bias("k_proj")),
    ("qwen2-f32", "v bias dropped", drop_bias("v_proj")),
    ("qwen3-f32", "q norm dropped", drop_norm("q_norm")),
    ("qwen3-f32", "k norm dropped", drop_norm("k_norm")),
    ("gemma3-f32", "window one wider", window(1)),
    ("gemma3-f32", "window one narrower", window(-1)),
    ("gemma3-f32", "one rope base for all layers", one_base),
    ("gemma3-f32", "silu for gelu", activation(silu)),
    ("gemma3-scaled-f32", "linear factor ignored", scale_frequencies("full_attention_inv_freq", 8.0)),
    ("gemma3-scaled-f32", "linear factor on sliding layers too",
     scale_frequencies("sliding_attention_inv_freq", 0.125)),
    ("gemma3-sliding-f32", "window one wider", window(1)),
]


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    fixtures = os.path.join(ROOT, "tests/fixtures")
    with open(os.path.join(fixtures, "hf/ids.json")) as f:
        setting = json.load(f)
    ids, at = setting["ids"], setting["evict_at"]
    blind = 0
    for name, mistake, apply in MISTAKES:
        base = os.path.join(fixtures, "hf", name)
        model, _ = hf_models.load(os.path.join(fixtures, "tiny", name + ".gguf"))
        apply(model)
        with open(base + ".kept.json") as f:
            kept = json.load(f)["kept"]
        decoder = RaggedDecoder(model)
        rows = [decoder.run(ids[:at])]
        decoder.evict(kept)
        rows.append(decoder.run(ids[at:]))
        golden = [np.load(base + ".npy")[:at], np.load(base + ".original.one.npy")]
        plain, evicted = (libllama.kl(g, r).mean() for g, r in zip(golden, rows))
        caught = max(plain, evicted) > 5 * BOUND
        blind += not caught
        print(f"{name:20s} {mistake:38s} KL plain {plain:.1e}  evicted {evicted:.1e}"
              f"{'' if caught else '  NOT CAUGHT'}", flush=True)
    sys.exit(1 if blind else 0)


if __name__ == "__main__":
    main()
