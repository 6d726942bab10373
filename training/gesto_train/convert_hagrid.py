"""HaGRID annotations to the training format.

    python -m gesto_train.convert_hagrid --annotations ann_train_val/call.json --pictures train_val_call --out data

An annotation file maps picture names to `bboxes` (`x, y, w, h` as shares of the picture), `labels` and `user_id`.
Validation is split by person (`user_id`), never by picture. HaGRID labels no people: an ignored region over the whole
picture keeps them out of the person loss; fill them in with a teacher of your own if you can.
Labels that are none of ours (HaGRIDv2 has more) are ignored, or taken as `no_gesture` with `--other no_gesture`.
"""

import argparse
import json
from pathlib import Path

from PIL import Image, ImageOps

from .pack import Writer, held_out, whole_picture
from .schema import GESTURES


def hands(entry: dict, width: int, height: int, other: str) -> list[dict]:
    """Hands of one picture in its pixels."""
    boxes, labels = entry["bboxes"], entry["labels"]
    if len(boxes) != len(labels):
        raise ValueError(f"{len(boxes)} boxes but {len(labels)} labels")
    out = []
    for (x, y, w, h), label in zip(boxes, labels):
        known = label in GESTURES
        out.append({
            "b": [x * width, y * height, (x + w) * width, (y + h) * height],
            "c": label if known else "no_gesture",
            "o": "human",
            "st": "ok" if known or other == "no_gesture" else "ignore",
        })  # fmt: skip
    return out


def convert(annotations: Path, pictures: Path, out: Path, source: str, val_share: float, other: str) -> Writer:
    document = json.loads(annotations.read_text())
    with Writer(out, f"{source}-{annotations.stem}") as writer:
        for name, entry in document.items():
            path = next((p for s in (".jpg", ".jpeg", ".png", "") if (p := pictures / f"{name}{s}").is_file()), None)
            if path is None:
                writer.unreadable += 1
                continue
            with Image.open(path) as image:
                width, height = ImageOps.exif_transpose(image).size
            split = "val" if held_out(str(entry.get("user_id", name)), val_share) else "train"
            people = [whole_picture(width, height) | {"k": None, "o": "none"}]
            writer.add(path, split, hands(entry, width, height, other), people)
    return writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", default="hagrid")
    parser.add_argument("--val-share", type=float, default=0.02)
    parser.add_argument("--other", choices=("ignore", "no_gesture"), default="ignore")
    a = parser.parse_args()
    writer = convert(a.annotations, a.pictures, a.out, a.source, a.val_share, a.other)
    print(f"{writer.written} pictures written, {writer.unreadable} missing or unreadable")


if __name__ == "__main__":
    main()
