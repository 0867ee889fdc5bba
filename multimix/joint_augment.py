"""Joint augmentation: broad views of films together with their masks, for the improved recipe.

The views imitate other X-ray machines, patients and hospitals. Each film's movement is sampled
first and returned, so that a mask that is predicted on the plain film can be moved in the same way.
Films are (N, 1, H, W) in [0, 1], with one generator each, as in `augment`. InstanceNorm removes
brightness and contrast, so the changes of intensity here are non-linear.
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from multimix import augment
from multimix.augment import AffineParameters, Generators, coin, random_numbers, uniform


def sample_affine(generators: Generators) -> AffineParameters:
    """Sample a movement for each film: all are moved, half are mirrored, a quarter get a frame."""
    u = random_numbers(generators, 12)
    mirrored, framed = u[:, :1] < 0.5, u[:, 1:2] < 0.25
    limits = torch.tensor([0.3, 0.1, 0.25, 0.2, 0.1, 0.1])
    moves = (2 * u[:, 2:8] - 1) * limits
    moves[:, 2:4] += 1  # scale and aspect
    columns = torch.cat([moves, mirrored, framed * 0.12 * u[:, 8:]], 1)  # (N, 11)
    return AffineParameters(*columns[..., None, None].split(1, 1))


def warp(maps: Tensor, affine: AffineParameters) -> tuple[Tensor, Tensor]:
    """Maps (N, C, H, W) moved, and where the film is, not frame or outside: (N, 1, H, W) bool."""
    mirrored, left, top, right, bottom = (column.to(maps) for column in affine[6:])
    maps = torch.where(mirrored > 0, maps.flip(3), maps)
    moved = augment.transform(torch.cat([maps, torch.ones_like(maps[:, :1])], 1), affine)
    y, x = (torch.linspace(0, 1, size, device=maps.device) for size in maps.shape[2:])
    unframed = (x >= left) & (x <= 1 - right) & (y[:, None] >= top) & (y[:, None] <= 1 - bottom)
    return moved[:, :-1], (moved[:, -1:] > (1 + augment.FILL) / 2) & unframed


def joint_views(
    films: Tensor,
    masks: Tensor,
    affine: AffineParameters,
    generators: Generators,
    opaque: bool = True,
    white_out: bool = False,
) -> tuple[Tensor, Tensor]:
    """Views of films and their masks, both (N, 1, H, W): moved together, with other intensities.

    `opaque` calls `haze`, which keeps a mask right, but may change a class; `white_out`, which is
    `Config.opacities`, calls `opacities`.
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
    """Change gamma, contrast curve, blur and noise; make one film in ten a negative."""
    films = films.clamp(1e-3, 1) ** (2 ** uniform(films, -1.2, 1.2, generators))
    curve = films * films * (3 - 2 * films)  # the film's S-shaped characteristic curve
    films = augment.blend(curve, films, uniform(films, -0.5, 1, generators))
    blurred = F.avg_pool2d(films, 3, 1, 1, count_include_pad=False)
    films = torch.where(coin(films, 0.3, generators), blurred, films)
    noise = normal_noise(films.shape[1:], generators).to(films.device)
    films = (films + noise * uniform(films, 0, 0.05, generators)).clamp(0, 1)
    return torch.where(coin(films, 0.1, generators), 1 - films, films)


def normal_noise(shape: tuple[int, ...], generators: Generators) -> Tensor:
    """Standard normal numbers, (N, *shape)."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def texture(films: Tensor, size: int, generators: Generators) -> Tensor:
    """Smooth noise of the films' shape, enlarged from (size, size)."""
    coarse = normal_noise((1, size, size), generators).to(films.device)
    return F.interpolate(coarse, films.shape[2:], mode="bicubic", align_corners=False)


def haze(films: Tensor, masks: Tensor, generators: Generators) -> Tensor:
    """Brighten patches of the lungs towards the grey of tissue, on two films in five."""
    patches = torch.sigmoid(4 * texture(films, 5, generators))
    amount = torch.where(coin(films, 0.4, generators), uniform(films, 0.2, 0.9, generators), 0.0)
    missing = (uniform(films, 0.5, 0.9, generators) - films).clamp(min=0)
    return films + amount * patches * masks * missing


def opacities(films: Tensor, masks: Tensor, generators: Generators) -> Tensor:
    """Make lungs opaque, one or both, whole or below some height, on three films in ten."""
    numbers = random_numbers(generators, 7).to(films.device)[..., None, None, None]  # (N, 7, 1...)
    applied, which, both, height, sharpness, grey, amount = numbers.unbind(1)
    across = augment.pixel_centres(films.shape[3], films)  # (W,)
    lung_area = masks.sum((2, 3), keepdim=True).clamp(min=1)
    middle = (masks * across).sum((2, 3), keepdim=True) / lung_area  # the column between the lungs
    turn = torch.where(which < 0.5, 1, -1)
    one_lung = torch.where(both < 0.15, 1, torch.sigmoid(30 * turn * (across - middle)))
    down = augment.pixel_centres(films.shape[2], films)[:, None]
    below = torch.sigmoid((down - (2.4 * height - 1.6)) * (4 + 30 * sharpness))  # (N, 1, H, 1)
    blurred = F.avg_pool2d(F.max_pool2d(masks, 5, 1, 2), 5, 1, 2)  # a little larger than the lungs
    region = blurred * one_lung * below * (applied < 0.3)
    tissue = (0.5 + 0.4 * grey + 0.05 * texture(films, 6, generators)).clamp(0, 1)
    return films + (0.6 + 0.4 * amount) * region * (tissue - films).clamp(min=0)


def marked(films: Tensor, generators: Generators) -> Tensor:
    """Draw bright letters and tubes, on three films in ten."""
    films = films.clone()
    for film, (chance, *numbers) in zip(films, random_numbers(generators, 14).tolist()):
        if chance <= 0.3:
            drawn = draw_markers(film.shape[-1], numbers)
            film.copy_(torch.maximum(film, torch.from_numpy(drawn / 255).to(film)))
    return films


def draw_markers(side: int, numbers: list[float]) -> np.ndarray:
    """A word, a tube, both or neither: (side, side) uint8, from 13 numbers in [0, 1)."""
    words = ("R", "L", "AP", "PA", "PORTABLE", "SUPINE", "ERECT")
    worded, which, size, across, down, brightness, with_tube, *points = numbers
    picture = Image.new("L", (side, side))
    pencil = ImageDraw.Draw(picture)
    if worded < 0.7:
        font = ImageFont.load_default(side * (0.04 + 0.06 * size))
        corner = (side * across * 0.9, side * down * 0.9)
        pencil.text(corner, words[int(which * len(words))], int(160 + 95 * brightness), font)
    if with_tube < 0.6:  # a curve through three points
        start, control, end = np.array(points).reshape(3, 2) * side
        t = np.linspace(0, 1, 24)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
        pencil.line(curve.flatten().tolist(), int(140 + 100 * size), max(1, round(side / 128)))
    return np.asarray(picture)
