"""Colour, light, blur, noise and compression, each picture of a batch with its own random values.

They stand for phone and web cameras in other people's rooms: dim light, a lamp to one side, a wrong white
balance, motion, a small sensor's noise, a video codec's blocks.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import constant


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


def _some(x: Tensor, share: float) -> Tensor:
    """Indices of a random share of the batch: the count is fixed, so that nothing waits for the device."""
    return torch.rand(len(x), device=x.device).argsort()[: round(len(x) * share)]


def colour(x: Tensor, o: PhotometricOptions) -> Tensor:
    """Brightness, contrast, saturation and white balance as one 3x3 matrix per picture, then gamma."""
    n, d = len(x), x.device
    brightness, contrast = _u(n, *o.brightness, d)[:, :, 0], _u(n, *o.contrast, d)[:, :, 0]
    saturation = torch.where(_chance(n, o.grey, d), 0.0, _u(n, *o.saturation, d))[:, :, 0]
    balance = 1 + (torch.rand(n, 3, 1, device=d) * 2 - 1) * o.white_balance
    mean = x[:, :, ::4, ::4].mean((1, 2, 3))[:, None, None] * brightness
    luma = constant((0.299, 0.587, 0.114), str(d)).expand(3, 3)
    matrix = brightness * contrast * (saturation * torch.eye(3, device=d) + (1 - saturation) * luma) * balance
    offset = mean * (1 - contrast) * balance
    y = torch.baddbmm(offset, matrix, x.flatten(2)).view_as(x)
    return y.clamp_(0, 1).pow(torch.exp(_u(n, -o.gamma, o.gamma, d)))


def side_light(x: Tensor, share: float) -> Tensor:
    """A ramp of brightness across some pictures, from a random direction."""
    chosen = _some(x, share)
    n, d = len(chosen), x.device
    y = torch.linspace(-1, 1, x.shape[2], device=d)[None, None, :, None]
    z = torch.linspace(-1, 1, x.shape[3], device=d)[None, None, None, :]
    angle = _u(n, 0, 2 * math.pi, d)
    ramp = 1 + _u(n, 0.2, 0.7, d) * (torch.cos(angle) * y + torch.sin(angle) * z)
    return x.index_copy(0, chosen, (x[chosen] * ramp).clamp_(0, 1))


def blur(x: Tensor, share: float, share_small: float) -> Tensor:
    """Some pictures get a box blur, streaks along either axis, or half the resolution."""
    soft, across, along, small = _some(x, share + share_small).tensor_split(
        [round(len(x) * share * part) for part in (0.5, 0.75, 1.0)]
    )
    a, b, c, e = x[soft], x[across], x[along], x[small]
    a = F.avg_pool2d(F.pad(a, (1, 1, 1, 1), mode="replicate"), 3, 1)
    b = F.avg_pool2d(F.pad(b, (3, 3, 0, 0), mode="replicate"), (1, 7), 1)
    c = F.avg_pool2d(F.pad(c, (0, 0, 2, 2), mode="replicate"), (5, 1), 1)
    if len(e):
        e = F.interpolate(F.avg_pool2d(e, 2), size=x.shape[2:], mode="bilinear", align_corners=False)
    return x.index_copy(0, torch.cat([soft, across, along, small]), torch.cat([a, b, c, e]))


def noise(x: Tensor, sigma: float, p_dark: float) -> Tensor:
    """Sensor noise; with `p_dark` the picture is exposed as in a dim room, where noise weighs more."""
    n, d = len(x), x.device
    gain = torch.where(_chance(n, p_dark, d), _u(n, 0.15, 0.5, d), 1.0)
    # Afterwards the camera lifts the exposure part of the way back, and the noise with it.
    lift = torch.exp(_u(n, 0, 1, d) * -gain.log())
    strength = _u(n, 0, sigma, d) * gain.sqrt() * lift
    return torch.addcmul(x * (gain * lift), torch.randn_like(x), strength).clamp_(0, 1)


# Luminance quantisation table of the JPEG standard (ITU-T T.81, annex K).
_JPEG_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def jpeg(x: Tensor, share: float) -> Tensor:
    """Quantises the cosine transform of 8x8 blocks of some pictures, each with its own strength."""
    chosen = _some(x, share)
    n, d = len(chosen), x.device
    if n == 0:
        return x
    k = torch.arange(8, device=d, dtype=torch.float32)
    basis = torch.cos(math.pi / 8 * k[:, None] * (k[None] + 0.5)) * math.sqrt(2 / 8)
    basis[0] /= math.sqrt(2)
    step = constant(_JPEG_TABLE, str(d)).view(8, 8) / 255
    step = step * torch.exp(_u(n, math.log(0.3), math.log(2.5), d))[..., None, None]
    blocks = x[chosen].unflatten(2, (-1, 8)).unflatten(4, (-1, 8)).transpose(3, 4)  # n,3,H/8,W/8,8,8
    # Products with the basis on the right only: one large matrix product each, not many small ones.
    spectrum = ((blocks @ basis.T).transpose(4, 5) @ basis.T).transpose(4, 5)
    coded = ((torch.round(spectrum / step) * step) @ basis).transpose(4, 5) @ basis
    coded = coded.transpose(4, 5).transpose(3, 4).flatten(4, 5).flatten(2, 3).clamp(0, 1)
    return x.index_copy(0, chosen, coded)


def photometric(x: Tensor, o: PhotometricOptions) -> Tensor:
    """`batch x 3 x H x W` in 0..1, H and W multiples of 8."""
    chosen = _some(x, 1 - o.clean)
    y = side_light(colour(x[chosen], o), o.side_light)
    y = noise(blur(y, o.blur, o.low_resolution), o.noise, o.low_light)
    return x.index_copy(0, chosen, jpeg(y, o.jpeg))
