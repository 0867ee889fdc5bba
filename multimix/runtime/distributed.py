"""Several processes that work as one, started by torchrun: what is mine, and sums over all. Without
it there is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

TIMEOUT = timedelta(minutes=10)  # after which a process that does not answer counts as lost


@dataclass(frozen=True)
class Ranks:
    """`count` processes, of which this one is number `rank`. The first one writes files and speaks."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, total: int) -> range:
        """This rank's places among `total`: together the ranks have each place once, in order."""
        return range(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all ranks' tensors."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, mine: object) -> list:
        """What each rank has, in their order."""
        parts = [mine] * self.count
        if self.count > 1:
            dist.all_gather_object(parts, mine)
        return parts

    def join(self, tensor: Tensor) -> Tensor:
        """All ranks' tensors in a row; their lengths may differ."""
        return torch.cat(self.gather(tensor))

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.count > 1:
            dist.barrier()


ALONE = Ranks()


@contextmanager
def ranks_of(device: torch.device) -> Iterator[Ranks]:
    """The processes that torchrun has started, connected to one another; just this one where it has
    not.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, count = next(dist.rendezvous("env://", timeout=TIMEOUT))
    # torchrun keeps one store over all restarts: without a prefix a process meets the addresses of
    # lost ones.
    store = dist.PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=store,
        rank=rank,
        world_size=count,
        timeout=TIMEOUT,
    )
    try:
        yield Ranks(rank, count)
    finally:
        dist.destroy_process_group()


def speaks() -> bool:
    """Whether this process is the one to print, also before the processes are connected."""
    return int(os.environ.get("RANK", 0)) == 0


def restarted() -> bool:
    """Whether torchrun has started this training anew after a process of it was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0
