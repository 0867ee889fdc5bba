"""Pictures of one film's prediction for the screen, made with Pillow alone: some 20 a second.

A picture's longer side is `LONGEST`, whatever the film's: outlines are equally thin on all.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from multimix.evaluation.overlay import FAINTEST, LUNG, saliency_top
from multimix.evaluation.prediction import Prediction

LONGEST = 1000  # px
STILL = 480  # px: the longest side of the still picture
TRUE_LUNG, MARK = "#E69F00", "#F0E442"  # differ from `LUNG` and grey to colour-blind eyes
VIEWS = ("overlay", "film", "mask", "saliency")
ON_FILM, WITH_FILM = ("overlay", "saliency"), ("overlay", "film", "saliency")
HEEDED = {  # the views that heed a setting
    "wipe": ON_FILM,
    "opacity": ON_FILM,
    "threshold": ("overlay", "mask"),
    "colour_map": ("saliency",),
    "brightness": WITH_FILM,
    "contrast": WITH_FILM,
}
COLOUR_MAPS = ("magma", "viridis", "cividis", "hot")


@dataclass(frozen=True)
class ViewSettings:
    """How a picture is drawn."""

    view: str = VIEWS[0]
    opacity: float = 0.35  # of what lies on the film
    threshold: float = 0.5  # lung is where it is more probable than this
    wipe: float = 0.0  # the share of the picture, from the left, that is the bare film
    brightness: float = 0.0  # in [-1, 1], added to the film
    contrast: float = 1.0  # how steep its grey values are
    colour_map: str = COLOUR_MAPS[0]  # of the saliency
    point: tuple[int, int] | None = None  # a row and a column of the film, to be marked


class Layers(NamedTuple):
    """A part of a film, and what is known of it, all at the picture's size (h, w)."""

    film: Image.Image  # L
    lung_probability: np.ndarray  # (h, w) float32
    saliency: Image.Image  # L: 255 is `saliency_top` and more
    truth: np.ndarray | None  # (h, w) bool
    box: tuple[int, int, int, int]  # left, top, right, bottom in the film
    saliency_top: float


def layers_of(prediction: Prediction, truth: np.ndarray | None, zoom: bool) -> Layers:
    """What the pictures of a prediction are made of, resized once for all of them."""
    left, top, right, bottom = box = lung_box(prediction.mask, zoom)
    scale = LONGEST / max(right - left, bottom - top)
    size = max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top)))

    def resized(values: np.ndarray) -> Image.Image:
        return Image.fromarray(values).crop(box).resize(size, Image.Resampling.BILINEAR)

    most = saliency_top(prediction.saliency)
    saliency = 255 * (np.asarray(resized(prediction.saliency)) / most).clip(0, 1)
    return Layers(
        resized(prediction.film),
        np.asarray(resized(prediction.mask_probability)),
        Image.fromarray(saliency.astype(np.uint8)),
        None if truth is None else np.asarray(resized(255 * truth.astype(np.uint8))) > 127,
        box,
        most,
    )


def lung_box(mask: np.ndarray, zoom: bool) -> tuple[int, int, int, int]:
    """Left, top, right, bottom around the lungs (H, W) with a margin, or of the whole film."""
    height, width = mask.shape
    lungs = Image.fromarray(mask).getbbox() if zoom else None
    if lungs is None:
        return 0, 0, width, height
    margin = max(height, width) // 20
    left, top, right, bottom = lungs
    right, bottom = min(right + margin, width), min(bottom + margin, height)
    return max(left - margin, 0), max(top - margin, 0), right, bottom


def compose(layers: Layers, settings: ViewSettings) -> Image.Image:
    """One view as an RGB picture."""
    greys = (np.arange(256) - 127.5) * settings.contrast + 127.5 + 255 * settings.brightness
    bare = layers.film.point(greys.clip(0, 255).astype(int).tolist()).convert("RGB")
    picture = bare.copy()
    lungs = layers.lung_probability > settings.threshold
    if settings.view == "mask":
        picture = Image.fromarray(lungs).convert("RGB")
    elif settings.view == "overlay":
        paint(picture, LUNG, lungs, settings.opacity)
        paint(picture, LUNG, outline(lungs))
    elif settings.view == "saliency":
        paint_heat(picture, layers.saliency, settings)
    if settings.view in ("overlay", "mask") and layers.truth is not None:
        paint(picture, TRUE_LUNG, outline(layers.truth))
    if settings.view in HEEDED["wipe"] and settings.wipe > 0:
        edge = round(settings.wipe * picture.width)
        picture.paste(bare.crop((0, 0, edge, bare.height)), (0, 0))
        ImageDraw.Draw(picture).line([(edge, 0), (edge, picture.height)], fill=MARK, width=2)
    if settings.point:
        mark_point(picture, layers.box, settings.point)
    return picture


def paint(picture: Image.Image, colour: str, mask: np.ndarray, opacity: float = 1) -> None:
    """Lay a colour on a picture where a mask (h, w) bool is."""
    level = np.uint8(255 * opacity)
    picture.paste(colour, (0, 0), Image.fromarray(mask.astype(np.uint8) * level))


def outline(mask: np.ndarray, width: int = 3) -> np.ndarray:
    """The inner edge of a mask (h, w) bool, as a mask."""
    inner = mask.copy()
    inner[width:] &= mask[:-width]
    inner[:-width] &= mask[width:]
    inner[:, width:] &= mask[:, :-width]
    inner[:, :-width] &= mask[:, width:]
    return mask & ~inner


def colour_table(colour_map: str) -> np.ndarray:
    """(256, 3) uint8, from the least to the most."""
    return matplotlib.colormaps[colour_map](np.arange(256), bytes=True)[:, :3]


def paint_heat(picture: Image.Image, saliency: Image.Image, settings: ViewSettings) -> None:
    """Lay the saliency on a picture: the more there is, the more opaque."""
    heat = saliency.copy()
    heat.putpalette(colour_table(settings.colour_map).tobytes())
    most = min(2 * settings.opacity, 1)
    opacity = np.linspace(0, 1, 256).clip(min(FAINTEST, most), most)
    mask = saliency.point((255 * opacity).astype(int).tolist())
    picture.paste(heat.convert("RGB"), (0, 0), mask)


def mark_point(picture: Image.Image, box: tuple[int, ...], point: tuple[int, int]) -> None:
    """Draw a cross, open in its middle, at a row and column of the film."""
    left, top, right, bottom = box
    x = (point[1] + 0.5 - left) * picture.width / (right - left)
    y = (point[0] + 0.5 - top) * picture.height / (bottom - top)
    draw = ImageDraw.Draw(picture)
    for step_x, step_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        ends = [(x + reach * step_x, y + reach * step_y) for reach in (8, 28)]
        draw.line(ends, fill=MARK, width=3)


def file_content(picture: Image.Image, kind: str = "JPEG") -> bytes:
    """What a JPEG or PNG file of the picture holds."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=90, compress_level=1)
    return buffer.getvalue()


def still_picture(prediction: Prediction) -> bytes:
    """A small JPEG that stands for the panel where no kernel runs: half wiped, with its answer."""
    picture = compose(layers_of(prediction, None, zoom=False), ViewSettings(wipe=0.5))
    picture.thumbnail((STILL, STILL))
    still = Image.new("RGB", (STILL, picture.height + 60), "white")
    still.paste(picture, (0, 0))
    text = (
        f"{prediction.name}: {prediction.label}, probability {prediction.probability:.2f}\n"
        "The panel: run this cell to use it. For research, not for diagnosis."
    )
    place, font = (4, picture.height + 8), ImageFont.load_default(14)
    ImageDraw.Draw(still).multiline_text(place, text, "black", font, spacing=8)
    return file_content(still)
