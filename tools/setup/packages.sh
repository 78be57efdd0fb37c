# shellcheck shell=bash disable=SC2154
# Set-up, step 1: packages of the operating system. Sourced by ./dev.
# Debian (tested on bookworm) as root installs them; without root it prints the line to run. macOS
# uses Homebrew (written from its formula names, not tested). Other systems: install the same yourself.

build_packages="g++ cmake ninja-build ccache git python3 python3-venv pkg-config ca-certificates
  libgtest-dev libgmock-dev libbenchmark-dev librapidcheck-dev
  libhwy-dev libdnnl-dev librandom123-dev libboost-dev
  libsqlite3-dev libsqlitecpp-dev nlohmann-json3-dev libcli11-dev libfmt-dev libspdlog-dev
  libtomlplusplus-dev libssl-dev zlib1g-dev libcurl4-openssl-dev libicu-dev libcld2-dev gnuplot-nox"
browser_packages="chromium"
check_packages="clang-format clang-tidy clang cppcheck gcovr"
brew_packages="cmake ninja ccache python@3.12 pkgconf googletest google-benchmark highway onednn
  random123 boost sqlite sqlitecpp nlohmann-json cli11 fmt spdlog tomlplusplus openssl@3 curl icu4c gnuplot"
brew_check_packages="clang-format llvm cppcheck gcovr"

# Names of those Debian packages among the arguments that are not installed; one call of dpkg-query,
# which fails for a name that it has never met.
missing_debian_packages() {
  { dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true; } |
    awk -v wanted="$*" '
      $2 == "installed" { have[$1] = 1 }
      END {
        n = split(wanted, names, " ")
        for (i = 1; i <= n; ++i) if (!(names[i] in have)) printf "%s ", names[i]
      }'
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  if ! compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null; then
    say "packages: reading the package lists"
    apt-get update -qq
  fi
  say "packages: installing $*"
  local quiet="-qq -o Dpkg::Use-Pty=0"
  # A list that is some weeks old names versions that are gone: read it again and try once more.
  # shellcheck disable=SC2086
  apt-get install -y $quiet --no-install-recommends "$@" >/dev/null ||
    { apt-get update -qq && apt-get install -y $quiet --no-install-recommends "$@" >/dev/null; }
}

setup_debian() {
  local missing
  missing=$(missing_debian_packages "$@")
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086
  if [ "$(id -u)" = 0 ]; then
    apt_install $missing
  else
    say "these packages are missing; install them (as root), then run ./dev again:"
    echo "  apt-get install -y --no-install-recommends ${missing% }" >&2
    exit 2
  fi
}

setup_homebrew() {
  command -v brew >/dev/null || die 2 "Homebrew is needed on macOS (https://brew.sh)"
  local installed missing="" name
  installed=" $(brew list --formula -1 | tr '\n' ' ') "
  for name in "$@"; do
    case "$installed" in *" $name "*) ;; *) missing="$missing $name" ;; esac
  done
  [ -n "$missing" ] || return 0
  say "packages: brew install$missing"
  # shellcheck disable=SC2086
  brew install $missing
}

# setup_packages build|check|browser
setup_packages() {
  local debian="$build_packages" brew="$brew_packages"
  case "$1" in
    check) debian="$check_packages" brew="$brew_check_packages" ;;
    browser) debian="$browser_packages" brew="" ;;  # macOS: whichever Chrome is there
  esac
  # shellcheck disable=SC2086
  if [ "$(uname -s)" = Darwin ]; then
    setup_homebrew $brew
  elif command -v dpkg-query >/dev/null; then
    setup_debian $debian
  elif ! command -v cmake >/dev/null || ! command -v ninja >/dev/null; then
    say "this system has neither apt nor Homebrew; install what corresponds to these Debian packages:"
    echo $debian >&2
    exit 2
  fi
}
