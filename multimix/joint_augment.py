"""Joint augmentation: views of films together with their masks, for the `improved` recipe.

They stand for other machines, patients and rooms. Where a film goes is sampled first and kept, so
that a mask found on the plain film can follow it. Films are (N, 1, H, W) in [0, 1], each with a
generator of its own, as in `augment`. InstanceNorm undoes brightness and contrast, so the changes
of intensity are non-linear.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from multimix.augment import (
    FILL,
    AffineParameters,
    Generators,
    blend,
    coin,
    pixel_centres,
    random_numbers,
    transform,
    uniform,
)

MARKERS = ("R", "L", "AP", "PA", "PORTABLE", "SUPINE", "ERECT")


def sample_affine(generators: Generators) -> AffineParameters:
    """Where each film goes: half mirrored, all moved, a quarter framed."""
    u = random_numbers(generators, 12)
    mirrored, framed = u[:, :1] < 0.5, u[:, 1:2] < 0.25
    limits = torch.tensor([0.3, 0.1, 0.25, 0.2, 0.1, 0.1])
    moves = (2 * u[:, 2:8] - 1) * limits
    moves[:, 2:4] += 1  # scale and aspect
    columns = torch.cat([moves, mirrored, framed * 0.12 * u[:, 8:]], 1)  # (N, 11)
    return AffineParameters(*columns[..., None, None].split(1, 1))


def warp(maps: Tensor, affine: AffineParameters) -> tuple[Tensor, Tensor]:
    """Move maps (N, C, H, W).

    Returns: the moved maps, and what of them is film, (N, 1, H, W) bool: not what comes in from
    outside, and not framed.
    """
    mirrored, left, top, right, bottom = affine.tensors(maps.device)[6:]
    maps = torch.where(mirrored > 0, maps.flip(3), maps)
    moved = transform(torch.cat([maps, torch.ones_like(maps[:, :1])], 1), affine)
    y, x = (torch.linspace(0, 1, size, device=maps.device) for size in maps.shape[2:])
    y = y[:, None]
    unframed = (x >= left) & (x <= 1 - right) & (y >= top) & (y <= 1 - bottom)
    return moved[:, :-1], (moved[:, -1:] > (1 + FILL) / 2) & unframed


def joint_views(
    films: Tensor,
    masks: Tensor,
    affine: AffineParameters,
    generators: Generators,
    opaque: bool = True,
    white_out: bool = False,
) -> tuple[Tensor, Tensor]:
    """One view of films and their masks, both (N, 1, H, W): moved, exposed otherwise, marked.

    `opaque` lets haze lie on the lungs: a mask does not depend on how ill they are, a class does.
    `white_out` makes some of them as bright as tissue.
    """
    edge = torch.where(coin(films, 0.5, generators), uniform(films, 0, 1, generators), 0.0)
    moved, inside = warp(torch.cat([films, masks.to(films.dtype)], 1), affine)
    masks = ((moved[:, 1:] > 0.5) & inside).to(films.dtype)
    films = moved[:, :1]
    if opaque:
        films = haze(films, masks, generators)
    if white_out:
        films = opacities(films, masks, generators)
    films = marked(torch.where(inside, films, edge), generators)
    return exposed(films, generators), masks


def exposed(films: Tensor, generators: Generators) -> Tensor:
    """Other gamma, film curve, blur and noise; one film in ten as a negative."""
    films = films.clamp(1e-3, 1) ** (2 ** uniform(films, -1.2, 1.2, generators))
    curve = films * films * (3 - 2 * films)  # the film's S-shaped characteristic curve
    films = blend(curve, films, uniform(films, -0.5, 1, generators))
    blurred = F.avg_pool2d(films, 3, 1, 1, count_include_pad=False)
    films = torch.where(coin(films, 0.3, generators), blurred, films)
    noise = normal_noise(films.shape[1:], generators).to(films.device)
    films = (films + noise * uniform(films, 0, 0.05, generators)).clamp(0, 1)
    return torch.where(coin(films, 0.1, generators), 1 - films, films)


def normal_noise(shape: tuple[int, ...], generators: Generators) -> Tensor:
    """Standard normal numbers, of one shape a film."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def haze(films: Tensor, masks: Tensor, generators: Generators) -> Tensor:
    """Brighten patches of the lungs of two films in five towards the grey of tissue."""
    coarse = normal_noise((1, 5, 5), generators).to(films.device)
    fine = F.interpolate(coarse, films.shape[2:], mode="bicubic", align_corners=False)
    patches = torch.sigmoid(4 * fine)
    amount = torch.where(coin(films, 0.4, generators), uniform(films, 0.2, 0.9, generators), 0.0)
    missing = (uniform(films, 0.5, 0.9, generators) - films).clamp(min=0)
    return films + amount * patches * masks * missing


def opacities(films: Tensor, masks: Tensor, generators: Generators) -> Tensor:
    """Make lungs opaque, one or both, whole or from some height down, on three films in ten."""
    numbers = random_numbers(generators, 7).to(films.device)[..., None, None, None]  # (N, 7, 1...)
    applied, which, both, height, sharpness, grey, amount = numbers.unbind(1)
    across = pixel_centres(films.shape[3], films)  # (W,)
    lung_area = masks.sum((2, 3), keepdim=True).clamp(min=1)
    middle = (masks * across).sum((2, 3), keepdim=True) / lung_area  # between the two lungs
    turn = torch.where(which < 0.5, 1, -1)
    one_lung = torch.sigmoid(30 * turn * (across - middle))  # (N, 1, 1, W)
    one_lung = torch.where(both < 0.15, 1, one_lung)
    down = pixel_centres(films.shape[2], films)[:, None]
    below = torch.sigmoid((down - (2.4 * height - 1.6)) * (4 + 30 * sharpness))  # (N, 1, H, 1)
    blurred = F.avg_pool2d(F.max_pool2d(masks, 5, 1, 2), 5, 1, 2)  # beyond the lungs' edge
    region = blurred * one_lung * below * (applied < 0.3)
    texture = normal_noise((1, 6, 6), generators).to(films.device)
    texture = F.interpolate(texture, films.shape[2:], mode="bicubic", align_corners=False)
    tissue = (0.5 + 0.4 * grey + 0.05 * texture).clamp(0, 1)
    return films + (0.6 + 0.4 * amount) * region * (tissue - films).clamp(min=0)


def marked(films: Tensor, generators: Generators) -> Tensor:
    """Letters and tubes, bright, on three films in ten."""
    films = films.clone()
    for film, numbers in zip(films, random_numbers(generators, 14).tolist()):
        if numbers[0] > 0.3:
            continue
        drawn = draw_markers(film.shape[-1], numbers[1:])
        film.copy_(torch.maximum(film, torch.from_numpy(drawn / 255).to(film)))
    return films


def draw_markers(side: int, numbers: list[float]) -> np.ndarray:
    """A word, a tube, both or neither: (side, side) uint8, from 13 numbers in [0, 1)."""
    worded, which, size, across, down, brightness, with_tube, *points = numbers
    picture = Image.new("L", (side, side))
    pencil = ImageDraw.Draw(picture)
    if worded < 0.7:
        font = ImageFont.load_default(side * (0.04 + 0.06 * size))
        corner = (side * across * 0.9, side * down * 0.9)
        word = MARKERS[int(which * len(MARKERS))]
        pencil.text(corner, word, int(160 + 95 * brightness), font)
    if with_tube < 0.6:  # a curve through three points
        start, control, end = np.array(points).reshape(3, 2) * side
        t = np.linspace(0, 1, 24)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
        line = [tuple(point) for point in curve.tolist()]
        pencil.line(line, int(140 + 100 * size), max(1, round(side / 128)))
    return np.asarray(picture)
