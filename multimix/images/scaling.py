"""Batches of films to another side, on the device where they are."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def rescale(films: Tensor, side: int) -> Tensor:
    """Films or masks as floats, (N, C, S, S), to (N, C, side, side), smoothed where they shrink.

    It is Pillow's bilinear filter, as two products of matrices: alike on every device and in ONNX.
    """
    if films.shape[-1] == side:
        return films
    weights = filter_weights(films.shape[-1], side).to(films)
    return weights @ films @ weights.T


@lru_cache(maxsize=32)
def filter_weights(size: int, side: int) -> Tensor:
    """What each of `size` pixels adds to each of `side`: (side, size), each row's sum 1."""
    scale = size / side
    centres = (torch.arange(side, dtype=torch.float64)[:, None] + 0.5) * scale
    distance = (torch.arange(size, dtype=torch.float64) + 0.5 - centres).abs()
    weights = (1 - distance / max(scale, 1.0)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
