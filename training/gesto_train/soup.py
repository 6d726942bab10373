"""Averages the weights of runs that started from one another: `python -m gesto_train.soup A B --share 0.85 --out F`.

Model soups, Wortsman et al., arXiv:2203.05482: between a run and the run that went on from it, the mean often judges
better than either. `--share` is B's. Works on the exported files; their heads and shapes must agree.
"""

import argparse
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


def average(a: dict[str, Tensor], b: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`(1 - share) * a + share * b`, computed in f32, in the number format of `b`."""
    if not 0 <= share <= 1:
        raise SystemExit(f"--share is between 0 and 1, not {share:g}")
    shapes = [{name: tuple(t.shape) for name, t in weights.items()} for weights in (a, b)]
    if shapes[0] != shapes[1]:
        raise SystemExit("the two files hold different networks")
    return {name: torch.lerp(a[name].float(), b[name].float(), share).to(b[name].dtype) for name in b}


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="share of B")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--note", default="batch norm folded; fp16")
    args = parser.parse_args()
    about = metadata(args.b)
    if metadata(args.a).get("heads") != about.get("heads"):
        raise SystemExit("the two files have different heads")
    save_file(average(load_file(args.a), load_file(args.b), args.share), args.out, {**about, "note": args.note})


if __name__ == "__main__":
    main()
