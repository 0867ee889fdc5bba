"""Weak and strong views of whole batches of films, on the device where they are.

Films are float tensors (N, 1, H, W) in [0, 1]. Each film has a random generator of its own, so that
its view does not depend on its neighbours in the batch; they draw on the CPU, so that one seed
gives the same views on every device. Paper, section 3.1; strengths as in FixMatch (Sohn 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

FILL = 0.5  # what comes in from outside a rotated or shifted film
Generators = Sequence[Generator]  # one for each film


def random_numbers(generators: Generators, count: int = 1) -> Tensor:
    """`count` numbers in [0, 1) a film, (N, count)."""
    return torch.stack([torch.rand(count, generator=generator) for generator in generators])


def uniform(films: Tensor, low: float, high: float, generators: Generators) -> Tensor:
    """One number a film, (N, 1, 1, 1), on the films' device."""
    return (random_numbers(generators)[..., None, None] * (high - low) + low).to(films.device)


def coin(films: Tensor, probability: float, generators: Generators) -> Tensor:
    """One truth value a film, (N, 1, 1, 1)."""
    return uniform(films, 0, 1, generators) < probability


def flip(films: Tensor, generators: Generators) -> Tensor:
    """Mirror each film left to right with probability 1/2."""
    mirrored = coin(films, 0.5, generators).flatten()
    films = films.clone()
    films[mirrored] = films[mirrored].flip(3)
    return films


def crop(films: Tensor, generators: Generators) -> Tensor:
    """Reflect-pad by an eighth of the side (32 at 256 px), cut a film of the old size anywhere."""
    height, width = films.shape[2:]
    rows, columns = height // 8, width // 8
    # A copy, so that what comes back may be written to.
    padded = F.pad(films, (columns, columns, rows, rows), mode="reflect")
    offsets = random_numbers(generators, 2) * torch.tensor([2 * rows + 1, 2 * columns + 1])
    crops = []
    for film, (top, left) in zip(padded, offsets.long().tolist()):
        crops.append(film[:, top : top + height, left : left + width])
    return torch.stack(crops)


def weak(films: Tensor, generators: Generators) -> Tensor:
    """Flip, then pad and crop."""
    return crop(flip(films, generators), generators)


def strong(films: Tensor, generators: Generators) -> Tensor:
    """The weak view's flip and crop, then two of `OPERATIONS`, each with probability 1/2."""
    films = weak(films, generators)
    for _ in range(2):
        which_one, applied, first, second = random_numbers(generators, 4).unbind(1)
        chosen = torch.where(applied < 0.5, -1, (which_one * len(OPERATIONS)).long())
        strengths = torch.stack([first, second])[..., None, None, None]  # (2, N, 1, 1, 1)
        for number, operation in enumerate(OPERATIONS.values()):
            which = (chosen == number).nonzero().flatten()
            if len(which):
                here = which.to(films.device)
                films[here] = operation(films[here], *strengths[:, which].to(films.device))
    return films


class AffineParameters(NamedTuple):
    """Where films go; each a number for all of them, or a tensor (N, 1, 1, 1) with one a film."""

    angle: Tensor | float = 0.0  # radians
    shear: Tensor | float = 0.0
    scale: Tensor | float = 1.0
    aspect: Tensor | float = 1.0  # wider where above 1
    right: Tensor | float = 0.0  # shift, as a share of the side
    down: Tensor | float = 0.0
    mirrored: Tensor | float = 0.0  # left to right, before all else, where above 0
    frame_left: Tensor | float = 0.0  # what a frame covers afterwards, as a share of the side
    frame_top: Tensor | float = 0.0
    frame_right: Tensor | float = 0.0
    frame_bottom: Tensor | float = 0.0

    @classmethod
    def identity(cls, count: int) -> AffineParameters:
        """`count` films that stay as they are."""
        return cls(*(torch.full((count, 1, 1, 1), float(value)) for value in cls()))

    def tensors(self, device: torch.device) -> list[Tensor]:
        """Each as a tensor on a device."""
        return [torch.as_tensor(column, device=device) for column in self]

    def split(self, size: int) -> list[AffineParameters]:
        """Those of each `size` films, as `Tensor.split` has them."""
        parts = zip(*(torch.as_tensor(column).split(size) for column in self))
        return [AffineParameters(*part) for part in parts]


def transform(films: Tensor, affine: AffineParameters) -> Tensor:
    """Rotate, shear, scale, widen and shift about the centre, in one bilinear reading.

    Channels move together. What comes in from outside is `FILL`. Mirror and frame are left to
    `joint_augment.warp`.
    """
    columns = []
    for value in affine[:6]:
        column = torch.as_tensor(value, device=films.device, dtype=films.dtype)
        columns.append(column.expand(len(films), 1, 1, 1)[..., 0])  # (N, 1, 1)
    angle, shear, scale, aspect, right, down = columns
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    # Where each pixel is read from; torch's affine_grid says the same five times slower.
    y, x = (pixel_centres(size, films) for size in films.shape[2:])
    across = cosine / aspect * x + ((shear - sine) * y[:, None] - 2 * right)
    along = sine * x + (cosine * aspect * y[:, None] - 2 * down)
    grid = torch.stack([across, along], 3)  # (N, H, W, 2)
    return F.grid_sample(films - FILL, grid, align_corners=False) + FILL


def pixel_centres(size: int, like: Tensor) -> Tensor:
    """Their coordinates along one side of a film that reaches from -1 to 1: (size,)."""
    return (torch.arange(size, device=like.device, dtype=like.dtype) * 2 + 1) / size - 1


def blend(films: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`factor` of the films, the rest of `other`."""
    return (other + factor * (films - other)).clamp(0, 1)


def fading(strength: Tensor) -> Tensor:
    """Strength in [0, 1] to a blending factor in [0.05, 0.95]."""
    return 0.05 + 0.9 * strength


def signed(strength: Tensor, limit: float) -> Tensor:
    """Strength in [0, 1] to [-limit, limit]."""
    return (2 * strength - 1) * limit


def torchvision_functional():
    """torchvision's operations on batches: a second to import, and only training wants them."""
    from multimix.runtime.torchvision_shim import functional

    return functional


def posterize(films: Tensor, strength: Tensor) -> Tensor:
    """Keep the 4 to 7 highest of 8 bits."""
    level = 2.0 ** (4 - (strength * 4).floor().clamp(max=3))  # of 16, 8, 4 or 2 grey values
    return (films * 255 / level).floor() * level / 255


def equalize(films: Tensor) -> Tensor:
    """Flatten each film's histogram of 256 grey values."""
    grey = (films * 255).round().to(torch.uint8)
    return torchvision_functional().equalize(grey).to(films.dtype) / 255


def smooth(films: Tensor) -> Tensor:
    """Each pixel and its eight neighbours, weighted 5 to 1 (Pillow's SMOOTH); the border stays."""
    rows = films[:, :, :-2] + films[:, :, 1:-1] + films[:, :, 2:]
    nine = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    smoothed = films.clone()
    smoothed[:, :, 1:-1, 1:-1] = (nine + 4 * films[:, :, 1:-1, 1:-1]) / 13
    return smoothed


def rotate(films: Tensor, strength: Tensor) -> Tensor:
    """By up to 27 degrees either way."""
    return transform(films, AffineParameters(angle=signed(strength, math.radians(27))))


def shear(films: Tensor, strength: Tensor) -> Tensor:
    """By up to 0.27 either way."""
    return transform(films, AffineParameters(shear=signed(strength, 0.27)))


def translate(films: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """By up to 27 % of the side in both directions."""
    shifts = AffineParameters(right=signed(across, 0.27), down=signed(along, 0.27))
    return transform(films, shifts)


# The pool of the strong view: name -> operation(films, a, b), where a and b are two strengths in
# [0, 1] a film, each (N, 1, 1, 1). Only `translate` needs the second.
OPERATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "autocontrast": lambda films, a, b: torchvision_functional().autocontrast(films),
    "equalize": lambda films, a, b: equalize(films),
    "identity": lambda films, a, b: films,
    "brightness": lambda films, a, b: blend(films, torch.zeros_like(films), fading(a)),
    "contrast": lambda films, a, b: blend(films, films.mean((1, 2, 3), keepdim=True), fading(a)),
    "sharpness": lambda films, a, b: blend(films, smooth(films), fading(a)),
    "posterize": lambda films, a, b: posterize(films, a),
    "solarize": lambda films, a, b: torch.where(films >= a, 1 - films, films),
    "rotate": lambda films, a, b: rotate(films, a),
    "shear": lambda films, a, b: shear(films, a),
    "translate": translate,
}
