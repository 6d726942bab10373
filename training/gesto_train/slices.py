"""Recall of gestures by the size of the hand and by light: `python -m gesto_train.slices --config ... --weights ...`.

For the model card: says where the network fails. A gesture is found when a detection of its class with at least the given score
overlaps it by IoU 0.5.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from .config import load_config
from .dataset import Dataset, load
from .metrics import Truth, box_similarity
from .predict import predict
from .schema import NO_GESTURE, SURE
from .weights import load_network


def gesture_rows(data: Dataset, network, size: tuple[int, int], score: float) -> np.ndarray:
    """One row per labelled gesture: found, longer side at the network's input, luma of the picture, luma of the hand."""
    height, width = size
    found, _ = predict(network, data, np.arange(len(data)), height, width, threshold=score)
    rows = []
    for i, detections in enumerate(found):
        w, h = data.size[i].tolist()
        luma = data.pixels[i, : int(h), : int(w)].numpy() @ np.array([0.299, 0.587, 0.114])
        scale = min(width / w, height / h)
        for *box, c, state in data.hands[i].tolist():
            if state != SURE or c == NO_GESTURE:
                continue
            one = Truth(np.array([box]), np.zeros(1, bool), np.zeros(1, bool))
            mine = detections.classes == c
            hit = mine.any() and box_similarity(detections.boxes[mine], one).max() >= 0.5
            x0, y0, x1, y1 = (max(0, round(v)) for v in box)
            hand = luma[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
            rows.append((hit, max(box[2] - box[0], box[3] - box[1]) * scale, luma.mean(), hand.mean()))
    return np.array(rows, dtype=float).reshape(-1, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--group", default="val")
    parser.add_argument("--size", default="320x224")
    parser.add_argument("--score", type=float, default=0.3)
    parser.add_argument("--set", nargs="*", default=[])
    a = parser.parse_args()
    config = load_config(a.config, a.set)
    if a.group not in config.groups:
        raise SystemExit(f"no group is called {a.group}: there are {', '.join(config.groups)}")
    group = config.groups[a.group]
    keep = partial(config.in_group, group=group)
    data = load(config.data.picture_paths(), Path(config.data.index), config.data.canvas, keep=keep)
    height, width = map(int, a.size.split("x"))
    rows = gesture_rows(data, load_network(a.weights), (height, width), a.score)
    if not len(rows):
        raise SystemExit(f"group {a.group}: none of its {len(data)} pictures shows a gesture whose label is sure")
    for name, column, edges in (
        ("hand, pixels at the input", 1, [0, 20, 32, 48, 1e9]),
        ("luma of the picture", 2, [0, 60, 100, 140, 256]),
        ("luma of the hand", 3, [0, 80, 120, 160, 256]),
    ):
        for low, high in zip(edges, edges[1:]):
            part = rows[(rows[:, column] >= low) & (rows[:, column] < high), 0]
            if len(part):
                print(f"{name} {low:g} to {high:g}: recall {part.mean():.2f} of {len(part)}")


if __name__ == "__main__":
    main()
