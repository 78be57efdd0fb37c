#!/usr/bin/env python3
"""Writes what policies look at for three tiny models, from Hugging Face with eager attention: keys,
values, attention sums and query moments over the fixed ids, in HF's channel order.
"""
import argparse
import json
import os

import numpy as np
import torch
import transformers

import hf_models
import libllama

ROOT = libllama.ROOT
MODELS = ("llama-f32", "qwen3-f32", "gemma3-f32")
N_LAST = 8


def record_queries(model):
    """Queries of every layer after the q norm, where there is one, and before rotation."""
    seen = []
    for layer in model.model.layers:
        a = layer.self_attn
        source = a.q_norm if hasattr(a, "q_norm") else a.q_proj
        source.register_forward_hook(lambda _m, _i, out: seen.append(out.detach().clone()))
    return seen


def by_token(x, n, head_dim):
    """[n, heads, head_dim]; gemma's q norm sees the heads first."""
    if x.dim() == 3 and x.shape[0] != n:
        x = x.transpose(0, 1)
    return x.reshape(n, -1, head_dim)


def statistics(model, ids):
    c = model.config
    queries, cache = record_queries(model), transformers.DynamicCache()
    out = model(torch.tensor([ids]), past_key_values=cache, output_attentions=True)
    n = len(ids)
    keys = torch.stack([layer.keys[0] for layer in cache.layers])
    values = torch.stack([layer.values[0] for layer in cache.layers])
    weights = torch.stack([a[0] for a in out.attentions])  # [layer, q head, query, cell]
    group = c.num_attention_heads // c.num_key_value_heads
    sums = weights.sum(2).view(len(keys), -1, group, n).sum(2)
    result = {"keys": keys, "values": values, "attention_sum": sums,
              "attention_last8": weights[:, :, -N_LAST:].sum(2)}
    q = torch.stack([by_token(x[0], n, c.head_dim) for x in queries]).double()
    mean = q.mean(1)
    centred = q - mean[:, None]
    result["query_mean"] = mean
    result["query_covariance"] = torch.einsum("lnhi,lnhj->lhij", centred, centred) / n
    return {k: v.float().contiguous().numpy() for k, v in result.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=os.path.join(ROOT, "tests/fixtures/hf"))
    args = parser.parse_args()
    with open(os.path.join(ROOT, "tests/fixtures/hf/ids.json")) as f:
        ids = json.load(f)["ids"]
    for name in MODELS:
        model, _ = hf_models.load(os.path.join(ROOT, "tests/fixtures/tiny", name + ".gguf"))
        for key, array in statistics(model, ids).items():
            np.save(os.path.join(args.out, f"{name}.{key}.npy"), array)
            print(f"{name:12s} {key:17s} {array.shape} "
                  f"rms {np.sqrt(np.square(array).mean()):.3f}", flush=True)


if __name__ == "__main__":
    main()
