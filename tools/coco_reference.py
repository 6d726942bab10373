#!/usr/bin/env python3
"""COCO figures by pycocotools, as JSON: the reference for `gesto eval`.

    pip install pycocotools
    python tools/coco_reference.py --hands hands.json hands-results.json --people people.json people-results.json

Ground truth is a COCO annotation file, results are a COCO results file (a list of image_id, category_id, bbox, score and,
for people, keypoints). A figure that is not defined (no ground truth of that class or size) is null.
"""

import argparse
import contextlib
import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SUMMARY = {
    "bbox": ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
             "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"],
    "keypoints": ["ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large"],
}


def defined(value: float) -> float | None:
    """pycocotools says -1 where there is nothing to measure."""
    return None if value == -1 else float(value)


def mean(precision: np.ndarray) -> float | None:
    """Average precision over the defined entries of a slice of COCOeval's precision table."""
    precision = precision[precision > -1]
    return float(precision.mean()) if precision.size else None


def load(annotations: Path, results: Path) -> tuple[COCO, COCO]:
    truth = COCO(str(annotations))
    found = json.loads(results.read_text())
    if found:
        return truth, truth.loadRes(found)
    nothing = COCO()  # loadRes cannot take an empty list
    nothing.dataset = truth.dataset | {"annotations": []}
    nothing.createIndex()
    return truth, nothing


def evaluate(truth: COCO, found: COCO, kind: str) -> tuple[dict[str, float | None], COCOeval]:
    run = COCOeval(truth, found, kind)
    run.evaluate()
    run.accumulate()
    run.summarize()
    return dict(zip(SUMMARY[kind], map(defined, run.stats), strict=True)), run


def per_class(run: COCOeval) -> list[dict]:
    """AP of each category over all areas with 100 detections per picture."""
    table = run.eval["precision"]  # IoU threshold x recall x category x area range x max detections
    half = int(np.flatnonzero(np.isclose(run.params.iouThrs, 0.5))[0])
    return [{
        "name": run.cocoGt.cats[category]["name"],
        "boxes": sum(not a["iscrowd"] for a in run.cocoGt.loadAnns(run.cocoGt.getAnnIds(catIds=[category]))),
        "ap": mean(table[:, :, at, 0, -1]),
        "ap50": mean(table[half, :, at, 0, -1]),
    } for at, category in enumerate(run.params.catIds)]


def reference(hands: list[Path] | None, people: list[Path] | None) -> dict:
    report: dict = {"pycocotools": version("pycocotools")}
    if hands:
        summary, run = evaluate(*load(*hands), "bbox")
        report["hands"] = summary | {"classes": per_class(run)}
    if people:
        truth, found = load(*people)
        report["people"] = evaluate(truth, found, "bbox")[0]
        report["keypoints"] = evaluate(truth, found, "keypoints")[0]
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hands", nargs=2, type=Path, metavar=("TRUTH", "RESULTS"))
    parser.add_argument("--people", nargs=2, type=Path, metavar=("TRUTH", "RESULTS"))
    args = parser.parse_args()
    if not (args.hands or args.people):
        parser.error("nothing to evaluate: give --hands or --people")
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress there
        report = reference(args.hands, args.people)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
