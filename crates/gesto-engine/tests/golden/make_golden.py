#!/usr/bin/env python3
"""Golden outputs of the network: ONNX Runtime (CPU, f32) on real pictures. README.md documents the files it writes.

    pip install onnxruntime onnx numpy pillow safetensors
    python make_golden.py --onnx multi-320x224.onnx multi-256x128.onnx

Each ONNX file is run at its own input shape on every picture.
"""

import argparse
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parents[3] / "samples"
PICTURES = [
    # the whole portrait; the hands and faces of the two gestures; two people in one narrow picture
    "astronaut={samples}/astronaut.png",
    "like={samples}/fingers-lq.gif#15@60,40,260,200",
    "peace={samples}/fingers-lq.gif#7",
    "two-people={samples}/astronaut.png@60,0,340,256+{samples}/fingers-lq.gif#32",
]
PADDING = 114  # grey level around a letterboxed picture
COLOURS = 128  # a palette keeps the stored PNG small; the network sees the palette's colours
PROBABILITY = 0.05  # every anchor point above this is kept
HEADS = {"hand": slice(4, 23), "body": slice(4, 5)}  # output name -> its class probabilities among the channels
STRIDE = 17  # of the others every 17th: coprime to the grid widths, so the sample visits every column


@dataclass(frozen=True)
class Part:
    """One source picture: a file, a frame of it, and a crop (x, y, w, h) in its pixels."""

    path: Path
    frame: int
    crop: tuple[int, int, int, int] | None

    @staticmethod
    def parse(text: str) -> "Part":
        found = re.fullmatch(r"(?P<path>[^#@]+)(#(?P<frame>\d+))?(@(?P<crop>\d+,\d+,\d+,\d+))?", text)
        if not found:
            raise SystemExit(f"not PATH[#FRAME][@X,Y,W,H]: {text}")
        x, y, w, h = (int(n) for n in (found["crop"] or "0,0,0,0").split(","))
        return Part(Path(found["path"]), int(found["frame"] or 0), (x, y, w, h) if found["crop"] else None)

    def load(self) -> Image.Image:
        with Image.open(self.path) as image:
            image.seek(self.frame)
            picture = image.convert("RGB")
        if self.crop:
            x, y, w, h = self.crop
            picture = picture.crop((x, y, x + w, y + h))
        return picture

    def __str__(self) -> str:
        crop = "@" + ",".join(map(str, self.crop)) if self.crop else ""
        return f"{self.path.name}#{self.frame}{crop}"


def letterbox(parts: list[Image.Image], height: int, width: int) -> np.ndarray:
    """The parts stacked, each scaled to fit its share of the height, on a grey ground: u8, height x width x 3, RGB."""
    canvas = Image.new("RGB", (width, height), (PADDING,) * 3)
    share = height // len(parts)
    for row, part in enumerate(parts):
        scale = min(width / part.width, share / part.height)
        w, h = round(part.width * scale), round(part.height * scale)
        canvas.paste(part.resize((w, h), Image.Resampling.BILINEAR), ((width - w) // 2, row * share + (share - h) // 2))
    return np.asarray(canvas)


def chosen_anchors(probability: np.ndarray, offset: int) -> np.ndarray:
    """Ascending indices of the anchor points to keep."""
    keep = probability > PROBABILITY
    keep[offset::STRIDE] = True
    return np.flatnonzero(keep).astype(np.int32)


def open_session(model: Path, level: onnxruntime.GraphOptimizationLevel) -> onnxruntime.InferenceSession:
    """One thread, so that a second run on the same machine gives the same bits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def store_input(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Writes the network input as a PNG; returns the pixels that a reader of the file will see."""
    image = Image.fromarray(pixels).quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    with Image.open(path) as stored:
        return np.asarray(stored.convert("RGB"))


def outputs(session: onnxruntime.InferenceSession, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Both heads' outputs, each anchors x channels."""
    images = (pixels.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None]
    return {head: out[0].T for head, out in zip(HEADS, session.run(list(HEADS), {"images": images}), strict=True)}


def golden_tensors(result: dict[str, np.ndarray], offset: int) -> dict[str, np.ndarray]:
    """The tensors of one golden file."""
    tensors = {}
    for head, rows in result.items():
        index = chosen_anchors(rows[:, HEADS[head]].max(1), offset)
        tensors[f"{head}.index"] = index
        tensors[f"{head}.rows"] = np.ascontiguousarray(rows[index])
        tensors[f"{head}.mean"] = rows.mean(0, dtype=np.float64).astype(np.float32)
    return tensors


def summary(head: str, rows: np.ndarray, unoptimised: np.ndarray) -> str:
    """What the picture exercises, and how far the reference itself moves when its graph is not optimised."""
    best = rows[:, HEADS[head]].max(1)
    spread = np.abs(unoptimised - rows)
    return (f"  {head}: {(best > PROBABILITY).sum()} anchors above {PROBABILITY}, best {best.max():.3f}; unoptimised graph "
            f"differs by {spread[:, :4].max():.1e} px in boxes, {spread[:, HEADS[head]].max():.1e} in probabilities")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", nargs="+", type=Path, required=True, help="exported network; its input shape is the size")
    parser.add_argument("--images", nargs="+", default=[p.format(samples=SAMPLES) for p in PICTURES],
                        help="NAME=PATH[#FRAME][@X,Y,W,H][+...]; parts joined by + are stacked (default: the samples)")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this script)")
    args = parser.parse_args()

    for model in args.onnx:
        session = open_session(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
        unoptimised = open_session(model, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
        _, _, height, width = session.get_inputs()[0].shape
        for offset, spec in enumerate(args.images):
            name, _, sources = spec.partition("=")
            parts = [Part.parse(s) for s in sources.split("+")]
            stem = f"{name}-{height}x{width}"
            pixels = store_input(letterbox([p.load() for p in parts], height, width), args.out / f"{stem}.png")

            result = outputs(session, pixels)
            file = args.out / f"{stem}.safetensors"
            about = {
                "picture": "+".join(map(str, parts)),
                "size": f"{height}x{width}",
                "anchors": len(result["hand"]),
                "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
                "made_with": f"onnxruntime {onnxruntime.__version__}, CPUExecutionProvider, f32",
            }
            # One entry: safetensors writes several in random order, and the file would differ from run to run.
            save_file(golden_tensors(result, offset % STRIDE), file, metadata={"about": json.dumps(about)})
            file.chmod(0o644)
            print(stem)
            for head, rows in outputs(unoptimised, pixels).items():
                print(summary(head, result[head], rows))


if __name__ == "__main__":
    main()
