"""Writes the training format: tars of WebP pictures and `index.jsonl.gz`."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError


def whole_picture(width: float, height: float) -> dict:
    """An ignored region over all of a picture: what is not labelled there must not be learnt as absent."""
    return {"b": [0, 0, width, height], "st": "ignore"}


def held_out(key: str, share: float) -> bool:
    """A stable draw: the same person or picture always lands in the same split."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32 < share


class Writer:
    """Scales pictures to the canvas, labels with them, and splits the pictures over tars of `per_tar`."""

    def __init__(self, folder: Path, source: str, canvas: int = 336, per_tar: int = 5000, quality: int = 80):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.source, self.canvas, self.per_tar, self.quality = folder, source, canvas, per_tar, quality
        self.index = gzip.open(folder / f"index-{source}.jsonl.gz", "wt")
        self.tar: tarfile.TarFile | None = None
        self.written = self.unreadable = 0

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_) -> None:
        self.index.close()
        if self.tar:
            self.tar.close()

    def add(self, picture: Path, split: str, hands: list[dict], people: list[dict]) -> bool:
        """Labels are in the pixels of the picture as stored on disk. False: the picture cannot be read."""
        try:
            with Image.open(picture) as opened:
                image = ImageOps.exif_transpose(opened).convert("RGB")
        except (OSError, UnidentifiedImageError):
            self.unreadable += 1
            return False
        scale = min(1.0, self.canvas / max(image.size))
        size = [max(1, round(v * scale)) for v in image.size]
        small = image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image
        name = hashlib.sha256(f"{self.source}/{picture.name}".encode()).hexdigest()[:12]
        data = io.BytesIO()
        small.save(data, "WEBP", quality=self.quality)
        if self.written % self.per_tar == 0:
            if self.tar:
                self.tar.close()
            self.tar = tarfile.open(self.folder / f"images-{self.source}-{self.written // self.per_tar}.tar", "w")
        entry = tarfile.TarInfo(f"{name}.webp")
        entry.size = data.tell()
        data.seek(0)
        self.tar.addfile(entry, data)
        record = {"id": name, "src": self.source, "split": split, "w": size[0], "h": size[1]}
        record["hands"] = [self._scaled(h, scale) for h in hands]
        record["people"] = [self._scaled(p, scale) for p in people]
        self.index.write(json.dumps(record) + "\n")
        self.written += 1
        return True

    @staticmethod
    def _scaled(item: dict, scale: float) -> dict:
        out = dict(item, b=[round(v * scale, 1) for v in item["b"]])
        if item.get("k"):
            out["k"] = [[round(x * scale, 1), round(y * scale, 1), v] for x, y, v in item["k"]]
        return out
