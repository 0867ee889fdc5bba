"""Weak and strong views of whole batches of films, on the device where they are.

Films are float tensors (N, 1, H, W) in [0, 1]. Each film has a random generator of its own, so that
its view does not hang on its neighbours in the batch; they draw on the CPU, so that one seed gives
the same views on every device. Paper, section 3.1; strengths as in FixMatch (Sohn et al., 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

FILL = 0.5  # what comes in from outside a rotated or shifted film
Chance = Sequence[Generator]  # one for each film


def draw(chance: Chance, count: int = 1) -> Tensor:
    """`count` numbers in [0, 1) a film, (N, count)."""
    return torch.stack([torch.rand(count, generator=generator) for generator in chance])


def uniform(films: Tensor, low: float, high: float, chance: Chance) -> Tensor:
    """One number a film, (N, 1, 1, 1), on the films' device."""
    return (draw(chance)[..., None, None] * (high - low) + low).to(films.device)


def coin(films: Tensor, probability: float, chance: Chance) -> Tensor:
    """One truth value a film, (N, 1, 1, 1)."""
    return uniform(films, 0, 1, chance) < probability


def flip(films: Tensor, chance: Chance) -> Tensor:
    """Mirror each film left to right with probability 1/2."""
    mirrored = coin(films, 0.5, chance).flatten()
    films = films.clone()
    films[mirrored] = films[mirrored].flip(3)
    return films


def crop(films: Tensor, chance: Chance) -> Tensor:
    """Reflect-pad by an eighth of the side (32 at 256 px) and cut a film of the old size at a
    random place.
    """
    height, width = films.shape[2:]
    rows, columns = height // 8, width // 8
    padded = F.pad(
        films, (columns, columns, rows, rows), mode="reflect"
    )  # a copy: what comes back may be written to
    places = (draw(chance, 2) * torch.tensor([2 * rows + 1, 2 * columns + 1])).long().tolist()
    return torch.stack(
        [
            film[:, top : top + height, left : left + width]
            for film, (top, left) in zip(padded, places)
        ]
    )


def weak(films: Tensor, chance: Chance) -> Tensor:
    """Flip, then pad and crop."""
    return crop(flip(films, chance), chance)


def strong(films: Tensor, chance: Chance) -> Tensor:
    """The weak view's flip and crop, then two operations drawn from `OPERATIONS`, each applied with
    probability 1/2.
    """
    films = weak(films, chance)
    for _ in range(2):
        which_one, applied, *strengths = draw(chance, 4).unbind(1)
        chosen = torch.where(applied < 0.5, -1, (which_one * len(OPERATIONS)).long())
        strengths = torch.stack(strengths)[..., None, None, None]
        for number, operation in enumerate(OPERATIONS.values()):
            which = (chosen == number).nonzero().flatten()
            if len(which):
                here = which.to(films.device)
                films[here] = operation(films[here], *strengths[:, which].to(films.device))
    return films


def transform(
    films: Tensor,
    *,
    angle: Tensor | float = 0.0,
    shear: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    aspect: Tensor | float = 1.0,
    right: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
) -> Tensor:
    """Rotate (radians), shear, scale, widen and shift (shares of the side) about the centre, one
    bilinear reading.

    Each number is one for all films or (N, 1, 1, 1); channels move together. What comes in from
    outside is `FILL`.
    """
    angle, shear, scale, aspect, right, down = (
        torch.as_tensor(v, device=films.device, dtype=films.dtype).expand(len(films), 1, 1, 1)[
            ..., 0
        ]
        for v in (angle, shear, scale, aspect, right, down)
    )
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    # Where each pixel is read from; torch's affine_grid says the same five times slower.
    y, x = (
        (torch.arange(n, device=films.device, dtype=films.dtype) * 2 + 1) / n - 1
        for n in films.shape[2:]
    )
    across = cosine / aspect * x + ((shear - sine) * y[:, None] - 2 * right)
    along = sine * x + (cosine * aspect * y[:, None] - 2 * down)
    return F.grid_sample(films - FILL, torch.stack([across, along], 3), align_corners=False) + FILL


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
    """torchvision's operations on batches; they take a second to import and only training wants
    them.
    """
    from multimix.runtime.torchvision_shim import functional

    return functional


def posterize(films: Tensor, strength: Tensor) -> Tensor:
    """Keep the 4 to 7 highest of 8 bits."""
    step = 2.0 ** (4 - (strength * 4).floor().clamp(max=3))  # 16, 8, 4 or 2 grey values
    return (films * 255 / step).floor() * step / 255


def equalize(films: Tensor) -> Tensor:
    """Flatten each film's histogram of 256 grey values."""
    return (
        torchvision_functional().equalize((films * 255).round().to(torch.uint8)).to(films.dtype)
        / 255
    )


def smooth(films: Tensor) -> Tensor:
    """Each pixel and its eight neighbours, weighted 5 to 1; the outermost pixels stay (Pillow's
    SMOOTH).
    """
    rows = films[:, :, :-2] + films[:, :, 1:-1] + films[:, :, 2:]
    nine = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    smoothed = films.clone()
    smoothed[:, :, 1:-1, 1:-1] = (nine + 4 * films[:, :, 1:-1, 1:-1]) / 13
    return smoothed


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
    "rotate": lambda films, a, b: transform(films, angle=signed(a, math.radians(27))),
    "shear": lambda films, a, b: transform(films, shear=signed(a, 0.27)),
    "translate": lambda films, a, b: transform(films, right=signed(a, 0.27), down=signed(b, 0.27)),
}
