"""Exponential moving average of the weights: what is evaluated and exported."""

import copy
import math

import torch
from torch import nn


class Average:
    """Decay rises from 0 to `decay`, so that the first, bad weights are soon forgotten."""

    def __init__(self, network: nn.Module, decay: float, ramp: float):
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.ramp, self.updates = decay, ramp, 0
        self.pairs: tuple[list[torch.Tensor], list[torch.Tensor]] | None = None

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.updates += 1
        decay = self.decay * (1 - math.exp(-self.updates / self.ramp))
        if self.pairs is None:
            mine, theirs = self.network.state_dict(), network.state_dict()
            names = [k for k, v in mine.items() if v.is_floating_point()]
            self.pairs = [mine[k] for k in names], [theirs[k] for k in names]
        torch._foreach_lerp_(*self.pairs, 1 - decay)
