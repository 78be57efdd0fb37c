"""The validation protocol on Hugging Face transformers and on ebb: the same model file, the same
tokens, in turns, on the same threads.

transformers runs as a user would write it: one conversation after another, greedy, the cache sliced
layer by layer at the end of each turn (baseline, streaming 50 + 50, random half). Its cache forgets
how many tokens it has seen, so positions collide; speed does not depend on that. Every reply has its
full length on both sides. ebb-bench says what the tokens are.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ["TQDM_DISABLE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402

transformers.utils.logging.disable_progress_bar()
torch.set_grad_enabled(False)
DTYPES = {"HF float32": torch.float32, "HF bfloat16": torch.bfloat16}


def load(path, dtype):
    """The file's weights, dequantised by transformers' own reader."""
    with tempfile.TemporaryDirectory() as folder:  # from_pretrained reads everything it finds there
        link = pathlib.Path(folder) / path.name
        link.symlink_to(path.resolve())
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=path.name, dtype=dtype)
    return model.to(dtype).eval()


def keep_all(_n):
    return None


def keep_ends(n):
    """The first 50 and the last 50 cells."""
    return None if n <= 100 else torch.cat([torch.arange(50), torch.arange(n - 50, n)])


def keep_half(n):
    return torch.randperm(n)[: max(1, n // 2)].sort().values


ARMS = [keep_all, keep_ends, keep_half]


def evict(cache, arm):
    for layer in cache.layers:
        kept = arm(layer.keys.shape[2])
        if kept is not None:
            layer.keys = layer.keys[:, :, kept, :].contiguous()
            layer.values = layer.values[:, :, kept, :].contiguous()


def reply(model, cache, ids, n_new, banned):
    """Feeds ids, then n_new greedy tokens; the last of them stays outside the cache."""
    out = []
    feed = torch.tensor([ids])
    for _ in range(n_new):
        logits = model(feed, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[0, -1]
        logits[banned] = -1e30
        out.append(int(logits.argmax()))
        feed = torch.tensor([[out[-1]]])
    return out


def protocol_rate(model, work, n_conversations):
    """Reply tokens a second."""
    banned = torch.tensor(work["end_ids"])
    begin = time.monotonic()
    n_tokens = 0
    for turns in work["prompts"][:n_conversations]:
        for arm in ARMS:
            cache = transformers.DynamicCache()
            for prompt in turns:
                last = reply(model, cache, prompt, work["n_new"], banned)[-1]
                n_tokens += work["n_new"]
                model(torch.tensor([[last] + work["closing"]]), past_key_values=cache, use_cache=True,
                      logits_to_keep=1)
                evict(cache, arm)
    return n_tokens / (time.monotonic() - begin)


def prompt_rate(model, ids):
    begin = time.monotonic()
    model(torch.tensor([ids]), past_key_values=transformers.DynamicCache(), use_cache=True, logits_to_keep=1)
    return len(ids) / (time.monotonic() - begin)


def run_ebb(args, numerics):
    command = [args.bench, "--alone", f"protocol:{numerics}", "--model", str(args.model),
               "--threads", str(args.threads)] + (["--quick"] if args.quick else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(args):
    """{what: {who: [value of each round]}}, in tokens a second."""
    models = {name: load(args.model, dtype) for name, dtype in DTYPES.items()}
    found = {"protocol": {}, "prompt of 512": {}}

    def add(what, who, value):
        found[what].setdefault(who, []).append(value)

    for i in range(args.repeat):
        for numerics in ("strict", "fast"):
            print(f"  round {i + 1}: ebb {numerics}", file=sys.stderr)
            work = run_ebb(args, numerics)
            add("protocol", f"ebb {numerics}, {work['n_conversations']} conversations", work["rate_of_all"])
            add("protocol", f"ebb {numerics}, 2 conversations", work["rate_of_2"])
            add("prompt of 512", f"ebb {numerics}", work["prompt_rate"])
        for name, model in models.items():
            print(f"  round {i + 1}: {name}", file=sys.stderr)
            prompt_rate(model, work["prompt_ids"][:64])
            add("prompt of 512", name, prompt_rate(model, work["prompt_ids"]))
            add("protocol", name, protocol_rate(model, work, args.conversations))
    return found


def table(found):
    """Markdown. Ratios: median over rounds of each one over transformers' best."""
    lines = ["| what | who | tokens/s | min-max | x transformers' best |", "|---|---|---:|---:|---:|"]
    for what, by_who in found.items():
        best = max((w for w in by_who if w.startswith("HF")), key=lambda w: statistics.median(by_who[w]))
        for who, rates in by_who.items():
            ratio = statistics.median(a / b for a, b in zip(rates, by_who[best]))
            lines.append(f"| {what} | {who} | {statistics.median(rates):.0f} | "
                         f"{min(rates):.0f}-{max(rates):.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def main():
    cache = pathlib.Path(os.environ.get("EBB_CACHE", pathlib.Path.home() / ".cache/ebb"))
    folder = pathlib.Path(os.environ.get("EBB_MODELS", cache / "models"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bench", default="build/bin/ebb-bench")
    parser.add_argument("--model", type=pathlib.Path, default=folder / "SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are taken over them")
    parser.add_argument("--conversations", type=int, default=2, help="that transformers runs; ebb runs 2 and 20")
    parser.add_argument("--quick", action="store_true", help="one short round, for a first look")
    parser.add_argument("--json", type=pathlib.Path, help="also write every value to this file")
    args = parser.parse_args()
    if args.quick:
        args.repeat, args.conversations = 1, 1
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    found = measure(args)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {args.threads} threads, "
          f"{args.model.name}\n\n{table(found)}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
