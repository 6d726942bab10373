"""Trains: `python -m gesto_train.train --config CONFIG --out FOLDER [--resume] [--set section.key=value ...]`.

A run resumes with the settings that it began with, unless `--set` names one anew.

On several GPUs: `torchrun --nproc-per-node COUNT -m gesto_train.train ...` (parallel.py).
"""

import argparse
import dataclasses
import json
import math
import os
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from .augment import AugmentOptions, training_batch
from .boxes import anchor_points
from .config import Config, changes, load_config
from .cutouts import load_cutouts
from .dataset import Dataset, load
from .distill import distill_terms
from .ema import Average
from .evaluate import brief, evaluate
from .geometry import Batch, letterbox, sample_images
from .losses import LossWeights, head_loss
from .network import Multi
from .parallel import Processes
from .relabel import relabel
from .sampling import HandBank, Sampler, picture_weights
from .schema import OKS_SIGMAS
from .steps import Steps
from .weights import calibrate, export, load_folded, load_network, size_name


def weigh(terms: Tensor, w: LossWeights) -> Tensor:
    """Weighted sum of a head's terms."""
    factors = [w.cls, w.box, w.dfl, w.keypoint, w.visibility, w.likelihood][: len(terms)]
    return sum(f * t for f, t in zip(factors, terms))


class Objective(nn.Module):
    """Network and losses in one module, so that both are compiled together."""

    def __init__(self, network: Multi, config: Config, teacher: Multi | None = None):
        super().__init__()
        self.network, self.config = network, config
        # In a tuple, so that it is no part of what is trained.
        self.teacher = (teacher,)
        self.register_buffer("sigma", torch.tensor(OKS_SIGMAS), persistent=False)

    def forward(self, batch: Batch, points: Tensor, strides: Tensor, half: bool) -> tuple[Tensor, Tensor]:
        (teacher,) = self.teacher
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=half):
            images = batch.images.bfloat16() if half else batch.images
            images = images.contiguous(memory_format=torch.channels_last)
            hand, body = self.network(images)
            with torch.no_grad():
                taught = teacher(images) if teacher else None
        hands, people = batch.hands, batch.people
        hand_terms = head_loss(
            hand, points, strides, hands[..., :4], hands[..., 4].long(), hands[..., 5],
            class_mix=batch.hand_mix, options=self.config.class_loss,
        )  # fmt: skip
        body_terms = head_loss(
            body, points, strides, people[..., :4], torch.zeros_like(people[..., 4], dtype=torch.long),
            people[..., 4], keypoints=batch.keypoints, sigma=self.sigma, options=self.config.class_loss,
            reach=self.config.body_loss.reach,
        )  # fmt: skip
        total = weigh(hand_terms, self.config.hand_loss) + weigh(body_terms, self.config.body_loss)
        terms = [hand_terms, body_terms]
        if taught:
            o, reach = self.config.distill, self.config.body_loss.reach
            for student, wanted in zip((hand, body), taught):
                terms.append(torch.stack(distill_terms(student, wanted, points, strides, self.sigma, reach)))
                total = total + sum(factor * term for factor, term in zip((o.cls, o.dfl, o.keypoint), terms[-1]))
        return total, torch.cat(terms).detach()


def learning_rate(progress: float, step: int, o) -> float:
    """Linear warm-up, then a half cosine down to `least_lr`."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return o.lr * min(1.0, (step + 1) / max(o.warmup, 1)) * (o.least_lr + (1 - o.least_lr) * cosine)


def rotation(shapes) -> list[tuple[int, int]]:
    """The input shapes in turn, spread evenly."""
    slots = [((i + 0.5) / turns, (h, w)) for h, w, turns in shapes for i in range(turns)]
    return [shape for _, shape in sorted(slots)]


class Trainer:
    def __init__(
        self, config: Config, data: Dataset, device: str, out: Path, note: str = "", processes: Processes | None = None
    ):
        self.config, self.data, self.device, self.out, self.note = config, data, device, out, note
        self.processes = processes or Processes()
        o = config.train
        torch.manual_seed(o.seed + 1000 * self.processes.rank)
        self.half = device == "cuda"
        train = data.where(lambda r: config.part(r) == "train")
        if config.relabel.weights or config.relabel.unlabelled:
            weights = config.relabel.weights
            teacher = load_network(Path(weights)).to(device) if weights else None
            began = time.time()
            changes = relabel(teacher, data, train, config.relabel, self.half)
            self.say(f"relabelled in {time.time() - began:.0f} s: {dict(changes)}")
        records = [data.records[i] for i in train]
        self.draw = Sampler(train, picture_weights(records, config.sampling), device)
        bank = HandBank(data, train, config.sampling, device)
        self.bank = bank if len(bank) else None
        self.cutouts = load_cutouts(config.data.cutout_paths(), data, train) if config.data.cutouts else None
        cut = len(self.cutouts) if self.cutouts else 0
        self.say(f"train {len(train)} pictures; people to paste {cut}; hands to paste {dict(bank.count)}")

        scales = config.body_loss.likelihood > 0
        self.network = Multi(config.network.width, config.network.depth, scales).to(device)
        if o.init:
            self._start_from(Path(o.init))
        self.processes.share(self.network)
        self.network = self.network.to(memory_format=torch.channels_last)
        self.average = Average(self.network, o.ema, o.ema_ramp)
        matrices = [p for p in self.network.parameters() if p.dim() > 1]
        vectors = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": o.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        cuda = device == "cuda"
        # The rate is a tensor, so that a captured step reads its present value.
        self.rate = torch.tensor(o.lr, device=device)
        self.optimizer = torch.optim.AdamW(groups, lr=self.rate, betas=(0.9, 0.99), fused=cuda, capturable=cuda)
        teacher = None
        if config.distill.weights:
            teacher = load_network(Path(config.distill.weights)).to(device, memory_format=torch.channels_last).requires_grad_(False)
        self.objective = Objective(self.network, config, teacher).to(device)
        # Three terms of the hands, five or six of the people; two and three of the teacher.
        self.sums = torch.zeros(8 + scales + 5 * bool(teacher), device=device)
        self.calm = dataclasses.replace(config.augment, stack=0.0, mosaic=0.0, many=0.0)
        self.steps = Steps(self.body, o.graphs and cuda)
        self.step, self.spent = 0, 0.0

    def say(self, text: str) -> None:
        if self.processes.first:
            print(text, flush=True)

    def _start_from(self, path: Path) -> None:
        if path.suffix != ".safetensors":
            # What serves training alone begins anew.
            self.network.load_state_dict(self.network.state_dict() | load_network(path).state_dict())
            return
        load_folded(self.network, path)
        rows = self.draw(256)
        affine = letterbox(self.data.size[rows], 320, 224)
        calibrate(self.network, sample_images(self.data.pixels[rows], self.data.size[rows], affine, 320, 224)[0])

    def losses(self, shape: tuple[int, int], augment: AugmentOptions) -> tuple[Tensor, Tensor]:
        height, width = shape
        # Every shape has about as many pixels per batch as the first.
        first = self.config.train.shapes[0]
        count = max(8, int(self.config.train.batch * first[0] * first[1] / (height * width)) // 8 * 8)
        batch = training_batch(self.data, self.draw, self.bank, count, height, width, augment, self.cutouts)
        points, strides = anchor_points(height, width, str(batch.images.device))
        return self.objective(batch, points, strides, self.half)

    def body(self, key: tuple[tuple[int, int], bool]) -> None:
        """One update of the weights, on a batch of a shape, with or without mosaics."""
        shape, is_calm = key
        self.optimizer.zero_grad(set_to_none=True)
        loss, terms = self.losses(shape, self.calm if is_calm else self.config.augment)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.train.clip, foreach=True)
        self.optimizer.step()
        self.sums += terms

    def run(self) -> dict:
        o = self.config.train
        shapes = rotation(o.shapes)
        self.network.train()
        began = last_save = last_eval = last_log = time.time()
        last_step = self.step
        done = self.spent
        while True:
            self.spent = done + time.time() - began
            progress = max(self.step / o.steps, self.spent / o.seconds)
            if self.processes.count == 1 or self.step % o.mean_every == 0:
                progress = self.processes.mean(self.network, progress)
                if progress >= 1:
                    break
            rate = learning_rate(progress, self.step, o)
            self.rate.fill_(rate)
            self.steps((shapes[self.step % len(shapes)], progress >= 1 - o.calm))
            self.average.update(self.network)
            self.step += 1
            if self.step % o.log_every == 0:
                values = (self.sums / o.log_every).tolist()
                self.sums.zero_()
                if not all(map(math.isfinite, values)):
                    raise SystemExit(f"step {self.step}: a loss is not finite: {values}")
                now = time.time()
                speed = (self.step - last_step) * o.batch * self.processes.count / (now - last_log)
                last_log, last_step = now, self.step
                text = " ".join(f"{v:.3f}" for v in values)
                self.say(f"step {self.step} progress {progress:.3f} lr {rate:.2e} {speed:.0f}/s losses {text}")
            if time.time() - last_save > o.checkpoint_seconds:
                self.save()
                last_save = time.time()
            if time.time() - last_eval > o.evaluate_seconds:
                self.report()
                last_eval = time.time()
        self.save()
        return self.report()

    def report(self) -> dict:
        if not self.processes.first:
            return {}
        figures = evaluate(self.average.network, self.data, self.config, half=self.half)
        print(f"step {self.step}, {self.spent:.0f} s\n{brief(figures)}", flush=True)
        return figures

    def save(self) -> None:
        """Writes `checkpoint.pt` whole or not at all, and the averaged weights as they would ship."""
        if not self.processes.first:
            return
        state = {
            "network": self.network.state_dict(),
            "ema": self.average.network.state_dict(),
            "updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent,
            "settings": self.config.settings(),
        }
        partial = self.out / "checkpoint.partial"
        torch.save(state, partial)
        os.replace(partial, self.out / "checkpoint.pt")
        size = size_name(self.config.network.width)
        export(self.average.network, self.out / f"multi-{size}.safetensors", self.note, f"yolov8{size}-multi")

    def resume(self) -> None:
        state = torch.load(self.out / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["ema"])
        self.average.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate  # loading put another tensor in its place
        self.step, self.spent = state["step"], state["spent"]


def check_settings(checkpoint: Path, config: Config, overrides: list[str]) -> list[str]:
    """Refuses to resume with other settings than the run began with, but for those that `overrides` name; tells these."""
    before = torch.load(checkpoint, map_location="cpu", weights_only=True).get("settings")
    if before is None:
        return [f"{checkpoint} does not tell its settings: those given now are taken"]
    named = tuple(override.partition("=")[0] for override in overrides)
    different = changes(before, config)
    meant = {k for k in different if any(k == n or k.startswith(f"{n}.") for n in named) and not k.startswith("network.")}
    told = [f"{k} = {new!r}, {old!r} before" for k, (old, new) in different.items() if k in meant]
    refused = [f"{k} = {old!r}, not {new!r}" for k, (old, new) in different.items() if k not in meant]
    if refused:
        raise SystemExit(f"{checkpoint} is of a run with {'; '.join(refused)}: resume with its settings, or name new ones "
                         "by --set (the network stays as it is)")  # fmt: skip
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cuda", "cpu"))
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--note", default="batch norm folded; fp16")
    args = parser.parse_args()
    config = load_config(args.config, args.set)
    args.out.mkdir(parents=True, exist_ok=True)
    processes = Processes()
    if args.device == "cuda":
        torch.cuda.set_device(processes.local)
    if args.resume:
        told = check_settings(args.out / "checkpoint.pt", config, args.set)
        if processes.first and told:
            print("resumed with", "; ".join(told), flush=True)
    began = time.time()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    d = config.data
    data = load(d.picture_paths(), Path(d.index), d.canvas, max_people=d.max_people, teacher_share=d.teacher_share)
    data = data.to(args.device)
    if processes.first:
        print(f"{len(data)} pictures on {args.device} after {time.time() - began:.1f} s", flush=True)
    trainer = Trainer(config, data, args.device, args.out, args.note, processes)
    if args.resume:
        trainer.resume()
    figures = trainer.run()
    if processes.first:
        (args.out / "figures.json").write_text(json.dumps(figures, indent=1))
    processes.close()


if __name__ == "__main__":
    main()
