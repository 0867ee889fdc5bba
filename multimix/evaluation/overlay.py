"""The picture that is saved of a prediction: film, lungs and saliency, each at the film's aspect.

Pillow composes it, many times faster than matplotlib would draw it. It is legible at half its
width, in print, and to colour-blind eyes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
import scipy
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont

from multimix.evaluation.prediction import Prediction
from multimix.runtime.files import printable

PANEL, GAP = 380, 15  # px: the width of each of three panels, and what is left between them
WIDTH = 3 * PANEL + 4 * GAP
MAX_HEIGHT = 2 * PANEL  # of a panel; a film that is longer is shown narrower
TITLE, TEXT = 30, 21  # px of letters
LINE = 30  # px from one line of text to the next
OUTLINE = 2  # px
TINT = 0.12  # of the lungs' colour within their outline
FAINTEST = 0.25  # opacity where there is no saliency: the film shows through
TOP_PERCENTILE = 99.5  # of the saliency: the few sharpest pixels would leave the rest dark
LUNG, WARNING = "#56B4E9", "#D55E00"  # by Okabe and Ito


def compose(prediction: Prediction) -> Image.Image:
    """The picture, some 1,200 px wide; for research, as it says itself."""
    panels = [Image.fromarray(panel) for panel in draw_panels(prediction)]
    below = 3 * LINE + panels[0].height  # the panels, with title, origin and captions above them
    warnings = [line for text in prediction.warnings for line in wrapped(text)]
    height = below + (len(warnings) + 1) * LINE + 2 * GAP
    picture = Image.new("RGB", (WIDTH, height), "white")
    write = ImageDraw.Draw(picture).text
    title = f"{prediction.label}, probability {prediction.probability:.2f}"
    write((GAP, 2), title, "black", font(TITLE, bold=True))
    origin = f"network {shortened(prediction.network, 30) or 'of your own'}, for research only"
    write((WIDTH - GAP, 8), origin, "black", font(TEXT), anchor="ra")
    write((GAP, LINE + 10), shortened(prediction.name, 80), "black", font(TEXT))
    for number, (panel, caption) in enumerate(zip(panels, captions(prediction))):
        left = GAP + number * (PANEL + GAP)
        right, middle = left + PANEL, left + PANEL // 2
        picture.paste(panel, (middle - panel.width // 2, 3 * LINE))
        for place, anchor, text in zip((left, middle, right), "lmr", caption):
            write((place, 3 * LINE - 4), text, "black", font(TEXT), anchor=f"{anchor}s")
    lungs_middle = 2 * GAP + PANEL + PANEL // 2
    expected = f"expected Dice {prediction.expected_dice:.2f}"
    write((lungs_middle, below + 4), expected, "black", font(TEXT), anchor="ma")
    draw_scale(picture, (3 * GAP + 2 * PANEL, below + 4))
    for number, line in enumerate(warnings, start=1):
        write((GAP, below + number * LINE + GAP), line, WARNING, font(TEXT))
    return picture


def draw_panels(prediction: Prediction) -> list[np.ndarray]:
    """The film, its lungs and its saliency, each (h, w, 3) uint8."""
    height, width = prediction.film.shape
    scale = min(PANEL / width, MAX_HEIGHT / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    parts = (prediction.film, prediction.mask_probability, prediction.saliency)
    grey, probability, saliency = (reduced(part, size) for part in parts)
    film = np.repeat(grey[..., None], 3, axis=2)
    lungs = probability > 0.5
    outline = lungs & ~scipy.ndimage.binary_erosion(lungs, iterations=OUTLINE)
    opacity = np.where(outline, 1.0, np.where(lungs, TINT, 0.0))
    share = np.clip(saliency / saliency_top(saliency), 0, 1)
    heat = heat_colours()[np.rint(share * 255).astype(np.uint8)]
    blue = 255 * np.array(to_rgb(LUNG))
    return [film, blended(film, blue, opacity), blended(film, heat, np.clip(share, FAINTEST, 0.9))]


def saliency_top(saliency: np.ndarray) -> float:
    """The saliency that has the colour of most."""
    return max(float(np.percentile(saliency, TOP_PERCENTILE)), 1e-12)


def reduced(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) to width and height."""
    picture = Image.fromarray(array)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2))


def blended(film: np.ndarray, colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Colours laid over a film, (h, w, 3) uint8, with an opacity (h, w) in [0, 1]."""
    return np.rint(film + (colours - film) * opacity[..., None]).astype(np.uint8)


def captions(prediction: Prediction) -> list[tuple[str, str, str]]:
    """What stands above each panel: left, in the middle, right; R and L are the patient's."""
    areas = []
    for lung in (prediction.lungs["right"], prediction.lungs["left"]):
        known = lung.area_cm2 is not None
        areas.append(f"{lung.area_cm2:.0f} cm²" if known else f"{lung.share:.1%}")
    right, left = areas
    return [
        ("R", "film", "L"),
        (f"R {right}", "lungs", f"{left} L"),
        ("R", "what moved the class", "L"),
    ]


def draw_scale(picture: Image.Image, place: tuple[int, int]) -> None:
    """What the colours of the saliency mean: its scale, below its panel."""
    left, top = place
    write = ImageDraw.Draw(picture).text
    write((left, top), "none", "black", font(TEXT))
    write((left + PANEL, top), "most", "black", font(TEXT), anchor="ra")
    bar = Image.fromarray(np.repeat(heat_colours()[None].astype(np.uint8), 14, axis=0))
    picture.paste(bar.resize((PANEL - 2 * 62, 14)), (left + 62, top + 7))


@lru_cache
def heat_colours() -> np.ndarray:
    """(256, 3), from 0 to 255: from nothing, black, to most, a light yellow."""
    return 255 * matplotlib.colormaps["magma"](np.arange(256))[:, :3]


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(fonts / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)


def shortened(text: str, most: int) -> str:
    """A text in at most some `most` letters, its middle left out where it has more."""
    line = printable(text)
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[-most // 2 :]}"


def wrapped(text: str) -> list[str]:
    """A sentence in lines."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font(TEXT).getlength(longer) <= WIDTH - 2 * GAP:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line for line in lines if line]
