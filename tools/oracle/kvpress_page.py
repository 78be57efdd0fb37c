"""docs/policy-agreement.md from the rows that kvpress_end_to_end.py measures."""
import importlib.metadata

import numpy as np

PAGE = """# Agreement with kvpress, end to end

Do ebb and kvpress keep the same cells when each runs a real model by itself? Formulas are compared on made-up
numbers elsewhere (`tests/policy/goldens_test.cpp`); here forward pass, statistics, scores and budgets are compared
together. Agreement = cells that both keep / cells kept, over all layers and heads.

- **Same weights, float32:** at least {lowest} for every policy, length and budget ({required} is required). {differ} of
  {cells} cells kept differ, and their scores are within {gap} of the last one kept: rounding.
- **Quantised file:** `strict` (the default) keeps {strict} of kvpress' float32 cells,
  `fast` {fast}. libllama's arithmetic under kvpress' own scores comes to {libllama},
  chance to {chance}.

## What was run

- SmolLM2-135M-Instruct, the Q4_1 file ({layers} layers, {heads} KV heads), and the same file dequantised to
  F32 by `ebb-dequantise`.
- kvpress {kvpress} on transformers {transformers} and torch {torch}, float32, one thread: its own forward hooks during
  one prefill of the F32 file.
- `ebb cache` with the same token ids, parameters and number of cells: F32 under `reference` numerics, Q4_1 under `strict`
  and `fast`. One event at the end of the prompt; windows look through the prompt's last tokens.
- Three English texts of {lengths} tokens (pieces of `tests/fixtures/hf/prose.txt`); half or a tenth of the cells stay.
- Parameters are kvpress' defaults where the tables name none. Three were changed so that a method acts at these lengths:
  SnapKV and what builds on it have a window of 8; PyramidKV a beta of 4; LagKV compares blocks of 128 cells at 1/2 and
  16 at 1/10, since its unconditional tail of a block and more would exceed the smaller budget. SnapKV's default window
  of 64 is left out where the budget does not exceed it: there kvpress keeps arbitrary cells of the window
  ([kvpress-faults.md](kvpress-faults.md), 7).

To get it again (about ten minutes on one core; the exit code is 1 below {required}):

```
python3 -m venv kvpress-venv && kvpress-venv/bin/pip install -r tools/oracle/requirements.txt
build/bin/ebb-dequantise SmolLM2-135M-Instruct.Q4_1.gguf smollm2-f32.gguf
kvpress-venv/bin/python tools/oracle/kvpress_end_to_end.py --f32 smollm2-f32.gguf \\
    --quantised SmolLM2-135M-Instruct.Q4_1.gguf --markdown docs/policy-agreement.md
```

`tests/engine/kvpress_model_test.cpp` holds the shortest text with every `./dev test`.

## The same weights

Columns of three stand for the texts of {lengths} tokens. Percentages are rounded down: 100 % is equality.

| policy | kept | cells of a head | agreement |
|---|---|---|---|
{same}
Where cells differ, or where scores tie exactly at the last place:

| policy | tokens | kept | differ | lowest head | distance | heads with ties | tied cells |
|---|---|---|---|---|---|---|---|
{details}
*lowest head*: agreement of the layer and head that agrees least. *distance*: of the cells that differ, the largest
distance of kvpress' score from the last one kept, relative to it. *tied cells*: of those that kvpress keeps, how many
it might have exchanged for a cell with an equal score; any of these counts as agreement, since kvpress leaves the
choice to `topk` (ebb keeps the newest).

- `knorm`: a repeated token has the same key in layer 0 but for its rotation, so norms there are equal up to the last bit
  of float32, and rounding decides. Every cell that differs is such a token in layer 0.
- `lagkv` scores a cell by its rank in its block, so cells of different blocks tie by design, and where the budget
  ends inside such a group the choice is free. With `cross` the scores are probabilities and do not tie.
- `criticalkv` and `observed_attention`: one cell a text, a few 1e-6 from the threshold at most. That is float32 itself:
  with the model in float64, kvpress' own scores on the 800 tokens move by 7e-7 in the median and by more than 4e-6 for
  one cell in a hundred (`observed_attention`; 3e-7 and 2e-6 for `criticalkv`; measured once, apart from this table).

## The quantised file

The reference stays kvpress on float32 and dequantised weights. `strict` multiplies the file's integers by 15-bit
activations, `fast` by 8-bit ones; both keep cells as float16. Beside them:

- *libllama*: kvpress' press on what libllama (llama-cpp-python {llama}) computes from the same file in its default
  settings: attention inputs, keys and values of every layer, read while it evaluates the prompt, keys and values
  rounded to float16 as in its cache. So this is the noise of libllama against Hugging Face, seen through the same scores.
  It gives out no attention weights, so `observed_attention` has none.
- *chance*: what random sets of the same sizes share, with windows, sinks and tails that always stay.

| policy | kept | `strict` | `fast` | libllama | chance |
|---|---|---|---|---|---|
{quantised}
All that comes before a cell has 8-bit activations in `fast`, as in libllama. For studies `strict` is the default.

## What this does not show

- One model, one kind of text, one event at the end of a prompt. Later events are not compared: a second eviction by
  place goes wrong in kvpress ([kvpress-faults.md](kvpress-faults.md), 3).
- Quantised figures are of one type of CPU (x86-64 with AVX-512); on another, sums differ in their last bits.
- Names that end in `_kvpress` are kvpress' forms. Where the paper differs, ebb has it under another name
  ([policies.md](policies.md)), and its reference is the formula in NumPy.
- Chance is high where much is protected: at a budget of 80 cells a window of 64 leaves 16 to choose.
- kvpress has no H2O as published, and `streaming` and `random` look at no model.
"""


def percent(x, digits=2):
    # Rounded down: 100 % is said only of equality.
    return "-" if x is None else f"{np.floor(x * 100 * 10 ** digits) / 10 ** digits:.{digits}f}"


def sizes(row):
    low, high = row["sizes"]
    return str(low) if low == high else f"{low}..{high}"


def span(rows, key):
    found = [r[key] for r in rows if r[key] is not None]
    return f"{percent(min(found))} to {percent(max(found))} %"


def by_policy(rows):
    """Rows of one policy and share together, in order of length; None where a length was left out."""
    lengths = sorted({r["n"] for r in rows})
    out = {}
    for r in rows:
        key = r["title"], r["share"]
        out.setdefault(key, [None] * len(lengths))[lengths.index(r["n"])] = r
    return out


def joined(group, text):
    return " / ".join("-" if r is None else text(r) for r in group)


def same_table(rows):
    out = ""
    for (title, share), group in by_policy(rows).items():
        out += (f"| {title} | 1/{share} | {joined(group, sizes)} | "
                f"{joined(group, lambda r: percent(r['f32'][0]))} % |\n")
    return out


def details_table(rows):
    out = ""
    for r in rows:
        if not (r["differ"] or r["ties"]):
            continue
        distance = format(r["gap"], ".0e") if r["differ"] and r["gap"] == r["gap"] else "-"
        out += (f"| {r['title']} | {r['n']} | 1/{r['share']} | {r['differ']} of {r['cells']} | "
                f"{percent(r['f32'][1])} % | {distance} | {r['ties'] or '-'} | {r['tied'] or '-'} |\n")
    return out


def quantised_table(rows):
    out = ""
    for (title, share), group in by_policy(rows).items():
        columns = [joined(group, lambda r, key=key: percent(r[key], 1 if key == "chance" else 2))
                   for key in ("strict", "fast", "libllama", "chance")]
        out += f"| {title} | 1/{share} | " + " | ".join(columns) + " |\n"
    return out


def write(path, rows, config, required, lengths, llama_version):
    """rows: dictionaries with title, n, share and numbers; config: of the model."""
    version = importlib.metadata.version
    gaps = [r["gap"] for r in rows if r["differ"] and r["gap"] == r["gap"]]
    text = PAGE.format(
        lowest=percent(min(r["f32"][0] for r in rows)) + " %", required=f"{required:.1%}".replace("%", " %"),
        differ=sum(r["differ"] for r in rows), cells=sum(r["cells"] for r in rows),
        gap=format(max(gaps, default=0.0), ".0e"), strict=span(rows, "strict"), fast=span(rows, "fast"),
        libllama=span(rows, "libllama"), chance=span(rows, "chance"), layers=config.num_hidden_layers,
        heads=config.num_key_value_heads, kvpress=version("kvpress"),
        transformers=version("transformers"), torch=version("torch"),
        lengths=", ".join(map(str, lengths[:-1])) + f" and {lengths[-1]}", llama=llama_version,
        same=same_table(rows), details=details_table(rows), quantised=quantised_table(rows))
    with open(path, "w") as f:
        f.write(text)
