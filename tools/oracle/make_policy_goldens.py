#!/usr/bin/env python3
"""Reference vectors for the eviction policies: tests/fixtures/policy/goldens.json.

Needs: pip install kvpress==0.5.5 numpy (torch and transformers come with it). Run from the repository:
    python tools/oracle/make_policy_goldens.py tests/fixtures/policy/goldens.json
Scorers are called without a model, in float32 on the CPU, on small random caches. Where kvpress is at fault
or lacks the published form, the reference is the paper's formula in NumPy (float64), marked "numpy".
A kept set is text, one character a cell: 1 stays, 0 goes, ? either (tied at the threshold).
"""
import base64
import json
import math
import sys
import types

import numpy as np
import torch
import kvpress
from kvpress.utils import compute_n_kept
from transformers.models.llama.modeling_llama import rotate_half

NS = types.SimpleNamespace
D = 8
HIDDEN = 6
WINDOW = 8
KERNEL = 5
SINK = 4
LAG = 8
CHUNK = 5
ROPE_BASE = 10000.0
RATIOS = [0.1, 0.25, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]
SHAPES = [(4, 4), (8, 2), (8, 1)]  # query heads, KV heads: groups of 1, 4, 8
# Around the window (8), sinks + two lag blocks (20), chunks of 5, and some in between.
LENGTHS = [2, 4, 5, 7, 8, 9, 10, 12, 19, 20, 21, 28, 40, 65]


def pack(x):
    x = np.ascontiguousarray(np.asarray(x, dtype="<f4"))
    return base64.b64encode(x.tobytes()).decode()


def frequencies():
    return ROPE_BASE ** (-2.0 * np.arange(D // 2) / D)


def rope(positions):
    angle = np.outer(np.asarray(positions, dtype=np.float64), frequencies())
    both = np.concatenate([angle, angle], axis=-1)
    return (torch.tensor(np.cos(both), dtype=torch.float32),
            torch.tensor(np.sin(both), dtype=torch.float32))


class Case:
    """A random cache and everything an engine would have measured on it."""

    def __init__(self, n_q, n_kv, n, flavour):
        rng = np.random.default_rng([n_q, n_kv, n, len(flavour)])
        self.n_q, self.n_kv, self.n, self.flavour = n_q, n_kv, n, flavour
        self.group = n_q // n_kv

        def draw(*shape):
            x = rng.standard_normal(shape)
            if flavour == "ties":
                x = np.round(x)
            x = torch.tensor(x, dtype=torch.float32)
            return x.to(torch.bfloat16).to(torch.float32) if flavour == "bf16" else x

        self.k = draw(1, n_kv, n, D)
        self.v = draw(1, n_kv, n, D)
        self.q = draw(1, n_q, n, D)  # before RoPE
        if flavour == "constant":
            self.k[..., 3] = 1.5
            self.v[..., 0] = 0.0
        self.wo = draw(HIDDEN, n_q * D)
        cos, sin = rope(np.arange(n))
        self.cos, self.sin = cos[None], sin[None]
        q = (self.q * self.cos[:, None]) + rotate_half(self.q) * self.sin[:, None]
        k = self.k.repeat_interleave(self.group, dim=1)
        logits = (q.double() @ k.double().transpose(2, 3)) / math.sqrt(D)
        mask = torch.triu(torch.full((n, n), float("-inf"), dtype=torch.float64), diagonal=1)
        self.a = torch.softmax(logits + mask, dim=-1)  # [1, n_q, n, n] float64

    def module(self):
        linear = torch.nn.Linear(self.n_q * D, HIDDEN, bias=False)
        linear.weight.data = self.wo.clone()
        linear.requires_grad_(False)
        return NS(q_proj=torch.nn.Identity(), k_proj=torch.nn.Identity(), o_proj=linear, head_dim=D,
                  num_key_value_groups=self.group, layer_idx=0,
                  rotary_emb=lambda x, pos: tuple(t[None] for t in rope(pos[0].numpy())),
                  config=NS(num_attention_heads=self.n_q, num_key_value_heads=self.n_kv, head_dim=D,
                            hidden_size=HIDDEN, _attn_implementation="sdpa", num_hidden_layers=1))

    def hidden(self):
        return self.q.transpose(1, 2).reshape(1, self.n, self.n_q * D)

    def call(self, press, with_attention=False):
        a = self.a.float() if with_attention else None
        return press.score(self.module(), self.hidden(), self.k, self.v, a,
                           {"position_embeddings": (self.cos, self.sin)})

    def engine_signals(self):
        """attention_sum and windows as the engine gives them; W_o as [n_q, D, HIDDEN]."""
        per_head = self.a[0].sum(1).reshape(self.n_kv, self.group, self.n).sum(1)
        out = {"n_q": self.n_q, "n_kv": self.n_kv, "n": self.n, "flavour": self.flavour,
               "keys": pack(self.k[0]), "values": pack(self.v[0]), "attention_sum": pack(per_head),
               "projection": pack(self.wo.T.reshape(self.n_q, D, HIDDEN))}
        for w in (1, WINDOW):
            out[f"window_{w}"] = pack(self.a[0, :, -min(w, self.n):].sum(1))
        if self.n > SINK:
            q = self.q[0, :, SINK:].double()
            mu = q.mean(1, keepdim=True)
            out["query_mean"] = pack(mu[:, 0])
            out["query_covariance"] = pack((q - mu).transpose(1, 2) @ (q - mu) / q.shape[1])
        return out


def kept_text(scores, n_kept):
    """One string a head: what any top-k of these scores may keep."""
    out = []
    for row in np.asarray(scores, dtype=np.float64):
        threshold = np.sort(row)[::-1][n_kept - 1]
        tolerance = 1e-6 * max(1e-30, abs(threshold))
        below = np.sort(row)[::-1][n_kept] if n_kept < len(row) else -math.inf
        tied = abs(threshold - below) <= tolerance
        text = ""
        for s in row:
            if tied and abs(s - threshold) <= tolerance:
                text += "?"
            else:
                text += "1" if s >= threshold else "0"
        out.append(text)
    return out


def kept_sets(case, scores):
    out = []
    for ratio in RATIOS:
        n_kept = compute_n_kept(case.n, ratio)
        out.append({"ratio": ratio, "budget": n_kept, "kept": kept_text(scores[0], n_kept)})
    return out


def result(source, policy, settings, scores=None, compare=None, sets=None):
    """compare: [begin, end) of the cells whose raw scores are the formula's, not a protection value."""
    out = {"source": source, "policy": policy, "settings": settings, "sets": sets or []}
    if scores is not None:
        out["scores"] = pack(scores)
        out["compare"] = compare
    return out


def from_kvpress(case):
    n = case.n
    out = []

    def add(policy, settings, press, compare, **kwargs):
        scores = case.call(press, **kwargs)
        assert not torch.isnan(scores).any(), (policy, n)
        out.append(result("kvpress", policy, settings, scores[0], compare, kept_sets(case, scores)))
        return scores

    add("knorm", {}, kvpress.KnormPress(), [0, n])
    add("keydiff", {}, kvpress.KeyDiffPress(), [0, n])
    add("observed_attention", {}, kvpress.ObservedAttentionPress(), [0, n], with_attention=True)
    add("tova", {"keep_last": "on"}, kvpress.TOVAPress(), [0, n - 1])
    if n > SINK:
        sets = []
        for ratio in RATIOS:
            n_kept = int(n * (1 - ratio))
            if n_kept < SINK:
                continue  # kvpress keeps arbitrary sinks
            press = kvpress.StreamingLLMPress(compression_ratio=ratio, n_sink=SINK)
            sets.append({"ratio": ratio, "budget": n_kept, "kept": kept_text(case.call(press)[0], n_kept)})
        out.append(result("kvpress", "streaming", {"keep_initial": str(SINK)}, sets=sets))
    if n > WINDOW:
        press = kvpress.SnapKVPress(window_size=WINDOW, kernel_size=KERNEL)
        add("snapkv", {"window": str(WINDOW), "kernel": str(KERNEL)}, press, [0, n - WINDOW])
    if case.flavour != "constant":
        for cross in (False, True):
            press = kvpress.LagKVPress(n_sink=SINK, lag_size=LAG, cross_scoring=cross)
            blocks = (n - SINK) // LAG
            compare = [SINK, SINK + (blocks - 1) * LAG] if n >= SINK + 2 * LAG else [0, 0]
            settings = {"n_sink": str(SINK), "lag": str(LAG), "cross": "on" if cross else "off"}
            if cross or case.flavour != "ties":  # equal measures have no defined rank
                add("lagkv", settings, press, compare)
    if n > SINK + 1:
        for settings in ({}, {"use_covariance": "off"}, {"use_vnorm": "off"}, {"epsilon": "0.01"}):
            press = kvpress.ExpectedAttentionPress(
                n_sink=SINK, use_covariance=settings.get("use_covariance") != "off",
                use_vnorm=settings.get("use_vnorm") != "off", epsilon=float(settings.get("epsilon", 0)))
            add("expected_attention", settings | {"n_sink": str(SINK)}, press, [SINK, n])
    return out


def clear_cut(scores, n_kept):
    """No tie at the threshold of a flattened selection."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())[::-1]
    return n_kept >= len(ordered) or ordered[n_kept - 1] - ordered[n_kept] > 1e-6 * abs(ordered[n_kept - 1])


def masked_text(case, module):
    kept = np.ones((case.n_kv, case.n), dtype=int)
    _, heads, cells = module.masked_key_indices
    kept[heads.numpy(), cells.numpy()] = 0
    return ["".join(str(x) for x in row) for row in kept]


def combined_from_kvpress(case):
    """Allocators, refinements and chunks, by kept sets."""
    n = case.n
    out = []
    if case.flavour == "ties":
        return out
    if n > WINDOW:
        snap = {"window": str(WINDOW), "kernel": str(KERNEL)}
        norms = kvpress.CriticalKVPress.vwl1norm(case.v, case.module())
        out.append(result("kvpress", "value_norms_l1", {}, norms[0], [0, n]))
        ada, critical, both = [], [], []
        for ratio in RATIOS:
            n_kept = compute_n_kept(n, ratio)
            base = kvpress.SnapKVPress(compression_ratio=ratio, window_size=WINDOW, kernel_size=KERNEL)
            kwargs = {"position_embeddings": (case.cos, case.sin)}
            raw = case.call(base)[0].numpy()
            if n_kept >= WINDOW and clear_cut(raw, n_kept * case.n_kv):
                for press, sets in ((kvpress.AdaKVPress(base), ada), (kvpress.CriticalAdaKVPress(base), both)):
                    module = case.module()
                    press.compress(module, case.hidden(), case.k, case.v, None, kwargs)
                    kept = masked_text(case, module)
                    if all(row.endswith("1" * WINDOW) for row in kept):
                        sets.append({"ratio": ratio, "budget": n_kept, "kept": kept})
            if n_kept >= WINDOW:
                scores = kvpress.CriticalKVPress(base).score(case.module(), case.hidden(), case.k, case.v, None, kwargs)
                text = kept_text(scores[0], n_kept)
                if all(row.endswith("1" * WINDOW) for row in text):
                    critical.append({"ratio": ratio, "budget": n_kept, "kept": text})
        out.append(result("kvpress", "snapkv", snap | {"allocator": "ada_floor"}, sets=ada))
        out.append(result("kvpress", "snapkv", snap | {"refine": "critical_l1"}, sets=critical))
        out.append(result("kvpress", "snapkv", snap | {"refine": "critical_l1", "allocator": "ada_floor"}, sets=both))
    if n > SINK + 1:
        sets = []
        for ratio in RATIOS:
            base = kvpress.ExpectedAttentionPress(compression_ratio=ratio, n_sink=SINK, epsilon=0.01)
            n_kept = compute_n_kept(n, ratio)
            if n_kept < SINK or not clear_cut(case.call(base)[0].numpy(), n_kept * case.n_kv):
                continue
            module = case.module()
            kvpress.AdaKVPress(base).compress(module, case.hidden(), case.k, case.v, None, {})
            sets.append({"ratio": ratio, "budget": n_kept, "kept": masked_text(case, module)})
        out.append(result("kvpress", "expected_attention",
                          {"epsilon": "0.01", "n_sink": str(SINK), "allocator": "ada_floor"}, sets=sets))
    sets = []
    for ratio in RATIOS if n >= CHUNK else []:
        press = kvpress.ChunkKVPress(kvpress.KnormPress(compression_ratio=ratio), chunk_length=CHUNK)
        places = torch.arange(n, dtype=torch.float32)[None, None, :, None].expand(1, case.n_kv, n, D)
        _, kept = press.compress(case.module(), None, case.k, places, None, {})
        rows = []
        for row in kept[0, :, :, 0].long().tolist():
            rows.append("".join("1" if t in set(row) else "0" for t in range(n)))
        sets.append({"ratio": ratio, "budget": kept.shape[2], "kept": rows})
    out.append(result("kvpress", "knorm", {"chunk": str(CHUNK)}, sets=sets))
    return out


# The published formulas, where kvpress has another form or a fault. Independent of it and of ebb.

def lag_measure(block, reference):
    low, high = reference.min(0), reference.max(0)
    spread = np.where(high > low, high - low, 1.0)
    z = np.where(high > low, (block - low) / spread, 0.0)
    u = z.std(axis=-1, ddof=1)
    e = np.exp(u - u.max())
    return e / e.sum()


def numpy_lagkv(case):
    scores = np.ones((case.n_kv, case.n))
    k, v = case.k[0].double().numpy(), case.v[0].double().numpy()
    blocks = (case.n - SINK) // LAG
    for h in range(case.n_kv):
        for b in range(blocks - 1):
            i, j = SINK + b * LAG, SINK + (b + 1) * LAG
            scores[h, i:j] = (lag_measure(k[h, i:j], k[h, j:j + LAG]) + lag_measure(v[h, i:j], v[h, j:j + LAG])) / 2
    return scores, [SINK, SINK + (blocks - 1) * LAG]


def numpy_lagkv_recursive(case, keep_ratio):
    k, v = case.k[0].double().numpy(), case.v[0].double().numpy()
    keep = int(keep_ratio * LAG)
    rows = []
    for h in range(case.n_kv):
        flags = np.ones(case.n, dtype=int)
        i = SINK
        while i + 2 * LAG <= case.n:
            j = i + LAG
            s = lag_measure(k[h, i:j], k[h, j:j + LAG]) + lag_measure(v[h, i:j], v[h, j:j + LAG])
            flags[i:j][np.argsort(-s, kind="stable")[keep:]] = 0
            i = j
        rows.append("".join(str(x) for x in flags))
    return rows


def numpy_h2o(case):
    sums = case.a[0].sum(1).reshape(case.n_kv, case.group, case.n).sum(1).numpy()
    sets = []
    for ratio in RATIOS:
        budget = compute_n_kept(case.n, ratio)
        recent = budget // 2
        rows = []
        for h in range(case.n_kv):
            old = case.n - recent
            flags = np.zeros(case.n, dtype=int)
            flags[old:] = 1
            flags[np.argsort(-sums[h, :old], kind="stable")[:budget - recent]] = 1
            rows.append("".join(str(x) for x in flags))
        sets.append({"ratio": ratio, "budget": budget, "kept": rows})
    return sums, sets


def numpy_snapkv_max(case, kernel):
    m = case.a[0, :, -WINDOW:, :-WINDOW].mean(1).numpy()
    pooled = np.zeros_like(m)
    for j in range(m.shape[1]):
        pooled[:, j] = m[:, max(0, j - kernel // 2):j + kernel // 2 + 1].max(1)
    return pooled.reshape(case.n_kv, case.group, -1).mean(1)


def numpy_ada_mix(case, alpha, normalize):
    """Counts per head of the authors' code before rounding, for budgets where it is whole."""
    m = case.a[0, :, -WINDOW:, :-WINDOW].mean(1).numpy()
    padded = np.pad(m, ((0, 0), (KERNEL // 2, KERNEL // 2)))
    pooled = np.stack([padded[:, j:j + KERNEL].sum(1) / KERNEL for j in range(m.shape[1])], 1)
    s = pooled.reshape(case.n_kv, case.group, -1).mean(1)
    out = []
    for base in range(1, s.shape[1]):
        weighed = s.copy()
        if normalize:
            top = -np.sort(-s, axis=1)[:, :base]
            weighed = s * (top.sum(1) / s.sum(1))[:, None]
        best = np.argsort(-weighed.ravel(), kind="stable")[:base * case.n_kv] // s.shape[1]
        share = (1 - alpha) * np.bincount(best, minlength=case.n_kv) + alpha * base
        out.append({"budget": base + WINDOW, "shares": [float(x) + WINDOW for x in share]})
    return out


def from_numpy(case):
    n = case.n
    out = []
    sums, sets = numpy_h2o(case)
    out.append(result("numpy", "h2o", {}, sums, [0, n], [] if case.flavour == "ties" else sets))
    last = case.a[0, :, -1].mean(0).numpy()
    tova = np.repeat(last[None], case.n_kv, 0)
    out.append(result("numpy", "tova", {}, tova, [0, n], kept_sets(case, tova[None])))
    head = case.a[0, :, -1].reshape(case.n_kv, case.group, n).mean(1).numpy()
    out.append(result("numpy", "tova_head", {}, head, [0, n], kept_sets(case, head[None])))
    if n >= SINK + 2 * LAG:
        settings = {"n_sink": str(SINK), "lag": str(LAG)}
        scores, compare = numpy_lagkv(case)
        out.append(result("numpy", "lagkv", settings | {"cross": "on"}, scores, compare))
        if case.flavour != "ties":
            for keep in ("0.25", "0.5"):
                sets = [{"ratio": 0, "budget": 0, "kept": numpy_lagkv_recursive(case, float(keep))}]
                out.append(result("numpy", "lagkv_recursive", settings | {"keep_ratio": keep}, sets=sets))
    if n > WINDOW:
        out.append(result("numpy", "snapkv", {"window": str(WINDOW), "kernel": "7", "pool": "max"},
                          np.pad(numpy_snapkv_max(case, 7), ((0, 0), (0, WINDOW))), [0, n - WINDOW]))
        wo = case.wo.T.reshape(case.n_q, D, HIDDEN).double()
        v = case.v[0].repeat_interleave(case.group, 0).double()
        norms = torch.linalg.vector_norm(v @ wo, dim=-1).reshape(case.n_kv, case.group, n).mean(1)
        out.append(result("numpy", "value_norms_l2", {}, norms, [0, n]))
        if case.flavour == "normal" and n == 40:
            for normalize in (False, True):
                out.append({"source": "numpy", "policy": "ada_mix", "settings": {"normalize": "on" if normalize else "off"},
                            "sets": [], "shares": numpy_ada_mix(case, 0.2, normalize)})
    return out


def pyramid_table():
    out = []
    for n_layers in (2, 4, 30):
        for n, ratio in ((100, 0.5), (100, 0.25), (1000, 0.5), (1000, 0.9), (400, 0.1), (48, 0.75), (2000, 0.2)):
            for window, beta in ((8, 4), (64, 20), (4, 2), (8, 1)):
                press = kvpress.PyramidKVPress(compression_ratio=ratio, window_size=window, beta=beta)
                counts = [press.get_layer_budget(NS(config=NS(num_hidden_layers=n_layers), layer_idx=l), n)
                          for l in range(n_layers)]
                out.append({"n": n, "budget": round(n * (1 - ratio)), "window": window, "beta": beta, "counts": counts})
    return out


def main():
    cases = [(q, kv, n, "normal") for q, kv in SHAPES for n in LENGTHS]
    cases += [(8, 2, 40, f) for f in ("ties", "bf16", "constant")]
    out = {"kvpress": "0.5.5", "torch": torch.__version__.split("+")[0], "head_dim": D, "hidden": HIDDEN,
           "rope": [float(x) for x in frequencies()], "cases": [], "pyramid": pyramid_table()}
    for args in cases:
        case = Case(*args)
        entry = case.engine_signals()
        entry["results"] = from_kvpress(case) + combined_from_kvpress(case) + from_numpy(case)
        out["cases"].append(entry)
    with open(sys.argv[1], "w") as file:
        json.dump(out, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
