"""Broad views of films together with their masks, for the `improved` recipe: other machines,
patients, rooms.

Where a film goes is drawn first and kept, so that a mask found on the plain film can follow it.
Films are (N, 1, H, W) in [0, 1], each with a generator of its own, as in `augment`. InstanceNorm
undoes brightness and contrast, so the changes of intensity are non-linear.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from multimix.augment import FILL, Chance, blend, coin, draw, transform, uniform

WORDS = ("R", "L", "AP", "PA", "PORTABLE", "SUPINE", "ERECT")

STAY = torch.tensor(
    [[0.0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]]
)  # where a film goes that is left as it is


def draw_places(chance: Chance) -> Tensor:
    """Where each film goes, (N, 11): mirrored or not, turn, shear, scale, aspect, shift (2), frame
    (4).
    """
    u = draw(chance, 12)
    mirrored, framed = u[:, :1] < 0.5, u[:, 1:2] < 0.25
    limits = torch.tensor([0.3, 0.1, 0.25, 0.2, 0.1, 0.1])
    moves = (2 * u[:, 2:8] - 1) * limits
    return torch.cat(
        [mirrored, moves[:, :2], 1 + moves[:, 2:4], moves[:, 4:], framed * 0.12 * u[:, 8:]], 1
    )


def move(maps: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (N, C, H, W) to their places, and what of them is film, (N, 1, H, W) bool: not from
    outside, not framed.
    """
    mirrored, angle, shear, scale, aspect, right, down, *frame = places.to(maps.device)[
        ..., None, None
    ].split(1, 1)
    maps = torch.where(mirrored > 0, maps.flip(3), maps)
    moved = transform(
        torch.cat([maps, torch.ones_like(maps[:, :1])], 1),
        angle=angle,
        shear=shear,
        scale=scale,
        aspect=aspect,
        right=right,
        down=down,
    )
    y, x = (torch.linspace(0, 1, n, device=maps.device) for n in maps.shape[2:])
    left, top, right, bottom = frame
    open_ = (x >= left) & (x <= 1 - right) & (y[:, None] >= top) & (y[:, None] <= 1 - bottom)
    return moved[:, :-1], (moved[:, -1:] > (1 + FILL) / 2) & open_


def vary(
    films: Tensor, masks: Tensor, places: Tensor, chance: Chance, opaque: bool = True
) -> tuple[Tensor, Tensor]:
    """One view of films and their masks, both (N, 1, H, W): moved, exposed otherwise, written on.

    `opaque` lets haze lie on the lungs, as what a mask shows does not hang on how ill they are; a
    class does.
    """
    edge = torch.where(coin(films, 0.5, chance), uniform(films, 0, 1, chance), 0.0)
    moved, inside = move(torch.cat([films, masks.to(films.dtype)], 1), places)
    masks = ((moved[:, 1:] > 0.5) & inside).to(films.dtype)
    films = moved[:, :1]
    if opaque:
        films = haze(films, masks, chance)
    films = written_on(torch.where(inside, films, edge), chance)
    films = films.clamp(1e-3, 1) ** (2 ** uniform(films, -1.2, 1.2, chance))
    curve = films * films * (3 - 2 * films)  # the film's S-shaped characteristic curve
    films = blend(curve, films, uniform(films, -0.5, 1, chance))
    blurred = torch.where(
        coin(films, 0.3, chance), F.avg_pool2d(films, 3, 1, 1, count_include_pad=False), films
    )
    noise = torch.stack(
        [torch.randn(films.shape[1:], generator=generator) for generator in chance]
    ).to(films.device)
    films = (blurred + noise * uniform(films, 0, 0.05, chance)).clamp(0, 1)
    return torch.where(coin(films, 0.1, chance), 1 - films, films), masks


def haze(films: Tensor, masks: Tensor, chance: Chance) -> Tensor:
    """Brighten patches of the lungs of two films in five towards the grey of tissue."""
    coarse = torch.stack([torch.randn(1, 5, 5, generator=generator) for generator in chance]).to(
        films.device
    )
    patches = torch.sigmoid(
        4 * F.interpolate(coarse, films.shape[2:], mode="bicubic", align_corners=False)
    )
    amount = torch.where(coin(films, 0.4, chance), uniform(films, 0.2, 0.9, chance), 0.0)
    return films + amount * patches * masks * (uniform(films, 0.5, 0.9, chance) - films).clamp(
        min=0
    )


def written_on(films: Tensor, chance: Chance) -> Tensor:
    """Letters and tubes, bright, on three films in ten."""
    side, numbers = films.shape[-1], draw(chance, 14).tolist()
    films = films.clone()
    for film, u in zip(films, numbers):
        if u[0] > 0.3:
            continue
        picture = Image.new("L", (side, side))
        pencil = ImageDraw.Draw(picture)
        if u[1] < 0.7:
            word, size = WORDS[int(u[2] * len(WORDS))], side * (0.04 + 0.06 * u[3])
            place = (side * u[4] * 0.9, side * u[5] * 0.9)
            pencil.text(place, word, int(160 + 95 * u[6]), ImageFont.load_default(size))
        if u[7] < 0.6:  # a curve through three points
            ends = np.array(u[8:14]).reshape(3, 2) * side
            t = np.linspace(0, 1, 24)[:, None]
            curve = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
            pencil.line(
                [tuple(point) for point in curve.tolist()],
                int(140 + 100 * u[3]),
                max(1, round(side / 128)),
            )
        film.copy_(torch.maximum(film, torch.from_numpy(np.asarray(picture) / 255).to(film)))
    return films
