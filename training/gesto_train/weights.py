"""Weights in and out: exported safetensors with folded batch norm, checkpoints, and unfolding for fine-tuning."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .network import Conv, Multi
from .schema import GESTURES, KEYPOINTS


def _ships(name: str) -> bool:
    """Whether a layer is in exported files: the scales of the keypoints serve training alone."""
    return ".scale." not in f".{name}."


def fold(network: nn.Module) -> dict[str, Tensor]:
    """Every convolution with its batch norm as one weight and one bias, named as in the exported file."""
    tensors = {}
    for name, module in network.named_modules():
        if isinstance(module, Conv):
            bn = module.bn
            scale = bn.weight.double() / (bn.running_var.double() + bn.eps).sqrt()
            tensors[f"{name}.weight"] = module.conv.weight.double() * scale[:, None, None, None]
            tensors[f"{name}.bias"] = bn.bias.double() - bn.running_mean.double() * scale
        elif isinstance(module, nn.Conv2d) and module.bias is not None and _ships(name):
            tensors[f"{name}.weight"] = module.weight.double()
            tensors[f"{name}.bias"] = module.bias.double()
    return {k: v.detach().cpu() for k, v in sorted(tensors.items())}


def export(network: Multi, path: Path, note: str, architecture: str = "yolov8n-multi") -> None:
    """Writes fp16 safetensors. Fails if a folded value is not finite in fp16."""
    tensors = {k: v.half().contiguous() for k, v in fold(network).items()}
    broken = [k for k, v in tensors.items() if not v.isfinite().all()]
    if broken:
        raise ValueError(f"not finite in fp16: {', '.join(broken)}")
    heads = [
        {"name": "hand", "classes": list(GESTURES), "keypoints": 0},
        {"name": "body", "classes": ["person"], "keypoints": len(KEYPOINTS)},
    ]
    save_file(tensors, path, {"architecture": architecture, "heads": json.dumps(heads), "note": note})


def load_folded(network: Multi, path: Path) -> None:
    """Fills a network from an exported file. Each batch norm becomes the identity plus the folded bias,
    which is exact for inference; call `calibrate` before training on."""
    with safe_open(str(path), "pt") as file:
        tensors = {k: file.get_tensor(k).float() for k in file.keys()}
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, Conv):
                module.conv.weight.copy_(tensors.pop(f"{name}.weight"))
                module.bn.bias.copy_(tensors.pop(f"{name}.bias"))
                module.bn.weight.fill_(1)
                module.bn.running_mean.zero_()
                module.bn.running_var.fill_(1 - module.bn.eps)
            elif isinstance(module, nn.Conv2d) and module.bias is not None and _ships(name):
                module.weight.copy_(tensors.pop(f"{name}.weight"))
                module.bias.copy_(tensors.pop(f"{name}.bias"))
    if tensors:
        raise ValueError(f"{path}: tensors that the network does not have: {', '.join(tensors)}")


@torch.no_grad()
def calibrate(network: Multi, images: Tensor) -> None:
    """Gives a network from `load_folded` real batch statistics without changing its function.

    Each batch norm takes the mean and variance of its input on `images` as running statistics, and a scale and
    shift that undo them; in training mode it then starts near the function it had.
    """

    def take_statistics(bn: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        x = inputs[0].float()
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        old_scale = bn.weight / (bn.running_var + bn.eps).sqrt()
        bias = bn.bias - bn.running_mean * old_scale
        bn.running_mean.copy_(mean)
        bn.running_var.copy_(variance)
        bn.weight.copy_(old_scale * (variance + bn.eps).sqrt())
        bn.bias.copy_(bias + mean * old_scale)

    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks = [m.register_forward_pre_hook(take_statistics) for m in norms]
    was_training = network.training
    network.eval()
    network(images)
    network.train(was_training)
    for hook in hooks:
        hook.remove()


def size_name(width: float) -> str:
    """What a width is called in file names."""
    return {0.25: "n", 0.5: "s"}.get(width, f"w{width:g}")


def _size(first_channels: int, names: Iterable[str]) -> tuple[float, float]:
    """Width and depth of the network that has such tensors."""
    blocks = {name.split(".")[3] for name in names if name.startswith("b.2.m.")}
    return first_channels / 64, len(blocks) / 3


def load_network(path: Path) -> Multi:
    """A network of whatever size from an exported file (`.safetensors`) or the averaged weights of a checkpoint (`.pt`)."""
    if path.suffix == ".safetensors":
        with safe_open(str(path), "pt") as file:
            network = Multi(*_size(file.get_slice("b.0.weight").get_shape()[0], file.keys()))
        load_folded(network, path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)["ema"]
        network = Multi(*_size(len(state["b.0.conv.weight"]), state))
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items() if _ships(k)})
    return network.eval()
