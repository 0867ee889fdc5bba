"""Parts of the panel: its films, texts, links, slider, and the mouse in its picture."""

from __future__ import annotations

import base64
import html
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
from PIL import Image

from multimix.images.reading import read_mask
from multimix.predictions import pictures
from multimix.predictions.lungs import label_lungs, measure_lungs
from multimix.predictions.prediction import Prediction

LEGEND = f"""lungs <b style='color: {pictures.LUNG}'>by the network</b>,
<b style='color: {pictures.BY_HAND}'>by hand</b> (some samples); saliency: bright is much"""
MOUSE = """
export default { initialize({ model }) {
  let from = null, sent = 0;
  const react = (event) => {
    if (!event.target.matches?.(".PICTURE")) return;
    const { clientHeight, clientWidth } = event.target, moves = event.type === "pointermove";
    const at = [event.offsetY / clientHeight, event.offsetX / clientWidth];
    event.target.title = "Wheel: zoom. Drag: brightness and contrast.";
    if (!moves) event.preventDefault();
    if (moves && event.buttons !== 1) from = at;
    else if (event.type !== "dragstart" && Date.now() > sent + 80) {  // drawing takes that long
      const drag = moves && from ? [at[0] - from[0], at[1] - from[1]] : [0, 0];
      model.send({ at, drag, wheel: moves ? 0 : -Math.sign(event.deltaY) });
      [from, sent] = [at, Date.now()];
    }
  };
  for (const name of ["wheel", "dragstart", "pointermove"])
    addEventListener(name, react, { capture: true, passive: false });
} };
"""


@dataclass
class PanelFilm:
    """A film on the panel's list."""

    file: str  # its name, of an upload as the user has it
    path: Path
    mask: Path | None = None  # the lungs outlined by hand
    in_table: bool = False  # once the user has chosen or uploaded it
    row: dict[str, Any] | None = None  # of the table, once it is predicted


def masks_of(folder: Path) -> dict[str, Path]:
    """The masks of the films in a folder, by the films' names, from its `films.csv` if any."""
    if not (folder / "films.csv").is_file():
        return {}
    table = pd.read_csv(folder / "films.csv", dtype=str).reindex(columns=["path", "mask"]).dropna()
    return {path: folder / mask for path, mask in table.itertuples(index=False)}


def true_lungs(mask: Path | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The lungs outlined by hand, (H, W) bool at the film's size; None if there is no outline."""
    if mask is None:
        return None
    square = Image.fromarray(read_mask([mask], max(shape)))
    return np.asarray(square.resize((shape[1], shape[0])))


def table_of(rows: Sequence[dict[str, Any]]) -> tuple[str, bytes]:
    """The table as HTML, with its main columns, and as CSV, with all."""
    table = pd.DataFrame(rows)
    shown = table.reindex(columns=["file", "label", "PNEUMONIA", "right_lung", "left_lung"])
    shown["file"] = [pictures.cut_middle(row["file"], 28) for row in rows]
    style = {"float_format": "{:.2f}".format, "justify": "left", "border": 0, "na_rep": ""}
    content = table.to_csv(index=False, float_format="%.6f")
    return shown.to_html(index=False, **style), content.encode("utf-8-sig")


def answer_html(prediction: Prediction, mask: np.ndarray | None, truth: np.ndarray | None) -> str:
    """Name, class, the two lungs of the mask that is shown, Dice, warnings, network."""
    lines = [html.escape(prediction.name), f"<b>{pictures.class_in_words(prediction)}</b>"]
    if prediction.label is not None:
        lines.append("PNEUMONIA if its probability is above 0.50")
    if mask is not None:
        for side, lung in measure_lungs(label_lungs(mask), prediction.size_cm).items():
            area = "" if lung.area_cm2 is None else f" ({lung.area_cm2:.0f} cm²)"
            lines.append(f"{side} lung: {lung.share:.1%} of the film{area}")
        lines.append(pictures.outline_in_words(prediction))
        if truth is not None:
            lines.append(f"Dice with the outline by hand: {pictures.dice_with(mask, truth):.2f}")
    lines += [f"&#9888; {html.escape(warning)}" for warning in prediction.warnings]
    network = html.escape(prediction.network)
    lines.append(f"<i>Network {network}. For research, not for diagnosis.</i>")
    return f"<div style='line-height: 1.5; overflow-wrap: anywhere'>{'<br>'.join(lines)}</div>"


def link(name: str, content: bytes, text: str) -> str:
    """A link that saves a file; its content is in the page."""
    data = base64.b64encode(content).decode()
    href = f"download='{html.escape(name)}' href='data:application/octet-stream;base64,{data}'"
    return f"<a style='text-decoration: underline' {href}>{text}</a>"


def slider(description: str, value: float, lowest: float, highest: float) -> widgets.FloatSlider:
    """A slider as wide as its column."""
    options = {"style": {"description_width": "11em"}, "layout": {"width": "auto"}}
    limits = {"min": lowest, "max": highest, "step": 0.05}
    return widgets.FloatSlider(value, description=description, **limits, **options)


def take_files(upload: widgets.FileUpload) -> list[tuple[str, bytes]]:
    """Names and contents of the files of one upload.

    In ipywidgets 8 the field keeps all uploads without contents, for its counter, and so that a
    file can be uploaded twice. ipywidgets 7 has a dict, and counts by itself.
    """
    value = upload.value
    if isinstance(value, dict):
        upload.set_trait("value", {})
        return [(name, bytes(file["content"])) for name, file in value.items()]
    kept = tuple({**file, "content": memoryview(b"")} for file in value)
    upload.earlier = (*getattr(upload, "earlier", ()), *kept)
    upload.set_trait("value", upload.earlier)
    return [(file["name"], bytes(file["content"])) for file in value]


def listen_to_mouse(picture: widgets.Image, report: Callable[[dict], None]) -> None:
    """Report the wheel and dragging in a picture, where anywidget is installed.

    Not in Colab: there anywidget has all widgets shown by another front end, from the internet.
    """
    if find_spec("anywidget") is None or "google.colab" in sys.modules:
        return
    from anywidget import AnyWidget

    picture.add_class(name := f"multimix-{picture.model_id}")
    mouse = type("Mouse", (AnyWidget,), {"_esm": MOUSE.replace("PICTURE", name)})()
    mouse.on_msg(lambda _mouse, message, _buffers: report(message))
