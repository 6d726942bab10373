"""One run by several processes, each with its own GPU and its own pictures: local SGD (arXiv:1805.09767).

`torchrun --nproc-per-node 4 -m gesto_train.train ...` starts them. Each process makes steps by itself, as CUDA graphs without any communication
in them, and every few steps all weights are replaced by their mean. The mean travels through the host (gloo): 16 MB now and then.
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn


def _floats(network: nn.Module) -> list[Tensor]:
    return [v for v in network.state_dict().values() if v.is_floating_point()]


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten().float() for t in tensors]).cpu()


@torch.no_grad()
def _fill(tensors: list[Tensor], flat: Tensor) -> None:
    flat = flat.to(tensors[0].device)
    for tensor, values in zip(tensors, flat.split([t.numel() for t in tensors])):
        tensor.copy_(values.view(tensor.shape))


class Processes:
    """The processes of a run as torchrun's environment names them; a process alone needs none and costs nothing."""

    def __init__(self):
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.local = int(os.environ.get("LOCAL_RANK", 0))
        if self.count > 1:
            dist.init_process_group("gloo")

    @property
    def first(self) -> bool:
        """Whether this process judges, writes and speaks for all."""
        return self.rank == 0

    def share(self, network: nn.Module) -> None:
        """Everybody takes the first process's weights."""
        if self.count > 1:
            tensors = _floats(network)
            flat = _flat(tensors)
            dist.broadcast(flat, 0)
            _fill(tensors, flat)

    def mean(self, network: nn.Module, progress: float) -> float:
        """Everybody takes the mean of all weights. Returns the mean of `progress`, so that all agree when the run ends."""
        if self.count == 1:
            return progress
        tensors = _floats(network)
        flat = torch.cat([_flat(tensors), torch.tensor([progress])])
        dist.all_reduce(flat)
        flat /= self.count
        _fill(tensors, flat[:-1])
        return flat[-1].item()

    def close(self) -> None:
        if self.count > 1:
            dist.barrier()
            dist.destroy_process_group()
