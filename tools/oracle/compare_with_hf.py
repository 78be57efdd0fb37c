#!/usr/bin/env python3
"""Compares `ebb logits --numerics reference` with Hugging Face float32 on one model file and text.

Plain by default. With --at T the cache is evicted after T tokens, by --kept K.json or by a random set
for every layer and KV head, in each position mode asked for; the reference is then RaggedDecoder,
checked first against Hugging Face without eviction. Exit code 1 where a mean KL is above --max-kl.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import hf_models
import libllama
from ragged_decoder import RaggedDecoder

ROOT = libllama.ROOT


def cut_text(model_path, text, n_tokens):
    """The longest run of whole words from the start with at most n_tokens tokens, and its ids."""
    llama = libllama.Model(model_path)
    words = text.split(" ")
    low, high = 1, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if len(llama.tokenize(" ".join(words[:middle]))) <= n_tokens:
            low = middle
        else:
            high = middle - 1
    cut = " ".join(words[:low])
    ids = llama.tokenize(cut)
    llama.close()
    return cut, ids


def run_ebb(args, folder, text, extra):
    text_path, out = os.path.join(folder, "text.txt"), os.path.join(folder, "logits.npy")
    with open(text_path, "w") as f:
        f.write(text)
    command = [args.ebb, "logits", args.model, "--text", text_path, "--numerics", args.numerics,
               "--out", out, *extra]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}")
    logits = np.load(out)
    os.remove(out)
    return logits


def check_rows(name, exact, ebb, max_kl):
    if exact.shape != ebb.shape:
        sys.exit(f"{name}: ebb wrote {ebb.shape}, expected {exact.shape}: do the token ids agree?")
    kl = libllama.kl(exact, ebb)
    same = (exact.argmax(-1) == ebb.argmax(-1)).mean()
    ok = bool(kl.mean() <= max_kl)
    print(f"{name:12s} {len(kl):5d} rows  KL mean {kl.mean():.2e} max {kl.max():.2e}  same top-1 "
          f"{same:.4f}  {'ok' if ok else f'ABOVE {max_kl:g}'}", flush=True)
    return ok


def random_kept(decoder, seed):
    rng = np.random.default_rng(seed)
    kept = []
    for layer, heads in enumerate(decoder.cells):
        live = [decoder.live(layer, head) for head in range(len(heads))]
        kept.append([sorted(rng.choice(o, rng.integers(max(1, len(o) // 4), len(o) * 3 // 4 + 1),
                                       replace=False).tolist()) for o in live])
    return kept


def compare_eviction(args, folder, model, text, ids, exact):
    decoder = RaggedDecoder(model)
    decoder.run(ids[:args.at])
    kept = random_kept(decoder, args.seed)
    path = args.kept or os.path.join(folder, "kept.json")
    if args.kept:
        with open(args.kept) as f:
            kept = json.load(f)["kept"]
    else:
        with open(path, "w") as f:
            json.dump({"kept": kept}, f)
    own = libllama.kl(exact[args.at:], decoder.run(ids[args.at:])).max()
    print(f"reference decoder without eviction against Hugging Face: KL max {own:.1e}", flush=True)
    ok = own < 1e-7
    for mode in args.positions:
        decoder = RaggedDecoder(model, mode)
        decoder.run(ids[:args.at])
        decoder.evict(kept)
        ebb = run_ebb(args, folder, text, ["--at", str(args.at), "--kept", path, "--positions", mode])
        ok &= check_rows(mode, decoder.run(ids[args.at:]), ebb, args.max_kl)
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="GGUF file; --loader hf wants F32 (see ebb-dequantise)")
    parser.add_argument("--ebb", default=os.path.join(ROOT, "build/bin/ebb"))
    parser.add_argument("--text", default=os.path.join(ROOT, "tests/fixtures/hf/prose.txt"))
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--numerics", default="reference")
    parser.add_argument("--at", type=int, help="evict after this many tokens")
    parser.add_argument("--kept", help='{"kept": [layer][kv_head][ordinal ...]}; default: random')
    parser.add_argument("--positions", nargs="+", choices=["original", "compact", "colliding"],
                        default=["original", "compact", "colliding"])
    parser.add_argument("--loader", choices=["hf", "own"], default="hf",
                        help="hf: transformers reads the GGUF; own: this project's mapping")
    parser.add_argument("--max-kl", type=float, default=2e-5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with open(args.text) as f:
        text, ids = cut_text(args.model, f.read(), args.tokens)
    if args.at is not None and not 0 < args.at < len(ids):
        parser.error(f"--at {args.at}: the text has {len(ids)} tokens")
    model = hf_models.load_by_transformers(args.model) if args.loader == "hf" else hf_models.load(args.model)[0]
    exact = hf_models.logits(model, ids)
    with tempfile.TemporaryDirectory() as folder:
        ok = check_rows("plain", exact, run_ebb(args, folder, text, []), args.max_kl)
        if args.at is not None:
            ok &= compare_eviction(args, folder, model, text, ids, exact)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
