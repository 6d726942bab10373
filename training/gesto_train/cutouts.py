"""People cut out of training pictures (`cut_people.py`), scaled down for pasting."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .dataset import Dataset, read_pictures

SIDE = 128  # longer side of a cut-out; pasted people are seldom larger


@dataclass
class Cutouts:
    """`people` holds one person a picture, cropped to the mask; `masks` is N x SIDE x SIDE, 255 where the person is."""

    people: Dataset
    masks: Tensor

    def __len__(self) -> int:
        return len(self.masks)


def load_cutouts(paths: list[Path], data: Dataset, rows: np.ndarray) -> Cutouts | None:
    """Cut-outs of the pictures `rows` of `data` that have a mask in `paths`; None when there are none."""
    device = data.pixels.device
    index = {data.records[i]["id"]: i for i in rows.tolist()}
    masks = read_pictures(paths, set(index))
    rows = [index[name] for name in masks]
    if not rows:
        return None
    pixels = np.zeros((len(rows), SIDE, SIDE, 3), np.uint8)
    alpha = np.zeros((len(rows), SIDE, SIDE), np.uint8)
    size = np.zeros((len(rows), 2), np.float32)
    scales, corners = [], []
    for n, (row, encoded) in enumerate(zip(rows, masks.values())):
        mask = np.asarray(Image.open(io.BytesIO(encoded)).convert("L"))
        ys, xs = np.nonzero(mask)
        x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        scale = min(1.0, SIDE / max(x1 - x0, y1 - y0))
        goal = [max(1, round(float(v) * scale)) for v in (x1 - x0, y1 - y0)]
        picture = Image.fromarray(data.pixels[row, y0:y1, x0:x1].cpu().numpy())
        pixels[n, : goal[1], : goal[0]] = np.asarray(picture.resize(goal, Image.Resampling.BOX))
        alpha[n, : goal[1], : goal[0]] = np.asarray(Image.fromarray(mask[y0:y1, x0:x1]).resize(goal, Image.Resampling.BOX))
        size[n] = goal
        scales.append(scale)
        corners.append((float(x0), float(y0)))
    chosen = torch.tensor(rows, device=device)
    scale = torch.tensor(scales, device=device)[:, None, None]
    corner = torch.tensor(corners, device=device)
    hands, people, keypoints = data.hands[chosen].clone(), data.people[chosen].clone(), data.keypoints[chosen].clone()
    hands[..., :4] = (hands[..., :4] - corner.repeat(1, 2)[:, None]) * scale
    people[..., :4] = (people[..., :4] - corner.repeat(1, 2)[:, None]) * scale
    keypoints[..., :2] = (keypoints[..., :2] - corner[:, None, None]) * scale[..., None]
    crops = Dataset(
        torch.from_numpy(pixels).to(device),
        torch.from_numpy(size).to(device),
        hands,
        data.hand_mix[chosen],
        people[:, :1],
        keypoints[:, :1],
        [data.records[i] for i in rows],
    )
    return Cutouts(crops, torch.from_numpy(alpha).to(device))
