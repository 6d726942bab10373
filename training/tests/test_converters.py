import json

import pytest
import torch
from PIL import Image

from gesto_train import convert_coco, convert_hagrid
from gesto_train.dataset import load, read_index
from gesto_train.schema import IGNORE, OCCLUDED, SURE, UNKNOWN


def test_coco(tmp_path):
    Image.new("RGB", (200, 100), (10, 200, 30)).save(tmp_path / "a.jpg")
    keypoints = [0, 0, 0] * 17
    keypoints[0:3], keypoints[3:6] = [50, 40, 2], [60, 44, 1]
    document = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 200, "height": 100},
            {"id": 8, "file_name": "missing.jpg", "width": 10, "height": 10},
        ],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [20, 10, 100, 80], "iscrowd": 0,
             "keypoints": keypoints, "num_keypoints": 2},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 30, 30], "iscrowd": 1},
            {"id": 3, "image_id": 7, "category_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 0},
        ],
    }  # fmt: skip
    (tmp_path / "ann.json").write_text(json.dumps(document))
    writer = convert_coco.convert(tmp_path / "ann.json", tmp_path, tmp_path / "out", "train", "coco", False)
    assert (writer.written, writer.unreadable) == (1, 1)
    data = load([tmp_path / "out/images-coco-0.tar"], tmp_path / "out/index-coco.jsonl.gz", canvas=100)
    assert data.size.tolist() == [[100, 50]]
    assert data.people[0, 0].tolist() == [10, 5, 60, 45, SURE]
    assert data.people[0, 1, 4] == IGNORE and data.people[0, 2, 4] == 0
    assert data.keypoints[0, 0, 0].tolist() == [25, 20, 2]
    assert data.keypoints[0, 0, 1].tolist() == [30, 22, OCCLUDED]
    assert data.keypoints[0, 0, 2, 2] == UNKNOWN
    assert data.hands[0, 0].tolist() == [0, 0, 100, 50, 18, IGNORE]
    assert torch.allclose(data.pixels[0, 25, 50].float(), torch.tensor([10.0, 200, 30]), atol=8)


def test_coco_refuses_a_wrong_number_of_keypoints():
    with pytest.raises(ValueError, match="keypoint values"):
        convert_coco.person({"id": 1, "bbox": [0, 0, 1, 1], "keypoints": [1, 2, 2], "num_keypoints": 1})


def test_hagrid(tmp_path):
    for name in ("p", "q"):
        Image.new("RGB", (80, 160)).save(tmp_path / f"{name}.jpg")
    document = {
        "p": {"bboxes": [[0.25, 0.5, 0.5, 0.25], [0, 0, 0.1, 0.1]], "labels": ["call", "grip"], "user_id": "u1"},
        "q": {"bboxes": [], "labels": [], "user_id": "u1"},
        "gone": {"bboxes": [], "labels": [], "user_id": "u2"},
    }
    (tmp_path / "call.json").write_text(json.dumps(document))
    writer = convert_hagrid.convert(tmp_path / "call.json", tmp_path, tmp_path / "out", "hagrid", 0.0, "ignore")
    assert (writer.written, writer.unreadable) == (2, 1)
    records = list(read_index(tmp_path / "out/index-hagrid-call.jsonl.gz").values())
    first = records[0]
    assert first["hands"][0] == {"b": [20.0, 80.0, 60.0, 120.0], "c": "call", "o": "human", "st": "ok"}
    assert first["hands"][1]["st"] == "ignore"
    assert first["people"][0]["st"] == "ignore" and first["people"][0]["b"] == [0, 0, 80, 160]
    everything = convert_hagrid.convert(tmp_path / "call.json", tmp_path, tmp_path / "val", "hagrid", 1.0, "no_gesture")
    assert everything.written == 2
    records = list(read_index(tmp_path / "val/index-hagrid-call.jsonl.gz").values())
    assert {r["split"] for r in records} == {"val"}
    assert [h["c"] for h in records[0]["hands"]] == ["call", "no_gesture"]


def test_hagrid_refuses_boxes_without_labels():
    with pytest.raises(ValueError, match="labels"):
        convert_hagrid.hands({"bboxes": [[0, 0, 1, 1]], "labels": []}, 10, 10, "ignore")
