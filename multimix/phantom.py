"""Synthetic frontal chest films with exact lung masks: free of licences, drawn from a seed, no download.

A film is a sum of attenuations (soft tissue, bone, and air as a negative), seen through a film curve, blur and noise.
Coordinates are relative: across from -1 (image left, the patient's right) to 1, down from -1 (top) to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 256  # px: the smallest side that is drawn; smaller films are reductions


@dataclass(frozen=True)
class Anatomy:
    """One patient on one scanner; lengths in half film sides."""

    portable: bool  # an antero-posterior film in bed, often of a child; else an upright postero-anterior one
    across: np.ndarray  # (side, side) distance from the midline, positive in the patient's left
    down: np.ndarray  # (side, side)
    pose: np.ndarray  # (2, 3) from (across, down, 1) to a place on the film
    apex: float  # where the lungs begin
    base: float  # where the costophrenic angles end
    width: float  # from the midline to the chest wall
    heart: float  # from the midline to the left heart border
    dome: float  # height of the diaphragm above the costophrenic angles
    spacing: float  # from rib to rib
    bone: float  # how bright bones are


def draw(seed: int, label: int = 0, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """One film and its lungs: (side, side) uint8, and (side, side) bool that is True in both lung fields.

    label: 0 draws healthy lungs, 1 the same patient with pneumonia: same mask, same noise, opacities in the lungs.
    side: 32 px or more. The mask leaves out what lies behind heart, mediastinum and diaphragm, as radiologists'
    outlines do. ValueError for any other label or side.
    """
    if label not in (0, 1):
        raise ValueError(f"The label of a phantom is {label}; 0 (NORMAL) or 1 (PNEUMONIA) is needed.")
    if side < 32:
        raise ValueError(f"A phantom of {side} px is asked for; 32 px or more are needed.")
    patient, disease, film = (np.random.default_rng([seed, stream]) for stream in range(3))
    anatomy = draw_anatomy(patient, max(side, SIDE))
    middle = heart(anatomy)
    left, right = (lung_depth(anatomy, middle, sign) for sign in (1, -1))
    inside = np.maximum(left, right)
    air = np.tanh(np.maximum(inside, 0) / 0.16) + 0.15 * np.clip(inside / 0.02, 0, 1)
    vessels = draw_vessels(anatomy, patient) * np.clip(inside / 0.05, 0, 1)
    if label:
        air = air * (1 - opacities(anatomy, disease, left, right))
    attenuation = (soft_tissue(anatomy, middle, patient) - 0.72 * air + 0.28 * vessels + bones(anatomy, inside)
                   + 0.05 * smooth_noise(patient, len(inside), 6))
    pixels = expose(attenuation, anatomy, film)
    return reduce(pixels, side), reduce((inside > 0).astype(np.uint8) * 255, side) > 127


def draw_anatomy(chance: Generator, side: int) -> Anatomy:
    """Age, build, breath and position, all from one generator."""
    portable = bool(chance.random() < 0.5)
    axis = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    angle, scale = chance.normal(0, 0.035), chance.uniform(0.98, 1.18)
    shift = chance.normal(0, 0.04, 2)
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y = (axis[None, :] - float(shift[0])) / scale, (axis[:, None] - float(shift[1])) / scale
    width = chance.uniform(0.62, 0.74) if portable else chance.uniform(0.70, 0.80)
    return Anatomy(
        portable=portable, across=x * cosine + y * sine, down=y * cosine - x * sine,
        pose=np.array([[cosine * scale, -sine * scale, shift[0]], [sine * scale, cosine * scale, shift[1]]]),
        apex=chance.uniform(-0.78, -0.66), base=chance.uniform(0.46, 0.60) + (0 if portable else 0.1), width=width,
        heart=width * (chance.uniform(0.52, 0.66) if portable else chance.uniform(0.44, 0.56)),
        dome=chance.uniform(0.14, 0.24), spacing=chance.uniform(0.125, 0.16), bone=chance.uniform(0.12, 0.20))


def edge(distance: np.ndarray, softness: float) -> np.ndarray:
    """0 outside, 1 inside, a soft step where the distance changes sign."""
    return 0.5 + 0.5 * np.tanh(distance / softness)


def ellipse(anatomy: Anatomy, across: float, down: float, radius_across: float, radius_down: float,
            turn: float = 0.0) -> np.ndarray:
    """About the distance to an ellipse's outline, positive inside; `turn` in radians, clockwise."""
    right, below, cosine, sine = anatomy.across - across, anatomy.down - down, math.cos(turn), math.sin(turn)
    along, athwart = (right * cosine + below * sine) / radius_across, (below * cosine - right * sine) / radius_down
    return (1 - np.sqrt(along * along + athwart * athwart)) * min(radius_across, radius_down)


def dome(anatomy: Anatomy, sign: int) -> np.ndarray:
    """Height (downward) of the diaphragm; the patient's right one is higher."""
    lateral = anatomy.across * sign / anatomy.width
    top = anatomy.base - anatomy.dome - (0.05 if sign < 0 else 0)
    return top + (anatomy.base - top) * np.clip(np.abs(lateral - 0.42) / 0.58, 0, 1.5) ** 2.4


def heart(anatomy: Anatomy) -> np.ndarray:
    """Distance to the outline of heart, great vessels and mediastinum, positive inside."""
    low, reach = anatomy.base - anatomy.dome, anatomy.heart
    ventricle = ellipse(anatomy, reach * 0.36, low - 0.10, reach * 0.72, reach * 0.52, 0.55)
    atrium = ellipse(anatomy, -reach * 0.10, low - 0.14, reach * 0.38, 0.26)
    trunk = ellipse(anatomy, 0.06, -0.10, 0.13, 0.20)  # the pulmonary trunk, between aorta and ventricle
    knob = ellipse(anatomy, 0.07, -0.27, 0.10, 0.09)
    column = 0.105 + 0.03 * np.exp(-(((anatomy.down + 0.1) / 0.25) ** 2)) - np.abs(anatomy.across)
    return np.maximum.reduce([ventricle, atrium, trunk, knob, column])


def lung_depth(anatomy: Anatomy, middle: np.ndarray, sign: int) -> np.ndarray:
    """About the distance to the nearest border of one lung field, positive inside."""
    lateral = anatomy.across * sign
    height = np.clip((anatomy.down - anatomy.apex) / (anatomy.base - anatomy.apex), 0, 1)
    centre = anatomy.width * 0.44
    outer = centre + (anatomy.width - centre) * (1 - (1 - height) ** 3.2) ** 0.5
    inner = centre - (centre - 0.08) * (1 - (1 - height) ** 5) ** 0.5
    above = dome(anatomy, sign) - anatomy.down
    return np.minimum.reduce([outer - lateral, lateral - inner, above, anatomy.down - anatomy.apex, -middle])


def soft_tissue(anatomy: Anatomy, middle: np.ndarray, chance: Generator) -> np.ndarray:
    """Trunk, neck and arms, mediastinum, abdomen with a stomach bubble; the airway as a gap."""
    across, down = np.abs(anatomy.across), anatomy.down
    shoulder = edge(down - anatomy.apex + 0.17 - 0.34 * np.maximum(across - 0.2, 0), 0.025)
    half_width = anatomy.width + 0.10 + 0.04 * down + 0.30 * np.exp(-(((down + 0.62) / 0.26) ** 2))
    trunk = (1 - np.minimum(across / (half_width + 0.03), 1) ** 3.5) ** 0.7 * shoulder
    neck = 0.8 * edge(0.24 + 0.3 * np.maximum(down + 0.9, 0) - across, 0.05) * edge(-0.45 - down, 0.1)
    reach = chance.uniform(0.02, 0.16)  # arms hang or are held away
    arm = 0.55 * edge(0.11 - np.abs(across - half_width - reach - 0.10 * (down + 0.4)), 0.04) * edge(down + 0.6, 0.08)
    body = np.maximum.reduce([0.88 * trunk, neck, arm])
    wall = 0.10 * np.exp(-(((across - anatomy.width - 0.03) / 0.05) ** 2)) * shoulder  # cut along its length
    centre = 0.16 * edge(0.10 - across, 0.05) + 0.20 * edge(middle, 0.012) * np.clip(0.45 + middle / 0.3, 0, 1)
    below = np.where(anatomy.across > 0, down - dome(anatomy, 1), down - dome(anatomy, -1))
    abdomen = 0.20 * edge(below, 0.012) * edge(half_width - across, 0.05)
    bubble = edge(ellipse(anatomy, 0.36, anatomy.base + 0.02, 0.15, 0.09), 0.02) * edge(below - 0.025, 0.01)
    stomach = -0.28 * chance.choice([0, 1]) * bubble
    airway = -0.17 * edge(0.036 - np.abs(anatomy.across - 0.012), 0.014) * edge(-0.16 - down, 0.04)
    return body + wall + centre + abdomen + stomach + airway


def bones(anatomy: Anatomy, inside: np.ndarray) -> np.ndarray:
    """Ribs behind and in front, clavicles, shoulder blades, spine."""
    across, down = np.abs(anatomy.across), anatomy.down
    relative = across / anatomy.width
    thorax = edge(anatomy.width + 0.035 - across, 0.015) * edge(down - anatomy.apex + 0.12, 0.05)
    cage = thorax * edge(anatomy.base + 0.12 - down, 0.08)
    # A rib leaves the spine upward, turns at its angle and falls; seen edge-on at the chest wall, it is denser there.
    fall = 0.55 * np.maximum(relative - 0.3, 0) ** 1.7 * anatomy.width - 0.10 * relative
    behind = stripes(down - fall, anatomy.spacing)
    front = stripes(down + 0.62 * across - 0.30 * relative**2, anatomy.spacing * 1.15)
    ribs = behind * edge(across - 0.08, 0.03) * (0.75 + 0.6 * relative**4)
    ribs += 0.55 * front * edge(relative - 0.45, 0.10) * edge(down - anatomy.apex - 0.15, 0.08)
    collar = down - anatomy.apex - 0.17 + 0.20 * across - 0.05 * np.sin(5.0 * across)
    clavicle = band(collar, 0.030) * edge(across - 0.07, 0.015) * edge(anatomy.width + 0.12 - across, 0.03)
    blade_across = anatomy.width + 0.02 + 0.05 * np.sin(3.2 * (down + 0.5))
    blade = edge(across - blade_across + 0.10, 0.012) * edge(blade_across + 0.16 - across, 0.05)
    blade *= edge(down - anatomy.apex - 0.16, 0.03) * edge(0.02 - down - 1.2 * (across - anatomy.width), 0.05)
    vertebrae = edge(0.085 - across, 0.012) * (0.75 + 0.25 * stripes(down, 0.125, 0.40))
    return anatomy.bone * (ribs * cage + 1.5 * clavicle + 0.7 * blade + 0.9 * vertebrae)


def band(distance: np.ndarray, half_width: float) -> np.ndarray:
    """A bone seen across: a tube whose walls are brighter than its middle."""
    relative = np.minimum((distance / half_width) ** 2, 4)
    return np.exp(-(relative**3)) * (0.62 + 0.55 * relative)


def stripes(height: np.ndarray, spacing: float, filled: float = 0.24) -> np.ndarray:
    """Bands at equal distances."""
    return band((height / spacing + 0.5) % 1 - 0.5, filled)


def draw_vessels(anatomy: Anatomy, chance: Generator) -> np.ndarray:
    """Branching streaks from both hila, fading to the periphery: (side, side) in [0, 1]."""
    side = len(anatomy.across)
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    for sign in (-1, 1):
        for angle in np.linspace(-1.25, 1.35, 11) + chance.normal(0, 0.1, 11):
            grow(pen, chance, anatomy, sign, (0.13, -0.02), angle, 0.30, 3)
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(side / 230)), dtype=np.float32) / 255


def grow(pen: ImageDraw.ImageDraw, chance: Generator, anatomy: Anatomy, sign: int, start: tuple[float, float],
         angle: float, length: float, generation: int) -> None:
    """One vessel and its branches."""
    side = len(anatomy.across)
    length *= chance.uniform(0.6, 1.1)
    end = (start[0] + length * np.cos(angle), start[1] + length * np.sin(angle))
    line = [tuple((1 + anatomy.pose @ (sign * across, down, 1)) * side / 2) for across, down in (start, end)]
    pen.line(line, fill=(50, 95, 150)[generation - 1], width=max(1, round(generation * side / 220)))
    if generation > 1:
        for turn in chance.uniform(0.15, 0.6, 2) * (-1, 1):
            grow(pen, chance, anatomy, sign, end, angle + turn, length * 0.75, generation - 1)


def opacities(anatomy: Anatomy, chance: Generator, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How much of the air is gone, (side, side) in [0, 0.9]: lobar, patchy or diffuse, from faint to white."""
    side = len(left)
    lung = (left, right)[chance.integers(2)]
    kind = chance.integers(3)
    if kind == 0:  # a lobe, cut off by a fissure
        shape = blob(anatomy, chance, lung, chance.uniform(0.22, 0.42))
        across, down = (float(axis.flat[np.argmax(shape)]) for axis in (anatomy.across, anatomy.down))
        fissure = anatomy.down - down + chance.normal(0, 0.35) * (anatomy.across - across)
        shape *= edge(fissure * float(chance.choice([-1, 1])) + 0.08, 0.02)
    elif kind == 1:  # patches in one lung or both
        fields = [lung] if chance.random() < 0.5 else [left, right]
        patches = [blob(anatomy, chance, fields[i % len(fields)], chance.uniform(0.07, 0.17))
                   for i in range(chance.integers(3, 9))]
        shape = 1 - np.prod([1 - patch for patch in patches], axis=0)
    else:  # haze around the hila or towards the bases
        centre = chance.uniform(-0.1, 0.35)
        shape = np.exp(-(((anatomy.down - centre) / chance.uniform(0.25, 0.5)) ** 2))
        shape *= edge(smooth_noise(chance, side, 14) + 0.4, 0.8)
    texture = 1 + 0.2 * smooth_noise(chance, side, 20) + 0.08 * smooth_noise(chance, side, 60)
    strength = chance.uniform(0.5, 0.95) if kind < 2 else chance.uniform(0.4, 0.65)
    return np.clip(strength * shape * texture, 0, 0.9)


def blob(anatomy: Anatomy, chance: Generator, lung: np.ndarray, radius: float) -> np.ndarray:
    """A soft patch of uneven outline that is centred somewhere in the lung, more often low than high."""
    places = np.flatnonzero(lung > 0.06)
    place = max(chance.choice(places, 2))  # later pixels lie lower
    outline = ellipse(anatomy, float(anatomy.across.flat[place]), float(anatomy.down.flat[place]),
                      radius * chance.uniform(0.7, 1.25), radius * chance.uniform(0.7, 1.25))
    return edge(outline + 0.25 * radius * smooth_noise(chance, len(lung), 10), 0.45 * radius)


def smooth_noise(chance: Generator, side: int, cells: int) -> np.ndarray:
    """Noise of `cells` lumps across: (side, side), about standard normal."""
    coarse = Image.fromarray(chance.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) * 1.3


def expose(attenuation: np.ndarray, anatomy: Anatomy, chance: Generator) -> np.ndarray:
    """Attenuation to grey values: film curve, blur, grain, and what the room leaves on the film."""
    portable, side = anatomy.portable, len(attenuation)
    level, contrast = chance.uniform(0.5, 0.8), chance.uniform(2.2, 3.2) if portable else chance.uniform(2.8, 4.2)
    grey = 1 / (1 + np.exp(-contrast * (attenuation - level)))
    grey = grey ** chance.uniform(0.8, 1.25)
    picture = Image.fromarray((grey * 255).astype(np.uint8))
    blurred = picture.filter(ImageFilter.GaussianBlur((0.9 if portable else 0.5) * side / SIDE))
    grain = chance.standard_normal((side, side)).astype(np.float32)
    grain = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1)) / 3**0.5
    pixels = np.asarray(blurred) + grain * (chance.uniform(2, 6) if portable else chance.uniform(1, 3))
    return mark(np.clip(pixels, 0, 255).astype(np.uint8), anatomy, chance)


def mark(pixels: np.ndarray, anatomy: Anatomy, chance: Generator) -> np.ndarray:
    """The side marker, and on a portable film the dark frame of the collimator."""
    side = len(pixels)
    if anatomy.portable and chance.random() < 0.6:
        top, bottom, left, right = (round(side * depth) for depth in chance.uniform(0, 0.06, 4))
        opening = np.s_[top:side - bottom, left:side - right]
        frame = np.full_like(pixels, chance.integers(0, 12))
        frame[opening] = pixels[opening]
        pixels = frame
    picture = Image.fromarray(pixels)
    if chance.random() < 0.7:
        size, *place = side * chance.uniform((0.05, 0.03, 0.04), (0.08, 0.09, 0.2))
        ImageDraw.Draw(picture).text(place, "R", int(chance.integers(200, 256)), ImageFont.load_default(size))
    return np.asarray(picture)


def reduce(pixels: np.ndarray, side: int) -> np.ndarray:
    """(S, S) uint8 -> (side, side) uint8."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
