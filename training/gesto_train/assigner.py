"""Task-aligned assignment of anchor points to objects (TOOD, Feng et al., arXiv:2108.07755)."""

from typing import NamedTuple

import torch
from torch import Tensor

from .boxes import iou
from .schema import IGNORE, SURE


class Assignment(NamedTuple):
    """Per anchor point, each `batch x anchors`."""

    positive: Tensor  # bool
    target: Tensor  # index of the object; arbitrary where not positive
    quality: Tensor  # alignment normalised to the object's best IoU; 0 where not positive
    ignored: Tensor  # bool: inside an object whose label is not sure


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """`batch x objects x anchors`: is the point inside the box?"""
    x, y = points[:, 0], points[:, 1]
    left, top, right, bottom = (v[..., None] for v in boxes.unbind(-1))
    return (x > left) & (y > top) & (x < right) & (y < bottom)


@torch.no_grad()
def assign(
    scores: Tensor,
    predicted: Tensor,
    points: Tensor,
    boxes: Tensor,
    classes: Tensor,
    state: Tensor,
    top_k: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
    least_quality: float = 0.02,
) -> Assignment:
    """Chooses for each sure object the `top_k` anchor points with the largest `score^alpha * iou^beta`.

    scores: `batch x anchors x classes` probabilities; predicted: `batch x anchors x 4`;
    boxes `batch x objects x 4`; classes and state: `batch x objects`. No data-dependent shapes, so the
    function can be compiled and never waits for the device.
    """
    sure = state == SURE
    within = _inside(points, boxes)
    inside = within & sure[..., None]
    overlap = iou(boxes[:, :, None], predicted[:, None]) * inside
    score = scores.transpose(1, 2).gather(1, classes[..., None].expand(-1, -1, scores.shape[1]))
    alignment = score.clamp(min=1e-9).pow(alpha) * overlap.pow(beta)

    # An object smaller than a cell may hold no anchor point: it gets the nearest one.
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    distance = (points - centre[:, :, None]).square().sum(-1)
    nearest = torch.zeros_like(inside).scatter_(2, distance.argmin(-1, keepdim=True), True)
    lonely = (sure & ~inside.any(-1))[..., None] & nearest
    inside = inside | lonely
    # Every candidate keeps a tiny alignment, so that objects not yet found still get their anchors,
    # the nearest to the centre first.
    floor = 1e-9 / (1 + distance / distance.amax(-1, keepdim=True).clamp(min=1))
    alignment = torch.where(inside, torch.maximum(alignment, floor), 0.0)

    value, index = alignment.topk(min(top_k, alignment.shape[-1]), -1)
    chosen = torch.zeros_like(inside).scatter_(2, index, value > 0) & inside
    # A point wanted by several objects goes to the one it overlaps most.
    best = torch.where(chosen, overlap + 1e-6, -1.0).argmax(1, keepdim=True)
    chosen = chosen & torch.zeros_like(chosen).scatter_(1, best, True)

    positive = chosen.any(1)
    alignment = alignment * chosen
    best_alignment = alignment.amax(-1, keepdim=True)
    best_overlap = (overlap * chosen).amax(-1, keepdim=True)
    quality = (alignment * best_overlap / (best_alignment + 1e-12)).amax(1)
    quality = torch.where(positive, quality.clamp(min=least_quality), 0.0)
    ignored = (within & (state == IGNORE)[..., None]).any(1) & ~positive
    return Assignment(positive, best[:, 0], quality, ignored)
