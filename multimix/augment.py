"""Weak and strong views of batches of films, on the films' device.

Films are floats (N, 1, H, W) in [0, 1]. Each film has its own random generator on the CPU, so that
its view depends neither on the other films of the batch nor on the device. Paper, section 3.1;
strengths as in FixMatch (Sohn 2020).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

FILL = 0.5  # grey value of the pixels outside a rotated or shifted film
Generators = Sequence[Generator]  # one for each film


def random_numbers(generators: Generators, count: int = 1) -> Tensor:
    """`count` random numbers in [0, 1) for each film, (N, count)."""
    return torch.stack([torch.rand(count, generator=generator) for generator in generators])


def uniform(films: Tensor, low: float, high: float, generators: Generators) -> Tensor:
    """One random number for each film, (N, 1, 1, 1), on the films' device."""
    return (random_numbers(generators)[..., None, None] * (high - low) + low).to(films.device)


def coin(films: Tensor, probability: float, generators: Generators) -> Tensor:
    """True with a probability, for each film: (N, 1, 1, 1)."""
    return uniform(films, 0, 1, generators) < probability


def weak(films: Tensor, generators: Generators) -> Tensor:
    """The weak view: half of the films mirrored, padded by reflection (1/8 of a side), cropped."""
    films = torch.where(coin(films, 0.5, generators), films.flip(3), films)
    height, width = films.shape[2:]
    rows, columns = height // 8, width // 8
    padded = F.pad(films, (columns, columns, rows, rows), mode="reflect")
    offsets = random_numbers(generators, 2) * torch.tensor([2 * rows + 1, 2 * columns + 1])
    places = zip(padded, offsets.long().tolist())
    crops = [film[:, top : top + height, left : left + width] for film, (top, left) in places]
    return torch.stack(crops)


def strong(films: Tensor, generators: Generators) -> Tensor:
    """The strong view: a weak view, then two of `OPERATIONS`, each with probability 1/2."""
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
    """A movement of each film; every value is (N, 1, 1, 1)."""

    angle: Tensor  # radians
    shear: Tensor
    scale: Tensor
    aspect: Tensor  # above 1: wider
    right: Tensor  # shift, as a share of the side
    down: Tensor
    mirrored: Tensor  # above 0: mirrored left to right, before all else
    frame_left: Tensor  # then covered by a frame, as a share of the side
    frame_top: Tensor
    frame_right: Tensor
    frame_bottom: Tensor

    @classmethod
    def identity(cls, count: int) -> "AffineParameters":
        """No movement, of `count` films."""
        scales = ("scale", "aspect")
        return cls(*(torch.full((count, 1, 1, 1), float(name in scales)) for name in cls._fields))

    def split(self, size: int) -> "list[AffineParameters]":
        """The values of each `size` films, like `Tensor.split`."""
        return [AffineParameters(*part) for part in zip(*(column.split(size) for column in self))]


def transform(films: Tensor, affine: AffineParameters) -> Tensor:
    """Rotate, shear, scale, widen and shift about the centre, by one bilinear interpolation.

    All channels move together, and pixels from outside are `FILL`. `joint_augment.warp` adds the
    mirror and the frame.
    """
    values = (value[..., 0].to(films) for value in affine[:6])  # each (N, 1, 1)
    angle, shear, scale, aspect, right, down = values
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    # The place from which each pixel is read: torch's affine_grid is five times slower.
    y, x = (pixel_centres(size, films) for size in films.shape[2:])
    across = cosine / aspect * x + ((shear - sine) * y[:, None] - 2 * right)
    along = sine * x + (cosine * aspect * y[:, None] - 2 * down)
    grid = torch.stack([across, along], 3)  # (N, H, W, 2)
    return F.grid_sample(films - FILL, grid, align_corners=False) + FILL


def moved(films: Tensor, **values: Tensor) -> Tensor:
    """Films moved by these values; those that are not given mean no movement."""
    return transform(films, AffineParameters.identity(len(films))._replace(**values))


def pixel_centres(size: int, like: Tensor) -> Tensor:
    """Coordinates of the pixels' centres along a side, which is from -1 to 1: (size,)."""
    return (torch.arange(size, device=like.device, dtype=like.dtype) * 2 + 1) / size - 1


def blend(films: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """Mix: `factor` times the films, plus 1 - `factor` times `other`."""
    return (other + factor * (films - other)).clamp(0, 1)


def signed(strength: Tensor, limit: float) -> Tensor:
    """Map a strength in [0, 1] to [-limit, limit]."""
    return (2 * strength - 1) * limit


def torchvision_functional():
    """torchvision's operations, imported late: this takes a second, and only training needs it."""
    from multimix.runtime.torchvision_shim import functional

    return functional


def posterize(films: Tensor, strength: Tensor) -> Tensor:
    """Keep the 4 to 7 highest of the 8 bits."""
    level = 2.0 ** (4 - (strength * 4).floor().clamp(max=3))  # of 16, 8, 4 or 2 grey values
    return (films * 255 / level).floor() * level / 255


def equalize(films: Tensor) -> Tensor:
    """Equalise the histogram of 256 grey values of each film."""
    grey = (films * 255).round().to(torch.uint8)
    return torchvision_functional().equalize(grey).to(films.dtype) / 255


def smooth(films: Tensor) -> Tensor:
    """Average each pixel (weight 5) with its 8 neighbours (weight 1), as Pillow's SMOOTH."""
    rows = films[:, :, :-2] + films[:, :, 1:-1] + films[:, :, 2:]
    nine = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    smoothed = films.clone()
    smoothed[:, :, 1:-1, 1:-1] = (nine + 4 * films[:, :, 1:-1, 1:-1]) / 13
    return smoothed


# The operations of the strong view: name -> operation(films, a, b). a and b are strengths in
# [0, 1], (N, 1, 1, 1); only `translate` uses b. Angles are up to 27 degrees, shears up to 0.27,
# shifts up to 27 % of the side, in both directions; blends keep 5 % to 95 % of the film.
OPERATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "autocontrast": lambda films, a, b: torchvision_functional().autocontrast(films),
    "equalize": lambda films, a, b: equalize(films),
    "identity": lambda films, a, b: films,
    "brightness": lambda films, a, b: blend(films, torch.zeros_like(films), 0.05 + 0.9 * a),
    "contrast": lambda films, a, b: blend(films, films.mean((1, 2, 3), True), 0.05 + 0.9 * a),
    "sharpness": lambda films, a, b: blend(films, smooth(films), 0.05 + 0.9 * a),
    "posterize": lambda films, a, b: posterize(films, a),
    "solarize": lambda films, a, b: torch.where(films >= a, 1 - films, films),
    "rotate": lambda films, a, b: moved(films, angle=signed(a, math.radians(27))),
    "shear": lambda films, a, b: moved(films, shear=signed(a, 0.27)),
    "translate": lambda films, a, b: moved(films, right=signed(a, 0.27), down=signed(b, 0.27)),
}
