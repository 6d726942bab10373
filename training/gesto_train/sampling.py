"""Which pictures and which hands come how often."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .dataset import Dataset
from .schema import GESTURES, SURE, UPSIDE_DOWN


@dataclass(frozen=True)
class SamplingOptions:
    """`source_weight` scales whole sources: above 1 where people are many, below where frames repeat."""

    plain: float = 0.6  # pictures without a gesture
    empty: float = 1.0  # factor for pictures without people and hands: animals and things teach what is no person
    reference: float = 600.0  # a class with so many pictures has weight 1; rarer ones more
    power: float = 0.5
    limit: float = 4.0
    source_weight: dict[str, float] = field(default_factory=dict)
    paste_sources: dict[str, float] = field(default_factory=dict)
    paste_least_side: float = 24.0
    paste_never: tuple[str, ...] = ("mute",)  # a finger on lips is no gesture without the lips
    paste_no_gesture: float = 0.25


def _gestures(record: dict) -> set[str]:
    return {h["c"] for h in record["hands"] if h.get("st", "ok") == "ok"} - {"no_gesture"}


def picture_weights(records: list[dict], o: SamplingOptions) -> np.ndarray:
    """Relative frequency of each picture in training."""
    count: Counter[str] = Counter()
    for record in records:
        for name in _gestures(record):
            count[name] += o.source_weight.get(record["src"], 1.0)
    weights = []
    for record in records:
        rare = [min(o.limit, (o.reference / max(count[n], 1.0)) ** o.power) for n in _gestures(record)]
        empty = 1.0 if record["hands"] or record["people"] else o.empty
        weights.append(max(rare, default=o.plain) * empty * o.source_weight.get(record["src"], 1.0))
    total = np.array(weights)
    return total / total.sum()


class Sampler:
    """Draws picture indices with replacement, on the device."""

    def __init__(self, index: np.ndarray, weights: np.ndarray, device: str):
        self.index = torch.from_numpy(index).to(device)
        # A cumulative sum and a search are much cheaper than torch.multinomial and need no host.
        self.cumulative = torch.from_numpy(np.cumsum(weights)).float().to(device)

    def __call__(self, count: int) -> Tensor:
        u = torch.rand(count, device=self.index.device) * self.cumulative[-1]
        return self.index[torch.searchsorted(self.cumulative, u).clamp(max=len(self.index) - 1)]


class HandBank:
    """Hands that may be pasted into other pictures; rare gestures are drawn as often as frequent ones."""

    def __init__(self, data: Dataset, index: np.ndarray, o: SamplingOptions, device: str):
        rows = []
        for i in index.tolist():
            record = data.records[i]
            hands = data.hands[i].cpu().numpy()
            for j, hand in enumerate(record["hands"][: len(hands)]):
                x0, y0, x1, y1, _, state = hands[j]
                if state == SURE and hand["c"] not in o.paste_never and max(x1 - x0, y1 - y0) >= o.paste_least_side:
                    rows.append((i, j, hand["c"], record["src"]))
        count = Counter((c) for _, _, c, _ in rows)
        classes = max(1, len([c for c in count if c != "no_gesture"]))
        weight = []
        per_class: Counter[str] = Counter()
        for _, _, c, src in rows:
            per_class[c] += o.paste_sources.get(src, 1.0)
        for _, _, c, src in rows:
            share = o.paste_no_gesture if c == "no_gesture" else (1 - o.paste_no_gesture) / classes
            weight.append(share * o.paste_sources.get(src, 1.0) / max(per_class[c], 1e-9))
        self.count = count
        self.picture = torch.tensor([r[0] for r in rows], device=device)
        self.hand = torch.tensor([r[1] for r in rows], device=device)
        turned = [GESTURES.index(UPSIDE_DOWN[r[2]]) if r[2] in UPSIDE_DOWN else -1 for r in rows]
        self.upside_down = torch.tensor(turned, device=device)
        self.cumulative = torch.tensor(np.cumsum(weight), device=device, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.picture)

    def draw(self, count: int) -> Tensor:
        u = torch.rand(count, device=self.cumulative.device) * self.cumulative[-1]
        return torch.searchsorted(self.cumulative, u).clamp(max=len(self) - 1)
