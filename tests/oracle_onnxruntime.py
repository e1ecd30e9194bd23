#!/usr/bin/env python3
"""An oracle that is not ours: attention by ONNX Runtime's CPU implementation.

Reads Q, K and V ([batch, heads, length, dim], any float dtype), runs one standard ONNX `Attention`
operator (opset 23) on them in float32 and writes O as float32. K and V may have fewer heads than Q
(grouped-query attention). Needs numpy, onnx, and onnxruntime 1.23 or newer; where they are missing
it says so in one sentence and exits with 77, which CTest takes for a skip.
"""

import argparse
import pathlib
import sys

SKIP = 77
OLDEST = (1, 23)  # ... of onnxruntime; 1.22 refuses the IR version below.
OPSET, IR_VERSION = 23, 11  # The IR is pinned since onnx may default to a newer than the runtime's.

try:
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper
except ImportError as error:
    print(f"skipped: the ONNX Runtime oracle needs numpy, onnx and onnxruntime ({error}).",
          file=sys.stderr)
    sys.exit(SKIP)


def attention(query, key, value, scale, causal):
    """O of one Attention operator, on float32 tensors."""
    inputs = {"Q": query, "K": key, "V": value}
    node = helper.make_node("Attention", list(inputs), ["O"], scale=scale, is_causal=int(causal))
    graph = helper.make_graph(
        [node], "attention",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, tensor.shape)
         for name, tensor in inputs.items()],
        [helper.make_tensor_value_info("O", TensorProto.FLOAT,
                                       query.shape[:3] + value.shape[3:])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                              ir_version=IR_VERSION)
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return session.run(["O"], inputs)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("q", "k", "v", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True, metavar="NPY")
    parser.add_argument("--scale", type=float, required=True, help="score = scale * q.k")
    parser.add_argument("--causal", action="store_true", help="key <= query; equal lengths only")
    arguments = parser.parse_args()

    if tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < OLDEST:
        print(f"skipped: onnxruntime {onnxruntime.__version__} is older than the 1.23 that the "
              "ONNX Runtime oracle needs.", file=sys.stderr)
        sys.exit(SKIP)
    if not arguments.scale > 0:
        parser.error(f"--scale {arguments.scale} is not positive, which the operator refuses")

    query, key, value = (np.load(path).astype(np.float32)
                         for path in (arguments.q, arguments.k, arguments.v))
    # The operator aligns causal to the top left where clattn aligns it to the bottom right. With
    # equal lengths the two are one mask.
    if arguments.causal and query.shape[2] != key.shape[2]:
        parser.error(f"--causal needs equal lengths, not {query.shape[2]} queries "
                     f"and {key.shape[2]} keys")
    np.save(arguments.out, attention(query, key, value, arguments.scale, arguments.causal))


if __name__ == "__main__":
    main()
