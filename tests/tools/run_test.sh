#!/usr/bin/env bash
# From .npy files to .npy files on a device: the result stands its check, in every data type and
# layout; and the subcommands that only look at a device answer. Needs a device.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if "$tool" info 2>&1 | grep -q 'no OpenCL'; then
  echo "skipped: no OpenCL device"
  exit 77
fi
layer=$data/minilm/layer5
tensors=(--q "${layer}_q.npy" --k "${layer}_k.npy" --v "${layer}_v.npy")
for problem in "$layer.json" '{"dtype": "f32", "mask": {"causal": {}}}' \
  '{"dtype": "bf16", "mask": {"window": {"left": 100, "right": 0}}}'; do
  expect 0 'family' "$tool" run --problem "$problem" "${tensors[@]}" --out "$scratch/o.npy" \
    --lse "$scratch/lse.npy"
  expect 0 '1 passed' "$tool" check --problem "$problem" "${tensors[@]}" --expect "$scratch/o.npy"
  expect 0 '1 passed' "$tool" check --problem "$problem" "${tensors[@]}"
done
# The same bytes read as [batch, length, heads, dim]: 12 tokens of 512 heads.
expect 0 'family' "$tool" run --problem '{"layout": "blhd"}' "${tensors[@]}" --out "$scratch/o.npy"
expect 0 'B1 H512/512 Q12 K12 D32/32 blhd' \
  "$tool" check --problem '{"layout": "blhd"}' "${tensors[@]}" --expect "$scratch/o.npy"

# No queries at all.
make_npy "$scratch/none.npy" '<f2' '(1, 12, 0, 32)' 0
expect 0 'family' "$tool" run --q "$scratch/none.npy" --k "${layer}_k.npy" --v "${layer}_v.npy" \
  --out "$scratch/o.npy"

sizes=(--q-len 100 --kv-len 130 --head-dim 32)
expect 0 '(default)' "$tool" info
expect 0 '"families"' "$tool" info --json
expect 2 'no such device' "$tool" info --device 'no such device'
expect 0 'portable' "$tool" explain "${sizes[@]}" --family portable
expect 0 '"bound_seconds"' "$tool" explain "${sizes[@]}" --json
video=(--q-len 512 --kv-len 512 --head-dim 32
  --problem '{"mask": {"neighborhood": {"grid": [8, 8, 8], "window": [4, 4, 4]}}}')
expect 0 'tilings   by visible pairs at most 8 times' "$tool" explain "${video[@]}"
expect 0 'of dimension 2' "$tool" explain "${video[@]}"
expect 0 '"predicted_seconds"' "$tool" explain "${video[@]}" --json
expect 0 '"block_sparse"' "$tool" explain "${video[@]}" --json
expect 0 'gathered        2x4x4           -' \
  "$tool" explain "${video[@]}" --tokens gathered --query-tile 2,4,4
expect 2 'nobody' "$tool" explain "${sizes[@]}" --family nobody
expect 0 '1 passed, 0 failed' "$tool" check "${sizes[@]}" --seed 7
expect 0 'seed 7' "$tool" check "${sizes[@]}" --seed 7
expect 0 '"aggregate_name": "median"' "$tool" bench "${sizes[@]}" --min-time 0.1 --json
expect 0 'GFLOP/s' "$tool" bench "${sizes[@]}" --min-time 0.1
finish
