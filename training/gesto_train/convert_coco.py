"""COCO person keypoints to the training format.

    python -m gesto_train.convert_coco --annotations person_keypoints_train2017.json \\
        --pictures train2017 --out data --split train

COCO labels no hands: an ignored region over the whole picture keeps them out of the gesture loss. With `--negative`
the pictures are taken to show no gesture (true for nearly all of COCO) and serve against false gestures.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from .pack import Writer, whole_picture
from .schema import KEYPOINTS, OCCLUDED, UNKNOWN, VISIBLE

# COCO: 0 not labelled, 1 labelled but not visible, 2 visible.
_VISIBILITY = {0: UNKNOWN, 1: OCCLUDED, 2: VISIBLE}


def person(annotation: dict) -> dict:
    """One annotation as a person of the training format; a crowd is ignored."""
    x, y, w, h = annotation["bbox"]
    out = {"b": [x, y, x + w, y + h], "k": None, "o": "gt", "st": "ignore" if annotation.get("iscrowd") else "ok"}
    flat = annotation.get("keypoints")
    if flat and annotation.get("num_keypoints", 0) > 0:
        if len(flat) != 3 * len(KEYPOINTS):
            raise ValueError(f"annotation {annotation.get('id')}: {len(flat)} keypoint values, not {3 * len(KEYPOINTS)}")
        out["k"] = [[flat[i], flat[i + 1], _VISIBILITY[flat[i + 2]]] for i in range(0, len(flat), 3)]
    return out


def convert(annotations: Path, pictures: Path, out: Path, split: str, source: str, negative: bool) -> Writer:
    document = json.loads(annotations.read_text())
    people_of = defaultdict(list)
    categories = {c["id"] for c in document.get("categories", []) if c["name"] == "person"} or {1}
    for annotation in document["annotations"]:
        if annotation["category_id"] in categories:
            people_of[annotation["image_id"]].append(person(annotation))
    with Writer(out, source) as writer:
        for image in document["images"]:
            hands = [] if negative else [whole_picture(image["width"], image["height"]) | {"c": "no_gesture", "o": "gt"}]
            writer.add(pictures / image["file_name"], split, hands, people_of[image["id"]])
    return writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "val"), required=True)
    parser.add_argument("--source", default="coco")
    parser.add_argument("--negative", action="store_true", help="the pictures show no gesture")
    a = parser.parse_args()
    writer = convert(a.annotations, a.pictures, a.out, a.split, a.source, a.negative)
    print(f"{writer.written} pictures written, {writer.unreadable} could not be read")


if __name__ == "__main__":
    main()
