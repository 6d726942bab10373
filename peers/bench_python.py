#!/usr/bin/env python3
"""Time ONNX Runtime or OpenVINO on an ONNX file: batch 1, network only, one JSON line in the keys of `gesto bench model`.

One peer per process, because instruction sets are limited (ONEDNN_MAX_CPU_ISA) and libraries preloaded per process, and
because idle worker threads of one runtime would disturb the next.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Network = Callable[[], list[np.ndarray]]
HEADS = {"hand": slice(4, 23), "body": slice(4, 5)}  # output name -> its class probabilities among the channels


def load_onnxruntime(model: Path, images: np.ndarray, threads: int, precision: str) -> Network:
    import onnxruntime

    if precision != "f32":
        raise SystemExit("ONNX Runtime runs this network in f32 only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(list(HEADS), {"images": images})


def load_openvino(model: Path, images: np.ndarray, threads: int, precision: str) -> Network:
    import openvino

    compiled = openvino.Core().compile_model(openvino.Core().read_model(model), "CPU", {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    })
    request = compiled.create_infer_request()

    def run() -> list[np.ndarray]:
        request.infer({0: images}, share_inputs=True)
        return [request.get_tensor(name).data for name in HEADS]

    return run


LOADERS = {"onnxruntime": load_onnxruntime, "openvino": load_openvino}


def read_input(image: Path | None, height: int, width: int) -> np.ndarray:
    """1 x 3 x height x width, RGB, 0..1; from a PNG of that size, or pseudo-random."""
    if image is None:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    else:
        from PIL import Image

        with Image.open(image) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        if pixels.shape != (height, width, 3):
            raise SystemExit(f"{image} is {pixels.shape[0]}x{pixels.shape[1]}, the network's input is {height}x{width}")
    return np.ascontiguousarray((pixels.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None])


def measure(network: Network, warmup: int, runs: int) -> dict[str, float]:
    for _ in range(warmup):
        network()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        network()
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    median = times[runs // 2]
    nearest_rank = -(-runs * 99 // 100) - 1
    return {"median_ms": median, "p99_ms": times[nearest_rank], "min_ms": times[0], "fps": 1e3 / median}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="network with input 1x3xHxW, outputs `hand` and `body`")
    parser.add_argument("--peer", choices=LOADERS, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--isa", required=True, help="label of the instruction set in use, for the report")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", default="320x224", help="HxW")
    parser.add_argument("--image", type=Path, help="PNG of exactly the network's size (default: random pixels)")
    parser.add_argument("--runs", type=int, default=80)
    parser.add_argument("--warmup", type=int, default=20)
    args = parser.parse_args()

    height, width = map(int, args.size.split("x"))
    network = LOADERS[args.peer](args.model, read_input(args.image, height, width), args.threads, args.precision)
    best = {f"{head}_best": float(out[0, HEADS[head]].max()) for head, out in zip(HEADS, network(), strict=True)}
    report = {"peer": args.peer, "isa": args.isa, "threads": args.threads, "size": args.size}
    print(json.dumps(report | measure(network, args.warmup, args.runs) | best))


if __name__ == "__main__":
    main()
