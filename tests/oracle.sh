#!/usr/bin/env bash
# Holds clattn on real tensors against an implementation that is not ours (oracle_onnxruntime.py,
# whose exit status 77 for a missing package is passed on).
# Arguments: the clattn tool, a Python with onnxruntime, the layer, a folder for the expected output.
set -euo pipefail
tool=$1 python=$2 layer=$3 folder=$4
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=$tests/data/minilm/$layer

tensors=(--q "${data}_q.npy" --k "${data}_k.npy" --v "${data}_v.npy")
expected=$folder/oracle_$layer.npy
"$python" "$tests/oracle_onnxruntime.py" "${tensors[@]}" --out "$expected" \
  --scale 0.17677669529663687  # 1/sqrt(32), as in the problem file
"$tool" check --problem "$data.json" "${tensors[@]}" --expect "$expected"
