#!/usr/bin/env python3
"""Reproduces every entry of docs/kvpress-faults.md on kvpress itself, without a model.

Needs: pip install kvpress==0.5.5 (torch and transformers come with it).
    python tools/oracle/kvpress_faults.py        # runs all, exit 1 if one is no longer there
A check returns what it saw when the fault is present and raises AssertionError when it is not.
"""
import sys
import types

import numpy as np
import torch
import kvpress
from kvpress.utils import compute_n_kept

NS = types.SimpleNamespace


def random_cache(n, heads=2, d=8, seed=0, batch=1):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, heads, n, d, generator=g), torch.randn(batch, heads, n, d, generator=g))


def attention(n, heads, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, heads, n, n, generator=g)
    return torch.softmax(logits + torch.triu(torch.full((n, n), float("-inf")), 1), -1)


def module(heads_q=4, heads_kv=2, d=8):
    return NS(head_dim=d, q_proj=torch.nn.Identity(), layer_idx=0,
              rotary_emb=lambda x, pos: (torch.cos(pos[0, :, None] * torch.ones(d))[None],
                                         torch.sin(pos[0, :, None] * torch.ones(d))[None]),
              config=NS(num_attention_heads=heads_q, num_key_value_heads=heads_kv, num_hidden_layers=4))


def fault_1():
    wrong = 0
    for n in range(10, 1001):
        for tenths in range(1, 10):
            wrong += compute_n_kept(n, tenths / 10) != n * (10 - tenths) // 10
    assert compute_n_kept(10, 0.8) == 1 and wrong > 0
    return f"ratio 0.8 of 10 cells keeps 1; {wrong} of {991 * 9} cases for 10..1000 cells are one below the exact floor"


def fault_2():
    k, _ = random_cache(12)
    v = torch.arange(12.0)[None, None, :, None].expand(1, 2, 12, 8)
    _, kept = kvpress.KnormPress(compression_ratio=0.5).compress(module(), None, k, v, None, {})
    order = kept[0, 0, :, 0].int().tolist()
    assert order != sorted(order)
    return f"kept cells come back ordered by score: positions {order}"


def fault_3():
    # The second eviction sees score order, so "first" and "last" are no longer the sinks and the recent cells.
    k, _ = random_cache(40)
    v = torch.arange(40.0)[None, None, :, None].expand(1, 2, 40, 8)
    k, v = kvpress.KnormPress(compression_ratio=0.5).compress(module(), None, k, v, None, {})
    _, kept = kvpress.StreamingLLMPress(compression_ratio=0.5, n_sink=2).compress(module(), None, k, v, None, {})
    places = sorted(kept[0, 0, :, 0].int().tolist())
    survivors = sorted(v[0, 0, :, 0].int().tolist())
    right = sorted(survivors[:2] + survivors[-(len(places) - 2):])
    assert places != right
    return f"StreamingLLM after another eviction keeps {places}, sinks and recents of the survivors are {right}"


def fault_4():
    k, v = random_cache(50)
    press = kvpress.RandomPress(compression_ratio=0.5, seed=1)
    first, second = (press.score(None, None, k, v, None, {}) for _ in range(2))
    assert torch.equal(first, second)
    return "RandomPress with a seed draws the same numbers at every call: every layer and step loses the same places"


def fault_5():
    k, v = random_cache(20)
    a = attention(20, 4)
    press = kvpress.ObservedAttentionPress(compression_ratio=0.5)
    last_row = a[:, :, -1:]
    scores = press.score(None, None, k, v, last_row, {})[0, 0]
    mean = last_row[0, :2, 0].mean(0)
    distance = (scores / mean).numpy()
    assert abs(distance[0] - 1 / 20) < 1e-6 and abs(distance[-1] - 1) < 1e-6
    return "ObservedAttention on one decoding query still divides by 20..1 queries: old cells are marked down 20-fold"


def fault_6():
    k, v = random_cache(80)
    k[..., 3] = 1.5
    scores = kvpress.LagKVPress(n_sink=4, lag_size=16, cross_scoring=True).score(None, None, k, v, None, {})
    n_bad = int(torch.isnan(scores).sum())
    assert n_bad > 0
    return f"LagKV with one constant key channel: {n_bad} of {scores.numel()} scores are NaN"


def fault_7():
    k, v = random_cache(40)
    press = kvpress.SnapKVPress(compression_ratio=0.95, window_size=8)
    scores = press.score(module(), torch.empty(1, 40, 1), k, v, attention(40, 4), {})
    n_kept = compute_n_kept(40, 0.95)
    top = torch.sort(scores[0, 0], descending=True).values
    assert n_kept < 8 and (scores[0, 0] == top[0]).sum() == 8
    return f"SnapKV with {n_kept} cells to keep and a window of 8: all 8 tie at max + 1, which {n_kept} stay is left to topk"


def fault_8():
    k, v = random_cache(8)
    try:
        kvpress.SnapKVPress(compression_ratio=0.5, window_size=64).score(
            module(), torch.empty(1, 8, 1), k, v, attention(8, 4), {})
    except AssertionError as error:
        return f"SnapKV on a prompt shorter than its window raises: {error}"
    raise AssertionError("no error")


def fault_9():
    press = kvpress.PyramidKVPress(compression_ratio=0.5, window_size=64, beta=20)
    counts = [press.get_layer_budget(NS(config=NS(num_hidden_layers=4), layer_idx=l), 1000) for l in range(4)]
    small = kvpress.PyramidKVPress(compression_ratio=0.9, window_size=64, beta=20)
    flat = [small.get_layer_budget(NS(config=NS(num_hidden_layers=4), layer_idx=l), 4000) for l in range(4)]
    assert len(set(flat)) == 1
    return f"PyramidKV at 4000 tokens, ratio 0.9 gives {flat}: plain SnapKV without notice (ratio 0.5 of 1000: {counts})"


def fault_10():
    k, _ = random_cache(43)
    press = kvpress.ChunkKVPress(kvpress.KnormPress(compression_ratio=0.5), chunk_length=20)
    kept, _ = press.compress(module(), None, k, k, None, {})
    assert kept.shape[2] != compute_n_kept(43, 0.5)
    return f"ChunkKV at ratio 0.5 of 43 cells keeps {kept.shape[2]}, others keep {compute_n_kept(43, 0.5)}"


def fault_11():
    k, _ = random_cache(40, batch=2)
    v = torch.arange(40.0)[None, None, :, None].expand(2, 2, 40, 8)
    press = kvpress.ChunkKVPress(kvpress.KnormPress(compression_ratio=0.5), chunk_length=5)
    _, together = press.compress(module(), None, k, v, None, {})
    _, alone = press.compress(module(), None, k[1:], v[1:], None, {})
    assert not torch.equal(together[1], alone[0])
    return "ChunkKV gives the second sequence of a batch the chunks of the first"


def fault_12():
    n = 64
    press = kvpress.ExpectedAttentionPress(n_future_positions=4, n_sink=4)
    seen = []
    m = module()
    inner = m.rotary_emb
    m.rotary_emb = lambda x, pos: (seen.append(int(pos[0, 0])), inner(x, pos))[1]
    k, v = random_cache(n)
    buffered = torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(1))  # the last 16 decoded states
    press.score(m, buffered, k, v, None, {})
    assert seen == [16]
    return f"Expected Attention while decoding at position {n} averages over futures from position {seen[0]}, its buffer's length"


def fault_13():
    k, _ = random_cache(10)
    press = kvpress.StreamingLLMPress(compression_ratio=0.8, n_sink=4)
    scores = press.score(None, None, k, k, None, {})[0, 0]
    n_kept = compute_n_kept(10, 0.8)
    n_top = int((scores == scores.max()).sum())
    assert n_top > n_kept
    return f"StreamingLLM with room for {n_kept} cell: {n_top} tie for it, so that the first sink is not certain to stay"


def fault_14():
    import kvpress.attention_patch as patch
    g = torch.Generator().manual_seed(0)
    failures = 0
    for n in (1, 8, 64):
        x = torch.randn(n, 8, generator=g)
        try:
            patch.search_hyperplane(x[None])
        except ValueError:
            failures += 1
    assert failures > 0
    return "head-adaptive presses hide cells behind fake keys; 64 queries in 8 dimensions have no such key: ValueError"


def main():
    failed = 0
    for name, check in sorted(((n, f) for n, f in globals().items() if n.startswith("fault_")),
                              key=lambda item: int(item[0].split("_")[1])):
        try:
            print(f"{name.split('_')[1]:>2}  {check()}")
        except Exception as error:  # a changed kvpress may fail in any way
            failed += 1
            print(f"{name.split('_')[1]:>2}  NOT REPRODUCED: {type(error).__name__}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    torch.manual_seed(0)
    np.random.seed(0)
    sys.exit(main())
