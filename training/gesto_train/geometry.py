"""Affine maps of pictures and of their labels, for a whole batch on the device.

A map takes stored-picture pixels to input pixels: `out = matrix @ p + shift`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import constant
from .dataset import FILL, Dataset
from .schema import ABSENT, HIDDEN, IGNORE, KEYPOINT_MIRROR, SURE, UNKNOWN


class Affine(NamedTuple):
    matrix: Tensor  # batch x 2 x 2
    shift: Tensor  # batch x 2
    mirrored: Tensor  # batch, bool
    turn: Tensor  # batch, radians

    def apply(self, points: Tensor) -> Tensor:
        """Maps `batch x n x 2` points."""
        return points @ self.matrix.transpose(1, 2) + self.shift[:, None]


class Batch(NamedTuple):
    """Pictures and labels in input pixels."""

    images: Tensor  # batch x 3 x H x W, 0..1
    hands: Tensor  # batch x H x 6
    hand_mix: Tensor  # batch x H x classes
    people: Tensor  # batch x P x 5
    keypoints: Tensor  # batch x P x 17 x 3


@dataclass(frozen=True)
class GeometryOptions:
    """Ranges of the random map. `scale` is relative to the letterbox scale."""

    scale: tuple[float, float] = (0.55, 2.0)
    degrees: float = 18.0
    aspect: float = 0.15
    shift: float = 0.12
    mirror: float = 0.5
    keep_hand: float = 0.55
    keep_person: float = 0.2
    least_hand: float = 5.0  # shorter side in input pixels; smaller ones are ignored
    least_person: float = 8.0


def uniform(count: int, low: float, high: float, device) -> Tensor:
    return torch.rand(count, device=device) * (high - low) + low


def compose(scale: Tensor, turn: Tensor, aspect: Tensor, mirrored: Tensor, source: Tensor, target: Tensor) -> Affine:
    """The map that scales, mirrors and turns about `source` and puts it at `target`."""
    sign = torch.where(mirrored, -1.0, 1.0)
    cos, sin = torch.cos(turn), torch.sin(turn)
    sx, sy = scale * aspect * sign, scale / aspect
    matrix = torch.stack([torch.stack([sx * cos, -sy * sin], 1), torch.stack([sx * sin, sy * cos], 1)], 1)
    return Affine(matrix, target - (matrix @ source[..., None])[..., 0], mirrored, turn)


def letterbox(size: Tensor, height: int, width: int) -> Affine:
    """The whole picture, centred."""
    n, device = len(size), size.device
    scale = torch.minimum(width / size[:, 0], height / size[:, 1])
    middle = constant((width / 2, height / 2), str(device)).expand(n, 2)
    zero, one = torch.zeros(n, device=device), torch.ones(n, device=device)
    return compose(scale, zero, one, zero > 0, size / 2, middle)


def random_affine(
    size: Tensor, height: int, width: int, o: GeometryOptions, scales: tuple[float, float] | None = None
) -> Affine:
    """`scales` takes the place of `o.scale`."""
    low, high = scales or o.scale
    n, device = len(size), size.device
    scale = torch.minimum(width / size[:, 0], height / size[:, 1])
    scale = scale * torch.exp(uniform(n, math.log(low), math.log(high), device))
    turn = uniform(n, -1, 1, device) * math.radians(o.degrees)
    aspect = torch.exp(uniform(n, -o.aspect, o.aspect, device))
    mirrored = torch.rand(n, device=device) < o.mirror
    room = constant((float(width), float(height)), str(device))
    # A picture larger than the input moves so far that any part of it can be seen.
    reach = (size * scale[:, None] - room).abs() / 2 + room * o.shift
    target = room / 2 + (torch.rand(n, 2, device=device) * 2 - 1) * reach
    return compose(scale, turn, aspect, mirrored, size / 2, target)


def _sampling_grid(affine: Affine, height: int, width: int) -> Tensor:
    """Stored-picture coordinates of every input pixel's centre: `batch x H x W x 2`."""
    device = affine.shift.device
    (a, b), (c, d) = (row.unbind(-1) for row in affine.matrix.unbind(1))
    determinant = a * d - b * c
    inverse = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1) / determinant[:, None, None]
    y, x = torch.meshgrid(torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5, indexing="ij")
    grid = torch.stack([x.flatten(), y.flatten()], 1)[None] - affine.shift[:, None]
    return (grid @ inverse.transpose(1, 2)).unflatten(1, (height, width))


def sample_images(
    pixels: Tensor, size: Tensor, affine: Affine, height: int, width: int, fine: int = 1
) -> tuple[Tensor, Tensor]:
    """Bilinear samples in 0..1 and the mask of pixels that show the picture (`batch x 1 x H x W`).

    `fine` samples per side are averaged for each pixel: at scales under 0.5 one alone would skip stored pixels,
    and small hands would be drawn as no camera draws them.
    """
    if fine > 1:
        larger = affine._replace(matrix=affine.matrix * fine, shift=affine.shift * fine)
        images, inside = sample_images(pixels, size, larger, height * fine, width * fine)
        return F.avg_pool2d(images, fine), F.avg_pool2d(inside.float(), fine) > 0.5
    grid = _sampling_grid(affine, height, width)
    canvas = pixels.shape[1]
    inside = ((grid > 0) & (grid < size[:, None, None])).all(-1)[:, None]
    source = pixels.permute(0, 3, 1, 2).float()
    # Clamped half a pixel inside, so that bilinear taps never read the canvas beyond the picture.
    edge = size[:, None, None] - 0.5
    grid = torch.minimum(grid.clamp(min=0.5), edge)
    out = F.grid_sample(source, grid / canvas * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.where(inside, out, float(FILL)) / 255, inside


def map_boxes(boxes: Tensor, affine: Affine, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mapped boxes clipped to the input, the share of each that is left, and its shorter side."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    corners = torch.stack([x0, y0, x1, y0, x1, y1, x0, y1], -1).unflatten(-1, (4, 2))
    moved = affine.apply(corners.flatten(1, 2)).unflatten(1, (-1, 4))
    low, high = moved.amin(2), moved.amax(2)
    # The hull of a turned box is larger than the object's own box: take half of the growth back.
    shrink = (1 - 0.5 * torch.sin(affine.turn).abs())[:, None, None]
    middle = (low + high) / 2
    low, high = middle - (middle - low) * shrink, middle + (high - middle) * shrink
    room = constant((float(width), float(height)), str(boxes.device))
    clipped_low, clipped_high = low.clamp(min=0), torch.minimum(high, room)
    left = (clipped_high - clipped_low).clamp(min=0)
    share = left.prod(-1) / (high - low).clamp(min=1e-3).prod(-1)
    return torch.cat([clipped_low, clipped_high], -1), share, left.amin(-1)


def _restate(state: Tensor, share: Tensor, shorter: Tensor, keep: float, least: float, gone: float) -> Tensor:
    """An object cut by the border is ignored when little of it is left, and forgotten when nearly nothing is."""
    cut = (state == SURE) & ((share < keep) | (shorter < least))
    state = torch.where(cut, torch.where(share < gone, ABSENT, IGNORE), state)
    return torch.where((state == IGNORE) & (share < gone), ABSENT, state)


def map_keypoints(keypoints: Tensor, affine: Affine, height: int, width: int) -> Tensor:
    """Mapped keypoints; a mirrored picture swaps left and right, one outside the input is hidden."""
    n, people = keypoints.shape[:2]
    xy = affine.apply(keypoints[..., :2].flatten(1, 2)).unflatten(1, (people, -1))
    moved = torch.cat([xy, keypoints[..., 2:]], -1)
    swapped = moved[:, :, constant(KEYPOINT_MIRROR, str(moved.device))]
    moved = torch.where(affine.mirrored[:, None, None, None], swapped, moved)
    x, y, v = moved.unbind(-1)
    outside = (x < 0) | (x > width) | (y < 0) | (y > height)
    return torch.stack([x, y, torch.where(outside & (v != UNKNOWN), HIDDEN, v)], -1)


def warp(data: Dataset, index: Tensor, affine: Affine, height: int, width: int, o: GeometryOptions, fine: int = 1) -> Batch:
    """Pictures `index` and their labels under `affine`."""
    images, _ = sample_images(data.pixels[index], data.size[index], affine, height, width, fine)
    hands, people = data.hands[index], data.people[index]
    hand_boxes, share, shorter = map_boxes(hands[..., :4], affine, height, width)
    hand_state = _restate(hands[..., 5], share, shorter, o.keep_hand, o.least_hand, 0.15)
    body_boxes, share, shorter = map_boxes(people[..., :4], affine, height, width)
    body_state = _restate(people[..., 4], share, shorter, o.keep_person, o.least_person, 0.05)
    return Batch(
        images,
        torch.cat([hand_boxes, hands[..., 4:5], hand_state[..., None]], -1),
        data.hand_mix[index],
        torch.cat([body_boxes, body_state[..., None]], -1),
        map_keypoints(data.keypoints[index], affine, height, width),
    )
