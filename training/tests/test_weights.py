import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from gesto_train.network import Multi
from gesto_train.schema import GESTURES
from gesto_train.soup import average
from gesto_train.weights import calibrate, export, fold, load_folded, load_network


@pytest.fixture(scope="module")
def trained():
    """A network whose batch norms hold something other than their initial values."""
    torch.manual_seed(1)
    network = Multi()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def outputs(network, x):
    with torch.no_grad():
        hand, body = network(x)
    return [*hand, *body]


def test_shapes_and_size(trained):
    hand_box, hand_class, body_box, body_class, keypoints = outputs(trained, torch.rand(2, 3, 256, 128))
    assert hand_box.shape == (2, 672, 64) and hand_class.shape == (2, 672, 19)
    assert body_box.shape == (2, 672, 64) and body_class.shape == (2, 672, 1) and keypoints.shape == (2, 672, 51)
    assert round(sum(v.numel() for v in fold(trained).values()) / 1e6, 2) == 4.04
    bigger = sum(p.numel() for p in Multi(width=0.5).parameters())
    assert bigger > 10e6


def test_export_and_loading_keep_the_function(trained, tmp_path):
    path = tmp_path / "n.safetensors"
    export(trained, path, "a note")
    with safe_open(str(path), "pt") as file:
        names, metadata = list(file.keys()), file.metadata()
        assert all(file.get_tensor(n).dtype == torch.float16 for n in names)
    assert len(names) == 180 and {"b.0.weight", "b.2.m.0.cv1.bias", "n21.cv2.weight", "body.cv4.2.2.bias"} <= set(names)
    heads = json.loads(metadata["heads"])
    assert metadata["architecture"] == "yolov8n-multi" and heads[0]["classes"] == list(GESTURES)
    assert path.stat().st_size < 10e6
    x = torch.rand(1, 3, 64, 96)
    again = load_network(path)
    for a, b in zip(outputs(trained, x), outputs(again, x)):
        assert (a - b).abs().max() < 0.03 * a.abs().max().clamp(min=1)


def test_calibration_keeps_the_function_and_sets_statistics(trained, tmp_path):
    path = tmp_path / "n.safetensors"
    export(trained, path, "")
    network = Multi()
    load_folded(network, path)
    network.eval()
    x = torch.rand(2, 3, 64, 64)
    before = outputs(network, x)
    assert network.b[0].bn.running_mean.abs().max() == 0
    calibrate(network, torch.rand(4, 3, 64, 64))
    assert network.b[0].bn.running_mean.abs().max() > 0
    for a, b in zip(before, outputs(network, x)):
        assert torch.allclose(a, b, atol=2e-3)


def test_broken_weights_are_not_exported(tmp_path):
    network = Multi()
    nn.init.constant_(network.b[0].conv.weight, float("nan"))
    with pytest.raises(ValueError, match="b.0.weight"):
        export(network, tmp_path / "n.safetensors", "")
    assert not (tmp_path / "n.safetensors").exists()


def test_a_soup_is_the_mean_of_two_files(tmp_path):
    files = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        files.append(tmp_path / f"{seed}.safetensors")
        export(Multi(0.25, 1 / 3), files[-1], "made up")
    out = tmp_path / "soup.safetensors"
    command = [sys.executable, "-m", "gesto_train.soup", *map(str, files), "--share", "0.75", "--out", str(out)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    a, b, mean = (load_file(path) for path in (*files, out))
    assert set(mean) == set(a)
    for name, value in mean.items():
        assert torch.allclose(value.float(), 0.25 * a[name].float() + 0.75 * b[name].float(), atol=2e-3)
    load_network(out)
    with pytest.raises(SystemExit, match="different networks"):
        average({"x": torch.zeros(2)}, {"x": torch.zeros(3)}, 0.5)


def test_a_widened_network_computes_the_same(trained, tmp_path):
    narrow, wide = tmp_path / "n.safetensors", tmp_path / "s.safetensors"
    export(trained, narrow, "a note")
    command = [sys.executable, "-m", "gesto_train.widen", str(narrow), "--out", str(wide)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    with safe_open(str(wide), "pt") as file:
        assert file.metadata()["architecture"] == "yolov8s-multi"
    bigger = load_network(wide)
    assert bigger.b[0].conv.out_channels == 32
    pair = bigger.b[4].m[0].cv1.conv.weight
    assert not torch.allclose(pair[:, 0::2], pair[:, 1::2])
    x = torch.rand(1, 3, 64, 96)
    for a, b in zip(outputs(load_network(narrow), x), outputs(bigger, x)):
        assert (a - b).abs().max() < 0.03 * a.abs().max().clamp(min=1)
