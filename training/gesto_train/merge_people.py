"""Merges a person detector's boxes into an index: `python -m gesto_train.merge_people --index I --detections D --out O`.

For pictures whose teacher missed people or doubted them. Detections are JSON lines `{"id": picture, "d": [[x0, y0, x1, y1, score], ...]}` in
the pixels of the stored pictures, every picture that was looked at having its line. An unlabelled person is ignored
from `--ignore`, and added from `--sure`, without keypoints. A doubted person that the detector sees becomes a sure one, without
keypoints; one of which it sees nothing is dropped in the sources named by `--doubt` (a teacher of poses believes in dogs).
"""

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np

from .dataset import read_index
from .metrics import Truth, box_similarity
from .relabel import covered


def merge(record: dict, found: np.ndarray, ignore: float, sure: float, doubt: bool) -> Counter:
    """Changes `record["people"]` in place by `found` (`n x 5`, box and score)."""
    count: Counter = Counter()
    people = record["people"]
    found = found[np.argsort(-found[:, 4])]
    labels = np.array([p["b"] for p in people], float).reshape(-1, 4)
    taken = np.zeros(len(people), bool)
    for *box, score in found.tolist():
        none = np.zeros(len(labels), bool)
        overlap = box_similarity(np.array([box]), Truth(labels, none, none))[0] if len(labels) else np.zeros(0)
        best = int(overlap.argmax()) if len(overlap) else -1
        if best >= 0 and overlap[best] >= 0.5:
            if not taken[best] and people[best].get("st", "ok") == "ignore" and score >= sure:
                people[best] |= {"st": "ok", "k": None, "o": "teacher+detector"}
                count["doubted, now sure"] += 1
            taken[best] = True
        elif score >= ignore and covered(np.array(box), labels) < 0.5:
            is_sure = score >= sure
            people.append({"b": [round(v, 1) for v in box], "k": None, "o": "detector", "st": "ok" if is_sure else "ignore"})
            labels = np.concatenate([labels, [box]])
            taken = np.append(taken, True)
            count["added" if is_sure else "ignored"] += 1
    if doubt:
        near = [covered(np.array(p["b"]), found[:, :4]) for p in people]
        gone = [p for p, n in zip(people, near) if p.get("st", "ok") == "ignore" and n < 0.2]
        record["people"] = [p for p in people if p not in gone]
        count["doubted, now dropped"] += len(gone)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--detections", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ignore", type=float, default=0.3)
    parser.add_argument("--sure", type=float, default=0.5)
    parser.add_argument("--doubt", nargs="*", default=[], metavar="SOURCE")
    args = parser.parse_args()
    records = read_index(args.index)
    total: Counter = Counter()
    for path in args.detections:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            record = records.get(entry["id"])
            if record is None or record["split"] != "train":
                continue
            found = np.array(entry["d"], float).reshape(-1, 5)
            changes = merge(record, found, args.ignore, args.sure, record["src"] in args.doubt)
            total.update({f"{record['src']}: {k}": v for k, v in changes.items()})
    with gzip.open(args.out, "wt") as out:
        out.writelines(json.dumps(r) + "\n" for r in records.values())
    for name, number in sorted(total.items()):
        print(f"{name} {number}")


if __name__ == "__main__":
    main()
