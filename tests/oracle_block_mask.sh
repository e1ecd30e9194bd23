#!/usr/bin/env bash
# Holds clattn on block masks that it did not make (oracle_block_mask.py, whose exit status 77 for a
# missing package is passed on): their output against the reference, then the kernels against it.
# Arguments: the clattn tool, a Python, numpy or torch, a folder for the files.
set -euo pipefail
tool=$1 python=$2 by=$3 folder=$4
"$python" "$(dirname "${BASH_SOURCE[0]}")/oracle_block_mask.py" --by "$by" "$folder"
for problem in "$folder"/*/problem.json; do
  case=$(dirname "$problem")
  tensors=(--problem "$problem" --q "$case/q.npy" --k "$case/k.npy" --v "$case/v.npy")
  "$tool" check "${tensors[@]}" --expect "$case/o.npy"
  "$tool" check "${tensors[@]}"
done
