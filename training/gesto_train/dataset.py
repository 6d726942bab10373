"""The training format: tars of pictures and `index.jsonl.gz`, decoded once and held on the device.

One index line per picture (README.md has the whole description):
`{"id", "src", "split", "w", "h", "hands": [{"b", "c", "st", "o", "t"}], "people": [{"b", "k", "st"}]}`
"""

import gzip
import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .schema import GESTURES, IGNORE, KEYPOINTS, NO_GESTURE, SURE, UNKNOWN

FILL = 114  # grey of everything outside a picture


@dataclass
class Dataset:
    """All pictures as tensors. Labels are in the pixels of the stored picture, padded with state 0."""

    pixels: Tensor  # N x canvas x canvas x 3, uint8, picture at the top left
    size: Tensor  # N x 2: width, height
    hands: Tensor  # N x H x 6: box, class, state
    hand_mix: Tensor  # N x H x classes: soft labels
    people: Tensor  # N x P x 5: box, state
    keypoints: Tensor  # N x P x 17 x 3
    records: list[dict]

    def __len__(self) -> int:
        return len(self.records)

    def where(self, test) -> np.ndarray:
        """Indices of the records that satisfy `test`."""
        return np.array([i for i, r in enumerate(self.records) if test(r)], dtype=np.int64)

    def tensors(self) -> dict[str, Tensor]:
        return {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}

    def to(self, device: str) -> "Dataset":
        return Dataset(**{k: v.to(device) for k, v in self.tensors().items()}, records=self.records)


def read_index(path: Path) -> dict[str, dict]:
    """Records by picture id; `path` is JSON lines, gzipped or not."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as lines:
        return {r["id"]: r for r in map(json.loads, lines)}


def read_pictures(paths: list[Path], wanted: set[str]) -> dict[str, bytes]:
    """Encoded pictures by id, from tar files (compressed or not) and folders."""
    encoded: dict[str, bytes] = {}
    for path in paths:
        if path.is_dir():
            encoded |= {p.stem: p.read_bytes() for p in path.iterdir() if p.stem in wanted}
            continue
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isfile() and Path(member.name).stem in wanted:
                    encoded[Path(member.name).stem] = tar.extractfile(member).read()
    return encoded


def soft_label(hand: dict, teacher_share: float) -> np.ndarray:
    """One-hot class, or a mixture where a teacher is sure of another gesture of ours than the label says."""
    row = np.zeros(len(GESTURES), np.float32)
    label = GESTURES.index(hand["c"])
    row[label] = 1
    name, probability = (hand.get("t") or [None, 0.0])[:2]
    if teacher_share and name in GESTURES and name != hand["c"] and label != NO_GESTURE and probability > 0.5:
        row[label] -= teacher_share * probability
        row[GESTURES.index(name)] += teacher_share * probability
    return row


def load(
    paths: list[Path],
    index: Path,
    canvas: int,
    max_hands: int = 10,
    max_people: int = 26,
    teacher_share: float = 0.0,
    keep=None,
    workers: int = 16,
) -> Dataset:
    """Decodes every picture that is both in the index and in `paths`; larger ones are scaled to the canvas."""
    records = {i: r for i, r in read_index(index).items() if keep is None or keep(r)}
    encoded = read_pictures(paths, set(records))
    chosen = [r for i, r in records.items() if i in encoded]
    if not chosen:
        raise SystemExit(f"no picture of {index} is in {', '.join(map(str, paths))}")
    n = len(chosen)
    pixels = np.full((n, canvas, canvas, 3), FILL, np.uint8)
    size = np.zeros((n, 2), np.float32)
    hands = np.zeros((n, max_hands, 6), np.float32)
    mix = np.zeros((n, max_hands, len(GESTURES)), np.float32)
    people = np.zeros((n, max_people, 5), np.float32)
    keypoints = np.zeros((n, max_people, len(KEYPOINTS), 3), np.float32)
    keypoints[..., 2] = UNKNOWN

    def fill(i: int) -> None:
        record = chosen[i]
        picture = Image.open(io.BytesIO(encoded[record["id"]])).convert("RGB")
        scale = min(1.0, canvas / max(picture.size))
        if scale < 1:
            picture = picture.resize([max(1, round(v * scale)) for v in picture.size], Image.Resampling.BOX)
        data = np.asarray(picture)
        pixels[i, : data.shape[0], : data.shape[1]] = data
        size[i] = picture.size
        for j, hand in enumerate(record["hands"][:max_hands]):
            state = SURE if hand.get("st", "ok") == "ok" else IGNORE
            hands[i, j] = [*(v * scale for v in hand["b"]), GESTURES.index(hand["c"]), state]
            mix[i, j] = soft_label(hand, teacher_share)
        for j, person in enumerate(record["people"][:max_people]):
            state = SURE if person.get("st", "ok") == "ok" else IGNORE
            people[i, j] = [*(v * scale for v in person["b"]), state]
            if person.get("k"):
                keypoints[i, j] = person["k"]
                keypoints[i, j, :, :2] *= scale

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(n)))
    arrays = (pixels, size, hands, mix, people, keypoints)
    return Dataset(*(torch.from_numpy(a) for a in arrays), records=chosen)
