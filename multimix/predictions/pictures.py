"""Pictures of a prediction: the saved overlay, the panel's views, and the notebook's figure.

Pillow is much faster than matplotlib. Colour-blind readers can tell the colours (Okabe and Ito).
"""

import io
from functools import lru_cache
from pathlib import Path
from textwrap import wrap

import matplotlib
import numpy as np
import scipy
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from multimix.predictions.lungs import dice_with
from multimix.predictions.prediction import Prediction
from multimix.predictions.prediction import file_content as file_content
from multimix.runtime.files import printable

LUNG, BY_HAND, WARNING = "#56B4E9", "#009E73", "#D55E00"
FOR, AGAINST = "#E69F00", "#0072B2"  # PNEUMONIA
VIEWS = ("lungs", "film", "explanation")
PANEL, GAP, LINE = 380, 15, 30  # px of the overlay: a panel's width, a gap, a line of text
WIDTH = 3 * PANEL + 4 * GAP
TEXT = 21  # px of letters


class Layers:
    """A film with its maps, or a part of it, resized to one picture.

    Arguments:
        width, height: the largest of the picture, in px; the film's proportions stay.
        part: what is shown: its top and left edge and its size, as shares of the film.
        truth: (H, W) bool, the lungs as outlined by hand.
    """

    def __init__(
        self,
        prediction: Prediction,
        width: int,
        height: int,
        part: tuple[float, float, float] = (0, 0, 1),
        truth: np.ndarray | None = None,
    ):
        rows, columns = prediction.film.shape
        top, left, share = part
        scale = min(width / columns, height / rows)
        size = max(round(scale * columns), 1), max(round(scale * rows), 1)
        box = (left * columns, top * rows, (left + share) * columns, (top + share) * rows)

        def resized(values: np.ndarray) -> Image.Image:
            return Image.fromarray(values).resize(size, Image.Resampling.BILINEAR, box, 2)

        lung, explanation = prediction.mask_probability, prediction.explanation
        if explanation is not None:
            most = max(float(np.abs(explanation).max()), 1e-12)
            explanation = np.asarray(resized(explanation)) / most
        self.film, self.explanation = resized(prediction.film), explanation
        self.lung = None if lung is None else np.asarray(resized(lung))
        self.by_hand = None if truth is None else np.asarray(resized(np.uint8(255) * truth)) > 127

    def draw(
        self,
        view: str,
        threshold: float = 0.5,
        opacity: float = 0.35,
        brightness: float = 0,
        contrast: float = 1,
    ) -> Image.Image:
        """One of `VIEWS` as an RGB picture; a map that the network lacks is not drawn.

        A pixel is lung above the `threshold`. `brightness`, in [-1, 1], is added to the greys;
        `contrast` multiplies their distance from the middle.
        """
        greys = (np.arange(256) - 127.5) * contrast + 127.5 + 255 * brightness
        film = self.film.point(greys.clip(0, 255).round().astype(int).tolist()).convert("RGB")
        if view == "lungs":
            line = max(2, round(max(film.size) / 330))
            if self.lung is not None:
                lungs = self.lung > threshold
                paint(film, LUNG, opacity * lungs)
                paint(film, LUNG, outline(lungs, line))
            if self.by_hand is not None:
                paint(film, BY_HAND, outline(self.by_hand, line // 2))
        elif view == "explanation" and self.explanation is not None:
            most = min(2 * opacity, 1)
            paint(film, FOR, most * self.explanation.clip(0, 1))
            paint(film, AGAINST, most * (-self.explanation).clip(0, 1))
        return film


def paint(picture: Image.Image, colour: str, opacity: np.ndarray) -> None:
    """Lay a colour on a picture with an opacity (h, w) in [0, 1]."""
    picture.paste(colour, (0, 0), Image.fromarray(np.rint(255 * opacity).astype(np.uint8)))


def outline(mask: np.ndarray, width: int) -> np.ndarray:
    """The inner edge of a mask (h, w) bool; the picture's own edge is no edge."""
    return mask & ~scipy.ndimage.binary_erosion(mask, iterations=width, border_value=1)


def mark_sides(picture: Image.Image) -> None:
    """Write R and L, the patient's sides, into the upper corners of a film's picture."""
    draw, size = ImageDraw.Draw(picture).text, max(picture.width // 30, 12)
    for text, x, anchor in (("R", size // 3, "la"), ("L", picture.width - size // 3, "ra")):
        draw((x, size // 4), text, "white", font(size), anchor, stroke_width=2, stroke_fill="black")


def overlay(prediction: Prediction, truth: np.ndarray | None = None) -> Image.Image:
    """The picture that is saved: film, lungs and explanation side by side, 1,200 px wide.

    `truth`, (H, W) bool, is the lungs as outlined by hand, drawn as a second, thinner line.
    """
    layers = Layers(prediction, PANEL, 2 * PANEL, truth=truth)
    below = 3 * LINE + layers.film.height  # title, name and captions are above the panels
    warnings = [line for text in prediction.warnings for line in wrap(printable(text), 95)]
    picture = Image.new("RGB", (WIDTH, below + (len(warnings) + 1) * LINE + 2 * GAP), "white")

    def write(x: int, y: int, text: str, anchor: str = "la", colour: str = "black", px: int = TEXT):
        ImageDraw.Draw(picture).text((x, y), text, colour, font(px), anchor)

    write(GAP, 2, class_in_words(prediction), px=30)
    network = cut_middle(prediction.network, 30) or "without a name"
    write(WIDTH - GAP, 8, f"network {network}, for research only", "ra")
    write(GAP, LINE + 10, cut_middle(prediction.name, 80))
    # Of each panel the view, captions above it, and the legend below.
    panels = [("film", ("R", "film", "L"), ("", "", ""))]
    if layers.lung is not None:
        areas = [
            f"{lung.share:.1%}" if lung.area_cm2 is None else f"{lung.area_cm2:.0f} cm²"
            for lung in prediction.lungs.values()
        ]
        legend = ("", outline_in_words(prediction), "")
        if truth is not None:
            legend = ("network", "by hand", f"Dice {dice_with(prediction.mask, truth):.2f}")
        panels.append(("lungs", (f"R {areas[0]}", "lungs", f"{areas[1]} L"), legend))
    if layers.explanation is not None:
        legend = ("orange: for", "", "blue: against")
        panels.append(("explanation", ("R", "for and against PNEUMONIA", "L"), legend))
    colours = {"network": LUNG, "by hand": BY_HAND, "orange: for": FOR, "blue: against": AGAINST}
    for number, (view, captions, legend) in enumerate(panels):
        edge = GAP + number * (PANEL + GAP)
        panel = layers.draw(view, opacity=0.12 if view == "lungs" else 0.3)
        picture.paste(panel, (edge + (PANEL - panel.width) // 2, 3 * LINE))
        for x, side, above, under in zip((0, PANEL // 2, PANEL), "lmr", captions, legend):
            write(edge + x, 3 * LINE - 4, above, f"{side}s")
            write(edge + x, below + 4, under, f"{side}a", colours.get(under, "black"))
    for number, line in enumerate(warnings, start=1):
        write(GAP, below + number * LINE + GAP, line, colour=WARNING)
    return picture


def class_in_words(prediction: Prediction) -> str:
    """The class and its probability, or why there is no class."""
    if prediction.label is not None:
        return f"{prediction.label}, probability {prediction.probability:.2f}"
    not_learnt = prediction.saliency is None
    return "class not learnt" if not_learnt else "not recognised as a frontal chest film"


def outline_in_words(prediction: Prediction) -> str:
    """How far the outline of the lungs can be trusted."""
    quality = f"outline: {prediction.quality}, " if prediction.quality else ""
    return f"{quality}expected Dice {prediction.expected_dice:.2f}"


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib; a larger size than `TEXT` is bold."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(fonts / f"DejaVuSans{'-Bold' * (size > TEXT)}.ttf", size)


def cut_middle(text: str, most: int) -> str:
    """A text of at most `most` letters: a longer one loses its middle."""
    line, half = printable(text), (most - 1) // 2
    return line if len(line) <= most else f"{line[:half]}…{line[-half:]}"


class PictureFigure(Figure):
    """The overlay as a figure that pyplot does not know: a notebook shows it once."""

    def __init__(self, prediction: Prediction):
        picture = overlay(prediction)
        super().__init__(figsize=(picture.width / 100, picture.height / 100), dpi=100)
        self.figimage(np.asarray(picture))

    def _repr_png_(self) -> bytes:
        self.savefig(buffer := io.BytesIO(), format="png")
        return buffer.getvalue()
