import io
from contextlib import redirect_stdout

import numpy as np
import pytest

from gesto_train.metrics import Truth, average_precision, box_similarity, evaluate_class, oks
from gesto_train.schema import AREA_PER_BOX


def made_up(seed: int, pictures: int = 12):
    """Random truths and detections that partly fit them; ignored objects and doubled detections among them."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(pictures):
        n = rng.integers(0, 5)
        low = rng.uniform(0, 60, (n, 2))
        boxes = np.concatenate([low, low + rng.uniform(15, 60, (n, 2))], 1)
        ignore = rng.random(n) < 0.2
        keypoints = np.concatenate(
            [boxes[:, None, :2] + rng.random((n, 17, 2)) * (boxes[:, None, 2:] - boxes[:, None, :2]),
             rng.choice([0, 2], (n, 17, 1), p=[0.2, 0.8])], -1,
        )  # fmt: skip
        pick = rng.integers(0, n, rng.integers(0, 7)) if n else np.zeros(0, int)
        found = boxes[pick] + rng.normal(0, 4, (len(pick), 4))
        points = keypoints[pick] + np.array([1, 1, 0]) * rng.normal(0, 2, (len(pick), 17, 3))
        scores = -np.sort(-rng.random(len(pick)))
        out.append((Truth(boxes, ignore, ignore, keypoints), found, points, scores))
    return out


def coco_ap(data, kind: str) -> float:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    from pycocotools.cocoeval import COCOeval

    gt = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}]}
    dt = []
    for i, (truth, found, points, scores) in enumerate(data, 1):
        gt["images"].append({"id": i, "width": 200, "height": 200})
        for box, ignore, kp in zip(truth.boxes, truth.ignore, truth.keypoints):
            size = box[2:] - box[:2]
            gt["annotations"].append({
                "id": len(gt["annotations"]) + 1, "image_id": i, "category_id": 1, "iscrowd": int(ignore),
                "bbox": [*box[:2], *size], "area": size.prod() * (AREA_PER_BOX if kind == "keypoints" else 1),
                "keypoints": kp.flatten().tolist(), "num_keypoints": int((kp[:, 2] > 0).sum()),
            })  # fmt: skip
        for box, kp, score in zip(found, points, scores):
            row = {"image_id": i, "category_id": 1, "score": score}
            row |= {"keypoints": kp.flatten().tolist()} if kind == "keypoints" else {"bbox": [*box[:2], *(box[2:] - box[:2])]}
            dt.append(row)
    with redirect_stdout(io.StringIO()):
        api = coco.COCO()
        api.dataset = gt
        api.createIndex()
        run = COCOeval(api, api.loadRes(dt), kind)
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    return run.eval["precision"][:, :, 0, 0, -1].mean(1)


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(seed):
    data = made_up(seed)
    boxes = [(s, box_similarity(found, truth), truth) for truth, found, _, s in data]
    assert np.allclose(evaluate_class(boxes), coco_ap(data, "bbox"), atol=1e-9)
    poses = []
    for truth, _, points, s in data:
        none = (truth.keypoints[:, :, 2] == 2).sum(1) == 0
        poses.append((s, oks(points, truth), truth._replace(ignore=truth.ignore | none)))
    assert np.allclose(evaluate_class(poses), coco_ap(data, "keypoints"), atol=1e-9)


def test_average_precision_by_hand():
    scores = np.array([0.9, 0.8, 0.7])
    # Precision 1 up to recall 1/2, then 2/3 up to recall 1: 51 and 50 of the 101 recalls.
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert average_precision(scores, np.array([True, False, True]), 2) == pytest.approx(expected)
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0
    assert np.isnan(average_precision(np.zeros(0), np.zeros(0, bool), 0))


def test_perfect_answers():
    data = made_up(9)
    perfect = [(np.linspace(1, 0.5, len(t.boxes)), box_similarity(t.boxes, t), t) for t, *_ in data]
    assert evaluate_class(perfect) == pytest.approx(np.ones(10))
