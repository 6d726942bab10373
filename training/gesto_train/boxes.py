"""Anchor points, decoding of raw outputs to pixels, and overlap of boxes.

Boxes are `x0, y0, x1, y1` in input pixels everywhere.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from .schema import DFL_BINS, KEYPOINTS, STRIDES


@lru_cache(maxsize=64)
def constant(values: tuple, device: str) -> Tensor:
    """A small tensor made once: creating one from host values makes the host wait for the device."""
    return torch.tensor(values, device=device)


@lru_cache(maxsize=32)
def anchor_points(height: int, width: int, device: str) -> tuple[Tensor, Tensor]:
    """Cell centres in pixels (`anchors x 2`, x first) and each one's stride (`anchors x 1`)."""
    points, strides = [], []
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        y, x = torch.meshgrid(
            torch.arange(rows, device=device) + 0.5, torch.arange(columns, device=device) + 0.5, indexing="ij"
        )
        points.append(torch.stack([x.flatten(), y.flatten()], 1) * stride)
        strides.append(torch.full((rows * columns, 1), float(stride), device=device))
    return torch.cat(points), torch.cat(strides)


def decode_boxes(raw: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Expectation of the four distance distributions, in pixels. `raw`: `... x anchors x 64`."""
    bins = torch.arange(DFL_BINS, device=raw.device, dtype=torch.float32)
    distances = (raw.unflatten(-1, (4, DFL_BINS)).float().softmax(-1) * bins).sum(-1) * strides
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)


def decode_keypoints(raw: Tensor, points: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Positions in pixels (`... x 17 x 2`) and visibility logits (`... x 17`)."""
    values = raw.float().unflatten(-1, (len(KEYPOINTS), 3))
    xy = values[..., :2] * 2 * strides[:, None] + (points - 0.5 * strides)[:, None]
    return xy, values[..., 2]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes whose leading dimensions broadcast."""
    overlap = (torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0) * (
        torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    ).clamp(min=0)
    area_a = (a[..., 2] - a[..., 0]).clamp(min=1e-3) * (a[..., 3] - a[..., 1]).clamp(min=1e-3)
    area_b = (b[..., 2] - b[..., 0]).clamp(min=1e-3) * (b[..., 3] - b[..., 1]).clamp(min=1e-3)
    return overlap / (area_a + area_b - overlap).clamp(min=1e-6)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU (Zheng et al., arXiv:1911.08287): IoU less centre distance and aspect mismatch."""
    plain = iou(a, b)
    enclosing_w = torch.maximum(a[..., 2], b[..., 2]) - torch.minimum(a[..., 0], b[..., 0])
    enclosing_h = torch.maximum(a[..., 3], b[..., 3]) - torch.minimum(a[..., 1], b[..., 1])
    diagonal = enclosing_w.square() + enclosing_h.square() + 1e-6
    dx = (a[..., 0] + a[..., 2] - b[..., 0] - b[..., 2]) / 2
    dy = (a[..., 1] + a[..., 3] - b[..., 1] - b[..., 3]) / 2
    aspect_a = torch.atan((a[..., 2] - a[..., 0]).clamp(min=1e-3) / (a[..., 3] - a[..., 1]).clamp(min=1e-3))
    aspect_b = torch.atan((b[..., 2] - b[..., 0]).clamp(min=1e-3) / (b[..., 3] - b[..., 1]).clamp(min=1e-3))
    v = 4 / math.pi**2 * (aspect_a - aspect_b).square()
    weight = (v / (v - plain + 1 + 1e-6)).detach()
    return plain - (dx.square() + dy.square()) / diagonal - v * weight
