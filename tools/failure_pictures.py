#!/usr/bin/env python3
"""The model card's picture of failures: samples made harder step by step, and what `gesto` finds in them.

    pip install numpy pillow
    python tools/failure_pictures.py --gesto target/release/gesto --out docs/images/failures.png

Only `samples/` is used, whose pictures may be redistributed.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
TILE = (320, 240)


def frame(number: int) -> Image.Image:
    with Image.open(SAMPLES / "fingers-lq.gif") as clip:
        clip.seek(number)
        return clip.convert("RGB")


def astronaut() -> Image.Image:
    return Image.open(SAMPLES / "astronaut.png").convert("RGB")


def away(picture: Image.Image, scale: float) -> Image.Image:
    """As if the camera stood farther off: smaller, on grey."""
    ground = Image.new("RGB", TILE, (114, 114, 114))
    small = picture.resize([round(v * scale) for v in picture.size], Image.Resampling.LANCZOS)
    ground.paste(small, ((TILE[0] - small.width) // 2, (TILE[1] - small.height) // 2))
    return ground


def dim(picture: Image.Image, gain: float, noise: float) -> Image.Image:
    """A dark room: fewer photons, a sensor's noise."""
    pixels = np.asarray(picture, float) * gain
    return Image.fromarray((pixels + np.random.default_rng(0).normal(0, noise, pixels.shape)).clip(0, 255).astype(np.uint8))


def crowd(count: int, scale: float) -> Image.Image:
    """The same person many times, overlapping."""
    ground = Image.new("RGB", TILE, (114, 114, 114))
    small = astronaut().resize([round(512 * scale)] * 2, Image.Resampling.LANCZOS)
    for i in range(count):
        ground.paste(small, (round((TILE[0] - small.width) * i / max(count - 1, 1)), 20 + 60 * (i % 2)))
    return ground


CASES = [
    ("hand of 64 pixels", lambda: frame(7)),
    ("of 32", lambda: away(frame(7), 0.5)),
    ("of 19", lambda: away(frame(7), 0.3)),
    ("of 13", lambda: away(frame(7), 0.2)),
    ("an eighth of the light", lambda: dim(frame(15), 0.125, 3)),
    ("a 25th", lambda: dim(frame(15), 0.04, 3)),
    ("turned by 45 degrees", lambda: frame(15).rotate(45, fillcolor=(114, 114, 114))),
    ("upside down", lambda: frame(15).rotate(180)),
    ("person of 150 pixels", lambda: away(astronaut(), 0.3)),
    ("of 41", lambda: away(astronaut(), 0.08)),
    ("of 20", lambda: away(astronaut(), 0.04)),
    ("eight who overlap", lambda: crowd(8, 0.28)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gesto", default="gesto", help="the program")
    parser.add_argument("--model", help="weights other than the program's own")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--columns", type=int, default=4)
    args = parser.parse_args()
    width, height, line = *TILE, 22
    rows = -(-len(CASES) // args.columns)
    sheet = Image.new("RGB", (width * args.columns, (height + line) * rows), "white")
    with tempfile.TemporaryDirectory() as folder:
        given, drawn = Path(folder, "given"), Path(folder, "drawn")
        given.mkdir()
        for i, (_, make) in enumerate(CASES):
            picture = make()
            picture.save(given / f"{i:02}.png")
        model = ["--model", args.model] if args.model else []
        subprocess.run([args.gesto, "detect", *model, "--quiet", "--save", drawn, given], check=True)
        for i, (name, _) in enumerate(CASES):
            [path] = drawn.glob(f"{i:02}*")
            picture = Image.open(path).convert("RGB")
            picture.thumbnail(TILE)
            left, top = i % args.columns * width, i // args.columns * (height + line)
            sheet.paste(picture, (left + (width - picture.width) // 2, top + line))
            ImageDraw.Draw(sheet).text((left + 6, top + 5), name, fill="black")
    sheet.quantize(96, dither=Image.Dither.NONE).save(args.out, optimize=True)
    print(f"{args.out}: {args.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
