#!/usr/bin/env bash
# Installs clattn and consumes the installed files as a stranger's project would:
#   consume.sh prefix BUILD PREFIX                          install BUILD into the emptied PREFIX
#   consume.sh find_package shared|static PREFIX WORK VERSION
#   consume.sh pkg_config shared|static PREFIX WORK VERSION
#   consume.sh embed SOURCE WORK                            configure a project with add_subdirectory
# CC and CXX name the compilers. The exit status is 77 where only the device part could not run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

install_prefix() {
  local build=$1 prefix=$2
  rm -rf "$prefix"
  cmake --install "$build" --prefix "$prefix"
}

# run KIND PROGRAM: checks that PROGRAM uses the kind of library that was asked for, and runs it.
run() {
  local kind=$1 program=$2 linked=static
  if [[ $(ldd "$program") == *libclattn.so* ]]; then linked=shared; fi
  if [ "$linked" != "$kind" ]; then
    echo "$program is linked to the $linked library, not the $kind one"
    exit 1
  fi
  "$program" "$version"
}

find_package() {
  local kind=$1 prefix=$2 work=$3
  cmake -S "$here/find_package" -B "$work" -G Ninja -D "CMAKE_PREFIX_PATH=$prefix" \
    -D "KIND=$kind" -D "VERSION=${version%.*}"
  cmake --build "$work"
  run "$kind" "$work/consumer_c"
  run "$kind" "$work/consumer_cpp"
}

pkg_config() {
  local kind=$1 prefix=$2 work=$3 cflags libs
  PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name clattn.pc)")
  export PKG_CONFIG_PATH
  if [ "$(pkg-config --modversion clattn)" != "$version" ]; then
    echo "pkg-config says version $(pkg-config --modversion clattn), not $version"
    exit 1
  fi
  read -ra cflags < <(pkg-config --cflags clattn)
  if [ "$kind" = static ]; then
    # Both libraries lie in one folder, so the linker has to be told which.
    read -ra libs < <(pkg-config --static --libs clattn | sed 's/-lclattn/-l:libclattn.a/')
  else
    read -ra libs < <(pkg-config --libs clattn)
    LD_LIBRARY_PATH=$(pkg-config --variable=libdir clattn)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
  fi
  mkdir -p "$work"
  "$CC" "$here/consumer.c" "${cflags[@]}" "${libs[@]}" -o "$work/consumer_c"
  "$CXX" -std=c++20 "$here/consumer.cpp" "${cflags[@]}" "${libs[@]}" -o "$work/consumer_cpp"
  run "$kind" "$work/consumer_c"
  run "$kind" "$work/consumer_cpp"
}

case $1 in
  prefix) install_prefix "$2" "$3" ;;
  embed) cmake -S "$here/embed" -B "$3" -G Ninja -D "CLATTN_SOURCE=$2" ;;
  *)
    version=$5
    rm -rf "$4"
    "$1" "$2" "$3" "$4"
    ;;
esac
