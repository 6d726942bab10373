"""Cuts people out of pictures: `python -m gesto_train.cut_people --pictures ... --index ... --sources ... --out cutouts.tar`.

Writes one 1-bit PNG per picture, white where its only person is, for `augment.paste_people`. GrabCut (Rother et al.,
SIGGRAPH 2004, in OpenCV) started from the person's box and skeleton does well on people before quiet backgrounds, such as
studio and street-fashion photos; a cut that loses a joint or does not fill the labelled box is thrown away.
"""

import argparse
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .dataset import read_index, read_pictures
from .schema import KEYPOINTS, VISIBLE

LIMBS = [
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"), ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("nose", "left_shoulder"),
    ("nose", "right_shoulder"),
]  # fmt: skip


def only_person(record: dict) -> dict | None:
    """The person of a picture that shows one, whole and with keypoints."""
    people = record["people"]
    if len(people) != 1 or people[0].get("st", "ok") != "ok" or not people[0].get("k"):
        return None
    return people[0]


def cut(picture: np.ndarray, person: dict, rounds: int = 4) -> np.ndarray | None:
    """Mask of the person (bool, the picture's size), or None where the cut cannot be trusted."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = person["b"]
    joints = np.array(person["k"], np.float32)
    seen = joints[:, 2] == VISIBLE
    if seen.sum() < 10:
        return None
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    margin = 0.03 * max(x1 - x0, y1 - y0)
    low = np.clip([x0 - margin, y0 - margin], 0, None).astype(int)
    mask[low[1] : int(y1 + margin) + 1, low[0] : int(x1 + margin) + 1] = cv2.GC_PR_FGD
    thick = max(2, round(0.02 * (y1 - y0)))
    for a, b in LIMBS:
        a, b = KEYPOINTS.index(a), KEYPOINTS.index(b)
        if seen[a] and seen[b]:
            ends = [tuple(int(v) for v in joints[i, :2]) for i in (a, b)]
            cv2.line(mask, *ends, cv2.GC_FGD, thick)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(picture, mask, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return None
    person_mask = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
    # The largest connected part is the person; crumbs of background are dropped.
    count, parts, stats, _ = cv2.connectedComponentsWithStats(person_mask.astype(np.uint8))
    if count < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    person_mask = parts == largest
    left, top, w, h, area = stats[largest]
    overlap_w = min(left + w, x1) - max(left, x0)
    overlap_h = min(top + h, y1) - max(top, y0)
    if overlap_w <= 0 or overlap_h <= 0:
        return None
    shared = overlap_w * overlap_h
    iou = shared / (w * h + (x1 - x0) * (y1 - y0) - shared)
    near = cv2.dilate(person_mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    xs = joints[seen, 0].astype(int).clip(0, width - 1)
    ys = joints[seen, 1].astype(int).clip(0, height - 1)
    if iou < 0.75 or not 0.15 < area / (w * h) < 0.8 or near[ys, xs].mean() < 0.95:
        return None
    return person_mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--sources", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    records = read_index(args.index)
    chosen = {i: only_person(r) for i, r in records.items() if r["src"] in args.sources and r["split"] == "train"}
    chosen = {i: p for i, p in chosen.items() if p}
    encoded = read_pictures(args.pictures, set(chosen))

    def one(item: tuple[str, bytes]) -> tuple[str, bytes] | None:
        name, data = item
        picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        mask = cut(picture[:, :, ::-1].copy(), chosen[name])
        if mask is None:
            return None
        out = io.BytesIO()
        Image.fromarray(mask).save(out, "PNG", optimize=True)
        return name, out.getvalue()

    kept = 0
    with tarfile.open(args.out, "w") as tar, ThreadPoolExecutor(args.workers) as pool:
        for result in pool.map(one, encoded.items()):
            if result is None:
                continue
            info = tarfile.TarInfo(f"{result[0]}.png")
            info.size = len(result[1])
            tar.addfile(info, io.BytesIO(result[1]))
            kept += 1
    print(f"{kept} of {len(encoded)} people cut out")


if __name__ == "__main__":
    main()
