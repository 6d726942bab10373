"""A made-up dataset: grey pictures with one bright square each, a "hand" whose colour is its gesture, on a "person"."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image

COLOURS = {"fist": (220, 40, 40), "palm": (40, 220, 40), "no_gesture": (40, 40, 220)}


def made_up_record(i: int, split: str) -> tuple[dict, Image.Image]:
    gesture = list(COLOURS)[i % 3]
    x, y, side = 10 + 5 * (i % 6), 12 + 7 * (i % 4), 18 + i % 5
    picture = Image.new("RGB", (96, 80), (90, 90, 90))
    picture.paste((150, 130, 110), (6, 6, 80, 78))
    picture.paste(COLOURS[gesture], (x, y, x + side, y + side))
    keypoints = [[10 + 4 * k, 8 + 4 * k, 2 if k < 12 else -1] for k in range(17)]
    record = {
        "id": f"{split}{i:04d}", "src": "made-up" if i % 4 else "other", "split": split, "w": 96, "h": 80,
        "hands": [{"b": [x, y, x + side, y + side], "c": gesture, "o": "human", "st": "ok", "t": ["fist", 0.9]}],
        "people": [{"b": [6, 6, 80, 78], "k": keypoints, "o": "gt", "st": "ok"}],
    }  # fmt: skip
    return record, picture


@pytest.fixture(scope="session")
def made_up(tmp_path_factory) -> Path:
    """A folder with `images-0.tar`, `index.jsonl.gz` and `config.toml`."""
    folder = tmp_path_factory.mktemp("data")
    with tarfile.open(folder / "images-0.tar", "w") as tar, gzip.open(folder / "index.jsonl.gz", "wt") as index:
        for split, count in (("train", 36), ("val", 9)):
            for i in range(count):
                record, picture = made_up_record(i, split)
                index.write(json.dumps(record) + "\n")
                data = io.BytesIO()
                picture.save(data, "WEBP", lossless=True)
                entry = tarfile.TarInfo(f"{record['id']}.webp")
                entry.size = data.tell()
                data.seek(0)
                tar.addfile(entry, data)
    (folder / "config.toml").write_text(f"""
[data]
pictures = ["{folder}/images-*.tar"]
index = "{folder}/index.jsonl.gz"
canvas = 96
[data.dev_share]
other = 0.5
[train]
steps = 30
batch = 8
lr = 2e-3
warmup = 5
ema = 0.9
ema_ramp = 1
shapes = [[64, 64, 3], [96, 64, 1]]
log_every = 5
[augment]
max_hands = 6
max_people = 6
[groups.val]
part = "val"
[groups.dev]
part = "dev"
""")
    return folder


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
