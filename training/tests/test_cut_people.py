import numpy as np
import pytest

from gesto_train.schema import KEYPOINTS

cut_people = pytest.importorskip("gesto_train.cut_people", reason="OpenCV is not installed")

JOINTS = {
    "nose": (50, 22), "left_eye": (52, 20), "right_eye": (48, 20), "left_ear": (55, 21), "right_ear": (45, 21),
    "left_shoulder": (60, 40), "right_shoulder": (40, 40), "left_elbow": (64, 58), "right_elbow": (36, 58),
    "left_wrist": (64, 74), "right_wrist": (36, 74), "left_hip": (56, 80), "right_hip": (44, 80),
    "left_knee": (56, 105), "right_knee": (44, 105), "left_ankle": (56, 128), "right_ankle": (44, 128),
}  # fmt: skip


def doll() -> tuple[np.ndarray, np.ndarray, dict]:
    """A red figure on a blue-grey ground: picture, its true mask, its labels."""
    rng = np.random.default_rng(0)
    mask = np.zeros((150, 100), bool)
    y, x = np.mgrid[:150, :100]
    mask |= (x - 50) ** 2 + (y - 22) ** 2 < 110
    mask[34:84, 38:62] = True
    mask[36:78, 32:68] |= True
    mask[80:132, 40:49] = mask[80:132, 51:60] = True
    picture = np.where(mask[..., None], (40, 50, 190), (170, 120, 90)) + rng.normal(0, 6, (150, 100, 3))
    ys, xs = np.nonzero(mask)
    person = {
        "b": [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1],
        "k": [[*JOINTS[name], 2] for name in KEYPOINTS],
        "st": "ok",
    }
    return picture.clip(0, 255).astype(np.uint8), mask, person


def test_a_person_on_a_quiet_ground_is_cut_out():
    picture, mask, person = doll()
    found = cut_people.cut(picture, person)
    assert found is not None
    assert (found & mask).sum() / (found | mask).sum() > 0.93


def test_cuts_that_lose_the_person_are_thrown_away():
    picture, _, person = doll()
    assert cut_people.cut(picture, {**person, "k": [[x, y, -1] for x, y, _ in person["k"]]}) is None
    assert cut_people.cut(picture, {**person, "b": [0, 0, 30, 30]}) is None


def test_only_pictures_of_one_sure_person_are_cut():
    _, _, person = doll()
    assert cut_people.only_person({"people": [person]}) is person
    assert cut_people.only_person({"people": [person, person]}) is None
    assert cut_people.only_person({"people": [{**person, "st": "ignore"}]}) is None
    assert cut_people.only_person({"people": [{**person, "k": None}]}) is None
