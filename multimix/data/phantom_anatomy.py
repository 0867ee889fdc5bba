"""The body that a phantom film shows: outlines and densities of one patient, from one generator.

Coordinates are relative: across from -1 (image left, the patient's right) to 1, down from -1 (top)
to 1. Densities are attenuations; a shape is given by about the distance to its outline, positive
inside.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

Pair = tuple[float, float]  # across and down


@dataclass(frozen=True)
class Anatomy:
    """One patient on one scanner; lengths in half film sides."""

    portable: bool  # antero-posterior, in bed, often of a child; else upright, postero-anterior
    across: np.ndarray  # (side, side) distance from the midline, positive in the patient's left
    lateral: np.ndarray  # (side, side) the same without its sign
    down: np.ndarray  # (side, side)
    bell: np.ndarray  # (side, side) shape of the chest wall: 0 over the lungs, 1 at the base
    turn: complex  # size and rotation of the body: it stands at turn * (across + down i) + shift
    shift: complex
    apex: float  # where the lungs begin
    base: float  # where the costophrenic angles end
    width: float  # from the midline to the chest wall
    heart: float  # from the midline to the left heart border
    dome: float  # height of the diaphragm above the costophrenic angles
    spacing: float  # from rib to rib
    bone: float  # how bright bones are


def sample_anatomy(rng: Generator, side: int) -> Anatomy:
    """Age, build, breath and position, all from one generator."""
    portable = bool(rng.random() < 0.5)
    turn = cmath.rect(rng.uniform(0.98, 1.16), rng.normal(0, 0.035))
    shift = complex(*rng.normal(0, 0.04, 2))
    across, down = body_coordinates(turn, shift, side)
    width = rng.uniform(0.60, 0.72) if portable else rng.uniform(0.70, 0.80)
    apex, base = rng.uniform(-0.76, -0.64), rng.uniform(0.46, 0.60) + (0 if portable else 0.1)
    above = 1 - np.clip((down - apex) / (base - apex), 0, 1)
    heart_share = rng.uniform(0.58, 0.72) if portable else rng.uniform(0.46, 0.60)
    return Anatomy(
        portable=portable,
        across=across,
        lateral=np.abs(across),
        down=down,
        bell=np.sqrt(1 - above * above * above),
        turn=turn,
        shift=shift,
        apex=apex,
        base=base,
        width=width,
        heart=width * heart_share,
        dome=rng.uniform(0.14, 0.24),
        spacing=rng.uniform(0.125, 0.155),
        bone=rng.uniform(0.16, 0.28) if portable else rng.uniform(0.11, 0.17),
    )


def body_coordinates(turn: complex, shift: complex, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Across and down of each pixel, (side, side), in a body that is turned and shifted."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    x, y = axis[None, :] - shift.real, axis[:, None] - shift.imag
    back = 1 / turn
    return x * back.real - y * back.imag, x * back.imag + y * back.real


def smoothstep(distance: np.ndarray, softness: float) -> np.ndarray:
    """0 outside, 1 inside, rising smoothly while the distance goes from -softness to softness."""
    rise = np.clip(distance * (0.5 / softness) + 0.5, 0, 1)
    return rise * rise * (3 - 2 * rise)


def ellipse(anatomy: Anatomy, centre: Pair, radii: Pair, turn: float = 0.0) -> np.ndarray:
    """About the distance to an ellipse's outline, positive inside; `turn` in radians, clockwise."""
    right, below = anatomy.across - centre[0], anatomy.down - centre[1]
    cosine, sine = math.cos(turn), math.sin(turn)
    along = (right * cosine + below * sine) / radii[0]
    athwart = (below * cosine - right * sine) / radii[1]
    return (1 - np.sqrt(along * along + athwart * athwart)) * min(radii)


def rod(anatomy: Anatomy, start: Pair, end: Pair) -> np.ndarray:
    """Distance to a straight line in both halves of the body."""
    right, below = anatomy.lateral - start[0], anatomy.down - start[1]
    along, athwart = end[0] - start[0], end[1] - start[1]
    share = np.clip((right * along + below * athwart) / (along * along + athwart * athwart), 0, 1)
    right, below = right - share * along, below - share * athwart
    return np.sqrt(right * right + below * below)


def join(one: np.ndarray, other: np.ndarray, fillet: float) -> np.ndarray:
    """Distance to the outline of two shapes together, the corner between them filled."""
    near = np.maximum(fillet - np.abs(one - other), 0)
    return np.maximum(one, other) + near * near / (4 * fillet)


def diaphragm(anatomy: Anatomy) -> np.ndarray:
    """Height (downward) of the two domes; the patient's right one is higher."""
    relative = anatomy.lateral / anatomy.width - 0.42
    drop = np.clip(np.maximum(relative / 0.58, -0.9 * relative), 0, 1.2)
    top = anatomy.base - anatomy.dome - 0.05 * smoothstep(-anatomy.across, 0.1)
    return top + (anatomy.base - top) * drop * drop


def heart(anatomy: Anatomy) -> np.ndarray:
    """Distance to the outline of heart, great vessels and mediastinum, positive inside."""
    low, reach = anatomy.base - anatomy.dome, anatomy.heart
    ventricle = ellipse(anatomy, (reach * 0.33, low - 0.13), (reach * 0.76, reach * 0.54), 0.62)
    atrium = ellipse(anatomy, (-reach * 0.08, low - 0.15), (reach * 0.40, 0.26))
    # The pulmonary trunk lies between aorta and ventricle.
    trunk = ellipse(anatomy, (0.05, -0.10), (0.14, 0.18))
    knob = ellipse(anatomy, (0.07, -0.30), (0.10, 0.09))
    flare = np.maximum(-0.25 - anatomy.down, 0)  # the great vessels spread towards the neck
    column = 0.10 + 0.12 * flare - anatomy.lateral
    chambers, vessels = join(ventricle, atrium, 0.1), join(trunk, knob, 0.06)
    return join(join(chambers, vessels, 0.16), column, 0.05)


def lung_depth(anatomy: Anatomy, middle: np.ndarray, below: np.ndarray) -> np.ndarray:
    """About the distance to the nearest border of a lung field, positive inside."""
    centre = anatomy.width * 0.44
    outer = anatomy.lateral - centre - (anatomy.width - centre) * anatomy.bell
    inner = centre - (centre - 0.08) * anatomy.bell - anatomy.lateral
    beyond = np.maximum(np.maximum(outer, inner), np.maximum(below, anatomy.apex - anatomy.down))
    return -np.maximum(beyond, middle)


def soft_tissue(anatomy: Anatomy, below: np.ndarray, rng: Generator) -> np.ndarray:
    """Trunk, neck and arms against the air around them, which counts less than nothing."""
    trunk = trunk_thickness(anatomy, rng)
    abdomen = 0.26 * trunk * smoothstep(below, 0.015) * np.clip(0.7 + below, 0, 1)
    humerus = humerus_distance(anatomy, rng)
    arm = 0.62 * np.sqrt(np.maximum(1 - (humerus / 0.13) ** 2, 0))
    # The chest wall is cut along its length.
    skin = (anatomy.lateral - anatomy.width - 0.03) / 0.05
    fold = 0.10 * np.exp(-skin * skin) * smoothstep(anatomy.down - anatomy.apex, 0.2)
    flesh = 1.2 * join(0.9 * trunk, arm, 0.2) - 0.25
    return flesh + abdomen + fold + 1.2 * anatomy.bone * band(humerus, 0.035)


def trunk_thickness(anatomy: Anatomy, rng: Generator) -> np.ndarray:
    """How much of trunk and neck the rays cross, in [0, 1]."""
    lateral, down = anatomy.lateral, anatomy.down
    hollow = 0.022 / np.maximum(lateral - 0.14, 0.012)
    slope = anatomy.apex - 0.16 + 0.20 * lateral - hollow  # neck and shoulder
    armpit = (down - anatomy.apex - 0.12) / 0.30
    depth = 0.24 if anatomy.portable else 0.36
    half_width = rng.uniform(0.08, 0.16) + depth * np.exp(-armpit * armpit)
    relative = (lateral / (anatomy.width + half_width)) ** 2
    round_part = np.maximum(1 - relative * relative * relative, 0)
    return np.sqrt(round_part * np.clip((down - slope) / 0.22, 0, 1))


def humerus_distance(anatomy: Anatomy, rng: Generator) -> np.ndarray:
    """Distance to the bones of the upper arms."""
    across, down = anatomy.width + 0.06, anatomy.apex + 0.17  # of the shoulder
    # An arm at 0 hangs, one at pi points up.
    angle = rng.uniform(0.2, 2.5) if anatomy.portable else rng.uniform(0.15, 0.7)
    elbow = (across + 2 * math.sin(angle), down + 2 * math.cos(angle))
    return rod(anatomy, (across, down), elbow)


def organs(anatomy: Anatomy, middle: np.ndarray, below: np.ndarray, rng: Generator) -> np.ndarray:
    """Heart and mediastinum down to the diaphragm, and the gas in airways and stomach."""
    flesh = 0.22 * smoothstep(middle, 0.02) * np.clip(0.5 + middle / 0.3, 0, 1)
    flesh = flesh * (1 - smoothstep(below, 0.06))
    centre = (rng.uniform(0.28, 0.42), anatomy.base - 0.02)
    bubble = ellipse(anatomy, centre, (rng.uniform(0.08, 0.16), 0.08))
    gas = 0.24 * float(rng.random() < 0.6)  # not every stomach has a bubble
    stomach = gas * smoothstep(bubble, 0.03) * smoothstep(below - 0.03, 0.015)
    trachea = rod(anatomy, (0.0, -1.4), (0.0, -0.2))
    bronchi = rod(anatomy, (0.0, -0.2), (0.13, -0.07)) + 0.008
    airway = np.minimum(trachea, bronchi)
    return flesh - stomach - 0.11 * smoothstep(0.034 - airway, 0.022)


def bones(anatomy: Anatomy) -> np.ndarray:
    """Ribs, clavicles, shoulder blades, spine."""
    spine = smoothstep(0.095 - anatomy.lateral, 0.04)
    spine = spine * (0.9 + 0.6 * stripes(anatomy.down, 0.12, 0.42))
    sides = ribs(anatomy) + 1.4 * clavicles(anatomy) + 0.6 * shoulder_blades(anatomy)
    return anatomy.bone * (sides + spine)


def ribs(anatomy: Anatomy) -> np.ndarray:
    """Ribs behind and in front, inside the chest wall."""
    lateral, down = anatomy.lateral, anatomy.down
    half_width = anatomy.width * (0.44 + 0.56 * anatomy.bell) + 0.02
    relative = np.minimum(lateral / half_width, 1.1)
    square = relative * relative
    cage = smoothstep(1.02 - relative, 0.03)
    cage = cage * smoothstep(down - anatomy.apex + 0.06, 0.06)
    cage = cage * smoothstep(anatomy.base + 0.2 - down, 0.2)
    # A rib leaves the spine upward, turns at its angle and falls; seen edge-on at the chest wall,
    # it is denser there.
    fall = (0.26 + 0.08 * square * square) * square * square
    behind = stripes(down - fall + 0.16 * relative, anatomy.spacing)
    behind = behind * smoothstep(lateral - 0.07, 0.04) * (0.75 + 0.6 * square * square)
    front = 0.6 * stripes(down + 0.55 * lateral - 0.22 * square, anatomy.spacing * 1.12)
    front = front * smoothstep(relative - 0.5, 0.2)
    front = front * smoothstep(down - anatomy.apex - 0.15, 0.12)
    return (behind + front) * cage


def clavicles(anatomy: Anatomy) -> np.ndarray:
    """Both collar bones."""
    lateral, down = anatomy.lateral, anatomy.down
    height = down - anatomy.apex - 0.19 + 0.26 * lateral - 0.035 * np.sin(6.0 * lateral)
    bone = band(height, 0.036) * smoothstep(lateral - 0.07, 0.02)
    return bone * smoothstep(anatomy.width + 0.06 - lateral, 0.04)


def shoulder_blades(anatomy: Anatomy) -> np.ndarray:
    """Both shoulder blades, of which the film shows the inner edge."""
    lateral, down = anatomy.lateral, anatomy.down
    edge = anatomy.width - 0.06 + 0.05 * np.sin(3.2 * (down + 0.5))
    blade = smoothstep(lateral - edge, 0.02) * smoothstep(edge + 0.18 - lateral, 0.06)
    blade = blade * smoothstep(down - anatomy.apex - 0.16, 0.05)
    return blade * smoothstep(0.1 - down - 1.6 * (lateral - anatomy.width), 0.08)


def band(distance: np.ndarray, half_width: float) -> np.ndarray:
    """A bone seen across: a tube whose walls are brighter than its middle."""
    relative = np.minimum(distance * distance / half_width**2, 4)
    return np.exp(-relative * relative * relative) * (0.62 + 0.55 * relative)


def stripes(height: np.ndarray, spacing: float, filled: float = 0.24) -> np.ndarray:
    """Bands at equal distances."""
    phase = height / spacing
    return band(phase - np.round(phase), filled)


def draw_vessels(anatomy: Anatomy, rng: Generator) -> np.ndarray:
    """Streaks from both hila that wind, taper and fork until they are too fine to be seen.

    Returns: (side, side) in [0, 1].
    """
    side = len(anatomy.across)
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    growing = vessel_roots(rng)
    while growing:
        vessel = growing.pop()
        points, angle = [vessel.start], vessel.angle
        for bend in rng.normal(0, 0.16, 3).tolist():
            angle += bend
            points.append(points[-1] + cmath.rect(0.055, angle))
        grey, width = round(55 + 45 * vessel.calibre), round(vessel.calibre * side / 256)
        pen.line(on_film(anatomy, vessel.sign, points), grey, max(1, width))
        if vessel.calibre > 0.55:
            forks = [0.05]
            if rng.random() < 0.6:
                forks = rng.uniform((0.2, -0.6), (0.6, -0.2)).tolist()
            for fork in forks:
                growing.append(Vessel(vessel.sign, points[-1], angle + fork, vessel.calibre * 0.66))
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(side / 260)), dtype=np.float32) / 255


class Vessel(NamedTuple):
    """A piece of a vessel that is still to be drawn."""

    sign: int  # of the side of the body
    start: complex  # lateral + down i
    angle: float  # where it goes, in radians
    calibre: float


def vessel_roots(rng: Generator) -> list[Vessel]:
    """Ten vessels of each hilum; the left hilum stands higher."""
    roots = []
    for sign, height in ((-1, 0.0), (1, -0.05)):
        for angle in (np.linspace(-1.3, 1.5, 10) + rng.normal(0, 0.15, 10)).tolist():
            start = complex(rng.normal(0.13, 0.03), height + 0.08 * angle)
            roots.append(Vessel(sign, start, angle, 2.8))
    return roots


def on_film(anatomy: Anatomy, sign: int, points: list[complex]) -> list[Pair]:
    """Points of one side of the body, lateral + down i, in pixels of the film."""
    side, found = len(anatomy.across), []
    for point in points:
        turned = anatomy.turn * complex(sign * point.real, point.imag) + anatomy.shift
        pixel = (turned + 1 + 1j) * side / 2
        found.append((pixel.real, pixel.imag))
    return found
