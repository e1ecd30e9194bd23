# shellcheck shell=bash
# What tools/quickstart and tools/test share: saying what happens, failing with a sentence, and
# installing missing Debian packages. Sourced by them, with the working directory at the root of the
# repository. Works on Debian 12 and Ubuntu 24.04; elsewhere it does all but install.

say() { printf '==> %s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Each package with something that shows that it is not needed: a command or a header that is there
# by other means, or any OpenCL implementation.
# shellcheck disable=SC2034  # used by the scripts that source this one
build_packages=(
  cmake:command:cmake
  ninja-build:command:ninja
  g++:command:c++
  ocl-icd-opencl-dev:header:CL/cl.h
  pocl-opencl-icd:icd:
  libfmt-dev:header:fmt/format.h
  nlohmann-json3-dev:header:nlohmann/json.hpp
  libeigen3-dev:header:eigen3/Eigen/Core
  libxxhash-dev:header:xxhash.h
  libcli11-dev:header:CLI/CLI.hpp
  libpng-dev:header:png.h
  libstb-dev:header:stb/stb_easy_font.h
)
# shellcheck disable=SC2034
test_packages=(
  libgtest-dev:header:gtest/gtest.h
  pkg-config:command:pkg-config
  oclgrind:command:oclgrind
  clang-format:command:clang-format
  python3-venv:python:ensurepip
)

# Compilers of GPUs that need not be here; not every release has all of them.
# shellcheck disable=SC2034
offline_packages=(
  clang-16:command:clang-16
  libclc-16:file:/usr/lib/clc/nvptx64--nvidiacl.bc
  rocm-device-libs:file:/usr/lib/x86_64-linux-gnu/amdgcn/bitcode/opencl.bc
  intel-opencl-icd:command:ocloc
)

# is_there KIND THING: the thing is there, whoever installed it.
is_there() {
  local prefix
  case $1 in
    command) command -v "$2" >/dev/null ;;
    file) [ -e "$2" ] ;;
    icd)
      [ -n "${OCL_ICD_VENDORS:-}${OCL_ICD_FILENAMES:-}" ] ||
        compgen -G '/etc/OpenCL/vendors/*.icd' >/dev/null
      ;;
    python) python3 -c "import $2" 2>/dev/null ;;
    header)
      for prefix in /usr /usr/local ${CMAKE_PREFIX_PATH:+${CMAKE_PREFIX_PATH//:/ }}; do
        if [ -e "$prefix/include/$2" ]; then return 0; fi
      done
      return 1
      ;;
  esac
}

# Prints those of the given packages that have to be installed.
missing_packages() {
  local installed package kind thing
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null || true)
  for entry in "$@"; do
    IFS=: read -r package kind thing <<<"$entry"
    if ! grep -qx "installed $package" <<<"$installed" && ! is_there "$kind" "$thing"; then
      printf '%s\n' "$package"
    fi
  done
}

# ensure_packages ENTRY...: installs what is missing, through apt.
ensure_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages "$@")
  if [ ${#missing[@]} -eq 0 ]; then
    say "All needed packages are there."
    return
  fi
  command -v apt-get >/dev/null ||
    die "these packages (by their Debian names) are missing: ${missing[*]}." \
      "There is no apt-get here: install them with your package manager and run this again."
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      die "these packages are missing: ${missing[*]}. Neither root nor sudo is at hand:" \
        "have root run 'apt-get install ${missing[*]}', then run this again."
    as_root=(sudo)
  fi
  say "Installing with apt-get: ${missing[*]}"
  "${as_root[@]}" apt-get -q update ||
    die "apt-get update failed. Check the network and /etc/apt/sources.list, then run this again."
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q install -y --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]}." \
      "Its last lines above say why; mend that, then run this again."
}

# step TEXT HINT COMMAND...: says what is done, does it, and ends with the hint where it fails.
step() {
  local text=$1 hint=$2
  shift 2
  say "$text"
  "$@" || die "this step failed: $text. $hint"
}
