# shellcheck shell=bash disable=SC2154
# Set-up, step 2: ggml and libllama, built from source for this CPU into .venv. Sourced by ./dev.
# The Python package llama-cpp-python brings their sources, headers and CMake packages; nothing of
# its Python side is used. A build for another CPU would die of an illegal instruction, hence the
# stamp of the instruction sets, and a cache of our own that is keyed by them instead of pip's.

ggml_package="llama-cpp-python==0.3.36"
venv="$root/.venv"

# The CMake switches for this CPU, all spelt out: with GGML_NATIVE off, ggml would take AVX2 for
# granted. AMX stays off: built by GCC 12, ggml's AMX code crashes.
ggml_switches() {
  if [ "$(uname -s)" != Linux ] || [ "$(uname -m)" != x86_64 ]; then
    echo "-DGGML_NATIVE=ON -DGGML_METAL=OFF -DLLAVA_BUILD=OFF"
    return
  fi
  local flags
  flags=" $(sed -n 's/^flags[^:]*: *//p;/^flags/q' /proc/cpuinfo) "
  local out="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF"
  local avx512=OFF
  if has_flags avx512f avx512cd avx512vl avx512dq avx512bw; then avx512=ON; fi
  out="$out -DGGML_AVX=$(on_if avx) -DGGML_AVX2=$(on_if avx2) -DGGML_FMA=$(on_if fma)"
  out="$out -DGGML_F16C=$(on_if f16c) -DGGML_BMI2=$(on_if bmi2) -DGGML_AVX512=$avx512"
  if [ $avx512 = ON ]; then
    out="$out -DGGML_AVX512_VBMI=$(on_if avx512vbmi) -DGGML_AVX512_VNNI=$(on_if avx512_vnni)"
    out="$out -DGGML_AVX512_BF16=$(on_if avx512_bf16)"
  fi
  echo "$out"
}

# Both look into the variable `flags` of ggml_switches.
has_flags() {
  local flag
  for flag in "$@"; do
    case "$flags" in *" $flag "*) ;; *) return 1 ;; esac
  done
}
on_if() { if has_flags "$1"; then echo ON; else echo OFF; fi; }

# What must be the same for a build to be usable here. With GGML_NATIVE the switches do not say the
# instruction sets, so the CPU's own list does.
ggml_stamp() {
  local switches
  switches=$(ggml_switches)
  echo "$ggml_package $(uname -sm)"
  echo "$switches"
  case "$switches" in
    *GGML_NATIVE=ON*) { sysctl -n machdep.cpu.brand_string || grep -m1 Features /proc/cpuinfo; } 2>/dev/null || true ;;
  esac
}

find_python() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  die 2 "no python3 with the venv module was found"
}

# The wheel that holds the libraries: from the cache, or built. The name of its folder says all that
# it depends on, so that a wheel of another CPU, compiler or Python is never taken.
ggml_wheel() {
  local key folder partial
  key=$({ ggml_stamp; "$venv/bin/python" -VV; g++ --version | head -1; ldd --version 2>&1 | head -1; } | sha256 -)
  folder="$cache/ggml/${key:0:16}"
  if ! compgen -G "$folder/*.whl" >/dev/null; then
    say "ggml: building $ggml_package for this CPU (3-4 minutes on two cores)" >&2
    partial="$folder.partial.$$"
    mkdir -p "$partial"
    with_heartbeat "ggml: still building" \
      env -u CFLAGS -u CXXFLAGS CMAKE_ARGS="$(ggml_switches)" CMAKE_BUILD_PARALLEL_LEVEL="$jobs" \
      "$venv/bin/python" -m pip wheel -q --no-cache-dir --no-deps --no-binary llama-cpp-python \
      -w "$partial" "$ggml_package" >&2 || { rm -rf "$partial"; die 1 "ggml: the build failed"; }
    rm -rf "$folder"
    mv "$partial" "$folder"
  fi
  echo "$folder"/*.whl
}

setup_ggml() {
  local stamp wheel
  stamp=$(ggml_stamp)
  if [ -x "$venv/bin/python" ] && [ -f "$venv/ebb-stamp" ] && [ "$(cat "$venv/ebb-stamp")" = "$stamp" ]; then
    return 0
  fi
  if [ -e "$venv" ]; then say "ggml: .venv is not for this CPU and version; making it anew"; fi
  rm -rf "$venv"
  "$(find_python)" -m venv "$venv"
  wheel=$(ggml_wheel)
  say "ggml: installing into .venv"
  "$venv/bin/python" -m pip install -q --no-deps --no-index "$wheel"
  echo "$stamp" >"$venv/ebb-stamp"
}
