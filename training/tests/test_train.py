"""The whole recipe on a few made-up pictures on the CPU: the loss falls, a run resumes, the export can be judged."""

import gzip
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from gesto_train.config import load_config
from gesto_train.dataset import load
from gesto_train.ema import Average
from gesto_train.predict import suppress
from gesto_train.sampling import HandBank, Sampler, SamplingOptions, picture_weights
from gesto_train.train import Trainer, check_settings, learning_rate, rotation
from gesto_train.weights import load_network

ROOT = Path(__file__).resolve().parents[1]


def run(module: str, *args, code: int = 0) -> str:
    command = [sys.executable, "-m", f"gesto_train.{module}", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def test_training_resuming_and_evaluation(made_up, tmp_path):
    base = ["--config", made_up / "config.toml", "--device", "cpu"]
    out = run("train", *base, "--out", tmp_path)
    losses = [sum(map(float, m.split())) for m in re.findall(r"losses ([\d. ]+)", out)]
    assert len(losses) == 6 and losses[-1] < 0.8 * losses[0], losses
    exported = tmp_path / "multi-n.safetensors"
    with safe_open(str(exported), "pt") as file:
        before = file.get_tensor("b.0.weight")
    again = run("train", *base, "--out", tmp_path, "--resume", "--set", "train.steps=35")
    assert "step 35" in again and "step 5 " not in again
    assert "resumed with train.steps = 35, 30 before" in again
    with safe_open(str(exported), "pt") as file:
        assert not torch.equal(before, file.get_tensor("b.0.weight"))
    figures = run("evaluate", *base, "--weights", exported, "--size", "64x64")
    assert "val" in figures and "gesture_map50" in figures
    run("export", "--config", made_up / "config.toml", "--checkpoint", tmp_path / "checkpoint.pt",
        "--out", tmp_path / "again.safetensors")  # fmt: skip


def test_a_run_resumes_with_its_own_settings(made_up, tmp_path):
    config = load_config(made_up / "config.toml", ["train.lr=1e-3"])
    data = load(config.data.picture_paths(), Path(config.data.index), config.data.canvas)
    trainer = Trainer(config, data, "cpu", tmp_path)
    trainer.save()
    checkpoint = tmp_path / "checkpoint.pt"
    assert check_settings(checkpoint, config, []) == []
    # What was set by hand then is forgotten now.
    forgotten = load_config(made_up / "config.toml")
    with pytest.raises(SystemExit, match=r"train.lr = 0.001, not 0.002"):
        check_settings(checkpoint, forgotten, ["data.canvas=96"])
    assert check_settings(checkpoint, forgotten, ["train.lr=2e-3"]) == ["train.lr = 0.002, 0.001 before"]
    wider = load_config(made_up / "config.toml", ["train.lr=1e-3", "network.width=0.5"])
    with pytest.raises(SystemExit, match=r"network.width = 0.25, not 0.5"):
        check_settings(checkpoint, wider, ["network.width=0.5"])
    groups = load_config(made_up / "config.toml", ["train.lr=1e-3", 'groups.more={part="dev"}'])
    assert [line.split(" ")[0] for line in check_settings(checkpoint, groups, ["groups.more=x"])] == [
        "groups.more.part", "groups.more.sources",
    ]  # fmt: skip
    # Checkpoints of before tell nothing of a setting that came later, or of any.
    state = torch.load(checkpoint, weights_only=True)
    del state["settings"]["distill.cls"]
    torch.save(state, checkpoint)
    assert check_settings(checkpoint, config, []) == []
    del state["settings"]
    torch.save(state, checkpoint)
    assert "does not tell its settings" in check_settings(checkpoint, forgotten, [])[0]
    trainer.resume()


def test_slices_tell_where_gestures_are_found_or_that_there_are_none(made_up, tmp_path):
    torch.manual_seed(1)
    config = load_config(made_up / "config.toml")
    data = load(config.data.picture_paths(), Path(config.data.index), config.data.canvas)
    Trainer(config, data, "cpu", tmp_path).save()
    base = ["--config", made_up / "config.toml", "--weights", tmp_path / "multi-n.safetensors", "--size", "64x64"]
    assert "pixels at the input 0 to 20: recall" in run("slices", *base)
    # Pictures of `no_gesture` alone.
    none = tmp_path / "none.jsonl"
    records = [json.loads(line) for line in gzip.open(made_up / "index.jsonl.gz", "rt")]
    none.write_text("\n".join(json.dumps(r) for r in records if r["hands"][0]["c"] == "no_gesture"))
    for more, why in (["--set", f"data.index={none}"], "shows a gesture"), (["--group", "x"], "no group is called x"):
        said = run("slices", *base, *more, code=1)
        assert why in said and "Traceback" not in said, said


def test_two_processes_train_one_network(made_up, tmp_path):
    options = ["train.steps=8", "train.mean_every=4", "train.log_every=4", "body_loss.likelihood=1.0"]
    command = [
        sys.executable, "-m", "gesto_train.train", "--config", str(made_up / "config.toml"), "--device", "cpu",
        "--out", str(tmp_path), "--set", *options,
    ]  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # What torchrun sets.
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            command, cwd=ROOT, env=os.environ | place | {"RANK": rank, "LOCAL_RANK": rank}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for rank in "01"
    ]  # fmt: skip
    try:
        first, second = (process.communicate(timeout=600)[0] for process in both)
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], first + second
    assert first.count("step 8 ") == 1 and "step" not in second, "one process speaks for both"
    assert len(re.search(r"losses ([\d. -]+)", first)[1].split()) == 9
    with safe_open(str(tmp_path / "multi-n.safetensors"), "pt") as file:
        assert not [k for k in file.keys() if "scale" in k], "what serves training alone is not exported"
    # Nor does a network for inference have it, and a run may begin from either.
    assert load_network(tmp_path / "checkpoint.pt").body.scale is None
    config = load_config(made_up / "config.toml", [f"train.init={tmp_path}/checkpoint.pt", "body_loss.likelihood=1.0"])
    data = load(config.data.picture_paths(), Path(config.data.index), config.data.canvas)
    assert Trainer(config, data, "cpu", tmp_path).network.body.scale is not None


def test_a_loss_that_is_not_finite_ends_the_run(made_up, tmp_path):
    config = load_config(made_up / "config.toml", ["train.log_every=1"])
    data = load(config.data.picture_paths(), Path(config.data.index), config.data.canvas)
    trainer = Trainer(config, data, "cpu", tmp_path)
    torch.nn.init.constant_(trainer.network.b[0].conv.weight, float("nan"))
    with pytest.raises(SystemExit, match="not finite"):
        trainer.run()


def test_parts_do_not_overlap(made_up):
    config = load_config(made_up / "config.toml")
    data = load(config.data.picture_paths(), Path(config.data.index), config.data.canvas)
    parts = [config.part(r) for r in data.records]
    assert {"train", "val", "dev"} == set(parts)
    assert all(p == "val" for p, r in zip(parts, data.records) if r["split"] == "val")


def test_configuration_errors_are_named(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[train]\nlearning_rate = 1")
    with pytest.raises(ValueError, match="learning_rate"):
        load_config(path)
    path.write_text('[train]\nbatch = "many"')
    with pytest.raises(ValueError, match="train.batch"):
        load_config(path)
    path.write_text("[train]\nbatch = 4")
    assert load_config(path, ["train.lr=1", "data.index=a.gz"]).train.lr == 1.0


def test_the_shipped_configuration_loads():
    config = load_config(ROOT / "config.toml")
    assert config.network.width == 0.25 and config.groups["val"].part == "val"


def test_the_larger_size_differs_by_its_width_alone_and_trains(made_up, tmp_path):
    n, s = load_config(ROOT / "config.toml"), load_config(ROOT / "config-s.toml")
    assert s.network.width == 0.5 and s.sampling == n.sampling and s.groups == n.groups
    config = load_config(made_up / "config.toml", ["network.width=0.5", "train.steps=2", "train.batch=8"])
    data = load(config.data.picture_paths(), Path(config.data.index), config.data.canvas)
    Trainer(config, data, "cpu", tmp_path).run()
    with safe_open(str(tmp_path / "multi-s.safetensors"), "pt") as file:
        assert file.metadata()["architecture"] == "yolov8s-multi" and file.get_tensor("b.0.weight").shape[0] == 32
    for name in ("multi-s.safetensors", "checkpoint.pt"):
        assert load_network(tmp_path / name).b[0].conv.out_channels == 32


def test_a_student_learns_from_a_larger_network(made_up, tmp_path):
    out = run("train", "--config", made_up / "config.toml", "--device", "cpu", "--out", tmp_path / "s",
              "--set", "network.width=0.5", "train.steps=2", "train.log_every=1")  # fmt: skip
    assert "step 2" in out
    teacher = f"distill.weights={tmp_path}/s/multi-s.safetensors"
    out = run("train", "--config", made_up / "config.toml", "--device", "cpu", "--out", tmp_path, "--set", teacher)
    losses = [list(map(float, m.split())) for m in re.findall(r"losses ([-\d. ]+)", out)]
    assert len(losses[0]) == 13 and sum(losses[-1][8:]) < 0.8 * sum(losses[0][8:]), losses
    assert load_network(tmp_path / "multi-n.safetensors").b[0].conv.out_channels == 16


def test_a_file_may_build_upon_another(tmp_path):
    (tmp_path / "a.toml").write_text("[train]\nbatch = 4\nlr = 0.5\n[groups.val]\npart = 'val'")
    (tmp_path / "b.toml").write_text("base = 'a.toml'\n[train]\nlr = 0.25")
    config = load_config(tmp_path / "b.toml", ["train.seed=3"])
    assert (config.train.batch, config.train.lr, config.train.seed) == (4, 0.25, 3)


def test_schedule_and_rotation(made_up):
    o = load_config(made_up / "config.toml").train
    assert learning_rate(0.0, 0, o) < learning_rate(0.1, 10, o) and learning_rate(1.0, 100, o) < 0.02 * o.lr
    shapes = rotation(((320, 224, 3), (64, 64, 1)))
    assert len(shapes) == 4 and shapes.count((64, 64)) == 1


def test_average_follows_the_network():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    average = Average(network, 0.9, 1e-6)
    torch.nn.init.ones_(network.weight)
    average.update(network)
    assert average.network.weight.item() == pytest.approx(0.1)
    average.update(network)
    assert average.network.weight.item() == pytest.approx(0.19)


def test_rare_gestures_come_more_often(made_up):
    data = load([made_up / "images-0.tar"], made_up / "index.jsonl.gz", canvas=96)
    train = data.where(lambda r: r["split"] == "train")
    records = [data.records[i] for i in train]
    weights = picture_weights(records, SamplingOptions(reference=12, source_weight={"other": 0.0}))
    assert all((w == 0) == (r["src"] == "other") for w, r in zip(weights, records))
    draw = Sampler(train, weights, "cpu")
    assert not {data.records[i]["src"] for i in draw(200).tolist()} & {"other"}
    nothing = [{"src": "a", "hands": [], "people": []}, {"src": "a", "hands": [], "people": [{}]}]
    assert picture_weights(nothing, SamplingOptions(empty=3.0)).tolist() == [0.75, 0.25]
    bank = HandBank(data, train, SamplingOptions(paste_least_side=10.0, paste_never=("palm",)), "cpu")
    assert set(bank.count) == {"fist", "no_gesture"}


def test_suppression():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [30, 30, 40, 40]]])
    keep = suppress(boxes, torch.tensor([[0.9, 0.8, 0.7, 0.0]]), torch.tensor([[0, 0, 1, 0]]), 0.5)
    assert keep.tolist() == [[True, False, True, False]]
