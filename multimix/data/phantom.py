"""Synthetic frontal chest films with exact lung masks: free of licences, from a seed, no download.

A film is a sum of attenuations (soft tissue, bone, and air as a negative), seen through a film
curve, blur and noise.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from multimix.data.phantom_anatomy import (
    Anatomy,
    bones,
    diaphragm,
    draw_vessels,
    ellipse,
    heart,
    lung_depth,
    organs,
    sample_anatomy,
    smoothstep,
    soft_tissue,
)

SIDE = 256  # px: the smallest side that is drawn; smaller films are reductions
MIN_SIDE = 32  # px


def draw(seed: int, label: int = 0, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Draw one film and its lungs.

    Arguments:
        seed: the patient, the disease and the exposure.
        label: 0 draws healthy lungs, 1 the same patient with pneumonia: same mask, same noise,
            opacities in the lungs.
        side: 32 px or more.

    Returns: the film, (side, side) uint8, and its mask, (side, side) bool, True in both lung
    fields. The mask leaves out what lies behind heart, mediastinum and diaphragm, as radiologists'
    outlines do.

    Errors: ValueError for any other label or side.
    """
    if label not in (0, 1):
        raise ValueError(
            f"The label of a phantom is {label}; 0 (NORMAL) or 1 (PNEUMONIA) is needed."
        )
    if side < MIN_SIDE:
        raise ValueError(f"A phantom of {side} px is asked for; {MIN_SIDE} px or more are needed.")
    # Three streams, so that patient and exposure are the same with and without disease.
    patient, disease, exposure = (np.random.default_rng([seed, stream]) for stream in range(3))
    anatomy = sample_anatomy(patient, max(side, SIDE))
    attenuation, inside = attenuate(anatomy, patient, disease if label else None)
    pixels = expose(attenuation, anatomy, exposure)
    return reduced(pixels, side), reduced(inside, side) > 0


def attenuate(
    anatomy: Anatomy, patient: Generator, disease: Generator | None
) -> tuple[np.ndarray, np.ndarray]:
    """What a body takes from the rays, and about the distance to the lungs' border, in the film."""
    middle, below = heart(anatomy), anatomy.down - diaphragm(anatomy)
    inside = lung_depth(anatomy, middle, below)
    air = 0.78 * np.tanh(np.maximum(inside, 0) / 0.13) + 0.22 * np.clip(inside / 0.015, 0, 1)
    vessels = draw_vessels(anatomy, patient) * np.clip(inside / 0.04, 0, 1)
    texture = smooth_noise(patient, len(inside), 7) + 0.5 * smooth_noise(patient, len(inside), 40)
    if disease is not None:
        lost = opacities(anatomy, disease, inside)
        air, vessels = air * (1 - lost), vessels * (1 - 0.7 * lost)
    body = soft_tissue(anatomy, below, patient)
    body = body + organs(anatomy, middle, below, patient) + bones(anatomy)
    return body - 0.74 * air + 0.30 * vessels + 0.025 * texture, inside


def reduced(array: np.ndarray, side: int) -> np.ndarray:
    """(H, W) to (side, side)."""
    return np.asarray(Image.fromarray(array).resize((side, side), Image.Resampling.BILINEAR))


def opacities(anatomy: Anatomy, rng: Generator, inside: np.ndarray) -> np.ndarray:
    """How much of the air is gone, (side, side) in [0, 0.9], from faint to white."""
    side = len(inside)
    lungs = [np.where(anatomy.across * sign > 0, inside, -1) for sign in (-1, 1)]
    lung = lungs[rng.integers(2)]
    kind = rng.integers(3)
    if kind == 0:
        shape = lobe(anatomy, rng, lung)
    elif kind == 1:
        shape = patches(anatomy, rng, [lung] if rng.random() < 0.5 else lungs)
    else:  # haze around the hila or towards the bases
        height = (anatomy.down - rng.uniform(-0.1, 0.35)) / rng.uniform(0.25, 0.5)
        shape = np.exp(-height * height) * smoothstep(smooth_noise(rng, side, 14) + 0.4, 1.2)
    texture = 1 + 0.2 * smooth_noise(rng, side, 20) + 0.08 * smooth_noise(rng, side, 60)
    strength = rng.uniform(0.45, 0.95) if kind < 2 else rng.uniform(0.35, 0.65)
    return np.clip(strength * shape * texture, 0, 0.9)


def lobe(anatomy: Anatomy, rng: Generator, lung: np.ndarray) -> np.ndarray:
    """A lobe of one lung, cut off by a fissure."""
    shape = blob(anatomy, rng, lung, rng.uniform(0.22, 0.42))
    densest = np.argmax(shape)
    across, down = float(anatomy.across.flat[densest]), float(anatomy.down.flat[densest])
    fissure = anatomy.down - down + rng.normal(0, 0.35) * (anatomy.across - across)
    upward = 1 if rng.random() < 0.5 else -1
    return shape * smoothstep(fissure * upward + 0.08, 0.03)


def patches(anatomy: Anatomy, rng: Generator, lungs: list[np.ndarray]) -> np.ndarray:
    """Patches in one lung or both."""
    clear = np.ones_like(lungs[0])
    for patch in range(rng.integers(3, 9)):
        lung = lungs[patch % len(lungs)]
        clear *= 1 - blob(anatomy, rng, lung, rng.uniform(0.07, 0.17))
    return 1 - clear


def blob(anatomy: Anatomy, rng: Generator, lung: np.ndarray, radius: float) -> np.ndarray:
    """A soft patch of uneven outline, centred somewhere in the lung, more often low than high."""
    candidates = np.flatnonzero(lung > 0.06)
    centre = candidates[rng.integers(len(candidates), size=2).max()]  # later pixels lie lower
    outline = ellipse(
        anatomy,
        (float(anatomy.across.flat[centre]), float(anatomy.down.flat[centre])),
        (radius * rng.uniform(0.7, 1.25), radius * rng.uniform(0.7, 1.25)),
    )
    return smoothstep(outline + 0.25 * radius * smooth_noise(rng, len(lung), 10), 0.7 * radius)


def smooth_noise(rng: Generator, side: int, cells: int) -> np.ndarray:
    """Noise of `cells` lumps across: (side, side), about standard normal."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) * 1.3


def expose(attenuation: np.ndarray, anatomy: Anatomy, rng: Generator) -> np.ndarray:
    """Attenuation to grey values: film curve, blur, grain, and what the room leaves on the film."""
    portable, side = anatomy.portable, len(attenuation)
    level = rng.uniform(0.5, 0.8)
    contrast = rng.uniform(2.2, 3.2) if portable else rng.uniform(2.8, 4.2)
    grey = 255 / (1 + np.exp(-contrast * (attenuation - level)))
    picture = Image.fromarray(grey.astype(np.uint8))
    blurred = picture.filter(ImageFilter.GaussianBlur((0.9 if portable else 0.5) * side / SIDE))
    noise = rng.standard_normal((side, side), dtype=np.float32)
    grain = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) * (1 / 3**0.5)
    strength = rng.uniform(2, 5) if portable else rng.uniform(1, 3)
    pixels = np.asarray(blurred) + grain * strength
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if portable and rng.random() < 0.6:
        draw_frame(picture, rng)
    if rng.random() < 0.7:
        draw_marker(picture, rng)
    return np.asarray(picture)


def draw_frame(picture: Image.Image, rng: Generator) -> None:
    """The frame of the collimator, dark, on all four sides."""
    side = picture.width
    left, top, right, bottom = (round(side * depth) for depth in rng.uniform(0, 0.06, 4))
    opening = picture.crop((left, top, side - right, side - bottom))
    picture.paste(int(rng.integers(0, 12)), (0, 0, side, side))
    picture.paste(opening, (left, top))


def draw_marker(picture: Image.Image, rng: Generator) -> None:
    """The letter that tells which side is the patient's right."""
    lengths = picture.width * rng.uniform((0.05, 0.03, 0.04), (0.08, 0.09, 0.2))
    size, across, down = lengths.tolist()
    grey, font = int(rng.integers(225, 256)), ImageFont.load_default(size)
    ImageDraw.Draw(picture).text((across, down), "R", grey, font)
