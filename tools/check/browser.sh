#!/usr/bin/env bash
# browser.sh UNIT_REPORT [FOLDER]: the pages that the tests of src/report make, looked at in a browser.
# Screenshots go to FOLDER. Exit codes as browser.py's.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
made="$(mktemp -d)"
trap 'rm -rf "$made"' EXIT
EBB_REPORT_OUT="$made" "$1" --gtest_filter='Report.*' --gtest_brief=1 >"$made/log" 2>&1 || {
  cat "$made/log"
  exit 1
}
python3 "$here/browser.py" "$made"/*/report.html ${2:+--out "$2"}
