#!/usr/bin/env python3
"""Turn round_robin.py's JSON lines into a Markdown table and an SVG plot for docs/benchmarks.md.

    python table.py results.jsonl --update ../docs/benchmarks.md --svg ../docs/benchmarks.svg

Without --update the table goes to standard output. With it, the text between `<!-- peers:begin -->` and `<!-- peers:end -->` in that file
is replaced.
"""

import argparse
import json
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- peers:begin -->", "<!-- peers:end -->"
LAZY = (" gesto evaluates boxes and keypoints only where a class passes its threshold (unless run with `--dense`); the others "
        "have to evaluate them everywhere.")
NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "rten": "rten (Rust)", "tract": "tract (Rust)", "gesto": "**gesto**"}
Case = tuple[str, int]  # size, threads
Runtime = tuple[str, str]  # peer, isa
Machine = dict[str, Any]
Results = dict[Runtime, dict[Case, dict[str, Any]]]


def read(path: Path) -> tuple[Machine, Results]:
    """The machine, and the results by runtime and case, both in the file's order."""
    machine: Machine = {}
    results: Results = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        if "machine" in line:
            machine = line["machine"]
        else:
            results.setdefault((line["peer"], line["isa"]), {})[line["size"], line["threads"]] = line
    if not results:
        raise SystemExit(f"{path} holds no results")
    return machine, results


def cases(results: Results) -> list[Case]:
    found = {case for by_case in results.values() for case in by_case}
    return sorted(found, key=lambda case: (-int(case[0].split("x")[0]), case[1]))


def label(runtime: Runtime, machine: Machine) -> tuple[str, str]:
    peer, isa = runtime
    return " ".join(filter(None, [NAMES.get(peer, peer), machine.get("versions", {}).get(peer, "")])), isa


def markdown(machine: Machine, results: Results) -> str:
    columns = cases(results)
    lines = header(columns)
    for runtime, by_case in results.items():
        cells = [f"{by_case[c]['median_ms']:.2f} / {by_case[c]['p99_ms']:.2f}" if c in by_case else "-" for c in columns]
        name, isa = label(runtime, machine)
        lines.append(f"| {name} | {isa} | " + " | ".join(cells) + " |")
    rounds = max(line["rounds"] for by_case in results.values() for line in by_case.values())
    foreign = max(line["worst_foreign_cpu"] for by_case in results.values() for line in by_case.values())
    stolen = max(line["worst_stolen_cpu"] for by_case in results.values() for line in by_case.values())
    lines += [
        "",
        "Milliseconds, median / 99th percentile, batch 1, network only (no resize, no decoding); medians over "
        f"{rounds} rounds in which the runtimes took turns, each turn a fresh process. {describe(machine)}. Worst turn: other "
        f"programs had {foreign:.0%} of the processors, the hypervisor took {stolen:.0%}."
        + (LAZY if any(peer == "gesto" for peer, _ in results) else ""),
    ]
    ratios = speedups(columns, results)
    return "\n".join(lines + (["", *ratios] if ratios else []))


def describe(machine: Machine) -> str:
    return (f"{machine.get('cpu', 'unknown processor')}, {machine.get('processors', '?')} virtual processors, "
            f"{', '.join(machine.get('features', []))}; {machine.get('date', '')}")


def speedups(columns: list[Case], results: Results) -> list[str]:
    """How many times faster each of gesto's tiers is than each peer, from the medians."""
    ours = {runtime: v for runtime, v in results.items() if runtime[0] == "gesto"}
    lines = []
    for (_, isa), mine in ours.items():
        lines += [f"Times faster, gesto {isa} than:", "", *header(columns)]
        for runtime, theirs in results.items():
            if runtime in ours:
                continue
            cells = [f"{theirs[c]['median_ms'] / mine[c]['median_ms']:.2f}" if c in mine and c in theirs else "-" for c in columns]
            lines.append(f"| {NAMES.get(runtime[0], runtime[0])} | {runtime[1]} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines[:-1]


def header(columns: list[Case]) -> list[str]:
    return ["| runtime | instruction set | " + " | ".join(map(title, columns)) + " |", "|---|---|" + "---|" * len(columns)]


def title(case: Case) -> str:
    size, threads = case
    return f"{size.replace('x', ' x ')}, {plural(threads)}"


def plural(threads: int) -> str:
    return f"{threads} thread" + ("s" if threads > 1 else "")


def plot(results: Results, path: Path) -> None:
    """Horizontal bars of the medians, one panel per size and thread count; a thin line reaches to the 99th percentile."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    matplotlib.rcParams["svg.hashsalt"] = "gesto"  # the same data give the same file
    import matplotlib.pyplot as plt

    columns = cases(results)
    figure, axes = plt.subplots(1, len(columns), figsize=(3.2 * len(columns) + 1.5, 0.42 * len(results) + 1.2), sharey=True, squeeze=False)
    names = [f"{NAMES.get(peer, peer).strip('*')}, {isa}" for peer, isa in results]
    for axis, case in zip(axes[0], columns, strict=True):
        for row, (runtime, by_case) in enumerate(results.items()):
            if case not in by_case:
                continue
            line = by_case[case]
            axis.barh(row, line["median_ms"], color="#d9480f" if runtime[0] == "gesto" else "#868e96")
            axis.plot([line["median_ms"], line["p99_ms"]], [row, row], color="#343a40", linewidth=0.8)
            axis.annotate(f"{line['median_ms']:.1f}", (line["p99_ms"], row), (3, 0), textcoords="offset points", va="center", fontsize=8)
        axis.set_title(title(case), fontsize=10)
        axis.margins(x=0.18)
        axis.set_xlim(left=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlabel("ms per frame")
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def update(path: Path, table: str) -> None:
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{path} must hold {BEGIN} and {END} once each")
    head, rest = text.split(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--update", type=Path, help="Markdown file with the two markers")
    parser.add_argument("--svg", type=Path, help="plot to write (needs matplotlib)")
    args = parser.parse_args()
    machine, results = read(args.results)
    table = markdown(machine, results)
    if args.update:
        update(args.update, table)
    else:
        print(table)
    if args.svg:
        plot(results, args.svg)


if __name__ == "__main__":
    main()
