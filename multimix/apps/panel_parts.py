"""What the panel is put together from: its list of films, uploads, texts and small widgets."""

from __future__ import annotations

import base64
import html
import mimetypes
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import ipywidgets as widgets
import numpy as np
from PIL import Image

from multimix.apps.prediction_table import BETWEEN, warnings_of
from multimix.evaluation.film_pictures import (
    HEEDED,
    TRUE_LUNG,
    Layers,
    ViewSettings,
    colour_table,
    still_picture,
)
from multimix.evaluation.metrics import overlap
from multimix.evaluation.overlay import LUNG
from multimix.evaluation.prediction import Prediction
from multimix.images.formats import SUFFIXES, stem_of
from multimix.images.reading import LoadedImage, check_mask_shapes, read_mask
from multimix.runtime.files import csv_text

BESIDE_FILMS = {"description_width": "80px"}  # as text fields have it
BESIDE_SLIDERS = {"description_width": "11em"}
WHOLE_WIDTH = {"width": "auto"}

Result = TypeVar("Result")


@dataclass
class PanelFilm:
    """A film on the panel's list: a sample by its path, an upload as it was read."""

    file: str
    source: Path | LoadedImage
    truth: np.ndarray | None = None  # (H, W) bool: the true lungs
    row: dict[str, str] | None = None  # of the table, once it is predicted

    @property
    def name(self) -> str:
        """What its answer is called."""
        return stem_of(Path(self.file))

    @property
    def uploaded(self) -> bool:
        return isinstance(self.source, LoadedImage)


def dice_of(mask: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks (H, W) bool."""
    return float(overlap(mask[None], truth[None])["dice"][0])


def row_of(film: PanelFilm, prediction: Prediction, network: str) -> dict[str, str]:
    """The film's row of the table, with the lungs at 0.5; named as in predictions.csv."""
    row = {"file": film.file, "label": prediction.label}
    for name, number in prediction.numbers.items():
        row[name] = "" if number is None else f"{number:.6f}"
    row["dice"] = "" if film.truth is None else f"{dice_of(prediction.mask, film.truth):.6f}"
    row["warnings"] = BETWEEN.join(prediction.warnings)
    row["network"] = network
    return row


def lungs_in_words(prediction: Prediction) -> str:
    """'right 18.3%, left 17.0%', with cm² where the film tells its size."""
    words = []
    for side, lung in prediction.lungs.items():
        area = "" if lung.area_cm2 is None else f" ({lung.area_cm2:.0f} cm²)"
        words.append(f"{side} {lung.share:.1%}{area}")
    return ", ".join(words)


def answer_html(prediction: Prediction, mask: np.ndarray, film: PanelFilm, network: str) -> str:
    """Name, class, lungs of the mask that is shown, Dice, warnings, network."""
    lines = [
        html.escape(prediction.name),
        f"<b>{prediction.label}</b>, probability {prediction.probability:.2f}",
        f"lungs: {mask.mean():.1%} of the film",
        f"at 0.5: {lungs_in_words(prediction)}; expected Dice {prediction.expected_dice:.2f}",
    ]
    if film.truth is not None:
        lines.append(f"Dice with the true mask: {dice_of(mask, film.truth):.3f}")
    lines += [f"&#9888; {html.escape(warning)}" for warning in prediction.warnings]
    lines.append(f"<i>Network {html.escape(network)}. For research, not for diagnosis.</i>")
    return f"<div style='line-height: 1.5; overflow-wrap: anywhere'>{'<br>'.join(lines)}</div>"


def point_html(prediction: Prediction, layers: Layers, point: tuple[int, int]) -> str:
    """What is known at a row and column of the film."""
    saliency = float(prediction.saliency[point])
    return (
        f"Row {point[0]}, column {point[1]}: grey value {prediction.film[point]}, lung probability "
        f"{prediction.mask_probability[point]:.2f}, saliency {saliency:.3g} "
        f"({saliency / layers.saliency_top:.0%} of the scale)"
    )


def legend_html(settings: ViewSettings, has_truth: bool) -> str:
    """What the colours of a view say, and what the slider below the picture does."""
    items = []
    if settings.view == "overlay":
        items.append(f"{swatch(LUNG)} lungs")
    if settings.view in ("overlay", "mask") and has_truth:
        items.append(f"{swatch(TRUE_LUNG)} true lungs")
    if settings.view == "saliency":
        steps = colour_table(settings.colour_map)[::51].tolist()
        colours = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in steps)
        bar = swatch(f"linear-gradient(to right, {colours})", "8em")
        items.append(f"What moved the class score: none {bar} most")
    if settings.view in HEEDED["wipe"]:
        items.append("<i>Slide to uncover the film.</i>")
    return " &nbsp; ".join(items)


def swatch(colour: str, width: str = "1.6em") -> str:
    """A small field of a colour."""
    style = f"display: inline-block; width: {width}; height: 0.7em; background: {colour}"
    return f"<span style='{style}'></span>"


def table_html(films: Sequence[PanelFilm], current: PanelFilm) -> str:
    """The rows of films that are predicted, with the lungs at 0.5; the current one is bold."""
    has_truth = any(film.truth is not None for film in films)
    heads = ["film", "class", "lungs at 0.5", *(["Dice"] if has_truth else [])]
    lines = [cells_html(heads, "color: gray")]
    for film in films:
        row = film.row or {}
        label, lungs = row["label"], float(row["lung_share"])
        cells = [film.file, f"{label} {float(row[label]):.2f}", f"{lungs:.1%}", row["dice"][:5]]
        lines.append(cells_html(cells, f"font-weight: {'bold' if film is current else 'normal'}"))
        for warning in warnings_of(row):
            lines.append(f"<tr><td colspan=4>&#9888; {html.escape(warning)}</td></tr>")
    table = f"<table style='width: 100%; line-height: 1.5'>{''.join(lines)}</table>"
    return f"<div style='overflow-x: auto'>{table}</div>"


def cells_html(cells: Sequence[str], style: str) -> str:
    """A row of a table."""
    fields = "".join(f"<td style='padding-right: 0.7em'>{html.escape(c)}</td>" for c in cells)
    return f"<tr style='{style}; vertical-align: top'>{fields}</tr>"


def table_csv(films: Sequence[PanelFilm]) -> bytes:
    """The same rows for a spreadsheet."""
    return csv_text([film.row or {} for film in films]).encode("utf-8", "surrogateescape")


def link(name: str, content: bytes, text: str) -> str:
    """A link that saves a file without asking the server."""
    kind = mimetypes.guess_type(name)[0]
    data = base64.b64encode(content).decode()
    return (
        f"<a style='text-decoration: underline' download='{html.escape(name)}' "
        f"href='data:{kind};base64,{data}'>{text}</a>"
    )


def with_still_picture(bundle: dict, prediction: Prediction) -> tuple[dict, dict]:
    """What a notebook displays, with a picture for where no kernel runs, and what it shows."""
    data = base64.b64encode(still_picture(prediction)).decode()
    alt = f"The panel with {prediction.name}: the film, and the lungs that were found"
    return {**bundle, "image/jpeg": data}, {"image/jpeg": {"alt": alt}}


def dropdown(description: str, options: object, label: dict = BESIDE_FILMS) -> widgets.Dropdown:
    """A list to choose from."""
    return widgets.Dropdown(
        options=options, description=description, style=label, layout=WHOLE_WIDTH
    )


def slider(
    description: str, value: float, lowest: float = 0, highest: float = 1, step: float = 0.05
) -> widgets.FloatSlider:
    """It tells its value while it moves."""
    settings = {"style": BESIDE_SLIDERS, "layout": WHOLE_WIDTH}
    return widgets.FloatSlider(
        value, min=lowest, max=highest, step=step, description=description, **settings
    )


def place_slider(description: str) -> widgets.IntSlider:
    """A row or column of a film."""
    return widgets.IntSlider(description=description, style=BESIDE_SLIDERS, layout=WHOLE_WIDTH)


def move_point(
    row: widgets.IntSlider, column: widgets.IntSlider, message: dict, box: tuple[int, int, int, int]
) -> None:
    """Move the sliders to where a picture of that box was clicked, or by some pixels."""
    if "step" in message:
        down, right = message["step"]
        row.value += down
        column.value += right
        return
    left, top, right, bottom = box
    y, x = message["share"]
    with row.hold_trait_notifications(), column.hold_trait_notifications():
        row.value = top + int(y * (bottom - top))
        column.value = left + int(x * (right - left))


def show_if(widget: widgets.Widget, shown: bool) -> None:
    """Show or hide a widget."""
    widget.layout.display = None if shown else "none"


def taken(upload: widgets.FileUpload) -> list[tuple[str, bytes]]:
    """Names and contents of what was uploaded; the same files can then be uploaded again.

    The value is {name: {'content': ...}} in ipywidgets 7, a tuple of dicts in 8.
    """
    value = upload.value
    upload.set_trait("value", type(value)())
    if isinstance(value, dict):
        return [(name, bytes(file["content"])) for name, file in value.items()]
    return [(file["name"], bytes(file["content"])) for file in value]


def read_upload(name: str, file: bytes, read: Callable[[Path], Result]) -> Result:
    """What a function reads from an uploaded file; its ValueError has the name, and no path."""
    suffix = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (f"film{suffix}" if suffix in SUFFIXES else "film")
        path.write_bytes(file)
        try:
            return read(path)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from None


def mask_of_film(path: Path, film: np.ndarray) -> np.ndarray:
    """Read a true mask, bool, at the size of its film (H, W). Errors: ValueError."""
    check_mask_shapes(film, [path])
    height, width = film.shape
    square = read_mask([path], max(film.shape))
    return np.asarray(Image.fromarray(square).resize((width, height)))


def true_lungs(files: Sequence[tuple[str, bytes]], film: np.ndarray) -> np.ndarray:
    """The union of uploaded masks, bool, at the size of their film (H, W). Errors: ValueError."""
    lungs = np.zeros(film.shape, dtype=bool)
    for name, file in files:
        lungs |= read_upload(name, file, partial(mask_of_film, film=film))
    return lungs
