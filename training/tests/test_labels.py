"""Labels completed by a detector's boxes and by the network's own opinion."""

import json
import sys

import numpy as np
import pytest
import torch

from gesto_train import merge_people, relabel
from gesto_train.dataset import load, read_index
from gesto_train.predict import Detections
from gesto_train.relabel import RelabelOptions, agreeing, common_keypoints, covered
from gesto_train.schema import ABSENT, GESTURES, IGNORE, SURE, UNKNOWN, VISIBLE


def detections(*boxes, scores=None, classes=None, keypoints=None) -> Detections:
    n = len(boxes)
    return Detections(
        np.array(boxes, float).reshape(-1, 4),
        np.array(scores if scores is not None else [0.9] * n),
        np.array(classes if classes is not None else [0] * n),
        keypoints if keypoints is not None else np.zeros((n, 17, 3)),
    )


def test_merging_adds_ignores_confirms_and_drops():
    keypoints = [[1, 1, 2]] * 17
    record = {
        "people": [
            {"b": [0, 0, 10, 20], "k": keypoints, "st": "ok"},
            {"b": [20, 0, 30, 20], "k": keypoints, "st": "ignore"},
            {"b": [40, 0, 60, 20], "k": keypoints, "st": "ignore"},
        ]
    }
    found = np.array([
        [0, 0, 10, 19, 0.9],  # the sure one, known
        [20, 1, 30, 20, 0.8],  # confirms the doubted one
        [70, 0, 80, 20, 0.8],  # new and sure
        [90, 0, 95, 20, 0.3],  # new and doubted
        [70, 1, 80, 20, 0.6],  # a second box on the new one
        [110, 0, 120, 20, 0.1],  # too weak for anything
    ])  # fmt: skip
    count = merge_people.merge(record, found, ignore=0.25, sure=0.5, doubt=True)
    assert [p["st"] for p in record["people"]] == ["ok", "ok", "ok", "ignore"]
    assert record["people"][0]["k"] == keypoints and record["people"][1]["k"] is None
    assert record["people"][2]["b"] == [70, 0, 80, 20] and record["people"][3]["b"] == [90, 0, 95, 20]
    assert count == {"doubted, now sure": 1, "added": 1, "ignored": 1, "doubted, now dropped": 1}


def test_merging_leaves_val_and_unseen_pictures_alone(made_up, tmp_path, monkeypatch, capsys):
    lines = [{"id": i, "d": [[84, 2, 95, 78, 0.9]]} for i in ("train0001", "val0001")]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "index.jsonl.gz"
    command = ["merge_people", "--index", made_up / "index.jsonl.gz", "--detections", tmp_path / "d.jsonl", "--out", out]
    monkeypatch.setattr(sys, "argv", [str(c) for c in command])
    merge_people.main()
    before, after = read_index(made_up / "index.jsonl.gz"), read_index(out)
    assert [k for k in before if before[k] != after[k]] == ["train0001"]
    assert after["train0001"]["people"][-1] == {"b": [84, 2, 95, 78], "k": None, "o": "detector", "st": "ok"}
    assert "added 1" in capsys.readouterr().out


def test_groups_need_the_same_class_and_place():
    first = detections([0, 0, 10, 10], [50, 50, 60, 60], classes=[1, 2])
    same = detections([1, 0, 10, 10], [50, 50, 60, 60], classes=[1, 3])
    assert [len(g) for g in agreeing([first, same, detections()])] == [2, 1]
    assert agreeing([detections(), same]) == []


def test_only_keypoints_on_which_sizes_agree_are_taken():
    a = np.zeros((1, 17, 3))
    a[..., 2] = 0.9
    b = a.copy()
    b[0, 3, 0] = 30  # apart
    b[0, 4, 2] = 0.2  # not seen
    box = [0, 0, 60, 80]
    k = common_keypoints([(detections(box, keypoints=a), 0), (detections(box, keypoints=b), 0)], 0.04)
    assert k[3, 2] == UNKNOWN and k[4, 2] == UNKNOWN and (np.delete(k[:, 2], [3, 4]) == VISIBLE).all()


def test_a_box_inside_a_label_is_covered():
    assert covered(np.array([2, 2, 4, 4]), np.array([[0, 0, 10, 10, 1]])) == 1
    assert covered(np.array([20, 2, 24, 4]), np.array([[0, 0, 10, 10, 1]])) == 0


@pytest.fixture
def data(made_up):
    # Two changed records: a picture without people, and a hand that a teacher called no_gesture.
    data = load([made_up / "images-0.tar"], made_up / "index.jsonl.gz", canvas=96, max_people=4)
    data.records[0]["people"] = []
    data.people[0] = 0
    data.records[2]["hands"][0] |= {"c": "no_gesture", "o": "teacher"}
    return data


def test_relabelling(data, monkeypatch):
    fist = GESTURES.index("fist")
    hand = data.hands[2, 0, :4].tolist()
    keypoints = np.full((2, 17, 3), 0.9)

    def opinion(network, data, index, height, width, **_):
        hands = [detections(hand, classes=[fist]) if i == 2 else detections() for i in index]
        people = [detections([84, 2, 95, 78], [82, 80, 96, 96], scores=[0.9, 0.5], keypoints=keypoints) for _ in index]
        return hands, people

    monkeypatch.setattr(relabel, "predict", opinion)
    options = RelabelOptions(complete=("other",), unlabelled={"other": 1.0})
    rows = np.array([0, 1, 2])
    assert [data.records[i]["src"] for i in rows] == ["other", "made-up", "made-up"]
    count = relabel.relabel(torch.nn.Identity(), data, rows, options)
    # The picture without people of an incomplete source is ignored as a whole; it is not judged otherwise.
    assert data.people[0].tolist() == [[0, 0, 96, 80, IGNORE], *[[0.0] * 5] * 3]
    # The very sure person is added, the other ignored; the label that was there stays.
    assert data.people[1, :, 4].tolist() == [SURE, SURE, IGNORE, ABSENT]
    assert data.people[1, 1, :4].tolist() == [84, 2, 95, 78] and (data.keypoints[1, 1, :, 2] == VISIBLE).all()
    assert data.hands[2, 0, 5] == IGNORE and data.hands[1, 0, 5] == SURE
    assert count == {"pictures without people labels": 1, "people added": 2, "people ignored": 2, "hands ignored": 1}


def test_a_run_with_every_kind_of_picture_and_relabelling(made_up, tmp_path):
    from gesto_train.config import load_config
    from gesto_train.network import Multi
    from gesto_train.train import Trainer
    from gesto_train.weights import export

    export(Multi(), tmp_path / "first.safetensors", "test")
    config = load_config(made_up / "config.toml", [
        "train.steps=2", "train.log_every=1", "augment.many=0.2", "augment.far=0.2", "body_loss.reach=2.5", "sampling.empty=2",
        f"relabel.weights={tmp_path / 'first.safetensors'}", "relabel.sizes=[[64, 64], [96, 96]]",
    ])  # fmt: skip
    data = load(config.data.picture_paths(), made_up / "index.jsonl.gz", config.data.canvas)
    trainer = Trainer(config, data, "cpu", tmp_path)
    figures = trainer.run()
    assert trainer.step == 2 and set(figures) == {"val", "dev"}


