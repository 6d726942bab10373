#!/usr/bin/env python3
"""Prints the JSON of `gesto bench seed` as a Markdown table; with `--into FILE NAME` puts it between the marks
`<!-- NAME:begin -->` and `<!-- NAME:end -->` of a page. The line above the table says which machine it is: what the JSON
has, or `--machine TEXT`."""

import argparse
import json
import pathlib


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def table(report):
    lines = [
        "| row | experiment | unit | size | p50 / p99 ms | frames/s | seed | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    reasons = {}
    for row in report["rows"]:
        start = f"| {row['row']} | {row['name']} | {row['unit']} | {row['size']} |"
        if row["skipped"]:
            mark = reasons.setdefault(row["skipped"], len(reasons) + 1)
            lines.append(f"{start} skipped ({mark}) | | {number(row['seed_fps'])} | |")
            continue
        ratio = f"{row['fps'] / row['seed_fps']:,.1f}" if row["seed_fps"] else ""
        times = f"{row['p50_ms']:.4f} / {row['p99_ms']:.4f}"
        lines.append(f"{start} {times} | {number(row['fps'])} | {number(row['seed_fps'])} | {ratio} |")
    lines += [""] + [f"({mark}) {why}." for why, mark in reasons.items()]
    return "\n".join(lines).rstrip()


def machine(report):
    """The machine in words, from the JSON; empty where an older one has none."""
    told = report.get("machine")
    if not told:
        return ""
    count = told["processors"]
    parts = [told["processor"], f"{count} processor" + ("" if count == 1 else "s")]
    if told["isa"]:
        parts.append(told["isa"])
    if told["gpu"]:
        parts.append("GPU " + told["gpu"]["name"] + (", software on the CPU" if told["gpu"]["software"] else ""))
    return ", ".join(parts + [f"gesto {told['gesto']}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--into", nargs=2, metavar=("FILE", "NAME"))
    parser.add_argument("--machine", default="")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text())
    name = arguments.machine or machine(report)
    heading = f"{name}, {report['threads']} threads, {report['frames']} frames a figure:\n\n"
    text = (heading if name else "") + table(report)
    if not arguments.into:
        print(text)
        return
    page, mark = pathlib.Path(arguments.into[0]), arguments.into[1]
    begin, end = f"<!-- {mark}:begin -->\n", f"<!-- {mark}:end -->"
    before, rest = page.read_text().split(begin)
    _, after = rest.split(end)
    page.write_text(before + begin + text + "\n" + end + after)


if __name__ == "__main__":
    main()
