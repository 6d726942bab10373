"""Writes the shipped weights from a checkpoint: `python -m gesto_train.export --config C --checkpoint P --out F`."""

import argparse
from pathlib import Path

from .config import load_config
from .weights import export, load_network, size_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--note", default="batch norm folded; fp16")
    args = parser.parse_args()
    size = size_name(load_config(args.config).network.width)
    export(load_network(args.checkpoint), args.out, args.note, f"yolov8{size}-multi")
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
