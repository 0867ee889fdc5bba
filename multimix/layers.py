"""Two layers that say what torch's say, in less time on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InstanceNorm(nn.Module):
    """Every map of every film to mean 0 and variance 1, without parameters.

    torch's own copies channels-last maps back and forth; its batch norm of one film at a time is
    the same function.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
            return F.instance_norm(x)
        films = [F.batch_norm(film, None, None, training=True) for film in x.split(1)]
        return films[0] if len(films) == 1 else torch.cat(films)


def dropout(x: Tensor, rate: float, active: bool) -> Tensor:
    """Element-wise dropout; on a CPU `rate` is rounded to a multiple of 1/256.

    There, eight decisions share one random number: torch's own took a fifth of a training step.
    """
    if not active or x.device.type != "cpu":
        return F.dropout(x, rate, active)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()] >= round(256 * rate)
    return x * kept.to(x.dtype).mul_(1 / (1 - rate)).as_strided(x.shape, x.stride())
