"""Starts a wider network from a narrow one: `python -m gesto_train.widen N.safetensors --out S.safetensors`.

Net2Net, Chen et al., arXiv:1511.05641: every channel becomes two, and whoever read it reads the pair with shares that add up to
the weight there was. So the wider network computes what the narrow one does, and its training goes on from there.
The shares of each weight are drawn at random: equal ones would keep the two channels of a pair equal forever.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .network import Multi
from .soup import metadata
from .weights import fold, size_name


def widen(narrow: dict[str, Tensor], shapes: dict[str, torch.Size], spread: float) -> dict[str, Tensor]:
    """Folded weights of the network with `shapes` that computes what `narrow` does. `spread` is the standard deviation of
    the shares around equal ones, as a part of them. Fails where a side is no multiple of the narrow one's."""
    wide = {}
    for name, shape in shapes.items():
        tensor = narrow[name].float()
        factors = [new // old for new, old in zip(shape, tensor.shape)]
        if any(new != factor * old for new, old, factor in zip(shape, tensor.shape, factors)):
            raise SystemExit(f"{name}: {tuple(tensor.shape)} does not widen to {tuple(shape)}")
        # The copies of a channel lie side by side, so that concatenations and halves keep their order.
        tensor = tensor.repeat_interleave(factors[0], 0)
        if len(factors) > 1 and factors[1] > 1:
            copies = factors[1]
            shares = 1 + spread * torch.randn(*tensor.shape, copies)
            shares -= shares.mean(-1, keepdim=True) - 1
            # out x in x copies x kernel x kernel, then copies beside their channel
            tensor = (tensor[..., None] * shares / copies).movedim(-1, 2).flatten(1, 2)
        wide[name] = tensor
    return wide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("narrow", type=Path)
    parser.add_argument("--width", type=float, default=0.5, help="of the wider network; 0.5 is `s`")
    parser.add_argument("--spread", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    shapes = {name: tensor.shape for name, tensor in fold(Multi(args.width)).items()}
    wide = widen(load_file(args.narrow), shapes, args.spread)
    about = {
        **metadata(args.narrow),
        "architecture": f"yolov8{size_name(args.width)}-multi",
        "note": "widened, not trained",
    }
    save_file({name: tensor.half().contiguous() for name, tensor in wide.items()}, args.out, about)


if __name__ == "__main__":
    main()
