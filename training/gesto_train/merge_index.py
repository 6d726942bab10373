"""Joins the indices that the converters wrote.

python -m gesto_train.merge_index data/index-*.jsonl.gz --out data/index.jsonl.gz
"""

import argparse
import gzip
from pathlib import Path

from .dataset import read_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("indices", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    seen: set[str] = set()
    with gzip.open(args.out, "wt") as out:
        for path in args.indices:
            doubled = seen & (records := read_index(path)).keys()
            if doubled:
                raise SystemExit(f"{path}: pictures that another index holds already: {', '.join(sorted(doubled)[:5])}")
            seen |= records.keys()
            with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as lines:
                out.writelines(lines)
    print(f"{args.out}: {len(seen)} pictures")


if __name__ == "__main__":
    main()
