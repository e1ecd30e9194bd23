# Sourced by the tests of the tool. Each is called with the tool, the folder of test data and a
# folder for scratch files of its own.
set -uo pipefail
tool=$1 data=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
failures=0

# expect STATUS PATTERN COMMAND...: the exit status, and a part of stdout and stderr together.
expect() {
  local status=$1 pattern=$2 output actual
  shift 2
  output=$("$@" 2>&1 </dev/null)
  actual=$?
  if [ "$actual" -ne "$status" ] || [[ $output != *"$pattern"* ]]; then
    failures=$((failures + 1))
    echo "FAILED: $*"
    echo "  wanted status $status and '$pattern', got status $actual and:"
    echo "  ${output//$'\n'/$'\n'  }"
  fi
}

# make_npy PATH DESCR SHAPE BYTES: zeros.
make_npy() {
  local header="{'descr': '$2', 'fortran_order': False, 'shape': $3, }"
  printf '\x93NUMPY\x01\x00%b%b%s' "\\x$(printf %02x ${#header})" '\x00' "$header" >"$1"
  head -c "$4" /dev/zero >>"$1"
}

finish() {
  echo "$failures failures"
  [ "$failures" -eq 0 ]
  exit
}
