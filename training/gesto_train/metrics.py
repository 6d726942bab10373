"""Average precision as COCO defines it (Lin et al., 2014), for boxes and for keypoints.

Follows the matching of the COCO evaluation: detections by falling score, each to the free object it fits
best; ignored objects (crowds, unsure labels, people without keypoints) neither count nor hurt.
Checked against pycocotools in the tests.
"""

from typing import NamedTuple

import numpy as np

from .schema import AREA_PER_BOX, OKS_SIGMAS, VISIBLE

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


class Truth(NamedTuple):
    """Objects of one picture."""

    boxes: np.ndarray  # n x 4
    ignore: np.ndarray  # n, bool
    crowd: np.ndarray  # n, bool: may swallow several detections
    keypoints: np.ndarray | None = None  # n x 17 x 3


def box_similarity(found: np.ndarray, truth: Truth) -> np.ndarray:
    """IoU, `detections x objects`; against a crowd, the share of the detection inside it."""
    low = np.maximum(found[:, None, :2], truth.boxes[None, :, :2])
    high = np.minimum(found[:, None, 2:], truth.boxes[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(-1)
    own = (found[:, 2:] - found[:, :2]).prod(-1)[:, None]
    other = (truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(-1)[None]
    union = np.where(truth.crowd[None], own, own + other - overlap)
    return overlap / np.maximum(union, 1e-9)


def oks(found: np.ndarray, truth: Truth) -> np.ndarray:
    """Object keypoint similarity, `detections x objects`."""
    out = np.zeros((len(found), len(truth.boxes)))
    variance = (2 * np.array(OKS_SIGMAS)) ** 2
    for j, (box, points) in enumerate(zip(truth.boxes, truth.keypoints)):
        area = (box[2:] - box[:2]).prod() * AREA_PER_BOX + np.spacing(1)
        visible = points[:, 2] == VISIBLE
        dx, dy = found[:, :, 0] - points[:, 0], found[:, :, 1] - points[:, 1]
        if not visible.any():
            # COCO: distance to the doubled box, over all keypoints.
            w, h = box[2:] - box[:2]
            x, y = found[:, :, 0], found[:, :, 1]
            dx = np.maximum(0, box[0] - w - x) + np.maximum(0, x - box[2] - w)
            dy = np.maximum(0, box[1] - h - y) + np.maximum(0, y - box[3] - h)
            visible = np.ones(len(points), bool)
        similarity = np.exp(-(dx**2 + dy**2) / variance / area / 2)
        out[:, j] = similarity[:, visible].mean(1)
    return out


def match(similarity: np.ndarray, truth: Truth, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """For detections by falling score: is each a hit, is each to be left out?"""
    if not similarity.size or similarity.max() < threshold:
        return np.zeros(len(similarity), bool), np.zeros(len(similarity), bool)
    order = np.argsort(truth.ignore, kind="stable")
    ignore, crowd = truth.ignore[order], truth.crowd[order]
    taken = np.zeros(len(order), bool)
    hit = np.zeros(len(similarity), bool)
    skip = np.zeros(len(similarity), bool)
    similarity = similarity[:, order]
    for d in np.flatnonzero(similarity.max(1) >= min(threshold, 1 - 1e-10)):
        row = similarity[d]
        best, at = min(threshold, 1 - 1e-10), -1
        for g, value in enumerate(row):
            if taken[g] and not crowd[g]:
                continue
            if at >= 0 and not ignore[at] and ignore[g]:
                break
            if value < best:
                continue
            best, at = value, g
        if at >= 0:
            taken[at] = True
            hit[d], skip[d] = not ignore[at], ignore[at]
    return hit, skip


def average_precision(scores: np.ndarray, hit: np.ndarray, positives: int) -> float:
    """Mean precision at 101 recalls; NaN without objects."""
    if positives == 0:
        return float("nan")
    hit = hit[np.argsort(-scores, kind="mergesort")]
    tp, fp = np.cumsum(hit), np.cumsum(~hit)
    recall = tp / positives
    precision = tp / np.maximum(tp + fp, np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(at < len(precision), np.append(precision, 0.0)[np.minimum(at, len(precision))], 0.0).mean())


def evaluate_class(pictures: list[tuple[np.ndarray, np.ndarray, Truth]]) -> np.ndarray:
    """AP at each of `THRESHOLDS`. Pictures: (scores by falling order, similarity, truth)."""
    positives = sum(int((~t.ignore).sum()) for _, _, t in pictures)
    result = []
    for threshold in THRESHOLDS:
        scores, hits = [np.zeros(0)], [np.zeros(0, bool)]
        for score, similarity, truth in pictures:
            hit, skip = match(similarity, truth, threshold)
            scores.append(score[~skip])
            hits.append(hit[~skip])
        result.append(average_precision(np.concatenate(scores), np.concatenate(hits), positives))
    return np.array(result)
