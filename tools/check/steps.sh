# shellcheck shell=bash disable=SC2154
# The steps of ./dev check. Sourced by ./dev, which has set up and offers build, say and die.
# Each step prints what is wrong and returns 1; none changes a file.

# Every C++ file of ours: tracked, or new and not ignored.
our_sources() { git ls-files --cached --others --exclude-standard -- '*.h' '*.cpp' | sort -u | existing; }
existing() { while read -r file; do [ ! -f "$file" ] || echo "$file"; done; }

check_format() {
  local wrong
  wrong=$(our_sources | xargs clang-format --dry-run -Werror 2>&1 | sed -n 's/:[0-9]*:[0-9]*: error:.*//p' | uniq -c)
  [ -n "$wrong" ] || return 0
  echo "$wrong"
  say "format: ./dev fmt puts these right (places, file)"
  return 1
}

check_arrows() { "$venv/bin/python" tools/check/arrows.py; }

# Prints the ten largest sources, and has a hard limit: a file that long has two jobs.
check_sizes() {
  our_sources | xargs wc -l | grep -v ' total$' | sort -rn |
    awk 'NR <= 10 { print } $1 > 600 { bad = bad "  " $2 ": " $1 " lines, at most 600\n" }
         END { printf "%s", bad; exit bad != "" }'
}

# Every header compiles alone: one object a header, made by the build, so that only changed ones cost.
check_headers() { (build release ebb_headers); }

# Sources that differ from where this branch began: from origin/main (or main), or else the last commit.
changed_sources() {
  local base=""
  for branch in origin/main main; do
    base=$(git merge-base HEAD "$branch" 2>/dev/null) || base=""
    if [ -n "$base" ] && [ "$base" != "$(git rev-parse HEAD)" ]; then break; fi
    base=""
  done
  [ -n "$base" ] || base=$(git rev-parse -q --verify HEAD~1) || base=$(git hash-object -t tree /dev/null)
  { git diff --name-only "$base" -- '*.cpp' '*.h'; git ls-files --others --exclude-standard -- '*.cpp' '*.h'; } |
    sort -u | existing
}

# check_tidy [--all]: a changed header is seen through the sources of the same change; clang-tidy
# reads sources only. Flags that only g++ knows are not an error to it.
check_tidy() {
  local files
  if [ "${1:-}" = --all ]; then files=$(our_sources); else files=$(changed_sources); fi
  files=$(echo "$files" | grep '\.cpp$' | while read -r file; do
    ! grep -qF "/$file\"" build/compile_commands.json || echo "$file"
  done) || true
  if [ -z "$files" ]; then
    say "tidy: no changed sources"
    return 0
  fi
  say "tidy: $(echo "$files" | wc -l | tr -d ' ') files"
  echo "$files" | xargs -P "$jobs" -n 1 clang-tidy -p build --quiet \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument \
    2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' >&2)
}

# cppcheck on the same files as clang-tidy; each suppression says why in its file.
check_cppcheck() {
  local files
  files=$(changed_sources | grep -E '^(src|apps)/.*\.cpp$') || true
  [ "${1:-}" != --all ] || files=$(our_sources | grep -E '^(src|apps)/.*\.cpp$')
  if [ -z "$files" ]; then
    say "cppcheck: no changed sources"
    return 0
  fi
  echo "$files" | xargs cppcheck --quiet --std=c++20 --language=c++ -j "$jobs" -I src -I include \
    --enable=warning,portability --inline-suppr --suppressions-list=tools/check/cppcheck.supp \
    --error-exitcode=1
}

# Lines that unit and tiny tests execute, printed for the parts where a gap costs a result.
coverage() {
  build coverage ebb_label_unit ebb_label_tiny ebb
  find build-coverage -name '*.gcda' -delete
  run_label build-coverage '(unit|tiny)' 2 || return 1
  local part
  for part in src/model src/record src/kv src/policy; do
    echo "$part: $(gcovr --root . --object-directory build-coverage --filter "$part/" --print-summary 2>/dev/null |
      sed -n 's/^lines: //p')"
  done
}

# Generated documents say what the program says.
check_docs() {
  [ -f docs/policies.md ] && has_target release ebb || { say "docs: nothing generated yet"; return 0; }
  (build release ebb) || return 1
  build/bin/ebb policies --markdown | diff -u docs/policies.md - ||
    { say "docs: build/bin/ebb policies --markdown >docs/policies.md puts this right"; return 1; }
}

# Address and undefined-behaviour sanitizers over our own code (ggml is not instrumented), with one
# short run of a real model. ctest's summary comes last.
check_sanitizers() {
  export ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1:${ASAN_OPTIONS:-}"
  export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
  export LSAN_OPTIONS="suppressions=$root/tools/check/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
  configure asan
  if has_target asan ebb; then
    build asan ebb
    say "sanitizers: one short run of the default model"
    build-asan/bin/ebb validate --model "$smollm_file" --conversations data/validation.json --limit 1 \
      --max-new 8 >build-asan/validate.log 2>&1 ||
      { tail -50 build-asan/validate.log >&2; die 1 "check failed: the short run under sanitizers"; }
  fi
  build asan ebb_label_unit ebb_label_tiny
  say "sanitizers: unit and tiny tests"
  run_label build-asan '(unit|tiny)' 2
}

check_all() {
  local step failed=""
  configure release
  for step in format arrows sizes headers tidy cppcheck docs; do
    say "$step"
    "check_$step" || failed="$failed $step"
  done
  [ -z "$failed" ] || die 1 "check failed:$failed"
  check_sanitizers
}
