"""YOLOv8-style network with two heads: `hand` (gestures) and `body` (people and keypoints).

Written from the published description of the architecture: a CSP backbone with C2f blocks and SPPF,
a path-aggregation neck (PANet, arXiv:1803.01534), decoupled anchor-free heads with distribution
focal boxes (arXiv:2006.04388). `width=0.25, depth=1/3` is the nano size that ships.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .schema import DFL_BINS, GESTURES, KEYPOINTS, STRIDES


class AlignedConv2d(nn.Conv2d):
    """`nn.Conv2d` that on a GPU pads its channels with zeros to multiples of 8.

    Tensor cores need aligned channels; the 3 of a picture and the 51 of the keypoint branch are not.
    """

    def forward(self, x: Tensor) -> Tensor:
        spare_out, spare_in = -self.out_channels % 8, -self.in_channels % 8
        if not x.is_cuda or not (spare_out or spare_in):
            return super().forward(x)
        x = F.pad(x, (0, 0, 0, 0, 0, spare_in)).contiguous(memory_format=torch.channels_last)
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, spare_in, 0, spare_out)).contiguous(memory_format=torch.channels_last)
        bias = F.pad(self.bias, (0, spare_out)) if self.bias is not None else None
        out = F.conv2d(x, weight, bias, self.stride, self.padding)
        return out[:, : self.out_channels].contiguous(memory_format=torch.channels_last)


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1):
        super().__init__()
        self.conv = AlignedConv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.cv1 = Conv(channels, channels, 3)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C2f(nn.Module):
    """Cross-stage partial block whose every bottleneck's output reaches the last convolution."""

    def __init__(self, c_in: int, c_out: int, repeats: int, shortcut: bool):
        super().__init__()
        half = c_out // 2
        self.cv1 = Conv(c_in, c_out)
        self.cv2 = Conv((2 + repeats) * half, c_out)
        self.m = nn.ModuleList(Bottleneck(half, shortcut) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class SPPF(nn.Module):
    """Spatial pyramid pooling: three 5x5 max-pools in a row see 5, 9 and 13 cells."""

    def __init__(self, channels: int):
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(channels * 2, channels)
        self.m = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cv1(x)
        a = self.m(x)
        b = self.m(a)
        return self.cv2(torch.cat([x, a, b, self.m(b)], 1))


def _double(x: Tensor) -> Tensor:
    """Nearest neighbour, twice the size. `F.interpolate` would turn bfloat16 into float32 under autocast."""
    n, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1)[:, :, None, :, None].expand(n, h, 2, w, 2, c)
    return rows.reshape(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)


def _branch(c_in: int, hidden: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(Conv(c_in, hidden, 3), Conv(hidden, hidden, 3), AlignedConv2d(hidden, c_out, 1))


class Head(nn.Module):
    """Box (`cv2`), class (`cv3`) and keypoint (`cv4`) branches over the three levels."""

    def __init__(self, channels: tuple[int, ...], classes: int, keypoints: int, scales: bool = False):
        super().__init__()
        box_hidden = max(64, channels[0] // 4)
        class_hidden = max(64, channels[0])
        values = 3 * keypoints
        self.cv2 = nn.ModuleList(_branch(c, box_hidden, 4 * DFL_BINS) for c in channels)
        self.cv3 = nn.ModuleList(_branch(c, class_hidden, classes) for c in channels)
        keypoint_hidden = max(values, channels[0] // 4)
        self.cv4 = nn.ModuleList(_branch(c, keypoint_hidden, values) for c in channels) if values else None
        # How far off each keypoint may be; asked for in training only, and not exported.
        self.scale = nn.ModuleList(AlignedConv2d(keypoint_hidden, keypoints, 1) for _ in channels) if scales else None
        for scale in self.scale or ():
            nn.init.zeros_(scale.weight)
            nn.init.zeros_(scale.bias)
        for box, cls, stride in zip(self.cv2, self.cv3, STRIDES):
            nn.init.constant_(box[-1].bias, 1.0)
            # About five objects per picture at the start: the rare-class prior of RetinaNet.
            nn.init.constant_(cls[-1].bias, math.log(5 / classes / (320 / stride) ** 2))

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, ...]:
        """Raw outputs, each `batch x anchors x values`: boxes, classes and, for a body, keypoints; in training, with `scales`, also the
        logarithm of each keypoint's scale (`losses.laplace`)."""
        outputs = [[m(f) for m, f in zip(branch, levels)] for branch in (self.cv2, self.cv3)]
        if self.cv4 is not None:
            hidden = [m[:-1](f) for m, f in zip(self.cv4, levels)]
            outputs.append([m[-1](h) for m, h in zip(self.cv4, hidden)])
            if self.training and self.scale is not None:
                outputs.append([m(h) for m, h in zip(self.scale, hidden)])
        return tuple(torch.cat([o.permute(0, 2, 3, 1).flatten(1, 2) for o in levels], 1) for levels in outputs)


class Multi(nn.Module):
    """The whole network. Input: RGB in 0..1, `batch x 3 x H x W`, H and W multiples of 32.

    Parameter names are those of the exported weights: `b.N` backbone, `n12 n15 n16 n18 n19 n21` neck.
    """

    def __init__(self, width: float = 0.25, depth: float = 1 / 3, scales: bool = False):
        super().__init__()
        c1, c2, c3, c4, c5 = (int(c * width) for c in (64, 128, 256, 512, 1024))
        few, many = max(1, round(3 * depth)), max(1, round(6 * depth))
        self.b = nn.ModuleList([
            Conv(3, c1, 3, 2), Conv(c1, c2, 3, 2), C2f(c2, c2, few, True),
            Conv(c2, c3, 3, 2), C2f(c3, c3, many, True),
            Conv(c3, c4, 3, 2), C2f(c4, c4, many, True),
            Conv(c4, c5, 3, 2), C2f(c5, c5, few, True), SPPF(c5),
        ])  # fmt: skip
        self.n12 = C2f(c4 + c5, c4, few, False)
        self.n15 = C2f(c3 + c4, c3, few, False)
        self.n16 = Conv(c3, c3, 3, 2)
        self.n18 = C2f(c3 + c4, c4, few, False)
        self.n19 = Conv(c4, c4, 3, 2)
        self.n21 = C2f(c4 + c5, c5, few, False)
        self.hand = Head((c3, c4, c5), len(GESTURES), 0)
        self.body = Head((c3, c4, c5), 1, len(KEYPOINTS), scales)

    def forward(self, x: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        stages = []
        for layer in self.b:
            x = layer(x)
            stages.append(x)
        p3, p4, p5 = stages[4], stages[6], stages[9]
        n4 = self.n12(torch.cat([_double(p5), p4], 1))
        n3 = self.n15(torch.cat([_double(n4), p3], 1))
        m4 = self.n18(torch.cat([self.n16(n3), n4], 1))
        m5 = self.n21(torch.cat([self.n19(m4), p5], 1))
        levels = [n3, m4, m5]
        return self.hand(levels), self.body(levels)
