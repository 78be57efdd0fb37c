"""Checks every #include of src/, apps/ and include/ against the arrows between folders.

The compiler cannot: all of src/ is one include root. The table is the one of docs/architecture.md.
It also keeps ggml's headers in the folders that own ggml, and intrinsics in kernels/.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Which folders a folder of src/ may include, besides itself.
ARROWS = {
    "base": [],
    "tensor": ["base"],
    "kernels": ["base"],
    "model": ["base", "tensor", "kernels"],
    "kv": ["base"],
    "policy": ["base", "kernels"],
    "engine": ["base", "tensor", "model", "kv", "policy", "kernels"],
    "record": ["base"],
    "api": ["base", "model", "engine", "policy", "kv"],
    "experiment": ["base", "engine", "model", "kv", "policy", "record"],
    "stats": ["base"],
    "eval": ["base", "record", "stats"],
    "report": ["base", "record", "stats"],
}
GGML_FOLDERS = {"tensor", "model", "kv", "engine"}
GGML_HEADER = re.compile(r"^(ggml|gguf|llama)[\w-]*\.h$")
INTRINSICS_HEADER = re.compile(r"^(\w*intrin\.h|arm_neon\.h|arm_sve\.h|hwy/.*)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def problem_of(folder, header):
    """What is wrong with `header` in a file of `folder`, or None."""
    if GGML_HEADER.match(header) and folder not in GGML_FOLDERS:
        return f"ggml is visible only in {', '.join(sorted(GGML_FOLDERS))}"
    if INTRINSICS_HEADER.match(header) and folder != "kernels":
        return "intrinsics live in kernels"
    target = header.split("/", 1)[0]
    if "/" in header and target in ARROWS and folder in ARROWS:
        if target != folder and target not in ARROWS[folder]:
            allowed = ", ".join(ARROWS[folder]) or "nothing"
            return f"{folder} may include {allowed}"
    return None


def check_file(path, folder):
    """Problems of one file as printable lines."""
    problems = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        problem = match and problem_of(folder, match.group(1))
        if problem:
            problems.append(f"  {path.relative_to(ROOT)}:{number}: includes {match.group(1)}: {problem}")
    return problems


def main():
    problems = []
    for folder in sorted((ROOT / "src").iterdir()):
        if not folder.is_dir():
            continue
        files = sorted([*folder.rglob("*.h"), *folder.rglob("*.cpp")])
        if files and folder.name not in ARROWS:
            problems.append(f"  src/{folder.name}: not in the table of {pathlib.Path(__file__).name}")
        for path in files:
            problems += check_file(path, folder.name)
    for outer in ("apps", "include"):
        for path in sorted([*(ROOT / outer).rglob("*.h"), *(ROOT / outer).rglob("*.cpp")]):
            problems += check_file(path, outer)
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
