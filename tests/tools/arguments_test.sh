#!/usr/bin/env bash
# Bad use and bad input: exit status 2 and one line that names what is wrong. Needs no device.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

sizes=(--q-len 8 --kv-len 8 --head-dim 8)
make_npy "$scratch/q.npy" '<f4' '(1, 2, 3, 8)' 192
make_npy "$scratch/k.npy" '<f4' '(1, 1, 5, 8)' 160
make_npy "$scratch/v.npy" '<f4' '(1, 1, 5, 16)' 320
make_npy "$scratch/f16.npy" '<f2' '(1, 1, 5, 16)' 160
make_npy "$scratch/u16.npy" '<u2' '(1, 1, 5, 8)' 80
make_npy "$scratch/flat.npy" '<f4' '(3, 8)' 96
make_npy "$scratch/big.npy" '<f4' '(1, 2, 3, 264)' 6336
run() { # run STATUS PATTERN Q K V OPTIONS...
  expect "$1" "$2" "$tool" run --reference --out "$scratch/o.npy" --q "$scratch/$3" \
    --k "$scratch/$4" --v "$scratch/$5" "${@:6}"
}

expect 0 'Example: clattn info' "$tool" info --help
for subcommand in run check explain bench tune; do
  expect 0 "Example: clattn $subcommand" "$tool" "$subcommand" --help
done
expect 0 'clattn ' "$tool" --version
expect 2 'clattn: ' "$tool"
expect 2 "unknown subcommand 'paint'" "$tool" paint
expect 2 '--colour' "$tool" info --colour
expect 2 '--out is required' "$tool" run --q a --k b --v c
expect 2 '--k' "$tool" check --q a
expect 2 'twelve' "$tool" explain --q-len twelve

expect 2 '"query_tile" is no value of a parameter' "$tool" explain --family cpu --config query_tile
expect 2 '"warps=four" is no value' "$tool" explain --family cpu --config key_tile=64,warps=four
expect 2 'key_tile is given twice' "$tool" explain --family cpu --config key_tile=64,key_tile=32
expect 2 '--config requires --family' "$tool" explain --config key_tile=64

expect 2 "unknown strategy 'clever'; known are exhaustive, random and guided" \
  "$tool" tune "${sizes[@]}" --strategy clever
expect 2 'leaves nothing to tune' "$tool" tune "${sizes[@]}" --family cpu --config key_tile=64
expect 2 '--evaluations' "$tool" tune "${sizes[@]}" --evaluations 0
expect 2 "cannot read $scratch/none.json" "$tool" tune --suite "$scratch/none.json"
echo '[{"q_len": 8, "kv_len": 8, "head_dim": 8}, {"q_len": 8, "head_dim": 7}]' >"$scratch/suite.json"
expect 2 "problem 1 of $scratch/suite.json" "$tool" tune --suite "$scratch/suite.json"
expect 2 'head_dim 264' "$tool" tune --q-len 8 --kv-len 8 --head-dim 264
expect 2 "$scratch/none.json" "$tool" tune export "$scratch/o.json" --store "$scratch/none.json"
expect 2 "$scratch/suite.json" "$tool" tune import "$scratch/suite.json"
expect 2 "$scratch/suite.json" "$tool" tune merge "$scratch/suite.json" "$scratch/suite.json"

expect 2 "q_len is missing: give it in the problem or as --q-len" "$tool" explain --head-dim 8
expect 2 '"scal"; the nearest legal one is "scale"' "$tool" explain --problem '{"scal": 1}'
expect 2 'not JSON' "$tool" explain --problem '{"scale": }'
expect 2 "cannot read '$scratch/none.json'" "$tool" explain --problem "$scratch/none.json"
expect 2 'head_dim 264' "$tool" check --q-len 8 --kv-len 8 --head-dim 264
expect 2 '"f8"' "$tool" check "${sizes[@]}" --dtype f8
expect 2 "unknown suite 'huge'" "$tool" check --suite huge
expect 2 '--suite brings its own sizes' "$tool" check --suite full --q-len 8
expect 2 '--expect needs the tensors' "$tool" check "${sizes[@]}" --expect o.npy

run 0 'CPU reference' q.npy k.npy v.npy
run 2 'cannot read' none.npy k.npy v.npy
run 2 'has 2 dimensions, not 4' flat.npy k.npy v.npy
run 2 "kv_len is 4 in the problem but 5 in $scratch/k.npy" q.npy k.npy v.npy --problem '{"kv_len": 4}'
run 2 "head_dim is 8 in $scratch/q.npy but 16 in $scratch/v.npy" q.npy v.npy v.npy
run 2 'differ in element type' q.npy k.npy f16.npy
run 0 'CPU reference' q.npy k.npy f16.npy --problem '{"dtype": "bf16"}'
run 2 "'<u2'" q.npy u16.npy v.npy --problem '{"dtype": "f16"}'
run 0 'CPU reference' q.npy u16.npy v.npy --problem '{"dtype": "bf16"}'
run 2 'head_dim' big.npy k.npy v.npy
run 2 'q_strides cannot be given' q.npy k.npy v.npy --problem '{"q_strides": {}}'
run 2 'cannot write' q.npy k.npy v.npy --lse "$scratch/none/lse.npy"

head -c 100 "$scratch/k.npy" >"$scratch/cut.npy"
run 2 "$scratch/cut.npy: is truncated" q.npy cut.npy v.npy
expect 2 'cannot write to stdout' bash -c "'$tool' check --help >/dev/full"
finish
