#!/usr/bin/env python3
"""Writes the golden logits of tests/fixtures/hf for the tiny F32 models, from Hugging Face float32.

Per model: logits of a fixed list of ids; logits after an eviction that keeps another set in every
layer and KV head, in each position mode, in one chunk ("one") and with a second eviction halfway
("two"). HF's own cache cannot hold ragged heads, so those come from RaggedDecoder, which is first
checked against HF's logits, and against HF's real cache where one set per layer is enough.
"""
import argparse
import glob
import json
import os

import numpy as np
import torch
import transformers

import hf_models
import libllama
from ragged_decoder import RaggedDecoder

ROOT = libllama.ROOT
N_IDS, EVICT_AT, SECOND_AT = 48, 32, 40
MODES = ("original", "compact", "colliding")


def choose_kept(decoder, rng):
    """Another random set per layer and head, from one cell to all of them."""
    kept = []
    for layer in range(decoder.config.num_hidden_layers):
        heads = []
        for head in range(decoder.n_kv):
            live = decoder.live(layer, head)
            n = int(rng.integers(1, len(live) + 1))
            heads.append(sorted(rng.choice(live, n, replace=False).tolist()))
        kept.append(heads)
    return kept


def after_eviction(model, ids, mode, kept, kept_second=None):
    decoder = RaggedDecoder(model, mode)
    decoder.run(ids[:EVICT_AT])
    decoder.evict(kept)
    if kept_second is None:
        return decoder.run(ids[EVICT_AT:])
    first = decoder.run(ids[EVICT_AT:SECOND_AT])
    decoder.evict(kept_second)
    return np.concatenate([first, decoder.run(ids[SECOND_AT:])])


def hf_cache_after_eviction(model, ids, mode, kept_per_layer):
    """The same by HF's DynamicCache: gathered tensors, explicit positions and masks."""
    cache = transformers.DynamicCache()
    model(torch.tensor([ids[:EVICT_AT]]), past_key_values=cache)
    n, n_new = len(kept_per_layer[0]), len(ids) - EVICT_AT
    helper = RaggedDecoder(model)
    for i, kept in enumerate(kept_per_layer):
        at = torch.tensor(kept)
        layer = cache.layers[i]
        layer.keys, layer.values = layer.keys[:, :, at], layer.values[:, :, at]
        if mode == "compact":  # a rotation by (new - old) moves a rotated key
            layer.keys = helper.rotate(layer.keys, torch.arange(n) - at, i)
    first = EVICT_AT if mode == "original" else n
    new = torch.arange(EVICT_AT, EVICT_AT + n_new)
    masks = {}
    for kind, window in (("full_attention", 10**9), ("sliding_attention", helper.window(0) or 10**9)):
        cells = torch.cat([torch.tensor(kept_per_layer[0]), new])
        distance = new[:, None] - cells[None, :]
        hidden = (distance < 0) | (distance >= window)
        masks[kind] = torch.zeros(1, 1, n_new, n + n_new).masked_fill(hidden, torch.finfo(torch.float32).min)
    out = model(torch.tensor([ids[EVICT_AT:]]), past_key_values=cache,
                attention_mask=masks if helper.gemma else masks["full_attention"],
                position_ids=torch.arange(first, first + n_new)[None],
                cache_position=torch.arange(n, n + n_new))
    return out.logits[0].numpy()


def check_against_hf_cache(model, ids, rng):
    """One set for all layers (masks of sliding layers must agree); the worst logit difference."""
    window = max((RaggedDecoder(model).window(i) for i in range(model.config.num_hidden_layers)))
    oldest = max(0, EVICT_AT - window + 1) if window else 0
    kept = sorted(rng.choice(np.arange(oldest, EVICT_AT), 6, replace=False).tolist())
    n_layers, n_kv = model.config.num_hidden_layers, model.config.num_key_value_heads
    worst = 0.0
    for mode in MODES:
        own = after_eviction(model, ids, mode, [[kept] * n_kv] * n_layers)
        hf = hf_cache_after_eviction(model, ids, mode, [kept] * n_layers)
        worst = max(worst, float(np.abs(own - hf).max()))
    assert worst < 2e-4, f"ragged decoder and HF's cache differ by {worst}"
    return worst


def save_kept(path, kept):
    with open(path, "w") as f:
        json.dump({"kept": kept}, f, separators=(",", ":"))
        f.write("\n")


def make_goldens(path, out, ids):
    name = os.path.splitext(os.path.basename(path))[0]
    base = os.path.join(out, name)
    model, _ = hf_models.load(path)
    full = hf_models.logits(model, ids)
    np.save(base + ".npy", full)

    decoder = RaggedDecoder(model)
    plain = np.concatenate([decoder.run(ids[:EVICT_AT]), decoder.run(ids[EVICT_AT:])])
    plain_error = float(np.abs(plain - full).max())
    assert plain_error < 1e-4, f"{name}: ragged decoder differs from HF by {plain_error}"
    rng = np.random.default_rng(list(name.encode()))
    cache_error = check_against_hf_cache(model, ids, rng)

    decoder = RaggedDecoder(model)
    decoder.run(ids[:EVICT_AT])
    kept = choose_kept(decoder, rng)
    decoder.evict(kept)
    decoder.run(ids[EVICT_AT:SECOND_AT])
    kept_second = choose_kept(decoder, rng)
    save_kept(base + ".kept.json", kept)
    save_kept(base + ".kept2.json", kept_second)
    results = {}
    for mode in MODES:
        results[mode] = after_eviction(model, ids, mode, kept)
        np.save(f"{base}.{mode}.one.npy", results[mode])
        np.save(f"{base}.{mode}.two.npy", after_eviction(model, ids, mode, kept, kept_second))

    llama = libllama.Model(path)
    stock = {flash: libllama.kl(full, llama.logits(ids, flash=flash)) for flash in (False, True)}
    llama.close()
    effect = [libllama.kl(full[EVICT_AT:], results[m]).mean() for m in MODES]
    modes = [libllama.kl(results["original"], results[m]).mean() for m in MODES[1:]]
    print(f"{name:22s} ragged-HF {plain_error:.1e}  HF cache {cache_error:.1e}  KL libllama "
          f"{stock[False].max():.1e} (flash {stock[True].max():.1e})  eviction moves "
          + " ".join(f"{m}={e:.2f}" for m, e in zip(MODES, effect))
          + f"  original vs compact {modes[0]:.3f} vs colliding {modes[1]:.3f}", flush=True)
    assert stock[False].max() < 2e-5, f"{name}: HF and libllama disagree about this file"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", default=os.path.join(ROOT, "tests/fixtures/tiny"))
    parser.add_argument("--out", default=os.path.join(ROOT, "tests/fixtures/hf"))
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    ids = np.random.default_rng(42).integers(0, 280, N_IDS).tolist()
    with open(os.path.join(args.out, "ids.json"), "w") as f:
        json.dump({"ids": ids, "evict_at": EVICT_AT, "second_evict_at": SECOND_AT}, f)
        f.write("\n")
    for path in sorted(glob.glob(os.path.join(args.tiny, "*-f32.gguf"))):
        make_goldens(path, args.out, ids)


if __name__ == "__main__":
    main()
