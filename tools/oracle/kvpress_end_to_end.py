#!/usr/bin/env python3
"""Which cells stay on a real model: `ebb cache` against kvpress on transformers in float32.

kvpress' forward hooks run on a prefill of the F32 file; ebb on the same file with
`reference` numerics, and on the quantised file with `strict` and `fast`. Beside the quantised file's agreement
stand what libllama's arithmetic alone changes (kvpress on libllama's activations) and chance.
Writes the page (--markdown) and small goldens (--goldens) for the C++ tests.

    kvpress_end_to_end.py --f32 smollm2-f32.gguf --quantised SmolLM2-135M-Instruct.Q4_1.gguf
Exit code 1 where the F32 agreement of any policy is below 99.5 %.
"""
import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import types
from typing import Callable

import hf_models
import kvpress
import kvpress_page
import libllama
import numpy as np
import torch
from libllama_activations import activations
from transformers import DynamicCache

REQUIRED = 0.995
SHARES = (2, 10)  # one cell in so many stays
# [begin, end) in the text's tokens: three different texts.
SPANS = ((0, 400), (400, 1200), (1200, 2400))
GOLDEN_SPAN = SPANS[0]
LAG = {2: 128, 10: 16}  # a block that leaves kvpress' protected tail below the budget
SINK = 4


@dataclasses.dataclass
class Case:
    """One policy under the same parameters on both sides."""
    title: str
    policy: str  # of ebb
    press: Callable  # of the share
    settings: Callable = lambda share: {}
    n_protected: Callable = lambda n, share: 0
    is_pyramid: bool = False
    needs_attention: bool = False
    smallest_budget: int = 0


def snapkv(**parameters):
    return kvpress.SnapKVPress(**({"window_size": 8} | parameters))


def lag_tail(n, share):
    lag = LAG[share]
    return SINK + lag + (n - SINK) % lag


def lag_settings(**more):
    return lambda share: {"lag": LAG[share]} | more


def fixed(**settings):
    return lambda share: settings


CASES = [
    Case("knorm", "knorm", lambda s: kvpress.KnormPress()),
    Case("snapkv, window 8", "snapkv", lambda s: snapkv(), fixed(window=8), lambda n, s: 8),
    Case("snapkv, window 64", "snapkv", lambda s: snapkv(window_size=64), fixed(window=64),
         lambda n, s: 64, smallest_budget=65),
    Case("tova", "tova_kvpress", lambda s: kvpress.TOVAPress(), n_protected=lambda n, s: 1),
    Case("keydiff", "keydiff", lambda s: kvpress.KeyDiffPress()),
    Case("lagkv", "lagkv", lambda s: kvpress.LagKVPress(lag_size=LAG[s]), lag_settings(), lag_tail),
    Case("lagkv, cross", "lagkv", lambda s: kvpress.LagKVPress(lag_size=LAG[s], cross_scoring=True),
         lag_settings(cross="on"), lag_tail),
    Case("expected_attention", "expected_attention", lambda s: kvpress.ExpectedAttentionPress(),
         n_protected=lambda n, s: SINK),
    Case("pyramidkv, window 8, beta 4", "pyramidkv_kvpress",
         lambda s: kvpress.PyramidKVPress(window_size=8, beta=4), fixed(window=8, beta=4),
         lambda n, s: 8, is_pyramid=True),
    Case("ada snapkv, window 8", "ada_snapkv_kvpress", lambda s: kvpress.AdaKVPress(snapkv()),
         fixed(window=8), lambda n, s: 8),
    Case("ada expected_attention", "ada_expected_attention",
         lambda s: kvpress.AdaKVPress(kvpress.ExpectedAttentionPress(epsilon=0.01)),
         n_protected=lambda n, s: SINK),
    Case("criticalkv, window 8", "criticalkv", lambda s: kvpress.CriticalKVPress(snapkv()),
         fixed(window=8), lambda n, s: 8),
    Case("observed_attention", "observed_attention", lambda s: kvpress.ObservedAttentionPress(),
         needs_attention=True),
]


@dataclasses.dataclass
class Kept:
    """[layer, head, cell]: what stays, which cells tie exactly at the last place, and how far each
    score is from the last one kept, relative to it (nan where heads compete for cells)."""
    kept: np.ndarray
    ties: np.ndarray
    gaps: np.ndarray

    @property
    def budgets(self):
        return self.kept.sum(-1)


def set_budget(press, case, n, keep):
    # int(n * (1 - ratio)) gives `keep` exactly; a pyramid takes n * (1 - ratio) itself.
    press.compression_ratio = 1 - (keep if case.is_pyramid else keep + 0.5) / n


class Recorder:
    """Reads from a press which cells it kept, without changing what it does."""

    def __init__(self, press):
        self.press = press
        self.scores = None
        own = press.score if isinstance(press, kvpress.ScorerPress) else None
        if own is not None:
            def score(*args, **kwargs):
                self.scores = own(*args, **kwargs)
                return self.scores
            press.score = score

    def layer(self, module, full_keys, pressed_keys):
        """(kept, ties, gaps) [head, cell] of one layer."""
        n_heads, n = full_keys.shape[1:3]
        kept = np.zeros((n_heads, n), bool)
        ties = np.zeros((n_heads, n), bool)
        gaps = np.full((n_heads, n), np.nan)
        if isinstance(self.press, kvpress.AdaKVPress):
            _, heads, cells = module.masked_key_indices
            kept[:] = True
            kept[heads.numpy(), cells.numpy()] = False
            module.masked_key_indices = None
            return kept, ties, gaps
        for head in range(n_heads):
            places = {row.tobytes(): i for i, row in enumerate(full_keys[0, head].numpy())}
            assert len(places) == n, "two cells with the same key"
            for row in pressed_keys[0, head].numpy():
                kept[head, places[row.tobytes()]] = True
            scores = self.scores[0, head].double().numpy()
            last = scores[kept[head]].min()
            assert scores[~kept[head]].max() <= last
            gaps[head] = np.abs(scores - last) / np.abs(last)
            at_last = scores == last
            if (at_last & ~kept[head]).any():
                ties[head] = at_last
        return kept, ties, gaps


def kvpress_on_model(model, ids, runs):
    """One prefill of the model for all (case, share, keep): kvpress' own forward hooks, each on a
    cache of its own, which hold what the layer has just written."""
    presses = []
    for case, share, keep in runs:
        press = case.press(share)
        set_budget(press, case, len(ids), keep)
        press.post_init_from_model(model)
        presses.append((press, Recorder(press), []))

    def hook(module, args, kwargs, output):
        layer = module.layer_idx
        written = kwargs["past_key_values"].layers[layer]
        for press, recorder, out in presses:
            own = types.SimpleNamespace(keys=written.keys, values=written.values)
            cache = types.SimpleNamespace(layers={layer: own})
            press.forward_hook(module, args, kwargs | {"past_key_values": cache}, output)
            out.append(recorder.layer(module, written.keys, own.keys))

    hooks = []
    for layer in model.model.layers:
        layer.self_attn.rotary_emb = model.model.rotary_emb
        hooks.append(layer.self_attn.register_forward_hook(hook, with_kwargs=True))
    model.model(torch.tensor([ids]), past_key_values=DynamicCache())
    for handle in hooks:
        handle.remove()
    return [Kept(*(np.stack(x) for x in zip(*out))) for _, _, out in presses]


def references(model, ids):
    """{(case title, share): what kvpress keeps}."""
    runs = [(case, share, len(ids) // share) for case in CASES for share in SHARES
            if len(ids) // share >= case.smallest_budget]
    out = {}
    for implementation, needs_attention in (("sdpa", False), ("eager", True)):
        part = [run for run in runs if run[0].needs_attention == needs_attention]
        model.config._attn_implementation = implementation
        for (case, share, _), kept in zip(part, kvpress_on_model(model, ids, part) if part else []):
            out[case.title, share] = kept
    return out


def kvpress_on_activations(model, layers, case, share, keep):
    """The same press on another engine's attention inputs, keys and values."""
    n = len(layers[0][0])
    press = case.press(share)
    set_budget(press, case, n, keep)
    recorder = Recorder(press)
    model.config._attn_implementation = "sdpa"
    positions = model.model.rotary_emb(torch.zeros(1), torch.arange(n)[None])
    out = []
    for layer, arrays in zip(model.model.layers, layers):
        hidden, keys, values = (torch.from_numpy(a)[None] for a in arrays)
        layer.self_attn.rotary_emb = model.model.rotary_emb
        pressed, _ = press.compress(layer.self_attn, hidden, keys, values, None,
                                    {"position_embeddings": positions})
        out.append(recorder.layer(layer.self_attn, keys, pressed))
    return Kept(*(np.stack(x) for x in zip(*out)))


def ebb_kept(args, path, ids, case, share, keep, numerics):
    with tempfile.TemporaryDirectory() as folder:
        ids_path, out = os.path.join(folder, "ids.json"), os.path.join(folder, "kept.json")
        with open(ids_path, "w") as f:
            json.dump(ids, f)
        command = [args.ebb, "cache", path, "--ids", ids_path, "--policy", case.policy, "--keep",
                   str(keep), "--numerics", numerics, "--out", out]
        for key, value in case.settings(share).items():
            command += ["--set", f"{key}={value}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or "fell back" in done.stderr:
            sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}")
        with open(out) as f:
            lists = json.load(f)["kept"]
    kept = np.zeros((len(lists), len(lists[0]), len(ids)), bool)
    for layer, heads in enumerate(lists):
        for head, cells in enumerate(heads):
            kept[layer, head, cells] = True
    return kept


def shared_cells(reference, kept):
    """[layer, head]: cells in both; which of the exact ties stay is free."""
    sure = reference.kept & ~reference.ties
    from_ties = np.minimum((kept & reference.ties).sum(-1), reference.budgets - sure.sum(-1))
    return (kept & sure).sum(-1) + from_ties


def farthest(reference, kept):
    """Of the cells that only one of the two keeps, the largest distance from the last score kept."""
    gaps = reference.gaps[(reference.kept != kept) & ~reference.ties]
    return gaps.max() if gaps.size else 0.0


def agreement(reference, kept):
    """(of all cells, of the worst layer and head): intersection over the larger of the two sets."""
    shared, sizes = shared_cells(reference, kept), np.maximum(reference.budgets, kept.sum(-1))
    return shared.sum() / sizes.sum(), (shared / sizes).min()


def chance(reference, kept, n_protected):
    """What two independent random sets of these sizes with the same protected cells would share."""
    n = reference.kept.shape[-1]
    a, b = reference.budgets - n_protected, kept.sum(-1) - n_protected
    larger = np.maximum(a, b) + n_protected
    return (n_protected + a * b / (n - n_protected)).sum() / larger.sum()


def measure(args, model, span, ids, layers):
    """Rows (title, share, numbers) of one text, and its goldens."""
    rows, goldens = [], {}
    kept_by_kvpress = references(model, ids)
    for case in CASES:
        for share in SHARES:
            keep = len(ids) // share
            reference = kept_by_kvpress.get((case.title, share))
            if reference is None:
                continue
            exact = ebb_kept(args, args.f32, ids, case, share, keep, "reference")
            quantised = ebb_kept(args, args.quantised, ids, case, share, keep, "strict")
            fast = ebb_kept(args, args.quantised, ids, case, share, keep, "fast")
            libllama_kept = None
            if not case.needs_attention:
                libllama_kept = kvpress_on_activations(model, layers, case, share, keep).kept
            row = {
                "title": case.title, "share": share, "n": len(ids), "keep": keep,
                "sizes": (int(reference.budgets.min()), int(reference.budgets.max())),
                "f32": agreement(reference, exact), "strict": agreement(reference, quantised)[0],
                "fast": agreement(reference, fast)[0],
                "libllama": agreement(reference, libllama_kept)[0] if libllama_kept is not None else None,
                "chance": chance(reference, quantised, case.n_protected(len(ids), share)),
                "differ": int((np.maximum(reference.budgets, exact.sum(-1)) -
                               shared_cells(reference, exact)).sum()),
                "gap": farthest(reference, exact),
                "cells": int(reference.budgets.sum()),
                "ties": int((reference.ties.any(-1)).sum()),
                "tied": int((reference.kept & reference.ties).sum()),
            }
            rows.append(row)
            print(f"{case.title:28s} n {len(ids):4d} keep {keep:3d} F32 {row['f32'][0]:.5f} worst "
                  f"{row['f32'][1]:.4f} ({row['differ']} of {row['cells']}, gap {row['gap']:.1e}) "
                  f" Q4_1 strict {row['strict']:.4f} fast {row['fast']:.4f}  libllama "
                  f"{row['libllama'] or 0:.4f}  chance {row['chance']:.4f}  sizes {row['sizes']}  heads with ties {row['ties']}",
                  flush=True)
            if span == GOLDEN_SPAN:
                goldens[case.title, share] = reference
    return rows, goldens


def bitmap(rows):
    """Bit j of byte b, in hex: cell 8 b + j."""
    return [[np.packbits(head, bitorder="little").tobytes().hex() for head in layer] for layer in rows]


def write_goldens(path, ids, goldens):
    cases = []
    for case in CASES:
        budgets = []
        for share in SHARES:
            reference = goldens.get((case.title, share))
            if reference is None:
                continue
            settings = {key: str(value) for key, value in case.settings(share).items()}
            entry = {"keep": len(ids) // share, "settings": settings, "kept": bitmap(reference.kept)}
            if reference.ties.any():
                entry["ties"] = bitmap(reference.ties)
            budgets.append(entry)
        cases.append({"title": case.title, "policy": case.policy, "budgets": budgets})
    about = ("Cells that kvpress 0.5.5 keeps on SmolLM2-135M-Instruct.Q4_1, dequantised, float32: "
             "[layer][kv_head], hex, bit j of byte b is cell 8 b + j. ties: cells whose score equals "
             "the last one kept; which of them stay is free. tools/oracle/kvpress_end_to_end.py")
    with open(path, "w") as f:
        f.write('{"about": %s,\n"ids": %s,\n"cases": [\n' % (json.dumps(about), json.dumps(ids)))
        f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--f32", required=True, help="the quantised file through ebb-dequantise")
    parser.add_argument("--quantised", required=True)
    parser.add_argument("--ebb", default=os.path.join(libllama.ROOT, "build/bin/ebb"))
    parser.add_argument("--text", default=os.path.join(libllama.ROOT, "tests/fixtures/hf/prose.txt"))
    parser.add_argument("--only", help="cases whose title has this; nothing is written")
    parser.add_argument("--goldens", help="tests/fixtures/policy/end_to_end/smollm2.json")
    parser.add_argument("--markdown", help="docs/policy-agreement.md")
    args = parser.parse_args()
    # Sums in one order, whatever the machine: a score at the threshold must not depend on its cores.
    torch.set_num_threads(1)
    if args.only:
        CASES[:] = [c for c in CASES if args.only in c.title]
        args.goldens = args.markdown = None
    llama = libllama.Model(args.quantised)
    with open(args.text) as f:
        ids = llama.tokenize(f.read())
    llama.close()
    model, _ = hf_models.load(args.f32)
    rows, goldens = [], {}
    for begin, end in SPANS:
        assert end <= len(ids)
        part = ids[begin:end]
        layers = activations(args.quantised, part, model.config.num_key_value_heads)
        more_rows, more_goldens = measure(args, model, (begin, end), part, layers)
        rows, goldens = rows + more_rows, goldens | more_goldens
    if args.goldens:
        write_goldens(args.goldens, ids[slice(*GOLDEN_SPAN)], goldens)
    order = [c.title for c in CASES]
    rows.sort(key=lambda r: (order.index(r["title"]), r["n"], r["share"]))
    if args.markdown:
        kvpress_page.write(args.markdown, rows, model.config, REQUIRED, [b - a for a, b in SPANS],
                           libllama.llama_cpp.__version__)
    low = [r for r in rows if r["f32"][0] < REQUIRED]
    for r in low:
        print(f"BELOW {REQUIRED:.1%}: {r['title']}, {r['n']} tokens, 1/{r['share']}: {r['f32'][0]:.5f}")
    sys.exit(1 if low else 0)


if __name__ == "__main__":
    main()
