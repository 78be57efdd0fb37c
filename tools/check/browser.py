"""Opens pages of ebb report in a headless Chromium, uses every control and looks for what a reader
would stumble over: script errors, controls that do nothing, text that overlaps, is cut or pale, a
page wider than a phone.  Usage: browser.py REPORT.html... [--out FOLDER], which gets screenshots.

Exit codes: 0 nothing found, 1 problems (printed), 77 no Chromium here.
"""
import argparse
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
WIDTHS = {"desktop": 1280, "phone": 390}
HEIGHT_MAX = 9000  # of a screenshot, pixels
# Before any script of the page: what goes wrong in it.
CATCH = """<script>window.ebbProblems = [];
addEventListener("error", (e) => ebbProblems.push("script error: " + e.message), true);
addEventListener("unhandledrejection", (e) => ebbProblems.push("script error: " + e.reason));
for (const name of ["error", "warn"]) {
  console[name] = (...words) => ebbProblems.push("console." + name + ": " + words.join(" "));
}</script>"""
# A frame has the width of a phone; a window of Chromium has 500 pixels at least.
AROUND = """<!DOCTYPE html><html><head><meta charset="utf-8"><style>html, body { margin: 0; background: #888 }
iframe { border: 0; display: block; background: #fff }</style></head><body>
<iframe src="page.html" width="%d" height="%d"></iframe><pre id="found" hidden></pre>
<script>addEventListener("message", (e) => { document.getElementById("found").textContent = JSON.stringify(e.data); });
</script></body></html>"""


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    return None


def run_chromium(chromium, folder, arguments):
    command = [chromium, "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
               f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=60000",
               "--enable-logging=stderr", *arguments, (folder / "around.html").as_uri()]
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium refuses its sandbox to root
    return subprocess.run(command, capture_output=True, timeout=300, check=False)


def write_copy(text, folder, width, height, with_probe):
    head, body_end = text.index("<head>") + len("<head>"), text.rindex("</body>")
    if with_probe:
        probe = (HERE / "browser_probe.js").read_text(encoding="utf-8")
        text = f"{text[:head]}{CATCH}{text[head:body_end]}<script>{probe}</script>{text[body_end:]}"
    (folder / "page.html").write_text(text, encoding="utf-8")
    (folder / "around.html").write_text(AROUND % (width, height), encoding="utf-8")


def console_lines(stderr):
    return [line for line in stderr.decode(errors="replace").splitlines() if ":CONSOLE" in line]


def look_at(chromium, text, name, out):
    """Problems of one page at every width."""
    problems = []
    for kind, width in WIDTHS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            write_copy(text, folder, width, 900, with_probe=True)
            end = run_chromium(chromium, folder, [f"--window-size={max(width, 500)},1000", "--dump-dom"])
            found = re.search(r'<pre id="found"[^>]*>(.+?)</pre>', end.stdout.decode(errors="replace"), re.S)
            if found is None:
                problems.append(f"{kind}: no answer from the page: {end.stderr.decode(errors='replace')[-500:]}")
                continue
            answer = json.loads(html.unescape(found.group(1)))
            problems += [f"{kind}: {line}" for line in answer["problems"] + console_lines(end.stderr)]
            print(f"{name}, {kind} ({width} px): {', '.join(answer['done'])}")
            if out:
                height = min(answer["height"], HEIGHT_MAX)
                write_copy(text, folder, width, height, with_probe=False)
                run_chromium(chromium, folder, [f"--window-size={max(width, 500)},{height + 100}",
                                                f"--screenshot={out / f'{name}-{kind}.png'}"])
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, help="folder for screenshots")
    arguments = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        print("no Chromium here: nothing was looked at")
        return 77
    if arguments.out:
        arguments.out = arguments.out.resolve()
        arguments.out.mkdir(parents=True, exist_ok=True)
    n_problems = 0
    for report in arguments.reports:
        # Strictly: a page that is not UTF-8 is a problem of its own.
        text = report.read_bytes().decode("utf-8")
        for problem in look_at(chromium, text, report.resolve().parent.name, arguments.out):
            n_problems += 1
            print(f"{report}: {problem}")
    return 1 if n_problems else 0


if __name__ == "__main__":
    sys.exit(main())
