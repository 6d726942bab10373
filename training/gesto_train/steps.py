"""A training step as one CUDA graph per input shape.

The network is so small that launching its thousands of kernels costs more than running them. A captured graph
holds the whole step: augmentation, network, losses, backward pass, clipping and optimizer.
"""

from collections.abc import Callable, Hashable

import torch


class Steps:
    """Runs `body(key)` eagerly, or captures it once per key and replays it.

    `body` must use no data-dependent shapes, read nothing back, and leave its results in tensors that live on.
    """

    def __init__(self, body: Callable[[Hashable], None], graphs: bool):
        self.body, self.graphs = body, graphs
        self.captured: dict[Hashable, torch.cuda.CUDAGraph] = {}

    def __call__(self, key: Hashable) -> None:
        if not self.graphs:
            self.body(key)
            return
        if key not in self.captured:
            self.captured[key] = self._capture(key)
        self.captured[key].replay()

    def _capture(self, key: Hashable) -> torch.cuda.CUDAGraph:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # lets cuDNN choose its kernels and makes the cached constants
                self.body(key)
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.body(key)
        return graph
