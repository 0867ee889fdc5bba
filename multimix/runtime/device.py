"""Where a network runs: its device, how many films it takes, and processes that work as one.

torchrun starts such processes (on one machine: --standalone); it listens on every network
interface, without a password. World, rank and size are torch.distributed's words.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

RANK, SIZE = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))

# OpenMP's threads do not exist in a forked process, which would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name; 'auto' is CUDA, else MPS, else the CPU. ValueError if there is none."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    available = [*(kind for kind, is_here in found.items() if is_here), "cpu"]
    name = available[0] if name == "auto" else name
    if name.partition(":")[0] in available:
        with suppress(RuntimeError):
            return torch.empty(0, device=name).device
    choices = " or ".join(["auto", *available])
    raise ValueError(
        f"There is no device '{name}' here; choose {choices}, or of several GPUs one, as cuda:0."
    )


def best_precision(device: torch.device) -> str:
    """'bfloat16' where the hardware computes with it, else 'float32'.

    CPUs with AMX or AVX512-BF16 do (read on Linux alone), and GPUs from CUDA capability 8.0 on.
    """
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        about = Path("/proc/cpuinfo")
        flags = about.read_text() if device.type == "cpu" and about.exists() else ""
        fast = "amx_bf16" in flags or "avx512_bf16" in flags
    return "bfloat16" if fast else "float32"


def to_device(model: nn.Module, device: torch.device) -> None:
    """Move a network, in the memory layout that suits the convolutions of that device."""
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    model.to(device).to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs


def micro_batch_size(device: torch.device, side: int) -> int:
    """How many films of `side` px one pass takes best: on a CPU as many as its cache holds."""
    return max(1, min(16, 2 * 256**2 // side**2)) if device.type == "cpu" else 64


@contextmanager
def usual_settings(device: torch.device) -> Iterator[None]:
    """torch's settings for training, whatever the caller has set: gradients, and float32."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    no_autocast = torch.autocast(device.type, enabled=False)
    try:
        with torch.inference_mode(False), torch.enable_grad(), no_autocast:
            yield
    finally:
        torch.set_default_dtype(default)


def compile_parts(*parts: nn.Module) -> None:
    """Have torch compile modules in place. ValueError where it cannot, as without a compiler."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1))
    except Exception as error:  # noqa: BLE001  (a compiler may fail in any way)
        reason = str(error).partition("\n")[0]
        raise ValueError(f"torch cannot compile here ({reason}); leave out --compile.") from None
    for part in parts:
        part.compile()


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
        tensors = [numbers, *(p.grad for p in parameters if p.grad is not None)]
        if self.size > 1:
            message = torch.cat([tensor.flatten() for tensor in tensors])
            dist.all_reduce(message)  # at once, as each message takes its time
            for tensor, total in zip(tensors, message.split([t.numel() for t in tensors])):
                tensor.copy_(total.view_as(tensor))
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
