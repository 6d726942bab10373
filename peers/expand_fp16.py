#!/usr/bin/env python3
"""Write an ONNX file whose fp16 weights (each behind a Cast to f32) became f32 weights: the same numbers, twice the size.

Not every runtime knows fp16 tensors, and none should be timed while it converts weights.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def expand(model: onnx.ModelProto) -> int:
    """Replaces each Cast of an fp16 initializer by an f32 initializer; returns how many there were."""
    halves = {t.name: t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT16}
    casts = [n for n in model.graph.node if n.op_type == "Cast" and n.input[0] in halves]
    for cast in casts:
        values = numpy_helper.to_array(halves[cast.input[0]]).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, cast.output[0]))
        model.graph.node.remove(cast)
    used = {name for node in model.graph.node for name in node.input}
    for name, tensor in halves.items():
        if name not in used:
            model.graph.initializer.remove(tensor)
    return len(casts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    model = onnx.load(args.source)
    expand(model)
    onnx.checker.check_model(model)
    onnx.save(model, args.target)


if __name__ == "__main__":
    main()
