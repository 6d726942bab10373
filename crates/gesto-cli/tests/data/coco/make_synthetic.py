#!/usr/bin/env python3
"""Made-up ground truth and results that exercise the corners of COCO evaluation; README.md lists them.

    python make_synthetic.py    # writes hands.json, hands-results.json, people.json, people-results.json
    python ../../../../../tools/coco_reference.py --hands hands.json hands-results.json \
        --people people.json people-results.json > pycocotools.json

Every number comes from a seeded generator; no picture stands behind them.
"""

import json
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
GESTURES = ("call dislike fist four like mute ok one palm peace peace_inverted rock stop stop_inverted three three2 two_up "
            "two_up_inverted no_gesture").split()
NEVER_TRUE = "two_up_inverted"  # detections without ground truth
NEVER_FOUND = "three2"  # ground truth without detections
ONLY_CROWDS = "stop_inverted"  # every ground truth of it is a crowd
KEYPOINTS = ("nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
             "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle").split()
WIDTH, HEIGHT, PICTURES = 640, 480, 24
SIDES = [(14, 30), (34, 90), (98, 240)]  # small, medium and large by COCO's 32 and 96 pixels

Box = list[float]


def images() -> list[dict]:
    # Not ascending, not contiguous: evaluation goes by ascending id whatever the file's order.
    ids = [7 + 3 * n for n in range(PICTURES)]
    random.Random(5).shuffle(ids)
    return [{"id": n, "file_name": f"{n:03}.png", "width": WIDTH, "height": HEIGHT} for n in ids]


def box(rng: random.Random) -> Box:
    low, high = rng.choice(SIDES)
    w, h = rng.uniform(low, high), rng.uniform(low, high)
    return [round(v, 1) for v in (rng.uniform(0, WIDTH - w), rng.uniform(0, HEIGHT - h), w, h)]


def jitter(rng: random.Random, around: Box, amount: float) -> Box:
    x, y, w, h = around

    def shift(side: float) -> float:
        return rng.gauss(0, amount) * side

    return [round(v, 1) for v in (x + shift(w), y + shift(h), w * (1 + shift(1)), h * (1 + shift(1)))]


def score(rng: random.Random) -> float:
    """Two decimals, so that many detections tie."""
    return round(rng.uniform(0.05, 0.99), 2)


def area(of: Box) -> float:
    return round(of[2] * of[3], 1)


def hands(rng: random.Random) -> tuple[dict, list[dict]]:
    truth, found = [], []
    for image in images()[:-2]:  # the last two hold no hand
        for _ in range(rng.randint(0, 6)):
            name = rng.choice([g for g in GESTURES if g != NEVER_TRUE])
            crowd = int(name == ONLY_CROWDS or rng.random() < 0.12)
            where = box(rng)
            category = GESTURES.index(name) + 1
            truth.append({"image_id": image["id"], "category_id": category, "bbox": where, "area": area(where), "iscrowd": crowd})
            if name == NEVER_FOUND or rng.random() < 0.12:
                continue
            for _ in range(3 if crowd else rng.choice([1, 1, 2])):
                said = category if rng.random() < 0.85 else rng.randint(1, len(GESTURES))
                found.append({"image_id": image["id"], "category_id": said, "bbox": jitter(rng, where, rng.choice([0.02, 0.08, 0.2])),
                              "score": score(rng)})
    for image in images():
        for _ in range(rng.randint(0, 2)):
            category = rng.choice([c for c in range(1, 20) if GESTURES[c - 1] != NEVER_FOUND])
            found.append({"image_id": image["id"], "category_id": category, "bbox": box(rng), "score": score(rng)})
    truth.append({"image_id": images()[0]["id"], "category_id": GESTURES.index(NEVER_FOUND) + 1,
                  "bbox": [10.0, 10.0, 50.0, 50.0], "area": 2500.0, "iscrowd": 0})
    exact_thresholds(truth, found)
    crowded_picture(rng, truth, found)
    found = [f for f in found if GESTURES[f["category_id"] - 1] != NEVER_FOUND]
    rng.shuffle(found)
    return dataset(truth, [{"id": i + 1, "name": g} for i, g in enumerate(GESTURES)]), found


def exact_thresholds(truth: list[dict], found: list[dict]) -> None:
    """IoU of exactly 0.5, 0.75, ... (as far as f64 goes), equal IoU with two boxes, and an area on the border of two ranges."""
    first, second = sorted(i["id"] for i in images())[:2]
    peace = GESTURES.index("peace") + 1
    for n, share in enumerate((0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)):
        y = 60.0 * n
        truth.append({"image_id": first, "category_id": peace, "bbox": [400.0, y, 40.0, 20.0], "area": 800.0, "iscrowd": 0})
        found.append({"image_id": first, "category_id": peace, "bbox": [400.0, y, 40.0 * share, 20.0], "score": 0.5})
    for x in (100.0, 120.0):  # the detection overlaps both alike
        truth.append({"image_id": second, "category_id": peace, "bbox": [x, 300.0, 40.0, 40.0], "area": 1600.0, "iscrowd": 0})
    found.append({"image_id": second, "category_id": peace, "bbox": [110.0, 300.0, 40.0, 40.0], "score": 0.9})
    found.append({"image_id": second, "category_id": peace, "bbox": [119.0, 300.0, 40.0, 40.0], "score": 0.9})
    for side in (32.0, 96.0):
        where = [200.0, 200.0, side, side]
        truth.append({"image_id": second, "category_id": peace, "bbox": where, "area": side * side, "iscrowd": 0})
        found.append({"image_id": second, "category_id": peace, "bbox": where, "score": 0.7})


def crowded_picture(rng: random.Random, truth: list[dict], found: list[dict]) -> None:
    """More than 100 detections of one class in one picture: only the best 100 count."""
    last = max(i["id"] for i in images())
    palm = GESTURES.index("palm") + 1
    where = [50.0, 50.0, 60.0, 60.0]
    truth.append({"image_id": last, "category_id": palm, "bbox": where, "area": 3600.0, "iscrowd": 0})
    for _ in range(110):
        found.append({"image_id": last, "category_id": palm, "bbox": box(rng), "score": round(rng.uniform(0.5, 0.9), 2)})
    found.append({"image_id": last, "category_id": palm, "bbox": where, "score": 0.4})


def pose(rng: random.Random, where: Box, labelled: float) -> list[float]:
    """17 x (x, y, v) inside a box; v is 2 visible, 1 hidden, 0 not labelled (then x = y = 0)."""
    x, y, w, h = where
    points: list[float] = []
    for _ in KEYPOINTS:
        seen = rng.choice([1, 2, 2, 2]) if rng.random() < labelled else 0
        points += [round(x + rng.random() * w, 1), round(y + rng.random() * h, 1), seen] if seen else [0, 0, 0]
    return points


def found_pose(rng: random.Random, true: list[float], where: Box, amount: float) -> list[float]:
    """The true points shaken; unlabelled ones anywhere in the box. Results carry a score in the third place."""
    x, y, w, h = where
    points: list[float] = []
    for n in range(len(KEYPOINTS)):
        tx, ty, seen = true[3 * n : 3 * n + 3]
        px = tx + rng.gauss(0, amount * w) if seen else x + rng.random() * w
        py = ty + rng.gauss(0, amount * h) if seen else y + rng.random() * h
        points += [round(px, 1), round(py, 1), round(rng.random(), 2)]
    return points


def people(rng: random.Random) -> tuple[dict, list[dict]]:
    truth, found = [], []
    for image in images()[1:]:
        for _ in range(rng.randint(0, 3)):
            where = box(rng)
            crowd = int(rng.random() < 0.1)
            # A person without labelled points is ignored by the keypoint figures and counts for the box figures.
            points = pose(rng, where, rng.choice([0.0, 0.3, 0.8, 1.0]))
            count = sum(v > 0 for v in points[2::3])
            truth.append({"image_id": image["id"], "category_id": 1, "bbox": where, "area": round(0.7 * area(where), 1),
                          "iscrowd": crowd, "num_keypoints": count, "keypoints": points})
            for _ in range(rng.choice([0, 1, 1, 1, 2])):
                amount = rng.choice([0.01, 0.04, 0.12])
                found.append({"image_id": image["id"], "category_id": 1, "bbox": jitter(rng, where, amount),
                              "keypoints": found_pose(rng, points, where, amount), "score": score(rng)})
    for image in images()[::3]:
        where = box(rng)
        found.append({"image_id": image["id"], "category_id": 1, "bbox": where, "score": score(rng),
                      "keypoints": found_pose(rng, [0] * 51, where, 0.1)})
    many_people(rng, truth, found)
    rng.shuffle(found)
    return dataset(truth, [{"id": 1, "name": "person", "keypoints": KEYPOINTS, "skeleton": []}]), found


def many_people(rng: random.Random, truth: list[dict], found: list[dict]) -> None:
    """More than 20 people found in one picture: the keypoint figures count the best 20 only."""
    last = max(i["id"] for i in images())
    where = [300.0, 200.0, 120.0, 200.0]
    points = pose(rng, where, 1.0)
    truth.append({"image_id": last, "category_id": 1, "bbox": where, "area": 16000.0, "iscrowd": 0,
                  "num_keypoints": 17, "keypoints": points})
    for _ in range(22):
        other = box(rng)
        found.append({"image_id": last, "category_id": 1, "bbox": other, "score": round(rng.uniform(0.5, 0.9), 2),
                      "keypoints": found_pose(rng, [0] * 51, other, 0.1)})
    found.append({"image_id": last, "category_id": 1, "bbox": where, "score": 0.3, "keypoints": found_pose(rng, points, where, 0.01)})


def dataset(truth: list[dict], categories: list[dict]) -> dict:
    annotations = [{"id": n + 1} | annotation for n, annotation in enumerate(truth)]
    return {"images": images(), "annotations": annotations, "categories": categories}


def lines(values: list[dict]) -> str:
    return "[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in values) + "\n]"


def main() -> None:
    for name, make, seed in (("hands", hands, 1), ("people", people, 2)):
        truth, found = make(random.Random(seed))
        parts = ",\n".join(f'"{key}":{lines(value)}' for key, value in truth.items())
        (HERE / f"{name}.json").write_text("{" + parts + "}\n")
        (HERE / f"{name}-results.json").write_text(lines(found) + "\n")


if __name__ == "__main__":
    main()
