#!/usr/bin/env python3
"""Runs exported ONNX files in ONNX Runtime and compares their outputs.

    python check_onnx.py reference FILE.onnx CASE     # with numbers computed elsewhere: CASE/input.u8, CASE/HEAD.f32
    python check_onnx.py same FILE.onnx OTHER.onnx CASE       # two files on one input
    python check_onnx.py resized WITH.onnx WITHOUT.onnx   # a resize inside the file, against NumPy's in front of it

Exit codes: 0 equal, 1 different, 77 when the Python packages can be had neither here nor from pip.
Put in front `--venv DIR` to have them installed into a virtual environment there when they are missing.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGES = ["numpy", "onnx", "onnxruntime"]
PROBABILITY = 1e-4
PIXELS = 0.05
UNAVAILABLE = 77


def import_packages(venv: Path | None) -> None:
    """Makes the packages importable; starts this script again inside `venv` when they are not."""
    try:
        for name in PACKAGES:
            globals()[name] = __import__(name)
        return
    except ImportError as error:
        why = str(error)
    python = venv / "bin" / "python" if venv else None
    if python is None or Path(sys.prefix).resolve() == venv.resolve():
        print(f"Python packages are missing: {why}")
        sys.exit(UNAVAILABLE)
    steps = [
        [sys.executable, "-m", "venv", str(venv)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            print(f"Python packages cannot be had: {' '.join(last)}")
            sys.exit(UNAVAILABLE)
    os.execv(python, [str(python), *sys.argv])


class Network:
    """An ONNX file, checked by ONNX's own checker and loaded."""

    def __init__(self, path: Path) -> None:
        onnx.checker.check_model(onnx.load(path), full_check=True)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.metadata = self.session.get_modelmeta().custom_metadata_map
        (self.input,) = self.session.get_inputs()
        self.outputs = {output.name: output.shape for output in self.session.get_outputs()}

    def run(self, planes):
        """Outputs by name, `C x A` each, for `3 x H x W` planes of 0 to 1."""
        rows = self.session.run(None, {self.input.name: planes[None].astype(numpy.float32)})
        return {name: row[0] for name, row in zip(self.outputs, rows)}

    def classes(self, head: str) -> int:
        return next(len(h["classes"]) for h in json.loads(self.metadata["heads"]) if h["name"] == head)


def read_input(case: Path, shape):
    _, _, height, width = shape
    pixels = numpy.fromfile(case / "input.u8", numpy.uint8).reshape(height, width, 3)
    return pixels.transpose(2, 0, 1) / numpy.float32(255)


def compare(name: str, got, want, classes: int, pixels: float = PIXELS) -> bool:
    """Prints the largest differences of one head and tells whether they are within the tolerances.

    `pixels` is that of positions, in the unit that they are given in.
    """
    assert got.shape == want.shape, f"{name}: {got.shape} against {want.shape}"
    apart = numpy.abs(got - want)
    assert numpy.isfinite(apart).all(), f"{name}: numbers that are not finite"
    parts = {"box": (apart[:4], pixels), "probability": (apart[4 : 4 + classes], PROBABILITY)}
    points = apart[4 + classes :].reshape(-1, 3, got.shape[1])
    if points.size:
        parts["keypoint"] = (points[:, :2], pixels)
        parts["visibility"] = (points[:, 2], PROBABILITY)
    good = True
    for part, (values, limit) in parts.items():
        good &= bool(values.max() <= limit)
        print(f"{name} {part}: {values.max():.2e} apart at most (limit {limit:.3g})")
    return good


def reference(file: Path, case: Path) -> bool:
    network = Network(file)
    got = network.run(read_input(case, network.input.shape))
    good = True
    for name, rows in got.items():
        want = numpy.fromfile(case / f"{name}.f32", "<f4").reshape(rows.shape)
        good &= compare(name, rows, want, network.classes(name))
    return good


def same(file: Path, other: Path, case: Path) -> bool:
    a, b = Network(file), Network(other)
    picture = read_input(case, a.input.shape)
    got, want = a.run(picture), b.run(picture)
    assert got.keys() == want.keys(), f"outputs {list(got)} against {list(want)}"
    return all([compare(name, got[name], want[name], a.classes(name)) for name in got])


def resample(planes, method: str, scale: float, offset: float, side: int, axis: int):
    """One axis of a resize, written plainly: pixel `i` of the result covers `(i - offset) * scale` and the next."""
    source = planes.shape[axis]
    planes = numpy.moveaxis(planes.astype(numpy.float64), axis, -1)
    out = numpy.full((*planes.shape[:-1], side), numpy.nan)
    for i in range(side):
        start = (i - offset) * scale
        middle = start + scale / 2
        if method == "conv":
            taps = [t for t in range(round(start), round(start + scale)) if 0 <= t < source]
            if taps:
                out[..., i] = planes[..., taps].sum(-1) / scale
        elif 0 <= middle < source:
            if method == "gather":
                out[..., i] = planes[..., int(middle)]
            else:
                low = int(numpy.floor(middle - 0.5))
                share = middle - 0.5 - low
                a, b = (planes[..., min(max(t, 0), source - 1)] for t in (low, low + 1))
                out[..., i] = a * (1 - share) + b * share
    return numpy.moveaxis(out, -1, axis)


def resized(with_resize: Path, without: Path) -> bool:
    a, b = Network(with_resize), Network(without)
    placed = json.loads(a.metadata["placement"])
    _, _, height, width = b.input.shape
    frame = numpy.random.default_rng(7).random(a.input.shape[1:], numpy.float32)
    # Blocks of one colour, so that the network sees more than noise.
    frame[:, ::3] = frame[:, :1, :1]
    picture = resample(frame, a.metadata["resize"], placed["scale_y"], placed["offset_y"], height, 1)
    picture = resample(picture, a.metadata["resize"], placed["scale_x"], placed["offset_x"], width, 2)
    picture = numpy.where(numpy.isnan(picture), 114 / 255, picture)
    got, want = a.run(frame), b.run(picture)
    # Positions are in the frame's pixels, several of which make one of the network's.
    pixels = PIXELS * max(1, placed["scale_x"], placed["scale_y"])
    good = True
    for name, rows in want.items():
        classes = b.classes(name)
        for axis, scale, offset in ((0, "scale_x", "offset_x"), (1, "scale_y", "offset_y")):
            scale, offset = placed[scale], placed[offset]
            rows[axis] = (rows[axis] - offset) * scale
            rows[2 + axis] *= scale
            places = slice(4 + classes + axis, None, 3)
            rows[places] = (rows[places] - offset) * scale
        good &= compare(name, got[name], rows, classes, pixels)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path)
    parser.add_argument("check", choices=["reference", "same", "resized"])
    parser.add_argument("files", nargs="+", type=Path)
    args = parser.parse_args()
    import_packages(args.venv)
    checks = {"reference": reference, "same": same, "resized": resized}
    return 0 if checks[args.check](*args.files) else 1


if __name__ == "__main__":
    sys.exit(main())
