#!/usr/bin/env python3
"""Draws a text file as a terminal window in SVG: the pictures of program output in the documents.

It copies the text and colours it; it changes no word of it. Lines longer than the window are wrapped.
--lines picks parts, such as 1-20,95-104; a gap between two parts shows as a line with three dots.

  terminal_svg.py OUTPUT.txt docs/img/validate.svg --title "./dev run" --lines 1-11,60-72
"""
import argparse
import html
import re
import textwrap

CHARACTER, LINE, MARGIN, BAR = 7.22, 17, 18, 34  # pixels, for a 12 px monospaced font
COLOURS = {
    "text": "#d6deeb",
    "dim": "#8b9bb0",
    "head": "#82aaff",
    "pass": "#9ece6a",
    "FAIL": "#f7768e",
    "n/a": "#e0af68",
}


def parse_ranges(text):
    """[(first, last)] from "1-20,95-104", counted from 1."""
    ranges = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        ranges.append((int(first), int(last or first)))
    return ranges


def pick(lines, ranges):
    """The lines of the ranges; where something was left out, a line with three dots."""
    picked = []
    next_line = 1
    for first, last in ranges:
        if first > next_line:
            picked.append("  ...")
        picked += lines[first - 1 : last]
        next_line = last + 1
    if next_line <= len(lines):
        picked.append("  ...")
    return picked


def style_of(line):
    """(style of the whole line, word that gets a colour of its own)."""
    verdict = re.match(r"  (pass|FAIL|n/a)\s", line)
    if verdict:
        return "text", verdict.group(1)
    if re.match(r"(\S.*, turn \d+|The plan's criteria|\$ .*)$", line):
        return "head", None
    if re.match(r'(  \w+\s+"|  \.\.\.$|  arm\s)', line):
        return "dim", None
    return "text", None


def span(text, style):
    return f'<tspan fill="{COLOURS[style]}">{html.escape(text, quote=False)}</tspan>'


def wrap(line, columns):
    """The line cut to the window; what follows is indented under it."""
    indent = " " * (len(line) - len(line.lstrip()) + 6)
    return textwrap.wrap(line, columns, subsequent_indent=indent, drop_whitespace=True,
                         replace_whitespace=False, break_on_hyphens=False) or [""]


def draw_lines(lines, columns):
    drawn = []
    for line in lines:
        style, word = style_of(line)
        for number, part in enumerate(wrap(line, columns)):
            if word and number == 0:
                before, after = part.split(word, 1)
                drawn.append(span(before, style) + span(word, word) + span(after, style))
            else:
                drawn.append(span(part, style))
    return drawn


def svg(lines, columns, title):
    drawn = draw_lines(lines, columns)
    width = round(columns * CHARACTER + 2 * MARGIN)
    height = BAR + len(drawn) * LINE + MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">',
        f'<rect width="{width}" height="{height}" rx="8" fill="#1a1b26"/>',
    ]
    for i, colour in enumerate(("#f7768e", "#e0af68", "#9ece6a")):
        out.append(f'<circle cx="{MARGIN + 18 * i}" cy="17" r="5.5" fill="{colour}"/>')
    out.append(f'<text x="{width / 2}" y="21" fill="{COLOURS["dim"]}" text-anchor="middle" '
               f'font-family="sans-serif" font-size="12">{html.escape(title)}</text>')
    out.append('<g font-family="monospace" '
               'font-size="12" style="white-space: pre">')
    for i, line in enumerate(drawn):
        y = BAR + (i + 1) * LINE - 4
        out.append(f'<text x="{MARGIN}" y="{y}" xml:space="preserve">{line}</text>')
    out += ["</g>", "</svg>", ""]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text")
    parser.add_argument("svg")
    parser.add_argument("--title", default="")
    parser.add_argument("--columns", type=int, default=112)
    parser.add_argument("--lines", type=parse_ranges)
    arguments = parser.parse_args()
    with open(arguments.text, encoding="utf-8") as file:
        lines = file.read().rstrip("\n").split("\n")
    if arguments.lines:
        lines = pick(lines, arguments.lines)
    with open(arguments.svg, "w", encoding="utf-8") as file:
        file.write(svg(lines, arguments.columns, arguments.title))


if __name__ == "__main__":
    main()
