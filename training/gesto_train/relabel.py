"""Completes labels with the network's own opinion before a run (self-training).

Teachers miss people who are small, cut or in the background, and what nobody labelled is learnt as background. Where an
earlier network finds an unlabelled person at several input sizes, the place is ignored; where it is very sure at all of
them, a person is added, with the keypoints on which all sizes agree. A hand that a teacher called `no_gesture` and that
the network calls the same gesture at all sizes is ignored, too. Human labels are never changed, and pictures without any person
stay what they are: a network that takes a dog for a person would otherwise hide the dog from its own training.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from .dataset import Dataset
from .metrics import Truth, box_similarity
from .pack import held_out
from .predict import Detections, predict
from .schema import ABSENT, IGNORE, NO_GESTURE, SURE, UNKNOWN, VISIBLE


@dataclass(frozen=True)
class RelabelOptions:
    """`weights`: the network that is asked; empty: labels stay as they are."""

    weights: str = ""
    sizes: tuple[tuple[int, int], ...] = ((320, 224), (448, 320), (640, 448))
    ignore: float = 0.4  # mean score over the sizes from which an unlabelled person is ignored
    sure: float = 0.8  # least score at every size from which a person is added
    hand: float = 0.6  # least score at every size from which a teacher's `no_gesture` is ignored
    agree: float = 0.04  # keypoints of all sizes within this share of the box's diagonal are taken
    complete: tuple[str, ...] = ()  # sources in which everybody is labelled
    # Share of the pictures without a sure person in which people are ignored altogether: close-ups of a hand with a
    # part of its owner, whom the teacher did not see.
    unlabelled: dict[str, float] = field(default_factory=dict)


def agreeing(by_size: list[Detections], least_iou: float = 0.55) -> list[list[tuple[Detections, int]]]:
    """Groups of detections of one picture that lie on each other: one per size, led by the first size's."""
    first, *others = by_size
    groups: list[list[tuple[Detections, int]]] = [[(first, i)] for i in range(len(first.scores))]
    for other in others:
        if not len(other.scores) or not len(first.scores):
            continue
        nothing = np.zeros(len(other.boxes), bool)
        overlap = box_similarity(first.boxes, Truth(other.boxes, nothing, nothing))
        overlap = overlap * (first.classes[:, None] == other.classes[None])
        for i in np.flatnonzero(overlap.max(1) >= least_iou):
            groups[i].append((other, int(overlap[i].argmax())))
    return groups


def common_keypoints(group: list[tuple[Detections, int]], share: float) -> np.ndarray:
    """`17 x 3`: the mean of the sizes' keypoints where all see them at one place; elsewhere unknown."""
    points = np.stack([d.keypoints[i] for d, i in group])
    box = group[0][0].boxes[group[0][1]]
    near = share * np.hypot(*(box[2:] - box[:2]))
    middle = points[..., :2].mean(0)
    apart = np.hypot(*np.moveaxis(points[..., :2] - middle, -1, 0)).max(0)
    seen = (points[..., 2].min(0) > 0.6) & (apart < near)
    return np.concatenate([middle, np.where(seen, VISIBLE, UNKNOWN)[:, None]], 1).astype(np.float32)


def covered(box: np.ndarray, labels: np.ndarray) -> float:
    """Largest share of the smaller of the two boxes that `box` has in common with a label."""
    if not len(labels):
        return 0.0
    low, high = np.maximum(box[:2], labels[:, :2]), np.minimum(box[2:], labels[:, 2:4])
    common = np.clip(high - low, 0, None).prod(1)
    smaller = np.minimum((box[2:] - box[:2]).prod(), (labels[:, 2:4] - labels[:, :2]).prod(1))
    return float((common / np.maximum(smaller, 1e-3)).max())


def _complete_people(data: Dataset, row: int, groups: list, sizes: int, o: RelabelOptions, count: Counter) -> None:
    people, keypoints = data.people[row].cpu().numpy(), data.keypoints[row].cpu().numpy()
    changed = False
    for group in groups:
        scores = [d.scores[i] for d, i in group]
        detections, i = group[0]
        box = detections.boxes[i].clip(0, data.size[row].cpu().numpy()[[0, 1, 0, 1]])
        if sum(scores) / sizes < o.ignore or covered(box, people[people[:, 4] != ABSENT]) > 0.5:
            continue
        free = np.flatnonzero(people[:, 4] == ABSENT)
        if not len(free):
            break
        is_sure = len(group) == sizes and min(scores) >= o.sure
        people[free[0]] = [*box, SURE if is_sure else IGNORE]
        keypoints[free[0]] = common_keypoints(group, o.agree)
        count["people added" if is_sure else "people ignored"] += 1
        changed = True
    if changed:
        data.people[row] = torch.from_numpy(people).to(data.people.device)
        data.keypoints[row] = torch.from_numpy(keypoints).to(data.keypoints.device)


def _doubt_hands(data: Dataset, row: int, groups: list, sizes: int, o: RelabelOptions, count: Counter) -> None:
    for j, hand in enumerate(data.records[row]["hands"][: data.hands.shape[1]]):
        if hand["c"] != "no_gesture" or hand.get("o") != "teacher" or int(data.hands[row, j, 5]) != SURE:
            continue
        label = Truth(data.hands[row, j : j + 1, :4].cpu().numpy(), np.zeros(1, bool), np.zeros(1, bool))
        for group in groups:
            detections, i = group[0]
            agreed = len(group) == sizes and min(d.scores[k] for d, k in group) >= o.hand
            if agreed and detections.classes[i] != NO_GESTURE and box_similarity(detections.boxes[i : i + 1], label)[0, 0] > 0.5:
                data.hands[row, j, 5] = IGNORE
                count["hands ignored"] += 1
                break


def relabel(network: nn.Module | None, data: Dataset, index: np.ndarray, o: RelabelOptions, half: bool = False) -> Counter:
    """Changes the labels of the pictures `index` in place; returns what was changed how often.

    Without a network only `o.unlabelled` is carried out.
    """
    count: Counter = Counter()
    for row in index.tolist():
        record = data.records[row]
        if held_out(record["id"], o.unlabelled.get(record["src"], 0.0)) and not (data.people[row, :, 4] == SURE).any():
            free = (data.people[row, :, 4] == ABSENT).nonzero()
            if len(free):
                data.people[row, free[0, 0]] = data.people.new_tensor([0, 0, *data.size[row].tolist(), IGNORE])
                count["pictures without people labels"] += 1
    if network is None:
        return count
    index = np.array([i for i in index if data.records[i]["src"] not in o.complete], dtype=np.int64)
    found = [predict(network, data, index, h, w, threshold=0.2, most=40, half=half) for h, w in o.sizes]
    for at, row in enumerate(index.tolist()):
        _doubt_hands(data, row, agreeing([hands[at] for hands, _ in found]), len(o.sizes), o, count)
        if data.records[row]["people"]:
            _complete_people(data, row, agreeing([people[at] for _, people in found]), len(o.sizes), o, count)
    return count
