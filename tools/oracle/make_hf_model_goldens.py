#!/usr/bin/env python3
"""Writes golden log-probabilities of the two real models from Hugging Face float32 on the dequantised
weights: SmolLM2-135M (plain and after an eviction, in each position mode) and Gemma 3 270M (plain, and
past its window of 512).

Whole rows of logits would be far too large to commit, so a row is its 256 most likely tokens and, as a
257th outcome, everything else together. Merging outcomes can only lower a divergence a little where the
tail has little mass, so a bound on KL over these 257 is a bound on what matters.
"""
import argparse
import json
import os

import numpy as np

import hf_models
import libllama
from ragged_decoder import RaggedDecoder

ROOT = libllama.ROOT
N_TOP, N_ROWS = 256, 32
N_IDS, EVICT_AT, N_LONG = 200, 128, 640
MODES = ("original", "compact", "colliding")


def save_rows(base, logits):
    """base.top.npy int32 [rows, 256], base.logprob.npy float32 [rows, 257] with the rest's at the end."""
    logprob = libllama.log_softmax(logits)
    top = np.argsort(-logprob, axis=-1, kind="stable")[:, :N_TOP]
    best = np.take_along_axis(logprob, top, -1)
    np.put_along_axis(logprob, top, -np.inf, -1)
    biggest = logprob.max(-1, keepdims=True)
    rest = biggest + np.log(np.exp(logprob - biggest).sum(-1, keepdims=True))
    np.save(base + ".top.npy", top.astype(np.int32))
    np.save(base + ".logprob.npy", np.concatenate([best, rest], -1).astype(np.float32))


def save_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, separators=(",", ":"))
        f.write("\n")


def report(name, exact, other):
    kl = libllama.kl(exact, other)
    same = (exact.argmax(-1) == other.argmax(-1)).mean()
    print(f"{name:28s} KL mean {kl.mean():.1e} max {kl.max():.1e}  same top-1 {same:.3f}", flush=True)


def check_libllama(path, name, ids, exact):
    """A quantised file: libllama's distance from float32, for scale."""
    llama = libllama.Model(path)
    report(name + " libllama", exact, llama.logits(ids))
    report(name + " libllama flash f16", exact, llama.logits(ids, flash=True, f32_cache=False))
    llama.close()


def spread(begin, end):
    return np.linspace(begin, end - 1, N_ROWS).round().astype(int).tolist()


def smollm2_goldens(path, text, out):
    base = os.path.join(out, "smollm2")
    llama = libllama.Model(path)
    ids = llama.tokenize(text)[:N_IDS]
    llama.close()
    model, _ = hf_models.load(path)
    exact = hf_models.logits(model, ids)
    check_libllama(path, "smollm2", ids, exact)
    plain, after = spread(0, N_IDS), spread(EVICT_AT, N_IDS)
    save_rows(base + ".plain", exact[plain])

    rng = np.random.default_rng(7)
    kept = [[sorted(rng.choice(EVICT_AT, rng.integers(32, 97), replace=False).tolist())
             for _ in range(model.config.num_key_value_heads)]
            for _ in range(model.config.num_hidden_layers)]
    save_json(base + ".kept.json", {"kept": kept})
    everything = [[list(range(EVICT_AT))] * len(heads) for heads in kept]
    decoder = RaggedDecoder(model)
    decoder.run(ids[:EVICT_AT])
    decoder.evict(everything)
    report("smollm2 ragged, all kept", exact[EVICT_AT:], decoder.run(ids[EVICT_AT:]))
    for mode in MODES:
        decoder = RaggedDecoder(model, mode)
        decoder.run(ids[:EVICT_AT])
        decoder.evict(kept)
        rows = decoder.run(ids[EVICT_AT:])
        report(f"smollm2 {mode} | plain", exact[EVICT_AT:], rows)
        save_rows(f"{base}.{mode}", rows[np.array(after) - EVICT_AT])
    save_json(base + ".json", {"ids": ids, "positions": plain, "evict_at": EVICT_AT,
                               "positions_after_eviction": after})


def gemma_goldens(path, text, out):
    base = os.path.join(out, "gemma270m")
    llama = libllama.Model(path)
    ids = llama.tokenize(text)[:N_LONG]
    llama.close()
    model, _ = hf_models.load(path)
    exact = hf_models.logits(model, ids)
    check_libllama(path, "gemma270m", ids, exact)
    plain, long = spread(0, N_IDS), list(range(N_LONG - 8, N_LONG))
    save_rows(base + ".plain", exact[plain])
    save_rows(base + ".long", exact[long])
    save_json(base + ".json", {"ids": ids, "positions": plain, "positions_long": long})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smollm2", help="SmolLM2-135M-Instruct GGUF")
    parser.add_argument("--gemma", help="Gemma 3 270M GGUF")
    parser.add_argument("--text", default=os.path.join(ROOT, "tests/fixtures/hf/prose.txt"))
    parser.add_argument("--out", default=os.path.join(ROOT, "tests/fixtures/hf"))
    args = parser.parse_args()
    with open(args.text) as f:
        text = f.read()
    if args.smollm2:
        smollm2_goldens(args.smollm2, text, args.out)
    if args.gemma:
        gemma_goldens(args.gemma, text, args.out)
    if not (args.smollm2 or args.gemma):
        parser.error("name at least one of --smollm2 and --gemma")


if __name__ == "__main__":
    main()
