"""Colour, light, blur, noise and compression, each picture of a batch with its own random values.

They stand for phone and web cameras in other people's rooms: dim light, a lamp to one side, a wrong white
balance, motion, a small sensor's noise, a video codec's blocks.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class PhotometricOptions:
    """Ranges and probabilities."""

    clean: float = 0.2  # share that stays as it is
    brightness: tuple[float, float] = (0.55, 1.35)
    contrast: tuple[float, float] = (0.6, 1.4)
    saturation: tuple[float, float] = (0.0, 1.6)
    white_balance: float = 0.15
    gamma: float = 0.4
    grey: float = 0.05
    side_light: float = 0.2
    low_light: float = 0.12
    blur: float = 0.25
    low_resolution: float = 0.15
    noise: float = 0.04
    jpeg: float = 0.25


def _u(n: int, low: float, high: float, device) -> Tensor:
    return (torch.rand(n, device=device) * (high - low) + low)[:, None, None, None]


def _chance(n: int, p: float, device) -> Tensor:
    return (torch.rand(n, device=device) < p)[:, None, None, None]


def _luma(x: Tensor) -> Tensor:
    r, g, b = x.unbind(1)
    return (0.299 * r + 0.587 * g + 0.114 * b)[:, None]


def colour(x: Tensor, o: PhotometricOptions) -> Tensor:
    n, d = len(x), x.device
    x = x * _u(n, *o.brightness, d)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * _u(n, *o.contrast, d) + mean
    grey = _luma(x)
    saturation = torch.where(_chance(n, o.grey, d), 0.0, _u(n, *o.saturation, d))
    x = grey + (x - grey) * saturation
    x = x * (1 + (torch.rand(n, 3, 1, 1, device=d) * 2 - 1) * o.white_balance)
    return x.clamp(0, 1).pow(torch.exp(_u(n, -o.gamma, o.gamma, d)))


def side_light(x: Tensor, p: float) -> Tensor:
    """A ramp of brightness across the picture, from a random direction."""
    n, d = len(x), x.device
    y = torch.linspace(-1, 1, x.shape[2], device=d)[None, None, :, None]
    z = torch.linspace(-1, 1, x.shape[3], device=d)[None, None, None, :]
    angle = _u(n, 0, 2 * math.pi, d)
    ramp = 1 + _u(n, 0.2, 0.7, d) * (torch.cos(angle) * y + torch.sin(angle) * z)
    return torch.where(_chance(n, p, d), (x * ramp).clamp(0, 1), x)


def blur(x: Tensor, p: float, p_small: float) -> Tensor:
    """A box blur, streaks along either axis, or a picture of half the resolution."""
    n, d = len(x), x.device
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    across = F.avg_pool2d(F.pad(x, (3, 3, 0, 0), mode="replicate"), (1, 7), 1)
    along = F.avg_pool2d(F.pad(x, (0, 0, 2, 2), mode="replicate"), (5, 1), 1)
    small = F.interpolate(F.avg_pool2d(x, 2), size=x.shape[2:], mode="bilinear", align_corners=False)
    kind = torch.rand(n, device=d)[:, None, None, None]
    out = torch.where(kind < 0.5 * p, soft, x)
    out = torch.where((kind >= 0.5 * p) & (kind < 0.75 * p), across, out)
    out = torch.where((kind >= 0.75 * p) & (kind < p), along, out)
    return torch.where((kind >= p) & (kind < p + p_small), small, out)


def noise(x: Tensor, sigma: float, p_dark: float) -> Tensor:
    """Sensor noise; with `p_dark` the picture is exposed as in a dim room, where noise weighs more."""
    n, d = len(x), x.device
    gain = torch.where(_chance(n, p_dark, d), _u(n, 0.15, 0.5, d), 1.0)
    lift = torch.exp(_u(n, 0, 1, d) * -gain.log())
    x = x * gain + torch.randn_like(x) * _u(n, 0, sigma, d) * gain.sqrt()
    return (x * lift).clamp(0, 1)


# Luminance quantisation table of the JPEG standard (ITU-T T.81, annex K).
_JPEG_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def jpeg(x: Tensor, p: float) -> Tensor:
    """Quantises the cosine transform of 8x8 blocks, each picture with its own strength."""
    d = x.device
    chosen = torch.randperm(len(x), device=d)[: round(len(x) * p)]
    n = len(chosen)
    if n == 0:
        return x
    k = torch.arange(8, device=d, dtype=torch.float32)
    basis = torch.cos(math.pi / 8 * k[:, None] * (k[None] + 0.5)) * math.sqrt(2 / 8)
    basis[0] /= math.sqrt(2)
    step = torch.tensor(_JPEG_TABLE, device=d, dtype=torch.float32).view(8, 8) / 255
    step = step * torch.exp(_u(n, math.log(0.3), math.log(2.5), d))[..., None, None]
    blocks = x[chosen].unflatten(2, (-1, 8)).unflatten(4, (-1, 8)).transpose(3, 4)  # n,3,H/8,W/8,8,8
    # Products with the basis on the right only: one large matrix product each, not many small ones.
    spectrum = ((blocks @ basis.T).transpose(4, 5) @ basis.T).transpose(4, 5)
    coded = ((torch.round(spectrum / step) * step) @ basis).transpose(4, 5) @ basis
    coded = coded.transpose(4, 5).transpose(3, 4).flatten(4, 5).flatten(2, 3).clamp(0, 1)
    return x.index_copy(0, chosen, coded)


def photometric(x: Tensor, o: PhotometricOptions) -> Tensor:
    """`batch x 3 x H x W` in 0..1, H and W multiples of 8."""
    y = side_light(colour(x, o), o.side_light)
    y = noise(blur(y, o.blur, o.low_resolution), o.noise, o.low_light)
    return torch.where(_chance(len(x), o.clean, x.device), x, jpeg(y, o.jpeg))
