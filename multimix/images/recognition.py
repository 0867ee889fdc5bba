"""Tell whether a picture is one frontal chest film, by a tiny network of 19,217 weights."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from multimix.images.preparation import film_box
from multimix.images.reading import resize

SIDE = 48  # px that a picture is reduced to
LEAST_SCORE = -3.0  # log-odds; some real films of patients in bed have a negative score
NOT_RECOGNISED = "The picture is not recognised as a frontal chest film: it gets no class."
TWO_FILMS = "The picture seems to hold two films: give them one by one."


def is_frontal_chest(grey: np.ndarray) -> bool:
    """Whether a picture (H, W) uint8, cut to its `film_box`, is one frontal chest film."""
    return frontal_score(grey) >= LEAST_SCORE


def frontal_score(grey: np.ndarray) -> float:
    """Log-odds that a picture (H, W) uint8, cut to its `film_box`, is one frontal chest film.

    The best of four quarter turns: a film on its side is still a film (`looks_turned` names it).
    """
    small = resize(grey, SIDE)
    if np.ptp(small) < 2:
        return -np.inf
    upright, *turned = scores(np.stack([np.rot90(small, quarters) for quarters in range(4)]))
    return float(max(upright, max(turned) - 4))  # films are rarely turned


def holds_two_films(grey: np.ndarray) -> bool:
    """Whether a picture (H, W) uint8 holds two upright frontal films, beside or above each other.

    Both halves are then more like a film, by 2 in log-odds, than the whole picture is.
    """
    if min(grey.shape) < 4:
        return False
    whole, middle = resize(grey, 4 * SIDE), 2 * SIDE
    if scores(np.stack([resize(whole, SIDE)])) > 3:  # pictures of two films had 1.4 at most
        return False
    halves = (whole[:, :middle], whole[:, middle:], whole[:middle], whole[middle:])
    films = [resize(film_box(part).of(part), SIDE) for part in (*halves, whole)]
    left, right, upper, lower, one = scores(np.stack(films))
    return bool(max(min(left, right), min(upper, lower)) > max(one, LEAST_SCORE) + 2)


@torch.autocast("cpu", enabled=False)
@torch.inference_mode()
def scores(films: np.ndarray) -> np.ndarray:
    """Log-odds (N,) that upright pictures (N, SIDE, SIDE) uint8 are frontal films."""
    *convolutions, (weight, bias) = layers()
    x = standardised(torch.from_numpy(films))
    for kernel, shift in convolutions:
        x = F.relu(F.conv2d(x, kernel, shift, stride=2, padding=1))
    return F.linear(x.flatten(1), weight, bias)[:, 0].numpy()


def standardised(films: Tensor) -> Tensor:
    """Films (N, side, side) to (N, 1, side, side) of mean 0 and standard deviation 1."""
    x = films[:, None].float()
    x = x - x.mean((1, 2, 3), keepdim=True)
    return (x / (x.std((1, 2, 3), keepdim=True) + 1e-3)).clamp(-4, 4)


@cache
def layers() -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each layer: four convolutions of stride 2 and a linear one."""
    # tests/benchmarks/recognition.py trains and measures them.
    with np.load(Path(__file__).with_name("recognition.npz")) as arrays:
        tensors = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays}
    return [(tensors[f"weight{i}"], tensors[f"bias{i}"]) for i in range(len(tensors) // 2)]
