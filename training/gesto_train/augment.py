"""One training batch: random maps, mosaics, pasted hands, holes, then light and noise."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .boxes import constant
from .cutouts import Cutouts
from .dataset import Dataset
from .geometry import (
    Batch,
    GeometryOptions,
    compose,
    map_boxes,
    random_affine,
    sample_images,
    uniform,
    warp,
)
from .photometric import PhotometricOptions, photometric
from .sampling import HandBank
from .schema import ABSENT, IGNORE, OCCLUDED, SURE, VISIBLE


@dataclass(frozen=True)
class AugmentOptions:
    """Shares are of the batch; a mosaic of `rows x columns` tiles counts as one picture."""

    stack: float = 0.15  # two pictures one above the other (side by side in a wide input)
    mosaic: float = 0.2  # four pictures
    many: float = 0.0  # eight pictures: people of 20 to 80 pixels
    far: float = 0.0  # one picture at `far_scale`, grey around it: what a landscape picture gets in a portrait input
    far_scale: tuple[float, float] = (0.3, 0.75)
    paste: float = 0.2  # pictures that get another picture's hand
    paste_side: tuple[float, float] = (13.0, 100.0)
    people: float = 0.0  # pictures that get cut-out people of other pictures, where there are cut-outs
    people_each: int = 2
    people_side: tuple[float, float] = (16.0, 140.0)
    hole: float = 0.25
    max_hands: int = 14
    max_people: int = 26
    geometry: GeometryOptions = field(default_factory=GeometryOptions)
    photometric: PhotometricOptions = field(default_factory=PhotometricOptions)


def _cat(parts: list[Batch], dim: int) -> Batch:
    return Batch(*(torch.cat(tensors, dim) for tensors in zip(*parts)))


def _keep_best(batch: Batch, hands: int, people: int) -> Batch:
    """Packs the labels: sure ones first, then ignored, so that padding can be cut off."""

    def order(state: Tensor, count: int) -> Tensor:
        rank = (state == SURE) * 2 + (state == IGNORE)
        return rank.topk(min(count, state.shape[1]), 1).indices

    def pick(values: Tensor, index: Tensor) -> Tensor:
        shape = index.shape + (1,) * (values.dim() - 2)
        return values.gather(1, index.view(shape).expand(*index.shape, *values.shape[2:]))

    h, p = order(batch.hands[..., 5], hands), order(batch.people[..., 4], people)
    return Batch(batch.images, pick(batch.hands, h), pick(batch.hand_mix, h), pick(batch.people, p), pick(batch.keypoints, p))


def tiles(
    data: Dataset,
    draw,
    count: int,
    height: int,
    width: int,
    rows: int,
    columns: int,
    o: AugmentOptions,
    scales: tuple[float, float] | None = None,
    fine: int = 1,
) -> Batch:
    """`count` pictures, each of `rows x columns` randomly mapped ones."""
    h, w = height // rows, width // columns
    index = draw(count * rows * columns)
    tile = warp(data, index, random_affine(data.size[index], h, w, o.geometry, scales), h, w, o.geometry, fine)
    if rows * columns == 1:
        return tile
    corners = constant(tuple((float(c * w), float(r * h)) for r in range(rows) for c in range(columns)), str(index.device))
    corners = corners.repeat(count, 1)
    tile.hands[..., :4] += corners.repeat(1, 2)[:, None]
    tile.people[..., :4] += corners.repeat(1, 2)[:, None]
    tile.keypoints[..., :2] += corners[:, None, None]
    images = tile.images.unflatten(0, (count, rows, columns)).permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
    labels = (t.unflatten(0, (count, rows * columns)).flatten(1, 2) for t in tile[1:])
    return Batch(images, *labels)


def _hide(batch: Batch, boxes: Tensor, active: Tensor) -> Batch:
    """Labels after something covered `boxes` (`batch x 4`) of the pictures where `active`."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]

    def covered(objects: Tensor) -> Tensor:
        overlap = (torch.minimum(objects[..., 2:4], high) - torch.maximum(objects[..., :2], low)).clamp(min=0)
        return overlap.prod(-1) / (objects[..., 2:4] - objects[..., :2]).clamp(min=1e-3).prod(-1) * active[:, None]

    share = covered(batch.hands)
    state = batch.hands[..., 5]
    state = torch.where((share > 0.3) & (state == SURE), IGNORE, state)
    state = torch.where(share > 0.75, ABSENT, state)
    hands = torch.cat([batch.hands[..., :5], state[..., None]], -1)

    share = covered(batch.people)
    state = batch.people[..., 4]
    state = torch.where((share > 0.75) & (state == SURE), IGNORE, state)
    people = torch.cat([batch.people[..., :4], state[..., None]], -1)

    x, y, v = batch.keypoints.unbind(-1)
    x0, y0, x1, y1 = (c[:, None, None] for c in boxes.unbind(-1))
    under = (x > x0) & (x < x1) & (y > y0) & (y < y1) & active[:, None, None] & (v == VISIBLE)
    keypoints = torch.stack([x, y, torch.where(under, OCCLUDED, v)], -1)
    return batch._replace(hands=hands, people=people, keypoints=keypoints)


def paste_hands(batch: Batch, data: Dataset, bank: HandBank, o: AugmentOptions) -> Batch:
    """Puts a hand of the bank on each picture, within an ellipse with a soft border."""
    n, _, height, width = batch.images.shape
    device = batch.images.device
    chosen = bank.draw(n)
    picture, hand = bank.picture[chosen], bank.hand[chosen]
    source_box = data.hands[picture, hand, :4]
    centre = (source_box[:, :2] + source_box[:, 2:]) / 2
    side = (source_box[:, 2:] - source_box[:, :2]).amax(1)
    goal = torch.exp(uniform(n, *map(math.log, o.paste_side), device))
    # Never enlarged more than twice: a blown-up hand of twenty pixels shows no gesture.
    scale = torch.minimum(goal / side, torch.full_like(goal, 2.0))
    half = side * scale / 2
    room = constant((float(width), float(height)), str(device))
    target = half[:, None] + torch.rand(n, 2, device=device) * (room - 2 * half[:, None]).clamp(min=0)
    turn = uniform(n, -0.35, 0.35, device)
    overturned = (torch.rand(n, device=device) < 0.3) & (bank.upside_down[chosen] >= 0)
    mirrored = torch.rand(n, device=device) < 0.5
    affine = compose(scale, turn, torch.ones_like(turn), mirrored, centre, target)
    # Upside down: mirror the y axis of the source about the hand's centre.
    flip = torch.where(overturned, -1.0, 1.0)
    matrix = torch.stack([affine.matrix[..., 0], affine.matrix[..., 1] * flip[:, None]], -1)
    affine = affine._replace(matrix=matrix, shift=target - (matrix @ centre[..., None])[..., 0])

    patch, inside = sample_images(data.pixels[picture], data.size[picture], affine, height, width)
    box, share, _ = map_boxes(source_box[:, None], affine, height, width)
    box = box[:, 0]
    y = torch.arange(height, device=device)[None, :, None] + 0.5
    x = torch.arange(width, device=device)[None, None, :] + 0.5
    reach = (box[:, 2:] - box[:, :2]) / 2 * 1.3
    middle = (box[:, :2] + box[:, 2:]) / 2
    dx = (x - middle[:, 0, None, None]) / reach[:, 0, None, None]
    dy = (y - middle[:, 1, None, None]) / reach[:, 1, None, None]
    # Between an ellipse and a rectangle, fading over the last fifth.
    radius = (dx.abs().pow(4) + dy.abs().pow(4)).pow(0.25)
    alpha = ((1 - radius) / 0.2).clamp(0, 1)[:, None] * inside
    images = batch.images * (1 - alpha) + patch * alpha

    extent = torch.cat([middle - reach * 0.9, middle + reach * 0.9], 1)
    batch = _hide(batch._replace(images=images), extent, torch.ones(n, dtype=torch.bool, device=device))
    label = torch.where(overturned, bank.upside_down[chosen], data.hands[picture, hand, 4].long())
    state = torch.full((n,), float(SURE), device=device)
    pasted = torch.cat([box, label[:, None].float(), state[:, None]], 1)
    mix = torch.nn.functional.one_hot(label, batch.hand_mix.shape[-1]).float()
    return batch._replace(
        hands=torch.cat([pasted[:, None], batch.hands], 1), hand_mix=torch.cat([mix[:, None], batch.hand_mix], 1)
    )


def paste_person(batch: Batch, cutouts: Cutouts, o: AugmentOptions) -> Batch:
    """Puts a cut-out person, with keypoints and hands, before each picture: small people in every surrounding."""
    n, _, height, width = batch.images.shape
    device = batch.images.device
    chosen = torch.randint(len(cutouts), (n,), device=device)
    size = cutouts.people.size[chosen]
    side = torch.exp(uniform(n, *map(math.log, o.people_side), device))
    turn = uniform(n, -0.2, 0.2, device)
    aspect = torch.exp(uniform(n, -0.1, 0.1, device))
    mirrored = torch.rand(n, device=device) < 0.5
    room = constant((float(width), float(height)), str(device))
    target = torch.rand(n, 2, device=device) * room
    affine = compose(side / size.amax(1), turn, aspect, mirrored, size / 2, target)
    person = warp(cutouts.people, chosen, affine, height, width, o.geometry, fine=2)
    alpha, inside = sample_images(cutouts.masks[chosen][..., None], size, affine, height, width, fine=2)
    alpha = (alpha * inside).clamp(max=1)  # bilinear taps round above 1
    gain = torch.exp(uniform(n, math.log(0.55), math.log(1.25), device))[:, None, None, None]
    images = batch.images * (1 - alpha) + (person.images * gain).clamp(max=1) * alpha

    covered = _hide(batch._replace(images=images), person.people[:, 0, :4], person.people[:, 0, 4] > ABSENT)
    # The silhouette says better than its box which keypoints it covers.
    x = batch.keypoints[..., 0].long().clamp(0, width - 1)
    y = batch.keypoints[..., 1].long().clamp(0, height - 1)
    under = alpha.flatten(1).gather(1, (y * width + x).flatten(1)).view_as(x) > 0.5
    v = batch.keypoints[..., 2]
    keypoints = torch.cat([batch.keypoints[..., :2], torch.where(under & (v == VISIBLE), OCCLUDED, v)[..., None]], -1)
    return Batch(
        images,
        torch.cat([person.hands, covered.hands], 1),
        torch.cat([person.hand_mix, covered.hand_mix], 1),
        torch.cat([person.people, covered.people], 1),
        torch.cat([person.keypoints, keypoints], 1),
    )


def punch_hole(batch: Batch, probability: float) -> Batch:
    """Covers a random rectangle with one colour or with noise: what a cup or a door frame does."""
    n, _, height, width = batch.images.shape
    device = batch.images.device
    room = constant((float(width), float(height)), str(device))
    extent = room * (torch.rand(n, 2, device=device) * 0.25 + 0.06)
    low = torch.rand(n, 2, device=device) * (room - extent)
    boxes = torch.cat([low, low + extent], 1)
    active = torch.rand(n, device=device) < probability
    y = torch.arange(height, device=device)[None, :, None] + 0.5
    x = torch.arange(width, device=device)[None, None, :] + 0.5
    x0, y0, x1, y1 = (c[:, None, None] for c in boxes.unbind(-1))
    mask = ((x > x0) & (x < x1) & (y > y0) & (y < y1) & active[:, None, None])[:, None]
    flat = torch.rand(n, 3, 1, 1, device=device)
    rough = torch.where(torch.rand(n, 1, 1, 1, device=device) < 0.3, torch.rand_like(batch.images), flat)
    return _hide(batch._replace(images=torch.where(mask, rough, batch.images)), boxes, active)


def training_batch(
    data: Dataset,
    draw,
    bank: HandBank | None,
    count: int,
    height: int,
    width: int,
    o: AugmentOptions,
    cutouts: Cutouts | None = None,
) -> Batch:
    """`draw(n)` returns n picture indices on the device."""
    stacked, mosaics, many, far = (int(count * share) for share in (o.stack, o.mosaic, o.many, o.far))
    plain = count - stacked - mosaics - many - far
    rows, columns = (2, 1) if height >= width else (1, 2)
    parts = [tiles(data, draw, plain, height, width, 1, 1, o)]
    if far:
        parts.append(tiles(data, draw, far, height, width, 1, 1, o, o.far_scale, fine=2))
    if stacked:
        parts.append(tiles(data, draw, stacked, height, width, rows, columns, o))
    if mosaics:
        parts.append(tiles(data, draw, mosaics, height, width, 2, 2, o, fine=2))
    if many:
        parts.append(tiles(data, draw, many, height, width, 2 * rows, 2 * columns, o, fine=2))
    batch = _cat([_pad(_keep_best(p, o.max_hands, o.max_people), o) for p in parts], 0)

    def on_some(batch: Batch, share: float, change) -> Batch:
        some = int(count * share)
        if not some:
            return batch
        # Pictures of one kind lie together: spread the changed ones evenly over all kinds.
        chosen = torch.arange(some, device=batch.images.device) * count // some
        changed = _pad(_keep_best(change(Batch(*(t[chosen] for t in batch))), o.max_hands, o.max_people), o)
        return Batch(*(t.index_copy(0, chosen, c) for t, c in zip(batch, changed)))

    if cutouts is not None:
        for turn in range(o.people_each):
            # Most get one person, some as many as `people_each`.
            batch = on_some(batch, o.people / (turn + 1), lambda some: paste_person(some, cutouts, o))
    if bank is not None:
        batch = on_some(batch, o.paste, lambda some: paste_hands(some, data, bank, o))
    batch = punch_hole(batch, o.hole)
    return batch._replace(images=photometric(batch.images, o.photometric))


def _pad(batch: Batch, o: AugmentOptions) -> Batch:
    """Labels padded to the fixed counts, so that parts with more and fewer tiles can be joined."""

    def grow(values: Tensor, count: int) -> Tensor:
        missing = count - values.shape[1]
        if missing <= 0:
            return values
        return torch.cat([values, values.new_zeros(values.shape[0], missing, *values.shape[2:])], 1)

    return Batch(
        batch.images,
        grow(batch.hands, o.max_hands),
        grow(batch.hand_mix, o.max_hands),
        grow(batch.people, o.max_people),
        grow(batch.keypoints, o.max_people),
    )
