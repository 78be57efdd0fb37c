#!/usr/bin/env python3
"""Golden verdicts for the rules: what the package if-verifiable says about a corpus of our own.

Writes tests/fixtures/rules/corpus.json: {"replies": [text ...], "cases": [[id, parameters, reply, strict,
loose] ...]}, `reply` an index. Thresholds lie at what the checker itself counts or one beside it, so that
a count that is off by one changes a verdict. Every class has at least 20 % passes and 20 % fails.

  make_rule_goldens.py --nltk-data DIR --out tests/fixtures/rules/corpus.json

Needs if-verifiable, nltk with its punkt_tab data for English in DIR, langdetect. The seed is fixed.
"""
import argparse
import collections
import json
import logging
import pathlib
import random
import re

import langdetect
import nltk
from if_verifiable.common import evaluate_instructions
from if_verifiable.ifeval import instructions_util
from if_verifiable.ifeval.instructions_registry import INSTRUCTION_DICT

from rule_texts import CALM, LANGUAGES, LAYOUTS, SENTENCES

RELATIONS = ("less than", "at least")
BLANKS = ["", " ", "\n\n\t"]
rng = random.Random(20240611)


def compose(layout=None, sentences=SENTENCES):
    layout = layout or rng.choice(LAYOUTS)
    return layout.format(**{f"s{i}": rng.choice(sentences) for i in range(9)})


def near(count):
    """A relation and a threshold at the border."""
    return rng.choice(RELATIONS), max(0, count + rng.choice([-1, 0, 0, 1, 1]))


def words(text):
    return re.findall(r"[A-Za-zÀ-ÿ']{3,}", text) or ["nothing"]


def key(value):
    return " ".join(value.lower().split())


# One function a class: yields (parameters, reply) without end.
def existence():
    while True:
        reply = compose()
        pool = words(reply)
        picked = [rng.choice(pool) for _ in range(rng.choice([1, 2, 3]))]
        if rng.random() < 0.5:
            picked.append(rng.choice(["lantern", "whale", "Käse", "art", "gr[ae]y", "U.S.", "naÏve", "ſand", "c++"]))
        yield {"keywords": [rng.choice([w, w.upper(), w.lower(), w[:3] if w.isalpha() else w]) for w in picked]}, reply


def frequency():
    while True:
        reply = compose(rng.choice(LAYOUTS[2:]))
        keyword = rng.choice([rng.choice(words(reply)), "the", "e", "a.", "İ", "ss", "s\\b", " the "])
        count = len(re.findall(keyword.strip(), reply, flags=re.IGNORECASE))
        relation, n = near(count)
        yield {"keyword": keyword, "frequency": n, "relation": relation}, reply


def forbidden():
    while True:
        reply = compose()
        pool = words(reply)
        picked = [rng.choice(["lantern", "whale", "art", "bird", "café", "STRASSE", "\\w+ing", "e.g"]) for _ in range(3)]
        if rng.random() < 0.5:
            word = rng.choice(pool)
            picked.append(rng.choice([word.upper(), word, word[:-1], "c++"]))
        yield {"forbidden_words": picked}, reply


def letters():
    while True:
        reply = compose()
        letter = rng.choice("aeiostqzAEkİ"[:11])
        relation, n = near(reply.strip().lower().count(letter.lower()))
        yield {"letter": letter, "let_frequency": n, "let_relation": relation}, reply


def language():
    codes = sorted(LANGUAGES)
    while True:
        code, other = rng.choice(codes), rng.choice(codes)
        picked = rng.sample(LANGUAGES[code], rng.choice([2, 3, 3]))
        style = rng.random()
        if style < 0.06:
            reply = rng.choice(["12 345 + 6 = ?", "...", "https://example.org/a", "😀 😀", "*** 7 ***"])
        elif style < 0.2:
            reply = "Sure, here it is:\n" + "\n".join(picked)
        elif style < 0.3:
            reply = "**" + "**\n\n**".join(picked) + "**"
        else:
            reply = rng.choice([" ", "\n", "\n\n"]).join(picked)
        yield {"language": rng.choice([code, code, other])}, reply


def sentences():
    while True:
        reply = compose()
        relation, n = near(instructions_util.count_sentences(reply.strip()))
        yield {"num_sentences": n, "relation": relation}, reply


def paragraphs():
    while True:
        n = rng.choice([1, 2, 3, 4])
        divider = rng.choice(["\n***\n", "\n\n***\n\n", "***", " *** ", "\n****\n", "\n* * *\n", "\n******\n", "\n---\n"])
        if rng.random() < 0.6:
            divider = "\n***\n"
        reply = divider.join(compose(rng.choice(LAYOUTS[:4])) for _ in range(n))
        reply = rng.choice(["", "", "***\n", "Here:\n***\n", "Note.\n"]) + reply + rng.choice(["", "", "\n***", "\n***\n\n", "\n***\n***"])
        yield {"num_paragraphs": n + rng.choice([0, 0, 0, 1])}, reply


def word_counts():
    while True:
        reply = rng.choice([compose(), compose(), rng.choice(LANGUAGES["hi"]), rng.choice(LANGUAGES["fr"]), "½ x² ٣٤ _ a_b",
                            "naïve co-op 3,5 e\u0301clair l'été"])
        relation, n = near(instructions_util.count_words(reply.strip()))
        yield {"num_words": n, "relation": relation}, reply


def first_words():
    while True:
        n = rng.choice([1, 2, 3, 4])
        pieces = [compose(rng.choice(LAYOUTS[:3])) for _ in range(n)]
        nth = rng.randint(1, n)
        first = rng.choice([pieces[nth - 1].split()[0].lower().strip("“\".,?!"), "the", "garden"])
        if rng.random() < 0.5:
            pieces[nth - 1] = rng.choice(["Garden work", "'garden'", '"Garden', "GARDEN, yes", "Garden's", "**garden**", "garden… "]) + " " + pieces[nth - 1]
            first = rng.choice(["garden", "Garden"])
        reply = rng.choice(["\n\n", "\n\n", "\n\n\n", "\n \n", "\n\n\n\n"]).join(pieces)
        reply = rng.choice(["", "", "Sure!\n", "Sure!\n\n"]) + reply
        yield {"num_paragraphs": max(n + rng.choice([0, 0, 0, 1]), nth), "nth_paragraph": nth, "first_word": first or "the"}, reply


def placeholders():
    parts = ["[name]", "[your city]", "[]", "[a\nb]", "[[x]]", "[1](http://example.org)", "]", "[", "(x)", "[é]"]
    while True:
        reply = " ".join(rng.choice([rng.choice(CALM), rng.choice(parts)]) for _ in range(10))
        yield {"num_placeholders": max(0, len(re.findall(r"\[.*?\]", reply)) + rng.choice([0, 1, -1]))}, reply


def postscripts():
    tails = ["P.S. Bring a lamp.", "P. S. Bring a lamp.", "p.s. Bring it", "PS: Bring it", "P.P.S Bring it", "P.P.S. Bring it",
             "p. p. s bring it", "**P.S.** Bring it", "P.S Bring it", "PPS. no", "", "(P.S. maybe)", "Nota bene: keep it", "P.\nS. x"]
    while True:
        reply = compose(rng.choice(LAYOUTS[:10])) + rng.choice(["\n\n", "\n", " "]) + rng.choice(tails)
        yield {"postscript_marker": rng.choice(["P.S.", "P.P.S", "P.S.", "P.P.S", "Nota bene", "PS"])}, reply


def bullets():
    items = ["* one", "- two", " * three", "  - four", "** five", "*six*", "**seven**", "-- eight", "+ nine", "1. ten", "• eleven",
             "plain", "", "*", "-", "***", "---", "*\ttab", "\u00a0* nbsp", "* * twelve"]
    while True:
        reply = "\n".join(rng.choice(items[:4] + items) for _ in range(rng.randint(1, 7)))
        found = len(re.findall(r"^\s*\*[^\*].*$", reply.strip(), flags=re.M)) + len(re.findall(r"^\s*-.*$", reply.strip(), flags=re.M))
        yield {"num_bullets": max(0, found + rng.choice([0, 0, 1, -1]))}, reply


def constrained():
    answers = ["My answer is yes.", "My answer is no.", "My answer is maybe."]
    while True:
        answer = rng.choice(answers)
        answer = rng.choice([answer, answer, answer.lower(), answer[:-1], "**" + answer + "**", answer.replace("answer", "*answer*"),
                             answer.replace(" ", "\u00a0")])
        yield {}, rng.choice(["", "Well. ", rng.choice(SENTENCES) + "\n"]) + answer + rng.choice(["", " " + rng.choice(SENTENCES)])


def highlights():
    parts = ["*one*", "**two**", "***three***", "* *", "** **", "*a\nb*", "**a*b**", "*x", "__no__", "*é*", "****", "* list item", "*a* *b*", "**c****d**"]
    while True:
        reply = " ".join(rng.choice([rng.choice(CALM), rng.choice(parts), rng.choice(parts)]) for _ in range(rng.randint(2, 9)))
        yield {"num_highlights": rng.choice([0, 1, 2, 3, 4, 5, 6])}, reply


def sections():
    while True:
        name = rng.choice(["Section", "SECTION", "Day", "Part", "Chapter (I|V)"])
        heads = [rng.choice([f"{name} {i}", f"{name}{i}", f"**{name} {i}**", f"{name.lower()} {i}", f"{name} {i}:", f"{name}\n{i}", f"{name} one",
                             f"{name}  {i}", f"{name} 1{i}", f"Chapter V{i}"]) for i in range(1, rng.randint(2, 6))]
        reply = "\n".join(f"{head}\n{rng.choice(CALM)}" for head in heads)
        yield {"section_spliter": rng.choice([name, name, " " + name + " "]), "num_sections": max(1, len(heads) - rng.choice([0, 0, 1, 2]))}, reply


def json_texts():
    good = ['{"a": 1}', "[1, 2.5, -3e4, true, null]", '"text"', "7", '{"a": {"b": [{}]}, "c": "\\u00e9\\ud800"}', "NaN", "[-Infinity, 1e999]",
            '{"a": 1, "a": 2}', "[]", "{ }", '"tab \\t quote \\""', "-0", "[[[[[[]]]]]]", '{"ключ": "значение 😀"}', "1E5", "0.5"]
    bad = ["{'a': 1}", '{"a": 1,}', "[1, 2", "{a: 1}", '"line\nbreak"', "01", "1.", ".5", "+1", "[1 2]", "nan", "TRUE", '{"a"}', '{"a": }', "[,]",
           '"\\x"', '{"a": 1} {"b": 2}', "// note\n{}", "\ufeff{}", '{"a": "unclosed}', "[1,]", "{1: 2}", '"\\u12g4"', "- 1", "1e", "]", "{]", "[}"]
    while True:
        text = rng.choice([rng.choice(good), rng.choice(bad)])
        wrap = rng.choice(["%s", "%s", "```json\n%s\n```", "```\n%s\n```", "```JSON\n%s```", "Here it is:\n%s", "```json\n%s\n``` ", "%s\nDone.",
                           "```Json %s ```", "\u00a0%s\u2003", "**%s**"])
        yield {}, wrap % text


def titles():
    forms = ["<<A title>>", "<< >>", "<<>>", "<A title>", "<<A\ntitle>>", "<<<A>>>", "<<<<>>>>", "<<a>> and <<b>>", ">> <<", "<<é>>", "«A title»",
             "<<*A*>>", "<<*>>", "<< <<a> >>", "x <<y>", "<<>> <<a>>", "<<A title", "**<<Bold>>**"]
    while True:
        yield {}, rng.choice([rng.choice(forms), rng.choice(forms) + "\n" + compose(), compose() + "\n" + rng.choice(forms)])


def two_responses():
    while True:
        first, second = rng.choice(CALM), rng.choice(CALM[:3])
        divider = rng.choice(["******", "\n******\n", "\n\n******\n\n", "\n******\n", "***", "*****", "*******", "* * * * * *", "\n******\n******\n"])
        pieces = [first, rng.choice([second, second, first, first + " "])] + ([rng.choice(CALM)] if rng.random() < 0.15 else [])
        yield {}, rng.choice(["", "", "******\n", "Here:\n"]) + divider.join(pieces) + rng.choice(["", "", "\n******", "\n******\n "])


def repeats():
    while True:
        prompt = rng.choice(["Write a poem about the sea.", "  Tell me about ÉCOLES\nin two lines. ", "WHAT IS A FJORD?", "Name ΟΔΟΣ and İzmir."])
        said = rng.choice([prompt, prompt.strip(), prompt.upper(), prompt.lower(), prompt.strip()[:-1], prompt.replace(" ", "  "), "Sure.\n" + prompt,
                           "\"" + prompt + "\"", "**" + prompt.strip() + "**"])
        yield {"prompt_to_repeat": prompt}, said + rng.choice(["", " ", "\n\n"]) + compose()


def endings():
    while True:
        phrase = rng.choice(["Is there anything else?", " Peace! ", "That is all", "ΤΕΛΟΣ", "Any “other” questions?", "the end."])
        said = rng.choice([phrase, phrase.strip(), phrase.upper(), "\"" + phrase.strip() + "\"", phrase.strip() + ".", "**" + phrase.strip() + "**",
                           phrase.strip() + "\nGoodbye", phrase.strip()[1:], phrase.strip() + " \""])
        yield {"end_phrase": phrase}, compose() + rng.choice([" ", "\n"]) + said


def quotations():
    while True:
        text = compose(rng.choice(LAYOUTS[:8]))
        yield {}, rng.choice(['"%s"', '"%s"', '"%s"', ' "%s" \n', '"%s', '%s"', "“%s”", "'%s'", '**"%s"**', 'Sure:\n"%s"', '"%s"\n\nBye', "%s"]) % text if rng.random() < 0.95 else '"'


def capital_words():
    while True:
        reply = compose(rng.choice(LAYOUTS[2:]))
        count = sum(word.isupper() for word in nltk.word_tokenize(reply.strip()))
        relation, n = near(count)
        yield {"capital_frequency": n, "capital_relation": relation}, reply


def cased(change, other, latin):
    """`latin`: languages of which one fixed text is used; langdetect sees little of a text in capitals."""
    plain = [s for s in SENTENCES if len(s) > 35 and s.isascii() and not any(c in s for c in "@_#/")]
    while True:
        reply = " ".join(rng.sample(plain, 4))
        if rng.random() < 0.2:
            code = rng.choice(["ru", "uk", "bg"] + latin)
            reply = " ".join(LANGUAGES[code] if code in latin else rng.sample(LANGUAGES[code], 3))
        style = rng.random()
        if style < 0.55:
            reply = change(reply)
        elif style < 0.65:
            reply = other("Here it is:") + "\n" + change(reply)
        elif style < 0.7:
            reply = change(reply) + "\n" + other("Done.")
        elif style < 0.72:
            reply = rng.choice(["123 456", "...", "ǅ", "\u2160\u2161", "日本", "ª º"])
        yield {}, reply


def commas():
    while True:
        comma = " ".join(rng.sample([s for s in SENTENCES if "," in s], 2))
        plain = compose(LAYOUTS[2], CALM)
        yield {}, rng.choice([comma, comma + "\n" + comma, plain, plain, "Sure, yes:\n" + plain, comma + " 全部、すべて，", "、，، " + plain])


CLASSES = {
    "keywords:existence": existence, "keywords:frequency": frequency, "keywords:forbidden_words": forbidden,
    "keywords:letter_frequency": letters, "language:response_language": language,
    "length_constraints:number_sentences": sentences, "length_constraints:number_paragraphs": paragraphs,
    "length_constraints:number_words": word_counts, "length_constraints:nth_paragraph_first_word": first_words,
    "detectable_content:number_placeholders": placeholders, "detectable_content:postscript": postscripts,
    "detectable_format:number_bullet_lists": bullets, "detectable_format:constrained_response": constrained,
    "detectable_format:number_highlighted_sections": highlights, "detectable_format:multiple_sections": sections,
    "detectable_format:json_format": json_texts, "detectable_format:title": titles,
    "combination:two_responses": two_responses, "combination:repeat_prompt": repeats,
    "startend:end_checker": endings, "startend:quotation": quotations,
    "change_case:capital_word_frequency": capital_words,
    "change_case:english_capital": lambda: cased(str.upper, str.lower, ["de", "es"]),
    "change_case:english_lowercase": lambda: cased(str.lower, str.upper, ["de", "es", "fr", "fi", "it", "pl"]),
    "punctuation:no_comma": commas,
}
MORE = {"length_constraints:number_sentences": 400, "change_case:capital_word_frequency": 300, "language:response_language": 300,
        "change_case:english_capital": 300, "change_case:english_lowercase": 300}


def judge(instruction, parameters, reply):
    results, _ = evaluate_instructions(reply, [instruction], [parameters], "", INSTRUCTION_DICT)
    return (results[0].strict_pass, results[0].loose_pass) if results else (False, False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nltk-data", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--cases", type=int, default=120, help="cases a class")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    nltk.data.path.insert(0, arguments.nltk_data)
    langdetect.DetectorFactory.seed = 0
    assert set(CLASSES) == set(INSTRUCTION_DICT) & set(CLASSES) and len(CLASSES) == 25

    replies, cases = {}, []
    for instruction, generator in CLASSES.items():
        made, seen = [], set()
        source = generator()
        parameters_of_blank = next(source)[0]
        queue = [(parameters_of_blank, blank) for blank in BLANKS]
        n_wanted = MORE.get(instruction, arguments.cases)
        for _ in range(40 * n_wanted):
            if len(made) >= n_wanted:
                break
            parameters, reply = queue.pop() if queue else next(source)
            mark = (json.dumps(parameters, sort_keys=True), reply)
            if mark not in seen:
                seen.add(mark)
                made.append((parameters, reply, *judge(instruction, parameters, reply)))
        for mode in (2, 3):
            share = sum(case[mode] for case in made) / len(made)
            note = "" if 0.2 <= share <= 0.8 else "   <- outside 20..80 %"
            print(f"{instruction:48} {len(made):4} {('strict', 'loose')[mode - 2]:6} {share:.0%}{note}")
        cases += [[instruction, p, replies.setdefault(r, len(replies)), s, l] for p, r, s, l in made]
    lines = [json.dumps(case, ensure_ascii=False) for case in cases]
    texts = [json.dumps(reply, ensure_ascii=False) for reply in replies]
    text = '{"replies": [\n' + ",\n".join(texts) + '\n],\n"cases": [\n' + ",\n".join(lines) + "\n]}\n"
    arguments.out.write_text(text, encoding="utf-8")
    print(len(cases), "cases", len(replies), "replies", arguments.out.stat().st_size, "bytes",
          collections.Counter(type(c[3]).__name__ for c in cases))


if __name__ == "__main__":
    main()
