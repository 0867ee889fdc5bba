"""The body that a phantom film shows: outlines and densities of one patient, all drawn from one
generator.

Coordinates are relative: across from -1 (image left, the patient's right) to 1, down from -1 (top)
to 1. Densities are attenuations; a shape is given by about the distance to its outline, positive
inside.
"""

import cmath
import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter


@dataclass(frozen=True)
class Anatomy:
    """One patient on one scanner; lengths in half film sides."""

    # an antero-posterior film in bed, often of a child; else an upright postero-anterior one
    portable: bool
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


def draw_anatomy(rng: Generator, side: int) -> Anatomy:
    """Age, build, breath and position, all from one generator."""
    portable = bool(rng.random() < 0.5)
    axis = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    turn = cmath.rect(rng.uniform(0.98, 1.16), rng.normal(0, 0.035))
    shift = complex(*rng.normal(0, 0.04, 2))
    x, y, back = axis[None, :] - shift.real, axis[:, None] - shift.imag, 1 / turn
    across, down = x * back.real - y * back.imag, x * back.imag + y * back.real
    width = rng.uniform(0.60, 0.72) if portable else rng.uniform(0.70, 0.80)
    apex, base = rng.uniform(-0.76, -0.64), rng.uniform(0.46, 0.60) + (0 if portable else 0.1)
    above = 1 - np.clip((down - apex) / (base - apex), 0, 1)
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
        heart=width * (rng.uniform(0.58, 0.72) if portable else rng.uniform(0.46, 0.60)),
        dome=rng.uniform(0.14, 0.24),
        spacing=rng.uniform(0.125, 0.155),
        bone=rng.uniform(0.16, 0.28) if portable else rng.uniform(0.11, 0.17),
    )


def smoothstep(distance: np.ndarray, softness: float) -> np.ndarray:
    """0 outside, 1 inside, rising smoothly while the distance goes from -softness to softness."""
    rise = np.clip(distance * (0.5 / softness) + 0.5, 0, 1)
    return rise * rise * (3 - 2 * rise)


def ellipse(
    anatomy: Anatomy,
    across: float,
    down: float,
    radius_across: float,
    radius_down: float,
    turn: float = 0.0,
) -> np.ndarray:
    """About the distance to an ellipse's outline, positive inside; `turn` in radians, clockwise."""
    right, below, cosine, sine = (
        anatomy.across - across,
        anatomy.down - down,
        math.cos(turn),
        math.sin(turn),
    )
    along, athwart = (
        (right * cosine + below * sine) / radius_across,
        (below * cosine - right * sine) / radius_down,
    )
    return (1 - np.sqrt(along * along + athwart * athwart)) * min(radius_across, radius_down)


def rod(anatomy: Anatomy, start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
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
    ventricle = ellipse(anatomy, reach * 0.33, low - 0.13, reach * 0.76, reach * 0.54, 0.62)
    atrium = ellipse(anatomy, -reach * 0.08, low - 0.15, reach * 0.40, 0.26)
    trunk = ellipse(
        anatomy, 0.05, -0.10, 0.14, 0.18
    )  # the pulmonary trunk, between aorta and ventricle
    knob = ellipse(anatomy, 0.07, -0.30, 0.10, 0.09)
    flare = np.maximum(-0.25 - anatomy.down, 0)  # the great vessels spread towards the neck
    column = 0.10 + 0.12 * flare - anatomy.lateral
    return join(join(join(ventricle, atrium, 0.1), join(trunk, knob, 0.06), 0.16), column, 0.05)


def lung_depth(anatomy: Anatomy, middle: np.ndarray, below: np.ndarray) -> np.ndarray:
    """About the distance to the nearest border of a lung field, positive inside."""
    centre = anatomy.width * 0.44
    outer = anatomy.lateral - centre - (anatomy.width - centre) * anatomy.bell
    inner = centre - (centre - 0.08) * anatomy.bell - anatomy.lateral
    beyond = np.maximum(np.maximum(outer, inner), np.maximum(below, anatomy.apex - anatomy.down))
    return -np.maximum(beyond, middle)


def soft_tissue(anatomy: Anatomy, below: np.ndarray, rng: Generator) -> np.ndarray:
    """Trunk, neck and arms against the air around them, which counts less than nothing."""
    lateral, down = anatomy.lateral, anatomy.down
    slope = (
        anatomy.apex - 0.16 + 0.20 * lateral - 0.022 / np.maximum(lateral - 0.14, 0.012)
    )  # neck and shoulder
    armpit = (down - anatomy.apex - 0.12) / 0.30
    half_width = rng.uniform(0.08, 0.16) + (0.24 if anatomy.portable else 0.36) * np.exp(
        -armpit * armpit
    )
    relative = (lateral / (anatomy.width + half_width)) ** 2
    trunk = np.sqrt(
        np.maximum(1 - relative * relative * relative, 0) * np.clip((down - slope) / 0.22, 0, 1)
    )
    abdomen = 0.26 * trunk * smoothstep(below, 0.015) * np.clip(0.7 + below, 0, 1)
    shoulder = (anatomy.width + 0.06, anatomy.apex + 0.17)
    angle = (
        rng.uniform(0.2, 2.5) if anatomy.portable else rng.uniform(0.15, 0.7)
    )  # 0 hangs, pi points up
    humerus = rod(
        anatomy, shoulder, (shoulder[0] + 2 * math.sin(angle), shoulder[1] + 2 * math.cos(angle))
    )
    arm = 0.62 * np.sqrt(np.maximum(1 - (humerus / 0.13) ** 2, 0))
    skin = (lateral - anatomy.width - 0.03) / 0.05  # the chest wall, cut along its length
    fold = 0.10 * np.exp(-skin * skin) * smoothstep(down - anatomy.apex, 0.2)
    return (
        1.2 * join(0.9 * trunk, arm, 0.2)
        - 0.25
        + abdomen
        + fold
        + 1.2 * anatomy.bone * band(humerus, 0.035)
    )


def organs(
    anatomy: Anatomy, middle: np.ndarray, below: np.ndarray, rng: Generator
) -> np.ndarray:
    """Heart and mediastinum down to the diaphragm, and the gas in airways and stomach."""
    flesh = 0.22 * smoothstep(middle, 0.02) * np.clip(0.5 + middle / 0.3, 0, 1) * (1 - smoothstep(below, 0.06))
    bubble = ellipse(
        anatomy, rng.uniform(0.28, 0.42), anatomy.base - 0.02, rng.uniform(0.08, 0.16), 0.08
    )
    stomach = 0.24 * float(rng.random() < 0.6) * smoothstep(bubble, 0.03) * smoothstep(below - 0.03, 0.015)
    airway = np.minimum(
        rod(anatomy, (0.0, -1.4), (0.0, -0.2)), rod(anatomy, (0.0, -0.2), (0.13, -0.07)) + 0.008
    )
    return flesh - stomach - 0.11 * smoothstep(0.034 - airway, 0.022)


def bones(anatomy: Anatomy) -> np.ndarray:
    """Ribs behind and in front, clavicles, shoulder blades, spine."""
    lateral, down = anatomy.lateral, anatomy.down
    relative = np.minimum(lateral / (anatomy.width * (0.44 + 0.56 * anatomy.bell) + 0.02), 1.1)
    square = relative * relative
    cage = (
        smoothstep(1.02 - relative, 0.03)
        * smoothstep(down - anatomy.apex + 0.06, 0.06)
        * smoothstep(anatomy.base + 0.2 - down, 0.2)
    )
    # A rib leaves the spine upward, turns at its angle and falls; seen edge-on at the chest wall,
    # it is denser there.
    behind = stripes(
        down - (0.26 + 0.08 * square * square) * square * square + 0.16 * relative, anatomy.spacing
    )
    front = stripes(down + 0.55 * lateral - 0.22 * square, anatomy.spacing * 1.12)
    ribs = behind * smoothstep(lateral - 0.07, 0.04) * (0.75 + 0.6 * square * square)
    ribs += 0.6 * front * smoothstep(relative - 0.5, 0.2) * smoothstep(down - anatomy.apex - 0.15, 0.12)
    collar = down - anatomy.apex - 0.19 + 0.26 * lateral - 0.035 * np.sin(6.0 * lateral)
    clavicle = (
        band(collar, 0.036)
        * smoothstep(lateral - 0.07, 0.02)
        * smoothstep(anatomy.width + 0.06 - lateral, 0.04)
    )
    blade_edge = anatomy.width - 0.06 + 0.05 * np.sin(3.2 * (down + 0.5))
    blade = smoothstep(lateral - blade_edge, 0.02) * smoothstep(blade_edge + 0.18 - lateral, 0.06)
    blade *= smoothstep(down - anatomy.apex - 0.16, 0.05) * smoothstep(
        0.1 - down - 1.6 * (lateral - anatomy.width), 0.08
    )
    spine = smoothstep(0.095 - lateral, 0.04) * (0.9 + 0.6 * stripes(down, 0.12, 0.42))
    return anatomy.bone * (ribs * cage + 1.4 * clavicle + 0.6 * blade + spine)


def band(distance: np.ndarray, half_width: float) -> np.ndarray:
    """A bone seen across: a tube whose walls are brighter than its middle."""
    relative = np.minimum(distance * distance / half_width**2, 4)
    return np.exp(-relative * relative * relative) * (0.62 + 0.55 * relative)


def stripes(height: np.ndarray, spacing: float, filled: float = 0.24) -> np.ndarray:
    """Bands at equal distances."""
    phase = height / spacing
    return band(phase - np.round(phase), filled)


def draw_vessels(anatomy: Anatomy, rng: Generator) -> np.ndarray:
    """Streaks from both hila that wind, taper and fork until they are too fine to be seen: (side,
    side) in [0, 1].
    """
    side = len(anatomy.across)
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    growing = [
        (sign, complex(rng.normal(0.13, 0.03), height + 0.08 * angle), angle, 2.8)
        for sign, height in ((-1, 0.0), (1, -0.05))  # the left hilum stands higher
        for angle in (np.linspace(-1.3, 1.5, 10) + rng.normal(0, 0.15, 10)).tolist()
    ]
    while growing:
        sign, start, angle, calibre = growing.pop()
        line = [start]
        for bend in rng.normal(0, 0.16, 3).tolist():
            angle += bend
            line.append(line[-1] + cmath.rect(0.055, angle))
        places = [
            (anatomy.turn * complex(sign * at.real, at.imag) + anatomy.shift + 1 + 1j) * side / 2
            for at in line
        ]
        pen.line(
            [(at.real, at.imag) for at in places],
            round(55 + 45 * calibre),
            max(1, round(calibre * side / 256)),
        )
        if calibre > 0.55:
            forks = (
                rng.uniform((0.2, -0.6), (0.6, -0.2)).tolist()
                if rng.random() < 0.6
                else [0.05]
            )
            growing += [(sign, line[-1], angle + fork, calibre * 0.66) for fork in forks]
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(side / 260)), dtype=np.float32) / 255
