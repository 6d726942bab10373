"""Reference ONNX of exported weights, through PyTorch and so independent of the engine.

    python -m gesto_train.to_onnx --weights ../models/multi-n.safetensors --size 320x224 256x128 --out .

Input `images` (1 x 3 x H x W, RGB, 0..1); outputs `hand` (1 x 23 x anchors) and `body` (1 x 56 x anchors): box as centre
and size in input pixels, class probabilities, then for people 17 x (x, y, visibility). Needs the `onnx` package.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from .boxes import anchor_points, decode_boxes, decode_keypoints
from .network import Multi
from .weights import load_network


class Decoded(nn.Module):
    """The network with its outputs decoded for one input shape."""

    def __init__(self, network: Multi, height: int, width: int):
        super().__init__()
        self.network = network
        points, strides = anchor_points(height, width, "cpu")
        self.register_buffer("points", points)
        self.register_buffer("strides", strides)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        out = []
        for raw in self.network(images):
            x0, y0, x1, y1 = decode_boxes(raw[0], self.points, self.strides).unbind(-1)
            rows = [torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], -1), raw[1].sigmoid()]
            if len(raw) == 3:
                xy, seen = decode_keypoints(raw[2], self.points, self.strides)
                rows.append(torch.cat([xy, seen.sigmoid()[..., None]], -1).flatten(2))
            out.append(torch.cat(rows, -1).transpose(1, 2))
        return out[0], out[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", nargs="+", default=["320x224", "256x128"], help="HEIGHTxWIDTH, multiples of 32")
    parser.add_argument("--out", type=Path, default=Path("."))
    args = parser.parse_args()
    network = load_network(args.weights)
    for size in args.size:
        height, width = map(int, size.split("x"))
        torch.onnx.export(
            Decoded(network, height, width).eval(), (torch.rand(1, 3, height, width),),
            args.out / f"multi-{size}.onnx", input_names=["images"], output_names=["hand", "body"],
            opset_version=17, dynamo=False,
        )  # fmt: skip


if __name__ == "__main__":
    main()
