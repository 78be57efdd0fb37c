# shellcheck shell=bash disable=SC2154
# The fuzzers of ./dev soak. Sourced by ./dev. New inputs that reach new lines are kept in
# build-fuzz/corpus; what fails is left in build-fuzz/findings.

# fuzz_all SECONDS: each target for that long.
fuzz_all() {
  setup_packages check
  local name failed=""
  local names="gguf conversations study treatment kept judge"
  # shellcheck disable=SC2046  # one target a word
  build fuzz $(printf 'fuzz_%s ' $names)
  mkdir -p build-fuzz/findings
  for name in $names; do
    mkdir -p "build-fuzz/corpus/$name"
    say "fuzz: $name for $1 s"
    build-fuzz/bin/fuzz_$name -max_total_time="$1" -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=512 \
      -print_final_stats=1 -artifact_prefix="build-fuzz/findings/$name-" \
      "build-fuzz/corpus/$name" "tests/fuzz/seeds/$name" >"build-fuzz/$name.log" 2>&1 ||
      { tail -30 "build-fuzz/$name.log" >&2; failed="$failed $name"; }
    grep -E 'number_of_executed_units|new_units_added' "build-fuzz/$name.log" || true
  done
  [ -z "$failed" ] || { say "fuzz: findings in$failed (build-fuzz/findings)"; return 1; }
}
