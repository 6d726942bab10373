"""The one file that sets a run (TOML), read into plain dataclasses; unknown keys are errors."""

import dataclasses
import hashlib
import tomllib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .augment import AugmentOptions
from .distill import DistillOptions
from .losses import ClassLoss, LossWeights
from .relabel import RelabelOptions
from .sampling import SamplingOptions


@dataclass(frozen=True)
class DataOptions:
    """Where the data lies. Pictures: tar files or folders; a `*` in the last part of a path is expanded."""

    pictures: tuple[str, ...] = ()
    index: str = ""
    cutouts: tuple[str, ...] = ()  # masks of people (`cut_people.py`)
    canvas: int = 336
    teacher_share: float = 0.0
    max_people: int = 26
    # Parts of `train` kept out of training as a second development set: whole sources, or a share of one's
    # pictures chosen by a hash of their ids.
    dev_sources: tuple[str, ...] = ()
    dev_share: dict[str, float] = field(default_factory=dict)

    def picture_paths(self) -> list[Path]:
        return _expand(self.pictures)

    def cutout_paths(self) -> list[Path]:
        return _expand(self.cutouts)


def _expand(texts: tuple[str, ...]) -> list[Path]:
    paths = []
    for text in texts:
        path = Path(text)
        paths += sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
    return paths


@dataclass(frozen=True)
class NetworkOptions:
    width: float = 0.25
    depth: float = 1 / 3


@dataclass(frozen=True)
class TrainOptions:
    """A run ends after `steps` or `seconds`, whichever comes first; the schedule follows the same measure."""

    steps: int = 100_000
    seconds: float = 1e9
    batch: int = 256
    seed: int = 0
    lr: float = 2e-3
    least_lr: float = 0.01  # share of `lr` at the end
    warmup: int = 300
    weight_decay: float = 0.02
    clip: float = 10.0
    ema: float = 0.9998
    ema_ramp: float = 1000.0
    calm: float = 0.15  # last share of the run without mosaics
    shapes: tuple[tuple[int, int, int], ...] = ((320, 224, 1),)  # height, width, turns in the rotation
    init: str = ""  # exported weights or a checkpoint to start from
    mean_every: int = 16  # steps between means of the weights, where several processes train; their run ends at one
    graphs: bool = True  # capture each step as a CUDA graph
    checkpoint_seconds: float = 120.0
    evaluate_seconds: float = 1e9
    log_every: int = 100


@dataclass(frozen=True)
class Group:
    """Pictures that are judged together."""

    part: str = "val"  # val or dev
    sources: tuple[str, ...] = ()  # empty: all


@dataclass(frozen=True)
class Config:
    data: DataOptions = field(default_factory=DataOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    relabel: RelabelOptions = field(default_factory=RelabelOptions)
    hand_loss: LossWeights = field(default_factory=LossWeights)
    body_loss: LossWeights = field(default_factory=LossWeights)
    class_loss: ClassLoss = field(default_factory=ClassLoss)
    distill: DistillOptions = field(default_factory=DistillOptions)
    groups: dict[str, Group] = field(default_factory=lambda: {"val": Group()})

    def part(self, record: dict) -> str:
        """`val`, `dev` or `train`."""
        if record["split"] == "val":
            return "val"
        share = 1.0 if record["src"] in self.data.dev_sources else self.data.dev_share.get(record["src"], 0.0)
        draw = int.from_bytes(hashlib.sha256(record["id"].encode()).digest()[:4], "big") / 2**32
        return "dev" if draw < share else "train"

    def in_group(self, record: dict, group: Group) -> bool:
        return self.part(record) == group.part and (not group.sources or record["src"] in group.sources)

    def settings(self) -> dict:
        """Every setting by its name, `section.key`, as `--set` takes it."""
        return dict(_flat(dataclasses.asdict(self)))


def _flat(table: dict, above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def changes(before: dict, now: Config) -> dict[str, tuple[object, object]]:
    """What `now` has otherwise than the settings `before` (of `Config.settings`), old and new value by name.

    A setting that did not exist then, or does not now, counts with its default.
    """
    default, after = Config().settings(), now.settings()
    pairs = {k: (before.get(k, default.get(k)), after.get(k, default.get(k))) for k in sorted(before | after)}
    known = default.keys() | after.keys()
    return {k: pair for k, pair in pairs.items() if k in known and pair[0] != pair[1]}


def _convert(value, kind, where: str):
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    if origin is dict:
        item = typing.get_args(kind)[1]
        return {k: _convert(v, item, f"{where}.{k}") for k, v in value.items()}
    if origin is tuple:
        items = typing.get_args(kind)
        if items[-1] is Ellipsis:
            return tuple(_convert(v, items[0], where) for v in value)
        if len(items) != len(value):
            raise ValueError(f"{where}: {len(items)} values are needed, not {len(value)}")
        return tuple(_convert(v, i, where) for v, i in zip(value, items))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, types.UnionType) or isinstance(value, kind):
        return value
    raise ValueError(f"{where}: {value!r} is no {kind.__name__}")


def _build(kind, table: dict, where: str):
    hints = typing.get_type_hints(kind)
    unknown = set(table) - set(hints)
    if unknown:
        raise ValueError(f"{where or 'configuration'}: unknown {', '.join(sorted(unknown))}")
    return kind(**{k: _convert(v, hints[k], f"{where}.{k}".lstrip(".")) for k, v in table.items()})


def _merged(below: dict, above: dict) -> dict:
    out = dict(below)
    for key, value in above.items():
        out[key] = _merged(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
    return out


def _read(path: Path) -> dict:
    table = tomllib.loads(path.read_text())
    base = table.pop("base", None)
    return table if base is None else _merged(_read(path.parent / base), table)


def load_config(path: Path, overrides: list[str] = []) -> Config:
    """Reads a file; each override is `section.key=value` with a TOML value, or a bare word taken as text.

    A file with `base = "OTHER.toml"` changes keys of that file, which lies beside it.
    """
    table = _read(path)
    for override in overrides:
        name, _, text = override.partition("=")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        node = table
        *parents, leaf = name.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return _build(Config, table, "")
