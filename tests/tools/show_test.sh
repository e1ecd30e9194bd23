#!/usr/bin/env bash
# `show` draws masks block by block: small ones literally, larger ones in cells of several blocks, and
# as PNG. Needs no device.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# show PROBLEM ARGUMENT...: of 12 queries and 12 keys in blocks of 3.
show() {
  "$tool" show --q-len 12 --kv-len 12 --block 3 --problem "$@"
}

expect 0 'causal:align:bottom_right: 12 queries, 12 keys, blocks of 3 x 3
▒▒······
██▒▒····
████▒▒··
██████▒▒
density 54.17% (78 of 144 pairs); of 16 blocks 6 are full, 4 partial, 6 empty
█ full, ▒ partial, · empty' show '{"mask": {"causal": {}}}'

expect 0 '▒▒▒▒▒▒▒▒
▒▒▒▒····
▒▒▒▒▒▒··
▒▒··▒▒▒▒
' show '{"mask": {"any_of": [{"window": {"left": 1, "right": 0}}, {"global": {"tokens": [0]}}]}}'

# The last blocks are ragged, the heads differ, and blocks need not be square.
pattern='{"blocks": {"q_block": 4, "k_block": 5, "mask": [[["10", "01"], ["11", "00"]]]}}'
heads=("$tool" show --q-len 6 --kv-len 8 --q-block 4 --k-block 5 --heads 2
  --problem "{\"mask\": $pattern}")
expect 0 'blocks of 4 x 5
██··
··██
head 0: density 54.17% (26 of 48 pairs); of 4 blocks 2 are full, 0 partial, 2 empty
████
····
head 1: density 66.67% (32 of 48 pairs)' "${heads[@]}" --all-heads
expect 0 '████
····
head 1' "${heads[@]}" --head 1

# 80 columns where there is no terminal: 40 cells of 2 blocks.
expect 0 'each cell is 2 x 2 blocks' "$tool" show --q-len 10240 --kv-len 10240
expect 0 '▒▒······························································' \
  "$tool" show --q-len 10240 --kv-len 10240 --problem '{"mask": {"causal": {}}}'
expect 0 'of 262144 blocks 130816 are full, 512 partial, 130816 empty' \
  "$tool" show --q-len 65536 --kv-len 65536 --problem '{"mask": {"causal": {}}}'

# Files are looked up beside the problem.
make_npy "$scratch/kept.npy" '|b1' '(1, 1, 2, 2)' 4
echo '{"mask": {"blocks": {"q_block": 6, "k_block": 6, "mask": "kept.npy"}}}' >"$scratch/p.json"
expect 0 'blocks:q_block:6,k_block:6,mask:kept.npy: 12' show "$scratch/p.json"
expect 0 'density 0%' show "$scratch/p.json"

expect 0 'head 1: density' "${heads[@]}" --all-heads --png "$scratch/mask.png"
expect 0 'PNG' head -c 4 "$scratch/mask.png"
expect 0 '' "$tool" show --gallery "$scratch/gallery.png"
expect 0 'PNG' head -c 4 "$scratch/gallery.png"
expect 0 'kB fit' bash -c "[ \$(stat -c %s '$scratch/gallery.png') -lt 150000 ] && echo kB fit"

# A neighborhood's grid.
grid=("$tool" show --grid --q-len 48 --kv-len 48
  --problem '{"mask": {"neighborhood": {"grid": [6, 8], "window": [3, 5]}}}')
expect 0 'neighborhood:grid:[6,8],window:[3,5]
····░░░░░░░░░░░░
····▒▒▒▒▒▒▒▒▒▒▒▒
····▒▒██QQQQ██▒▒
····▒▒██QQQQ██▒▒
····▒▒▒▒▒▒▒▒▒▒▒▒
····░░░░░░░░░░░░
tile 1, 2 of 2x2 queries; other keys: 4 seen by all, 16 by some, 12 hidden in visited tiles. Of the whole grid: tile bound 1.71x, FLOP bound 3.20x, 78.6% of the visited tiles are masked
Q queries,' "${grid[@]}" --tile 2,2
expect 0 'tile 0, 3 of 2x2 queries; other keys: ' "${grid[@]}" --tile 2,2 --at 0,3
expect 0 'tile 0, 0 of 6x8 queries; other keys: 0 seen by all, 0 by some, 0 hidden' "${grid[@]}"
video=("$tool" show --grid --q-len 64 --kv-len 64 --tile 1,2,2
  --problem '{"mask": {"neighborhood": {"grid": [4, 4, 4], "window": [2, 2, 2], "stride": [1, 2, 2]}}}')
expect 0 '1         2
········  ········
········  ········
····████  ····QQQQ
····████  ····QQQQ
tile 2, 1, 1 of 1x2x2 queries' "${video[@]}"
for number in 1 2; do
  expect 0 'tile bound' "${video[@]}" --png "$scratch/video$number.png" --width $((number * 400))
  expect 0 'PNG' head -c 4 "$scratch/video$number.png"
done
expect 0 '' "$tool" show --grid --gallery "$scratch/grids.png"
expect 0 'PNG' head -c 4 "$scratch/grids.png"

expect 2 'q_len is missing' "$tool" show --kv-len 8
expect 2 '--head 2 is not within 0 to 1' "${heads[@]}" --head 2
expect 2 '--batch-index 1 is not within 0 to 0' "${heads[@]}" --batch-index 1
expect 2 '--block' "$tool" show --q-len 8 --kv-len 8 --block 0
expect 2 'nothing to show of 0 queries' "$tool" show --q-len 0 --kv-len 8
expect 2 "cannot write '$scratch/none/x.png'" "${heads[@]}" --png "$scratch/none/x.png"
expect 2 'no room for 20 pictures a row' \
  "$tool" show --q-len 8 --kv-len 8 --heads 400 --all-heads --width 64 --png "$scratch/x.png"
expect 2 'mask all_of[1] window left: must be a whole number' \
  show '{"mask": {"all_of": [{}, {"window": {"left": "1"}}]}}'
expect 2 '--grid needs a mask within a neighborhood' "$tool" show --q-len 8 --kv-len 8 --grid
expect 2 '--tile requires --grid' "$tool" show --q-len 8 --kv-len 8 --tile 4
expect 2 'the tile has 1 dimensions, but the grid has 2' "${grid[@]}" --tile 8
expect 2 "the tile's index is 3 in dimension 0, not within 0 to 2" "${grid[@]}" --tile 2,2 --at 3,0
expect 2 '--all-heads' "${grid[@]}" --all-heads
finish
