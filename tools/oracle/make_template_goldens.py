#!/usr/bin/env python3
"""Golden chat renderings: what HF's apply_chat_template makes of a fixed set of conversations.

Writes tests/fixtures/templates/NAME.json with the rendered text of every case, and token ids where a
vocabulary is given. The template texts are inputs only; the goldens keep their SHA-256.

  make_template_goldens.py --template llama3=llama3.jinja --bos 'llama3=<|begin_of_text|>' \
      --vocab smollm2=SmolLM2-135M-Instruct.Q4_1.gguf --out tests/fixtures/templates

A --vocab file brings its own template unless --template names one. Needs transformers, tokenizers, gguf.
"""
import argparse
import hashlib
import json
import pathlib

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

QWEN_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
              r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL, USER_DEFINED = 3, 4


def user(text):
    return {"role": "user", "content": text}


def reply(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


CASES = {
    "one turn": [user("What is the tallest tree in the park?")],
    "system text": [system("Answer in one short sentence."), user("Why is the sky blue?")],
    "two turns": [user("Name a fruit."), reply("A pear."), user("And another?")],
    "three turns with system text": [
        system("You are a patient teacher."), user("What is 12 * 7?"), reply("12 * 7 = 84."),
        user("And 84 / 4?"), reply("84 / 4 = 21."), user("Thanks! Sum them: 84 + 21.")],
    "ends with a reply": [user("Say hello."), reply("Hello there.")],
    "outer white space": [user("  \n two spaces and a line before, a tab and a line after\t\n")],
    "outer white space in system text": [system("\n Be kind. \n"), user("  Hi. ")],
    "outer white space in a reply": [user("Go on."), reply("So it goes.  \n"), user("More.")],
    "wide white space": [user("\u3000\u00a0wide blanks around\u2003\u2028")],
    "empty user text": [user("")],
    "empty system text": [system(""), user("Anyone there?")],
    "only white space": [user(" \n "), reply("Pardon?"), user("Nothing.")],
    "unicode": [user("Grüße aus Zürich: 你好, мир, नमस्ते, 👩‍🚀🚀 – naïve café…"), reply("日本語も大丈夫。"),
                user("¿Qué más? ½ ℃ ™")],
    "digits and code": [user("for (int i = 0; i < 1024; ++i) {\n    sum += a[i] * 3.14159;\n}\n\n# 2026-01-22")],
    "lines": [user("First line.\n\n\nAfter three breaks.\r\nA Windows line.\n\tTabbed  twice  spaced.")],
    "contractions": [user("I'm sure they've said it's fine; WE'LL see, don't you think?")],
}


def tokens_of(reader):
    values = {key: field.contents() for key, field in reader.fields.items() if key.startswith("tokenizer.")}
    return values


def byte_level(values, parts, normalizer=None):
    vocab = {token: i for i, token in enumerate(values["tokenizer.ggml.tokens"])}
    merges = [tuple(line.split(" ", 1)) for line in values["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    return tokenizer


def sentence_pieces(values):
    """A SentencePiece BPE vocabulary: a merge is any split of a token into two tokens, by its score."""
    tokens, scores = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.scores"]
    types = values["tokenizer.ggml.token_type"]
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = []
    for token, score, kind in zip(tokens, scores, types):
        if kind in (CONTROL, USER_DEFINED):
            continue
        splits = [(token[:i], token[i:]) for i in range(1, len(token))]
        pairs = [(a, b) for a, b in splits if a in vocab and b in vocab]
        merges += [(score, pair) for pair in sorted(pairs, key=lambda p: (vocab[p[0]], vocab[p[1]]))]
    merges.sort(key=lambda item: -item[0])
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[pair for _, pair in merges], byte_fallback=True,
                                     fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    return tokenizer


def make_tokenizer(values):
    kind, pre = values["tokenizer.ggml.model"], values.get("tokenizer.ggml.pre")
    if kind == "llama":
        tokenizer = sentence_pieces(values)
    elif pre == "smollm":
        tokenizer = byte_level(values, [pre_tokenizers.Digits(individual_digits=True),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    elif pre == "qwen2":
        tokenizer = byte_level(values, [pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated"),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
                               normalizers.NFC())
    else:
        raise SystemExit(f"no recipe for tokenizer {kind}/{pre}")
    tokens, types = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]
    added = [AddedToken(token, normalized=False, special=kind == CONTROL)
             for token, kind in zip(tokens, types) if kind in (CONTROL, USER_DEFINED)]
    tokenizer.add_tokens([token for token in added if not token.special])
    tokenizer.add_special_tokens([token for token in added if token.special])
    return tokenizer


def bare_tokenizer():
    return Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))


def render(name, template, bos, values):
    tokenizer = make_tokenizer(values) if values else bare_tokenizer()
    hf = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    hf.chat_template = template
    if bos:
        hf.bos_token = bos
    cases = []
    for case, messages in CASES.items():
        ask = messages[-1]["role"] == "user"
        text = hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
        entry = {"name": case, "messages": messages, "text": text}
        if values:
            ids = hf.apply_chat_template(messages, tokenize=True, add_generation_prompt=ask, return_dict=False)
            assert ids == hf.encode(text, add_special_tokens=False)
            entry["ids"] = ids
        cases.append(entry)
    digest = hashlib.sha256(template.encode()).hexdigest()
    return {"format": name, "template_sha256": digest, "bos": bos, "cases": cases}


def pairs(items):
    return dict(item.split("=", 1) for item in items)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--template", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--vocab", action="append", default=[], metavar="NAME=GGUF")
    parser.add_argument("--bos", action="append", default=[], metavar="NAME=TEXT")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    templates = {name: pathlib.Path(file).read_bytes().decode() for name, file in pairs(args.template).items()}
    vocabularies, starts = pairs(args.vocab), pairs(args.bos)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in sorted(templates.keys() | vocabularies.keys()):
        values = tokens_of(GGUFReader(vocabularies[name])) if name in vocabularies else None
        template = templates.get(name) or values["tokenizer.chat_template"]
        golden = render(name, template, starts.get(name, ""), values)
        file = args.out / f"{name}.json"
        file.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"{file}: {len(golden['cases'])} cases")


if __name__ == "__main__":
    main()
