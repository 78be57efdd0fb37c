#!/usr/bin/env python3
"""Writes one conversation of three long turns, cut from a text, for measuring memory and time.

usage: long_conversation.py TEXT WORDS_A_TURN OUT.json
"""
import json
import sys


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        words = f.read().split()
    n = int(sys.argv[2])
    parts = [" ".join(words[i * n:(i + 1) * n]) for i in range(3)]
    if not parts[2]:
        sys.exit(f"{sys.argv[1]}: {len(words)} words are too few for three turns of {n}")
    turns = [
        {"turn_id": 1, "role": "user", "instruction": "Answer in one paragraph.", "content": parts[0]},
        {"turn_id": 2, "role": "user", "instruction": "Answer as a list.", "content": parts[1]},
        {"turn_id": 3, "role": "user", "content": parts[2], "query": "What is this about?",
         "expected_behavior": "A list."},
    ]
    conversation = {"id": "long-prose", "conflict_type": "format", "domain": "prose", "turns": turns}
    with open(sys.argv[3], "w") as f:
        json.dump([conversation], f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
