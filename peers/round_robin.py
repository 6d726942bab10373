#!/usr/bin/env python3
"""Time gesto and its peers in turn (A B C A B C ...), so that the machine's drift hits all alike.

Each turn is a fresh process. A turn during which other programs used the processor is thrown away and repeated. The result
is one JSON line per peer, instruction set, size and thread count: the median over the rounds of each round's figures, in the
keys of `gesto bench model`. The first line describes the machine.
"""

import argparse
import json
import os
import resource
import shlex
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GFLOP = {"320x224": 2.128, "256x128": 0.972}  # dense network, one multiply-add = 2
Report = dict[str, Any]  # one JSON line
AGREEMENT = {"f32": 1e-3, "bf16": 0.05}  # how far best probabilities may lie from ONNX Runtime's


class ContestantError(Exception):
    """It cannot run here; the others still can."""


@dataclass
class Contestant:
    """One line of the table: how to start it, and the environment it needs."""

    peer: str
    isa: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CpuTimes:
    """Seconds since boot, summed over all processors."""

    total: float
    busy: float
    stolen: float

    @staticmethod
    def now() -> "CpuTimes":
        ticks = [int(n) / os.sysconf("SC_CLK_TCK") for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return CpuTimes(sum(ticks), sum(ticks) - ticks[3] - ticks[4], ticks[7])


def cpu_flags() -> set[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.split())
    return set()


def contestants(args: argparse.Namespace, model: Path, image: Path | None, size: str, threads: int) -> list[Contestant]:
    flags = cpu_flags()
    widest = "avx512-f32" if "avx512f" in flags else "avx2-f32"
    common = ["--threads", str(threads), "--size", size, "--runs", str(args.runs), "--warmup", str(args.warmup)]
    common += ["--image", str(image)] if image else []

    def python(peer: str, isa: str, precision: str = "f32", **environment: str) -> Contestant:
        command = [sys.executable, str(HERE / "bench_python.py"), str(model), "--peer", peer, "--isa", isa, "--precision", precision]
        return Contestant(peer, isa, command + common, environment)

    found = [python("onnxruntime", widest), python("openvino", widest)]
    if widest == "avx512-f32":
        found.append(python("openvino", "avx2-f32", ONEDNN_MAX_CPU_ISA="AVX2"))
    if "amx_bf16" in flags:
        shim = {"LD_PRELOAD": str(args.amx_shim.resolve())} if args.amx_shim else {}
        found.append(python("openvino", "amx-bf16", "bf16", **shim))
    elif "avx512_bf16" in flags:
        found.append(python("openvino", "avx512-bf16", "bf16"))
    for peer in ("rten", "tract"):
        found.append(Contestant(peer, widest, [str(args.rust_peers), str(model), "--peer", peer, *common]))
    if args.gesto:
        for isa in args.gesto_isa:
            command = [str(args.gesto), "bench", "model", "--size", size, "--threads", str(threads), "--isa", isa,
                       "--mode", "latency", "--json", "-", *shlex.split(args.gesto_args)]
            found.append(Contestant("gesto", isa, command))
    return [c for c in found if not args.only or c.peer in (*args.only, "gesto")]


def await_quiet(limit: float, patience: float) -> None:
    """Returns once the processors have been nearly idle for a second, or when `patience` seconds are over."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = CpuTimes.now()
        time.sleep(1)
        after = CpuTimes.now()
        if (after.busy - before.busy) <= limit * (after.total - before.total):
            return


def turn(contestant: Contestant, quiet: float, patience: float, tries: int) -> Report:
    """One measurement of one contestant: its own figures, and how much of the processor others took meanwhile."""
    for attempt in range(tries):
        await_quiet(quiet, patience)
        before, own = CpuTimes.now(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(contestant.command, env=os.environ | contestant.environment, capture_output=True, text=True)
        after, mine = CpuTimes.now(), resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
            hint = " (SIGILL; see --amx-shim)" if done.returncode == -signal.SIGILL else ""
            raise ContestantError(f"{contestant.peer} {contestant.isa}: {last}{hint}")
        elapsed = after.total - before.total
        stolen = (after.stolen - before.stolen) / elapsed
        used = (mine.ru_utime + mine.ru_stime - own.ru_utime - own.ru_stime) / elapsed
        foreign = max(0.0, (after.busy - before.busy) / elapsed - used - stolen)
        if foreign <= quiet or attempt + 1 == tries:
            line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
            report: Report = json.loads(line)
            return report | {"foreign_cpu": foreign, "stolen_cpu": stolen}
    raise AssertionError("tries is at least 1")


def combine(contestant: Contestant, size: str, threads: int, rounds: list[Report]) -> Report:
    """Medians over the rounds; the lowest minimum."""
    median = statistics.median(r["median_ms"] for r in rounds)
    line = {
        "peer": contestant.peer,
        "isa": contestant.isa,
        "threads": threads,
        "size": size,
        "median_ms": round(median, 3),
        "p99_ms": round(statistics.median(r["p99_ms"] for r in rounds), 3),
        "fps": round(1e3 / median, 1),
        "gflops": round(GFLOP[size] / median * 1e3, 1) if size in GFLOP else None,  # gesto's own count replaces it below
        "rounds": len(rounds),
        "round_medians_ms": [round(r["median_ms"], 3) for r in rounds],
        "worst_foreign_cpu": round(max(r["foreign_cpu"] for r in rounds), 3),
        "worst_stolen_cpu": round(max(r["stolen_cpu"] for r in rounds), 3),
    }
    for key in ("gflops", "percent_of_ceiling", "hand_best", "body_best"):
        if all(key in r for r in rounds):
            line[key] = statistics.median(r[key] for r in rounds)
    return line


def check_agreement(lines: list[Report]) -> None:
    """A runtime that computes something else must not be in the table."""
    reference = next((line for line in lines if line["peer"] == "onnxruntime"), None)
    for line in lines:
        if not reference or "hand_best" not in line:
            continue
        limit = AGREEMENT["bf16" if "bf16" in line["isa"] else "f32"]
        for key in ("hand_best", "body_best"):
            if abs(line[key] - reference[key]) > limit:
                raise SystemExit(f"{line['peer']} {line['isa']} computes another {key} than ONNX Runtime: "
                                 f"{line[key]} against {reference[key]}")


def machine() -> Report:
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown")
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
    versions = {name: version(name) for name in ("onnxruntime", "openvino")}
    lock = (HERE / "Cargo.lock").read_text().split("[[package]]")
    for name, package in (("rten", "rten"), ("tract", "tract-onnx")):
        versions[name] = next(p.split('version = "')[1].split('"')[0] for p in lock if f'name = "{package}"\n' in p)
    return {"machine": {"cpu": model, "processors": os.cpu_count(), "features": [f for f in wanted if f in cpu_flags()],
                        "date": time.strftime("%Y-%m-%d", time.gmtime()), "versions": versions}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, metavar="HxW=FILE", help="ONNX file (f32 weights) for a size")
    parser.add_argument("--image", action="append", default=[], metavar="HxW=FILE", help="network input as PNG for a size")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=100, help="timed runs per turn")
    parser.add_argument("--warmup", type=int, default=15)
    parser.add_argument("--rust-peers", type=Path, default=HERE / "target/release/gesto-peers")
    parser.add_argument("--gesto", type=Path, help="gesto binary to measure in the same rounds")
    parser.add_argument("--gesto-isa", nargs="+", default=["avx512-f32", "avx2-f32"])
    parser.add_argument("--gesto-args", default="", help="further options of `gesto bench model`, as one string")
    parser.add_argument("--amx-shim", type=Path, default=os.environ.get("AMX_SHIM") and Path(os.environ["AMX_SHIM"]),
                        help="library to preload for bf16 where a virtual machine hides AMX's CPUID leaves (or AMX_SHIM)")
    parser.add_argument("--only", nargs="+", help="names of the peers to run (default: all)")
    parser.add_argument("--quiet", type=float, default=0.05, help="share of the processors that others may use")
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for a quiet machine before each turn")
    parser.add_argument("--tries", type=int, default=5, help="turns until a disturbed one is kept (and its disturbance reported)")
    parser.add_argument("--out", type=Path, help="file for the JSON lines (default: standard output)")
    args = parser.parse_args()

    models, images = (dict(pair.split("=", 1) for pair in pairs) for pairs in (args.model, args.image))
    out = args.out.open("w") if args.out else sys.stdout
    print(json.dumps(machine()), file=out, flush=True)
    failed = False
    for size, model in models.items():
        for threads in args.threads:
            entrants = contestants(args, Path(model), images.get(size) and Path(images[size]), size, threads)
            results: list[list[Report]] = [[] for _ in entrants]
            for number in range(args.rounds):
                for contestant, rounds in zip(entrants, results, strict=True):
                    if len(rounds) < number:
                        continue  # failed in an earlier round
                    try:
                        rounds.append(turn(contestant, args.quiet, args.patience, args.tries))
                    except ContestantError as failure:
                        failed = True
                        print(failure, file=sys.stderr)
                        continue
                    print(f"{size}, {threads} thread(s), round {number + 1}: {contestant.peer} {contestant.isa} "
                          f"{rounds[-1]['median_ms']:.2f} ms", file=sys.stderr)
            lines = [combine(c, size, threads, r) for c, r in zip(entrants, results, strict=True) if len(r) == args.rounds]
            check_agreement(lines)
            for line in lines:
                print(json.dumps(line), file=out, flush=True)
    if failed:
        raise SystemExit("not all runtimes could be measured")


if __name__ == "__main__":
    main()
