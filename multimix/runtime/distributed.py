"""Several processes that work as one, started by torchrun (on one machine: --standalone).

Without it there is one. torchrun listens on every network interface, without a password.
World, rank and size are torch.distributed's words: `size` processes, of which this is `rank`.
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

TIMEOUT = timedelta(minutes=10)  # after which a process that does not answer counts as lost


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
        """The sums over all ranks of numbers, (M,), and of gradients, in place; in one message."""
        if self.size == 1:
            return numbers
        gradients = [p.grad for p in parameters if p.grad is not None]
        message = torch.cat([numbers, *(gradient.flatten() for gradient in gradients)])
        dist.all_reduce(message)
        summed = message[len(numbers) :].split([gradient.numel() for gradient in gradients])
        for gradient, total in zip(gradients, summed):
            gradient.copy_(total.view(gradient.shape))
        return message[: len(numbers)]

    def gather(self, mine: object) -> list:
        """What each rank has, in their order."""
        parts = [mine] * self.size
        if self.size > 1:
            dist.all_gather_object(parts, mine)
        return parts

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.size > 1:
            dist.barrier()


SINGLE = World()


@contextmanager
def connect(device: torch.device) -> Iterator[World]:
    """The processes that torchrun has started, connected; just this one where it has not."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield SINGLE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
    # torchrun keeps one store over all restarts: without a prefix a process meets lost addresses.
    store = dist.PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    try:
        yield World(rank, size)
    finally:
        dist.destroy_process_group()


def is_main() -> bool:
    """Whether this process is the one to print, also before the processes are connected."""
    return int(os.environ.get("RANK", 0)) == 0


def restarted() -> bool:
    """Whether torchrun has started this training anew after a process of it was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0
