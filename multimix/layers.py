"""Two layers with the same output as torch's, faster on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InstanceNorm(nn.Module):
    """Normalise each map of each film to mean 0 and variance 1; there are no parameters.

    torch's instance norm copies channels-last maps twice. Batch norm of a single film computes the
    same function without these copies.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
            return F.instance_norm(x)
        films = [F.batch_norm(film, None, None, training=True) for film in x.split(1)]
        return films[0] if len(films) == 1 else torch.cat(films)


def dropout(x: Tensor, rate: float, active: bool) -> Tensor:
    """Element-wise dropout. On a CPU, `rate` is rounded to a multiple of 1/256.

    There, one random number decides for eight elements: torch's dropout takes a fifth of a step.
    """
    if not active or x.device.type != "cpu":
        return F.dropout(x, rate, active)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()] >= round(256 * rate)
    return x * kept.to(x.dtype).mul_(1 / (1 - rate)).as_strided(x.shape, x.stride())
