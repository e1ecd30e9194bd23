#!/usr/bin/env bash
# Ctrl-C in the middle of long work ends it with status 130 and leaves no file behind. Needs no
# device.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

inputs=$scratch/inputs outputs=$scratch/outputs
mkdir "$inputs" "$outputs"
bytes=$((32 * 8192 * 64 * 4)) # hours of reference
make_npy "$inputs/x.npy" '<f4' '(1, 32, 8192, 64)' "$bytes"
"$tool" run --reference --q "$inputs/x.npy" --k "$inputs/x.npy" --v "$inputs/x.npy" \
  --out "$outputs/o.npy" --lse "$outputs/lse.npy" >/dev/null 2>"$scratch/stderr" &
process=$!
for ((i = 0; i < 600; ++i)); do # until it has begun
  [ "$(find "$outputs" -name '*.tmp.*' | wc -l)" -eq 2 ] && break
  sleep 0.1
done
kill -INT "$process"
wait "$process"
status=$?
expect 0 "status 130" echo "status $status"
expect 0 "left: none" echo "left: $(ls "$outputs" | grep . || echo none)"
expect 0 "stderr: none" echo "stderr: $(grep . "$scratch/stderr" || echo none)"
rm -r "$inputs"
finish
