"""From raw outputs to detections in the pixels of the stored picture, whole batches at a time."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .boxes import anchor_points, decode_boxes, decode_keypoints, iou
from .dataset import Dataset
from .geometry import letterbox, sample_images


class Detections(NamedTuple):
    """One picture's objects, best score first."""

    boxes: np.ndarray  # n x 4
    scores: np.ndarray  # n
    classes: np.ndarray  # n
    keypoints: np.ndarray | None  # n x 17 x 3; the last is the probability of being visible


def suppress(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression per class. Inputs sorted by score, `batch x n`; returns the kept mask."""
    clash = (iou(boxes[:, :, None], boxes[:, None]) > threshold) & (classes[:, :, None] == classes[:, None])
    keep = scores > 0
    for i in range(boxes.shape[1]):
        later = torch.arange(boxes.shape[1], device=boxes.device) > i
        keep = keep & ~(keep[:, i : i + 1] & clash[:, i] & later)
    return keep


@torch.no_grad()
def predict(
    network: nn.Module,
    data: Dataset,
    index: np.ndarray,
    height: int,
    width: int,
    threshold: float = 0.01,
    hand_iou: float = 0.5,
    body_iou: float = 0.6,
    most: int = 100,
    batch: int = 128,
    half: bool = False,
) -> tuple[list[Detections], list[Detections]]:
    """Hands and people of the pictures `index`, letterboxed to `height x width`."""
    network.eval()
    device = data.pixels.device
    points, strides = anchor_points(height, width, str(device))
    hands: list[Detections] = []
    people: list[Detections] = []
    for start in range(0, len(index), batch):
        rows = torch.from_numpy(index[start : start + batch]).to(device)
        affine = letterbox(data.size[rows], height, width)
        images, _ = sample_images(data.pixels[rows], data.size[rows], affine, height, width)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            outputs = network(images)
        scale = affine.matrix[:, 0, 0][:, None, None]
        shift = affine.shift[:, None]
        for raw, limit, found in ((outputs[0], hand_iou, hands), (outputs[1], body_iou, people)):
            scores, classes = raw[1].float().sigmoid().max(-1)
            scores = torch.where(scores >= threshold, scores, 0.0)
            scores, order = scores.topk(min(most, scores.shape[1]), 1)
            classes = classes.gather(1, order)
            boxes = decode_boxes(raw[0], points, strides).gather(1, order[..., None].expand(-1, -1, 4))
            keep = suppress(boxes, scores, classes, limit)
            boxes = ((boxes.unflatten(-1, (2, 2)) - shift[:, None]) / scale[..., None]).flatten(2)
            keypoints = None
            if len(raw) == 3:
                xy, seen = decode_keypoints(raw[2], points, strides)
                xy = (xy - shift[:, None]) / scale[..., None]
                keypoints = torch.cat([xy, seen.sigmoid()[..., None]], -1)
                keypoints = keypoints.gather(1, order[..., None, None].expand(-1, -1, *keypoints.shape[2:]))
            arrays = [t.cpu().numpy() if t is not None else None for t in (boxes, scores, classes, keypoints, keep)]
            for i in range(len(rows)):
                m = arrays[4][i]
                points_i = arrays[3][i][m] if arrays[3] is not None else None
                found.append(Detections(arrays[0][i][m], arrays[1][i][m], arrays[2][i][m], points_i))
    return hands, people
