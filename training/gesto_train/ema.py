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

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.updates += 1
        decay = self.decay * (1 - math.exp(-self.updates / self.ramp))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floats = [k for k, v in mine.items() if v.is_floating_point()]
        torch._foreach_lerp_([mine[k] for k in floats], [theirs[k] for k in floats], 1 - decay)
