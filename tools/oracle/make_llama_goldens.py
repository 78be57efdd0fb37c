#!/usr/bin/env python3
"""Writes tests/fixtures/llama: libllama's logits for every tiny model.

F32 models, one of every architecture: <name>.npy with flash attention off and an F32 cache. Others: <name>.npy with flash attention off and <name>.flash.npy with it on, both with an F32
cache. The distance of the two is libllama's own noise: its quantised kernels also quantise the
activations, and each build sums in its own order, so a test compares against that noise and against
HF on the dequantised weights (<name>.dequantised.npy), never bit by bit.
"""
import argparse
import glob
import json
import os

import numpy as np

import hf_models
import libllama

ROOT = libllama.ROOT


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", default=os.path.join(ROOT, "tests/fixtures/tiny"))
    parser.add_argument("--ids", default=os.path.join(ROOT, "tests/fixtures/hf/ids.json"))
    parser.add_argument("--out", default=os.path.join(ROOT, "tests/fixtures/llama"))
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    with open(args.ids) as f:
        ids = json.load(f)["ids"]
    for path in sorted(glob.glob(os.path.join(args.tiny, "*.gguf"))):
        name = os.path.splitext(os.path.basename(path))[0]
        llama = libllama.Model(path)
        plain = llama.logits(ids)
        if name.endswith("-f32"):
            llama.close()
            np.save(os.path.join(args.out, name + ".npy"), plain)
            continue
        flash = llama.logits(ids, flash=True)
        llama.close()
        model, _ = hf_models.load(path)
        exact = hf_models.logits(model, ids)
        np.save(os.path.join(args.out, name + ".npy"), plain)
        np.save(os.path.join(args.out, name + ".flash.npy"), flash)
        np.save(os.path.join(args.out, name + ".dequantised.npy"), exact)
        noise, far = libllama.kl(plain, flash), libllama.kl(exact, plain)
        print(f"{name:12s} KL libllama plain|flash mean {noise.mean():.1e} max {noise.max():.1e}   "
              f"KL HF dequantised|libllama mean {far.mean():.1e} max {far.max():.1e}", flush=True)
        assert far.max() < 0.05, f"{name}: HF and libllama disagree about this file"


if __name__ == "__main__":
    main()
