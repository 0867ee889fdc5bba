"""Several processes that work as one, started by torchrun (on one machine: --standalone).

torchrun listens on every network interface, without a password. World, rank and size are
torch.distributed's words: `size` processes, of which this is number `rank`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

RANK, SIZE = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


@dataclass(frozen=True)
class World:
    """All processes, as this one sees them. The main one writes files and prints."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """This rank's part of `total` items: together the ranks have each item once, in order."""
        return range(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def sum_with_gradients(self, numbers: Tensor, parameters: Iterable[Tensor]) -> Tensor:
        """The sums over all ranks of numbers, (M,), and of gradients: both in place."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        for tensor in [numbers, *gradients] if self.size > 1 else ():
            dist.all_reduce(tensor)
        return numbers

    def gather(self, part: object) -> list:
        """The values of all ranks, in their order, once all are here."""
        parts = [part] * self.size
        if self.size > 1:
            dist.all_gather_object(parts, part)
        return parts


SINGLE = World()


@contextmanager
def connect(device: torch.device) -> Iterator[World]:
    """The processes that torchrun has started, connected; without torchrun this one alone."""
    if SIZE == 1:
        yield SINGLE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=10))  # a silent process is lost
    try:
        yield World(RANK, SIZE)
    finally:
        dist.destroy_process_group()
