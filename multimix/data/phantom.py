"""Synthetic frontal chest films with exact lung masks: free of licences, drawn from a seed, no
download.

A film is a sum of attenuations (soft tissue, bone, and air as a negative), seen through a film
curve, blur and noise.
"""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from multimix.data.phantom_anatomy import Anatomy, bones, diaphragm, draw_anatomy, draw_vessels, ellipse, heart, lung_depth, organs, soft_tissue, smoothstep

SIDE = 256  # px: the smallest side that is drawn; smaller films are reductions


def draw(seed: int, label: int = 0, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """One film and its lungs: (side, side) uint8, and (side, side) bool that is True in both lung
    fields.

    label: 0 draws healthy lungs, 1 the same patient with pneumonia: same mask, same noise,
    opacities in the lungs. side: 32 px or more. The mask leaves out what lies behind heart,
    mediastinum and diaphragm, as radiologists' outlines do. ValueError for any other label or side.
    """
    if label not in (0, 1):
        raise ValueError(
            f"The label of a phantom is {label}; 0 (NORMAL) or 1 (PNEUMONIA) is needed."
        )
    if side < 32:
        raise ValueError(f"A phantom of {side} px is asked for; 32 px or more are needed.")
    patient, disease, film = (np.random.default_rng([seed, stream]) for stream in range(3))
    anatomy = draw_anatomy(patient, max(side, SIDE))
    middle, below = heart(anatomy), anatomy.down - diaphragm(anatomy)
    inside = lung_depth(anatomy, middle, below)
    air = 0.78 * np.tanh(np.maximum(inside, 0) / 0.13) + 0.22 * np.clip(inside / 0.015, 0, 1)
    vessels = draw_vessels(anatomy, patient) * np.clip(inside / 0.04, 0, 1)
    texture = smooth_noise(patient, len(inside), 7) + 0.5 * smooth_noise(patient, len(inside), 40)
    if label:
        lost = opacities(anatomy, disease, inside)
        air, vessels = air * (1 - lost), vessels * (1 - 0.7 * lost)
    attenuation = (
        soft_tissue(anatomy, below, patient)
        + organs(anatomy, middle, below, patient)
        + bones(anatomy)
    )
    pixels = expose(attenuation - 0.74 * air + 0.30 * vessels + 0.025 * texture, anatomy, film)
    reduced = [
        Image.fromarray(array).resize((side, side), Image.Resampling.BILINEAR)
        for array in (pixels, inside)
    ]
    return np.asarray(reduced[0]), np.asarray(reduced[1]) > 0


def opacities(anatomy: Anatomy, rng: Generator, inside: np.ndarray) -> np.ndarray:
    """How much of the air is gone, (side, side) in [0, 0.9]: lobar, patchy or diffuse, from faint
    to white.
    """
    side = len(inside)
    lungs = [np.where(anatomy.across * sign > 0, inside, -1) for sign in (-1, 1)]
    lung = lungs[rng.integers(2)]
    kind = rng.integers(3)
    if kind == 0:  # a lobe, cut off by a fissure
        shape = blob(anatomy, rng, lung, rng.uniform(0.22, 0.42))
        across, down = (
            float(axis.flat[np.argmax(shape)]) for axis in (anatomy.across, anatomy.down)
        )
        fissure = anatomy.down - down + rng.normal(0, 0.35) * (anatomy.across - across)
        shape *= smoothstep(fissure * (1 if rng.random() < 0.5 else -1) + 0.08, 0.03)
    elif kind == 1:  # patches in one lung or both
        fields = [lung] if rng.random() < 0.5 else lungs
        clear = np.ones_like(inside)
        for patch in range(rng.integers(3, 9)):
            clear *= 1 - blob(
                anatomy, rng, fields[patch % len(fields)], rng.uniform(0.07, 0.17)
            )
        shape = 1 - clear
    else:  # haze around the hila or towards the bases
        height = (anatomy.down - rng.uniform(-0.1, 0.35)) / rng.uniform(0.25, 0.5)
        shape = np.exp(-height * height) * smoothstep(smooth_noise(rng, side, 14) + 0.4, 1.2)
    texture = 1 + 0.2 * smooth_noise(rng, side, 20) + 0.08 * smooth_noise(rng, side, 60)
    strength = rng.uniform(0.45, 0.95) if kind < 2 else rng.uniform(0.35, 0.65)
    return np.clip(strength * shape * texture, 0, 0.9)


def blob(anatomy: Anatomy, rng: Generator, lung: np.ndarray, radius: float) -> np.ndarray:
    """A soft patch of uneven outline that is centred somewhere in the lung, more often low than
    high.
    """
    candidates = np.flatnonzero(lung > 0.06)
    place = candidates[rng.integers(len(candidates), size=2).max()]  # later pixels lie lower
    outline = ellipse(
        anatomy,
        float(anatomy.across.flat[place]),
        float(anatomy.down.flat[place]),
        radius * rng.uniform(0.7, 1.25),
        radius * rng.uniform(0.7, 1.25),
    )
    return smoothstep(outline + 0.25 * radius * smooth_noise(rng, len(lung), 10), 0.7 * radius)


def smooth_noise(rng: Generator, side: int, cells: int) -> np.ndarray:
    """Noise of `cells` lumps across: (side, side), about standard normal."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) * 1.3


def expose(attenuation: np.ndarray, anatomy: Anatomy, rng: Generator) -> np.ndarray:
    """Attenuation to grey values: film curve, blur, grain, and what the room leaves on the film."""
    portable, side = anatomy.portable, len(attenuation)
    level, contrast = (
        rng.uniform(0.5, 0.8),
        rng.uniform(2.2, 3.2) if portable else rng.uniform(2.8, 4.2),
    )
    grey = 255 / (1 + np.exp(-contrast * (attenuation - level)))
    picture = Image.fromarray(grey.astype(np.uint8))
    blurred = picture.filter(ImageFilter.GaussianBlur((0.9 if portable else 0.5) * side / SIDE))
    grain = rng.standard_normal((side, side), dtype=np.float32)
    grain = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1)) * (1 / 3**0.5)
    pixels = np.asarray(blurred) + grain * (
        rng.uniform(2, 5) if portable else rng.uniform(1, 3)
    )
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if portable and rng.random() < 0.6:  # the collimator's frame
        left, top, right, bottom = (round(side * depth) for depth in rng.uniform(0, 0.06, 4))
        opening = picture.crop((left, top, side - right, side - bottom))
        picture.paste(int(rng.integers(0, 12)), (0, 0, side, side))
        picture.paste(opening, (left, top))
    if rng.random() < 0.7:  # the side marker
        size, *place = side * rng.uniform((0.05, 0.03, 0.04), (0.08, 0.09, 0.2))
        ImageDraw.Draw(picture).text(
            place, "R", int(rng.integers(225, 256)), ImageFont.load_default(size)
        )
    return np.asarray(picture)
