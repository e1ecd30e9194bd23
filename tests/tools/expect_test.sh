#!/usr/bin/env bash
# `check --expect` takes a right result and refuses a wrong one, naming the worst element. Needs no
# device.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

layer=$data/minilm/layer0
tensors=(--problem "$layer.json" --q "${layer}_q.npy" --k "${layer}_k.npy" --v "${layer}_v.npy")
result=$scratch/o.npy

# set_element B H I D BYTES: of the f16 result [1, 12, 512, 32], behind a header of 128 bytes.
set_element() {
  printf '%b' "$5" | dd of="$result" bs=1 conv=notrunc status=none \
    seek=$((128 + 2 * (((($1 * 12) + $2) * 512 + $3) * 32 + $4)))
}

expect 0 'CPU reference' "$tool" run "${tensors[@]}" --reference --out "$result"
expect 0 '1 passed, 0 failed' "$tool" check "${tensors[@]}" --expect "$result"
set_element 0 3 100 7 '\x00\x44' # 4
expect 1 'worst output[0, 3, 100, 7] = 4, expected' "$tool" check "${tensors[@]}" --expect "$result"
set_element 0 11 511 31 '\x00\x7e' # NaN
expect 1 'worst output[0, 11, 511, 31] = nan' "$tool" check "${tensors[@]}" --expect "$result"
expect 1 '"pass": false' "$tool" check "${tensors[@]}" --expect "$result" --json

make_npy "$scratch/small.npy" '<f2' '(1, 12, 512, 16)' $((12 * 512 * 16 * 2))
expect 2 "is not the problem's (1, 12, 512, 32)" \
  "$tool" check "${tensors[@]}" --expect "$scratch/small.npy"
finish
