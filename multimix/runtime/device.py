"""Where the network runs, and how much of a batch it takes at once there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# OpenMP's threads do not live on in a forked process, which would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def available_devices() -> list[str]:
    """The kinds of device that are here, the best first: of 'cuda', 'mps' and 'cpu'."""
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return [kind for kind, is_here in here.items() if is_here]


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: 'auto' takes CUDA, else Apple's MPS, else the CPU.

    Errors: ValueError where there is no such device.
    """
    available = available_devices()
    if name == "auto":
        name = available[0]
    kind = name.partition(":")[0]
    if kind not in available:
        choices = " or ".join(["auto", *available])
        raise ValueError(f"There is no device '{name}' here; choose {choices}.")
    try:
        return torch.empty(0, device=name).device
    except RuntimeError:
        raise ValueError(
            f"There is no device '{name}' here; write {kind}, or {kind}:0, and so on."
        ) from None


def to_device(model: nn.Module, device: torch.device) -> None:
    """Move a network, its memory laid out as the convolutions of that device like it."""
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    model.to(device)
    # torch's stubs do not know this argument.
    model.to(memory_format=layout)  # type: ignore[call-overload]


def micro_batch_size(device: torch.device, side: int) -> int:
    """How many films of `side` px one pass takes best.

    On a CPU that is what its cache holds, which is also several times faster.
    """
    return max(1, min(16, 2 * 256**2 // side**2)) if device.type == "cpu" else 64


@contextmanager
def usual_settings(device: torch.device) -> Iterator[None]:
    """torch as a training needs it, whatever the caller has set: gradients, and in float32."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(device.type, enabled=False),
        ):
            yield
    finally:
        torch.set_default_dtype(default)


def compile_parts(*parts: nn.Module) -> str | None:
    """Have torch compile modules in place; the reason where it cannot, which leaves them as is."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1))
    except Exception as error:  # noqa: BLE001  (a compiler may fail in any way)
        return str(error).splitlines()[0]
    for part in parts:
        part.compile()
    return None


@contextmanager
def memory_in_words(device: torch.device | str = "this machine") -> Iterator[None]:
    """ValueError, with what to lower, where memory does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has a class of its own for a GPU's memory alone.
        said = str(error)
        known = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
        if not known and "can't allocate memory" not in said and "out of memory" not in said:
            raise
        raise ValueError(
            f"The memory of {device} does not suffice; take fewer films at once (--micro-batch 1), "
            "a smaller --side, or keep the films on the disk (--cache DIR)."
        ) from None
