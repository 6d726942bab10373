"""Figures of a network on a part of a dataset: `python -m gesto_train.evaluate --config ... --weights ...`."""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .config import Config, load_config
from .dataset import Dataset, load
from .metrics import Truth, box_similarity, evaluate_class, oks
from .predict import Detections, predict
from .schema import GESTURES, IGNORE, NO_GESTURE, SURE, VISIBLE
from .weights import load_network


def gesture_table(found: list[Detections], data: Dataset, index: np.ndarray, least: int = 1) -> dict[str, dict]:
    """Per class: AP at IoU 0.5, AP over 0.5:0.95, number of objects. Classes with fewer than `least` are left out."""
    hands = data.hands[torch.from_numpy(index).to(data.hands.device)].cpu().numpy()
    table = {}
    for c, name in enumerate(GESTURES):
        pictures = []
        for detections, truth in zip(found, hands):
            rows = truth[(truth[:, 5] > 0) & ((truth[:, 4] == c) | (truth[:, 5] == IGNORE))]
            ignore = rows[:, 5] == IGNORE
            mine = detections.classes == c
            objects = Truth(rows[:, :4], ignore, ignore)
            pictures.append((detections.scores[mine], box_similarity(detections.boxes[mine], objects), objects))
        count = sum(int((~t.ignore).sum()) for _, _, t in pictures)
        if count >= least:
            ap = evaluate_class(pictures)
            table[name] = {"ap50": ap[0], "ap": ap.mean(), "n": count}
    return table


def people_figures(found: list[Detections], data: Dataset, index: np.ndarray) -> dict[str, float]:
    """Person box AP and keypoint (OKS) AP. At most 20 people of a picture count, as in COCO's keypoint task."""
    rows = torch.from_numpy(index).to(data.people.device)
    people, keypoints = data.people[rows].cpu().numpy(), data.keypoints[rows].cpu().numpy()
    by_box, by_oks = [], []
    for detections, truth, points in zip(found, people, keypoints):
        present = truth[:, 4] > 0
        boxes, points, ignore = truth[present, :4], points[present], truth[present, 4] == IGNORE
        objects = Truth(boxes, ignore, ignore)
        by_box.append((detections.scores, box_similarity(detections.boxes, objects), objects))
        unlabelled = (points[:, :, 2] == VISIBLE).sum(1) == 0
        objects = Truth(boxes, ignore | unlabelled, ignore, points)
        by_oks.append((detections.scores[:20], oks(detections.keypoints[:20], objects), objects))
    box, kp = evaluate_class(by_box), evaluate_class(by_oks)
    return {"person_ap50": box[0], "person_ap": box.mean(), "oks_ap50": kp[0], "oks_ap": kp.mean()}


def false_gestures(found: list[Detections], data: Dataset, index: np.ndarray, threshold: float = 0.5) -> dict:
    """Gestures reported in pictures whose labels hold none, per 100 pictures."""
    count = pictures = 0
    for i, detections in zip(index, found):
        labels = [h for h in data.records[i]["hands"] if h["c"] != "no_gesture" or h.get("st", "ok") != "ok"]
        if not labels:
            pictures += 1
            count += int(((detections.scores > threshold) & (detections.classes != NO_GESTURE)).sum())
    return {"false_per_100": 100 * count / max(pictures, 1), "pictures": pictures}


def summarise(network: nn.Module, data: Dataset, index: np.ndarray, height: int, width: int, half: bool) -> dict:
    hands, people = predict(network, data, index, height, width, half=half)
    table = gesture_table(hands, data, index)
    named = [v for k, v in table.items() if k != "no_gesture"]
    result = {
        "pictures": len(index),
        "gesture_map50": float(np.mean([v["ap50"] for v in named])) if named else float("nan"),
        "gesture_map": float(np.mean([v["ap"] for v in named])) if named else float("nan"),
    }
    if (data.people[torch.from_numpy(index).to(data.people.device)][..., 4] == SURE).any():
        result |= people_figures(people, data, index)
    result |= false_gestures(hands, data, index)
    result["classes"] = {k: {a: round(float(b), 3) for a, b in v.items()} for k, v in table.items()}
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}


def evaluate(
    network: nn.Module, data: Dataset, config: Config, height: int = 320, width: int = 224, half: bool = False
) -> dict[str, dict]:
    """Figures of every group of the configuration, of the whole `val` split and of the `dev` part."""
    result = {}
    for name, group in config.groups.items():
        index = data.where(partial(config.in_group, group=group))
        if len(index):
            result[name] = summarise(network, data, index, height, width, half)
    return result


def brief(figures: dict[str, dict]) -> str:
    """One line per group."""
    keys = ("gesture_map50", "oks_ap", "oks_ap50", "person_ap50", "false_per_100", "pictures")
    return "\n".join(
        f"  {name:12s} " + " ".join(f"{k} {group[k]:.3f}" for k in keys if k in group) for name, group in figures.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="exported safetensors or a checkpoint")
    parser.add_argument("--size", default="320x224", help="HEIGHTxWIDTH")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE")
    args = parser.parse_args()
    config = load_config(args.config, args.set)
    wanted = list(config.groups.values())
    data = load(
        config.data.picture_paths(), Path(config.data.index), config.data.canvas,
        keep=lambda r: any(config.in_group(r, g) for g in wanted),
    )  # fmt: skip
    network = load_network(args.weights).to(args.device)
    height, width = map(int, args.size.split("x"))
    figures = evaluate(network, data.to(args.device), config, height, width)
    print(brief(figures))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
