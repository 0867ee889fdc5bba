"""The panel: choose or upload films, see their lungs and classes, look closer, download.

It works with ipywidgets 7.7 and 8, in Jupyter and Voila. With anywidget the mouse works, too.
"""

import base64
import html
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd
from PIL import Image

from multimix.apps.predict_folder import hand_outline, truths_beside
from multimix.data.film_folder import look_through
from multimix.images.formats import stem_of
from multimix.inference import load_model, predict_iter
from multimix.predictions import pictures
from multimix.predictions.lungs import dice_with, label_lungs, measure_lungs
from multimix.predictions.prediction import Prediction
from multimix.runtime.files import bundled

LEGEND = f"""lungs <b style='color: {pictures.LUNG}'>by the network</b>,
<b style='color: {pictures.BY_HAND}'>by hand</b> (some samples);
explanation: <b style='color: {pictures.FOR}'>for</b> and
<b style='color: {pictures.AGAINST}'>against</b> PNEUMONIA"""
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


@dataclass(eq=False)
class PanelFilm:
    """A film on the panel's list."""

    file: str  # its name, of an upload as the user has it
    source: Path | bytes  # bytes: the content of an upload
    mask: Path | None = None  # the lungs outlined by hand
    in_table: bool = False  # once the user has chosen or uploaded it
    row: dict[str, object] | None = None  # of the table, once it is predicted


class Panel(widgets.VBox):
    """Films with their lungs and classes, to look at closely in a notebook.

    Arguments:
        samples: a folder of films to choose from; the bundled ones by default. Outlines by hand
            that a `films.csv` there names (columns `path` and `mask`) are shown.
        weights: as for `load_model`.

    Errors: ValueError if the folder has no film, or as for `load_model`.
    """

    def __init__(
        self, samples: str | os.PathLike | None = None, weights: str | os.PathLike = "multimix"
    ):
        self.model = load_model(weights)
        self.prediction: Prediction | None = None  # of the film that is shown
        paths = look_through(Path(samples or bundled("sample_data"))).films
        truths = truths_beside(paths)
        self.films = [PanelFilm(path.name, path, truths.get(path, ("", None))[1]) for path in paths]
        wide = {"width": "auto"}
        self.choice = widgets.Dropdown(options=self.titles(), description="Film", layout=wide)
        self.upload = widgets.FileUpload(description="Your own films", multiple=True, layout=wide)
        self.busy = widgets.HTML(layout={"min_height": "2em"})
        self.message, self.answer, self.downloads, self.table = (widgets.HTML() for _ in range(4))
        self.view = widgets.ToggleButtons(options=pictures.VIEWS, style={"button_width": "7em"})
        limits = {"max_width": "100%", "max_height": "90vh", "align_self": "flex-start"}
        self.picture = widgets.Image(format="jpeg", layout=limits)
        self.zoom = slider("Zoom", 1, 1, 8)
        self.threshold = slider("Lung if probability >", 0.5, 0, 1)
        self.opacity = slider("Opacity of colours", 0.35, 0, 1)
        self.brightness = slider("Brightness", 0, -1, 1)
        self.contrast = slider("Contrast", 1, 0.2, 4)
        self.look = (self.threshold, self.opacity, self.brightness, self.contrast)
        # The centre and the upper left corner of the part that is shown, as shares of the film.
        self.centre, self.corner = np.full(2, 0.5), np.zeros(2)
        texts = [self.busy, self.message, self.answer, self.downloads, self.table]
        views = [self.view, self.picture, widgets.HTML(LEGEND), self.zoom, *self.look]
        fits = {"max_width": "100%"}
        left = widgets.VBox([self.choice, self.upload, *texts], layout=fits | {"flex": "1 1 22em"})
        right = widgets.VBox(views, layout=fits | {"flex": "3 1 26em"})
        flow = {"flex_flow": "row wrap", "grid_gap": "1em"}  # one below the other if narrow
        super().__init__([widgets.HBox([left, right], layout=flow)])
        self.choice.observe(self.choose, "value")
        self.upload.observe(self.take_films, "value")
        for setting in (self.view, self.zoom, *self.look):
            setting.observe(self.update, "value")
        listen_to_mouse(self.picture, self.use_mouse)
        self.predict(self.choice.value, draw=True)

    def __repr__(self) -> str:
        return "Panel: shown in a running notebook only."

    def _repr_mimebundle_(self, **options: object) -> dict | tuple[dict, dict]:
        """The widget, and a still picture for pages without a kernel; ipywidgets 8 calls it."""
        bundle = super()._repr_mimebundle_(**options)
        if self.prediction is None:
            return bundle
        still = pictures.overlay(self.prediction, self.truth)
        still.thumbnail((900, 900))
        data = base64.b64encode(pictures.file_content(still, "JPEG")).decode()
        return {**bundle, "image/jpeg": data}, {"image/jpeg": {"alt": repr(self.prediction)}}

    def titles(self) -> list[tuple[str, PanelFilm]]:
        """The entries of the list of films."""
        return [(pictures.cut_middle(film.file, 40), film) for film in self.films]

    def choose(self, _change: object) -> None:
        """Draw the film that the user chose, or the first of an upload, and predict the others."""
        self.message.value = ""
        self.choice.value.in_table = True
        self.predict(self.choice.value, draw=True)
        for film in self.films:
            if film.in_table and film.row is None:
                self.predict(film)

    def take_films(self, _change: object) -> None:
        """Put uploaded films in front of the list, which then chooses the first."""
        uploads = uploaded_files(self.upload)
        new = [PanelFilm(name, content, in_table=True) for name, content in uploads]
        self.films = [*new, *self.films]
        self.choice.options = self.titles()

    def predict(self, film: PanelFilm, draw: bool = False) -> None:
        """Predict a film for the table, and perhaps draw it; a ValueError becomes a message."""
        self.busy.value = f"Predicting {html.escape(film.file)} ..."
        try:
            (found,) = predict_iter(self.model, film.source)
            prediction = replace(found, name=stem_of(Path(film.file)))
            words = {"warnings": " | ".join(prediction.warnings), "network": prediction.network}
            film.row = {"file": film.file, "label": prediction.label, **prediction.numbers, **words}
            if draw:
                self.truth = hand_outline(film.mask, prediction.film.shape) if film.mask else None
                self.prediction = prediction
                self.update()
            else:
                self.write()
        except ValueError as error:
            film.row = {}
            sentence = html.escape(f"{film.file}: {error}")
            self.message.value += f"<p style='color: {pictures.WARNING}'><b>{sentence}</b></p>"
        finally:
            self.busy.value = ""

    def use_mouse(self, message: dict) -> None:
        """Zoom at the pointer by the wheel; change brightness and contrast by dragging."""
        down, right = message["drag"]
        self.brightness.value -= down
        self.contrast.value += 2 * right
        pointer = np.array(message["at"])
        place = self.corner + pointer / self.zoom.value
        zoom = min(max(self.zoom.value * 1.2 ** message["wheel"], 1), self.zoom.max)
        self.centre = place + (0.5 - pointer) / zoom
        self.zoom.value = zoom

    def update(self, change: dict | None = None) -> None:
        """Draw the film; if a setting has changed, only what depends on it is made anew."""
        if self.prediction is None:
            return
        setting = change["owner"] if change else None
        if setting in (None, self.zoom):
            size = 1 / self.zoom.value
            self.corner = (self.centre - size / 2).clip(0, 1 - size)
            part = (*self.corner, size)
            self.layers = pictures.Layers(self.prediction, 1000, 1000, part, self.truth)
        if setting in (None, self.threshold):
            self.write()
        picture = self.layers.draw(self.view.value, *(slider.value for slider in self.look))
        pictures.mark_sides(picture)
        self.picture.value = pictures.file_content(picture, "JPEG")

    def write(self) -> None:
        """Write the texts, the table and the downloads."""
        prediction, mask, links = self.prediction, None, []
        if prediction is None:
            return
        if prediction.mask_probability is not None:
            mask = prediction.mask_probability > self.threshold.value
            content = pictures.file_content(Image.fromarray(np.uint8(255) * mask), "PNG")
            links.append(link(f"{prediction.name}_mask.png", content, "mask"))
        self.answer.value = answer_html(prediction, mask, self.truth)
        if rows := [film.row for film in self.films if film.in_table and film.row]:
            self.table.value, content = table_of(rows)
            links.append(link("predictions.csv", content, "table"))
        self.downloads.value = f"Download: {', '.join(links)}" if links else ""


def slider(description: str, value: float, lowest: float, highest: float) -> widgets.FloatSlider:
    """A slider as wide as its column."""
    options = {"style": {"description_width": "11em"}, "layout": {"width": "auto"}}
    limits = {"min": lowest, "max": highest, "step": 0.05}
    return widgets.FloatSlider(value, description=description, **limits, **options)


def table_of(rows: Sequence[dict[str, object]]) -> tuple[str, bytes]:
    """The table as HTML, with its main columns, and as CSV, with all."""
    table = pd.DataFrame(rows)
    names = {"label": "class", "PNEUMONIA": "pneumonia", "right_lung": "right", "left_lung": "left"}
    shown = table.reindex(columns=["file", *names]).rename(columns=names)
    shown["file"] = [pictures.cut_middle(str(file), 22) for file in table["file"]]
    style = {"float_format": "{:.2f}".format, "justify": "left", "border": 0, "na_rep": ""}
    content = table.to_csv(index=False, float_format="%.6f").encode("utf-8-sig")
    return f"<div style='overflow-x: auto'>{shown.to_html(index=False, **style)}</div>", content


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
            lines.append(f"Dice with the outline by hand: {dice_with(mask, truth):.2f}")
    lines += [f"&#9888; {html.escape(warning)}" for warning in prediction.warnings]
    network = html.escape(prediction.network)
    lines.append(f"<i>Network {network}. For research, not for diagnosis.</i>")
    return f"<div style='line-height: 1.5; overflow-wrap: anywhere'>{'<br>'.join(lines)}</div>"


def link(name: str, content: bytes, text: str) -> str:
    """A link that saves a file; its content is in the page."""
    data = base64.b64encode(content).decode()
    href = f"download='{html.escape(name)}' href='data:application/octet-stream;base64,{data}'"
    return f"<a style='text-decoration: underline' {href}>{text}</a>"


def uploaded_files(upload: widgets.FileUpload) -> list[tuple[str, bytes]]:
    """Names and contents of the files of one upload; the field counts them in the browser."""
    value = upload.value  # a dict in ipywidgets 7, a tuple in 8
    files = value.items() if isinstance(value, dict) else [(file["name"], file) for file in value]
    found = [(name, bytes(file["content"])) for name, file in files]
    for _, file in files:
        file["content"] = b""  # so that uploading the same file again is a change
    return found


def listen_to_mouse(picture: widgets.Image, report: Callable[[dict], None]) -> None:
    """Report the wheel and dragging in a picture, where anywidget is installed."""
    # In Colab it has all widgets shown by another front end, from the internet.
    if find_spec("anywidget") is None or "google.colab" in sys.modules:
        return
    from anywidget import AnyWidget

    picture.add_class(name := f"multimix-{picture.model_id}")
    mouse = type("Mouse", (AnyWidget,), {"_esm": MOUSE.replace("PICTURE", name)})()
    mouse.on_msg(lambda _mouse, message, _buffers: report(message))
