"""Where the network runs, and how much of a batch it takes at once there."""

from __future__ import annotations

import torch
from torch import nn


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: 'auto' takes CUDA, else Apple's MPS, else the CPU.

    Errors: ValueError where there is no such device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    kind = name.partition(":")[0]
    if not available.get(kind):
        choices = ["auto", *(known for known, there in available.items() if there)]
        raise ValueError(f"There is no device '{name}' here; choose {' or '.join(choices)}.")
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


def compile_parts(*parts: nn.Module) -> str | None:
    """Have torch compile modules in place; the reason where it cannot, which leaves them as is."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1))
    except Exception as error:  # noqa: BLE001  (a compiler may fail in any way)
        return str(error).splitlines()[0]
    for part in parts:
        part.compile()
    return None
