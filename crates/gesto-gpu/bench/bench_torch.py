"""The same work in PyTorch with CUDA graphs, for comparison: frame in host memory -> resize -> network -> decoded, best 128 back.

usage: bench_torch.py WEIGHTS.safetensors [--size 320x224] [--batch 64] [--json FILE]
Needs torch and safetensors. fp16, channels last, cuDNN autotuned; everything between the host's copy into pinned memory and
the results in pinned memory is one captured graph.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from safetensors import safe_open

FRAME_HEIGHT, FRAME_WIDTH = 1920, 1080
KEPT = 128


class Network:
    """The two-headed YOLOv8-style network, evaluated from its tensors by name."""

    def __init__(self, path: str, height: int, width: int) -> None:
        with safe_open(path, framework="pt") as f:
            self.heads = json.loads(f.metadata()["heads"])
            self.tensors = {name: f.get_tensor(name).half().cuda() for name in f.keys()}
        for name, t in self.tensors.items():
            if t.dim() == 4:
                self.tensors[name] = t.contiguous(memory_format=torch.channels_last)
        points, strides = [], []
        for stride in (8, 16, 32):
            rows, columns = height // stride, width // stride
            y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
            points.append(torch.stack([x.flatten(), y.flatten()]))
            strides.append(torch.full((1, rows * columns), float(stride)))
        self.points = torch.cat(points, 1).half().cuda()
        self.strides = torch.cat(strides, 1).half().cuda()
        self.bins = torch.arange(16.0).half().cuda().view(1, 1, 16, 1)

    def conv(self, name: str, x: torch.Tensor, stride: int = 1, act: bool = True) -> torch.Tensor:
        w = self.tensors[name + ".weight"]
        y = F.conv2d(x, w, self.tensors[name + ".bias"], stride, w.shape[2] // 2)
        return F.silu(y, inplace=True) if act else y

    def c2f(self, name: str, x: torch.Tensor, shortcut: bool) -> torch.Tensor:
        parts = list(self.conv(name + ".cv1", x).chunk(2, 1))
        depth = 0
        while f"{name}.m.{depth}.cv1.weight" in self.tensors:
            y = self.conv(f"{name}.m.{depth}.cv2", self.conv(f"{name}.m.{depth}.cv1", parts[-1]))
            parts.append(parts[-1] + y if shortcut else y)
            depth += 1
        return self.conv(name + ".cv2", torch.cat(parts, 1))

    def sppf(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.conv("b.9.cv1", x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.conv("b.9.cv2", torch.cat(parts, 1))

    def branch(self, name: str, features: list[torch.Tensor]) -> torch.Tensor:
        maps = []
        for level, x in enumerate(features):
            x = self.conv(f"{name}.{level}.1", self.conv(f"{name}.{level}.0", x))
            maps.append(self.conv(f"{name}.{level}.2", x, act=False).flatten(2))
        return torch.cat(maps, 2)

    def head(self, spec: dict, features: list[torch.Tensor]) -> torch.Tensor:
        classes = self.branch(spec["name"] + ".cv3", features)
        sides = self.branch(spec["name"] + ".cv2", features)
        batch, _, anchors = sides.shape
        distance = (sides.view(batch, 4, 16, anchors).softmax(2) * self.bins).sum(2)
        low, high = self.points - distance[:, :2], self.points + distance[:, 2:]
        score, best = classes.max(1)
        out = [low * self.strides, high * self.strides, score.sigmoid().unsqueeze(1), best.half().unsqueeze(1)]
        if spec.get("keypoints"):
            k = self.branch(spec["name"] + ".cv4", features).view(batch, -1, 3, anchors)
            xy = (2 * k[:, :, :2] + self.points - 0.5) * self.strides
            out.append(torch.cat([xy, k[:, :, 2:].sigmoid()], 2).flatten(1, 2))
        found = torch.cat(out, 1)
        kept = score.topk(KEPT, 1).indices
        return found.gather(2, kept.unsqueeze(1).expand(-1, found.shape[1], -1))

    def __call__(self, x: torch.Tensor) -> list[torch.Tensor]:
        p = {}
        for layer, kind in enumerate("DDCDCDCDCS"):
            name = f"b.{layer}"
            x = self.conv(name, x, 2) if kind == "D" else self.sppf(x) if kind == "S" else self.c2f(name, x, True)
            p[layer] = x
        up = lambda t: F.interpolate(t, scale_factor=2)
        n4 = self.c2f("n12", torch.cat([up(p[9]), p[6]], 1), False)
        n3 = self.c2f("n15", torch.cat([up(n4), p[4]], 1), False)
        m4 = self.c2f("n18", torch.cat([self.conv("n16", n3, 2), n4], 1), False)
        m5 = self.c2f("n21", torch.cat([self.conv("n19", m4, 2), p[9]], 1), False)
        return [self.head(spec, [n3, m4, m5]) for spec in self.heads]


def capture(work) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def measure(call, seconds: float) -> tuple[float, float, int]:
    for _ in range(20):
        call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    times.sort()
    return statistics.median(times), times[len(times) * 99 // 100], len(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("--size", default="320x224")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json")
    args = parser.parse_args()
    height, width = map(int, args.size.split("x"))
    torch.backends.cudnn.benchmark = True
    rows = []

    def row(name: str, batch: int, call) -> None:
        p50, p99, runs = measure(call, args.seconds)
        rows.append({"name": name, "fps": batch / p50, "p50_ms": p50 * 1e3, "p99_ms": p99 * 1e3, "submissions": runs})
        print(f"{name:44} {batch / p50:10.0f} frames/s   p50 {p50 * 1e3:8.4f} ms   p99 {p99 * 1e3:8.4f} ms", flush=True)

    with torch.inference_mode():
        network = Network(args.weights, height, width)
        shape = (1, FRAME_HEIGHT, FRAME_WIDTH, 4)
        frame = torch.randint(0, 256, shape, dtype=torch.uint8)
        pinned, resident = frame.pin_memory(), torch.empty(shape, dtype=torch.uint8, device="cuda")
        results: list[torch.Tensor] = []

        def everything() -> None:
            resident.copy_(pinned, non_blocking=True)
            rgb = resident[..., :3].flip(-1).permute(0, 3, 1, 2).half()
            x = F.interpolate(rgb, (height, width), mode="bilinear", align_corners=False) / 255
            found = network(x.contiguous(memory_format=torch.channels_last))
            if not results:
                results.extend(torch.empty(f.shape, dtype=f.dtype, pin_memory=True) for f in found)
            for host, f in zip(results, found):
                host.copy_(f, non_blocking=True)

        graph = capture(everything)

        def whole() -> None:
            pinned.copy_(frame)
            graph.replay()
            torch.cuda.synchronize()

        def in_pinned() -> None:
            graph.replay()
            torch.cuda.synchronize()

        row("everything, frame in ordinary memory", 1, whole)
        row("everything, frame already in pinned memory", 1, in_pinned)
        for batch in (1, args.batch):
            x = torch.rand(batch, 3, height, width, device="cuda").half().contiguous(memory_format=torch.channels_last)
            captured = capture(lambda: network(x))

            def only() -> None:
                captured.replay()
                torch.cuda.synchronize()

            row(f"network and decoding, batch {batch}", batch, only)
    report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "size": args.size, "rows": rows}
    if args.json:
        with open(args.json, "w") as f:
            json.dump(report, f, indent=1)


if __name__ == "__main__":
    main()
