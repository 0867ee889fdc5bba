"""The panel: choose or upload films, see what the network says of them, look closer.

It works with ipywidgets 7.7 and 8, without any extension; with anywidget, by clicks too.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ipywidgets as widgets
from PIL import Image

from multimix.apps import panel_parts as parts
from multimix.apps.clickable import report_clicks
from multimix.apps.panel_parts import PanelFilm, dropdown, place_slider, show_if, slider
from multimix.evaluation.film_pictures import (
    COLOUR_MAPS,
    HEEDED,
    VIEWS,
    ViewSettings,
    compose,
    file_content,
    layers_of,
)
from multimix.evaluation.prediction import Prediction
from multimix.images.film_folder import look_through
from multimix.images.reading import LoadedImage, load_image
from multimix.inference import PredictOptions, load_model, predict_batch
from multimix.model import MultiMix
from multimix.runtime.device import available_devices
from multimix.runtime.files import bundled

OWN_FILE = "a file of your own"  # instead of a bundled network
SPINNER = "<i class='fa fa-spinner fa-spin'></i>"


class Panel(widgets.VBox):
    """Films, their lungs and their classes, to look at closely in a notebook.

    Arguments:
        samples: a folder of films to choose from; without one, the bundled films.
        weights: as `load_model` takes them; without any, the bundled ones.

    Errors: ValueError where the folder has no film.
    """

    def __init__(
        self, samples: str | os.PathLike | None = None, weights: str | os.PathLike | None = None
    ):
        self.model: MultiMix | None = None
        self.network_name = ""  # of the model
        self.prediction: Prediction | None = None
        paths = look_through(Path(samples or bundled("sample_data"))).films
        self.films = [PanelFilm(path.name, path) for path in paths]
        self.film = self.films[0]  # that the prediction is of
        self._make_inputs(str(weights or "multimix"))
        self._make_view_settings()
        self._make_outputs()
        super().__init__([self._arranged()])
        self._react()
        self.reload()

    def _make_inputs(self, weights: str) -> None:
        """Which films and which network."""
        self.choice = dropdown("Film", self.titles())
        self.previous = widgets.Button(description="Previous", icon="chevron-left")
        self.next = widgets.Button(description="Next", icon="chevron-right")
        self.upload = widgets.FileUpload(description="Your own films", multiple=True)
        self.upload_truth = widgets.FileUpload(description="This film's true mask", multiple=True)
        for button in (self.previous, self.next, self.upload, self.upload_truth):
            button.layout = {"width": "auto", "flex": "1 1 auto"}
        networks = sorted(path.stem for path in bundled("weights").glob("*.pth"))
        own = weights not in networks
        self.network = dropdown("Network", [*networks, OWN_FILE])
        self.network.value = OWN_FILE if own else weights
        path = weights if own else ""
        self.weights = widgets.Text(path, description="Its path", continuous_update=False)
        self.weights.layout.width = "auto"
        self.device = dropdown("Device", ["auto", *available_devices()])
        show_if(self.device, len(self.device.options) > 2)

    def _make_view_settings(self) -> None:
        """How the picture is drawn; no setting here runs the network."""
        self.view = widgets.ToggleButtons(options=VIEWS, style={"button_width": "6em"})
        self.zoom = widgets.Checkbox(description="Zoom on the lungs", indent=False)
        self.threshold = slider("Lung if probability >", 0.5)
        self.opacity = slider("Opacity", 0.35)
        self.brightness = slider("Brightness", 0, lowest=-1)
        self.contrast = slider("Contrast", 1, lowest=0.2, highest=4)
        self.colour_map = dropdown("Colours", COLOUR_MAPS, parts.BESIDE_SLIDERS)
        self.wipe = widgets.FloatSlider(0, min=0, max=1, step=0.01, readout=False)
        self.wipe.layout.width = "100%"
        self.pointing = widgets.Checkbox(description="Read the values at a point", indent=False)
        self.row = place_slider("Row")
        self.column = place_slider("Column")

    def _make_outputs(self) -> None:
        """What the panel shows."""
        self.busy = widgets.HTML(layout={"min_height": "2em"})
        self.message, self.answer, self.downloads = (widgets.HTML() for _ in range(3))
        self.legend, self.reading, self.table = (widgets.HTML() for _ in range(3))
        layout = {"width": "100%", "max_height": "90vh", "object_fit": "contain", "display": "none"}
        self.picture = widgets.Image(format="jpeg", layout=layout)

    def _arranged(self) -> widgets.HBox:
        """Films and answer left, the picture right; one below the other where it is narrow."""
        steps = widgets.HBox([self.previous, self.next])
        uploads = widgets.HBox([self.upload, self.upload_truth], layout={"flex_flow": "row wrap"})
        left = [self.choice, steps, uploads, self.network, self.weights, self.device]
        left += [self.busy, self.message, self.answer, self.downloads, self.table]
        right = [self.view, self.picture, self.wipe, self.legend, self.zoom, self.threshold]
        right += [self.opacity, self.colour_map, self.brightness, self.contrast]
        right += [self.pointing, self.row, self.column, self.reading]
        columns = [
            widgets.VBox(left, layout={"width": "30em", "max_width": "100%"}),
            widgets.VBox(right, layout={"flex": "1 1 26em", "max_width": "44em"}),
        ]
        return widgets.HBox(columns, layout={"flex_flow": "row wrap", "grid_gap": "0 2em"})

    def _react(self) -> None:
        """Have each setting call its method when it changes."""
        self.choice.observe(self.choose, "value")
        self.previous.on_click(lambda _: self.step(-1))
        self.next.on_click(lambda _: self.step(1))
        self.upload.observe(self.take_films, "value")
        self.upload_truth.observe(self.take_truth, "value")
        for widget in (self.network, self.weights, self.device):
            widget.observe(self.reload, "value")
        self.zoom.observe(self.rearrange, "value")
        self.threshold.observe(self.mark_lungs, "value")
        settings = [getattr(self, name) for name in ("view", *HEEDED) if name != "threshold"]
        for widget in (*settings, self.pointing, self.row, self.column):
            widget.observe(self.draw, "value")
        report_clicks(self.picture, self.read_at)

    def __repr__(self) -> str:
        return "Panel: shown in a running notebook only."

    def _repr_mimebundle_(self, **options: object) -> dict | tuple[dict, dict] | None:
        """As ipywidgets 8 gives it, and a still picture for where no kernel runs."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle and self.prediction is not None:
            return parts.with_still_picture(bundle, self.prediction)
        return bundle

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """The busy sign; a ValueError becomes a sentence, and what is shown stays."""
        self.busy.value = f"{SPINNER} {html.escape(what)} ..."
        try:
            yield
        except ValueError as error:
            sentence = f"<b style='color: #D55E00'>{html.escape(str(error))}</b>"
            self.message.value += f"<div style='line-height: 1.4'>{sentence}</div>"
        finally:
            self.busy.value = ""

    def titles(self) -> list[tuple[str, int]]:
        """What the list of films has to choose from."""
        return [(film.name, index) for index, film in enumerate(self.films)]

    def reload(self, _change: object = None) -> None:
        """Load the chosen network on the chosen device, and predict anew."""
        self.message.value = ""
        own = self.network.value == OWN_FILE
        show_if(self.weights, own)
        name = self.weights.value.strip() if own else self.network.value
        if not name:  # its path is still to come
            return
        with self.working(f"Loading {name}"):
            self.model, self.network_name = load_model(name, self.device.value), name
            for film in self.films:
                film.row = None
            self.show()

    def choose(self, _change: object = None) -> None:
        """Show the film that was chosen from the list."""
        self.message.value = ""
        self.show()

    def step(self, by: int) -> None:
        """Go some films on, as far as there are any."""
        self.choice.value = min(max(self.choice.value + by, 0), len(self.films) - 1)

    def take_films(self, _change: object = None) -> None:
        """Put uploaded films on the list and show the first; a bad one leaves one sentence."""
        files = parts.taken(self.upload)
        if not files:
            return
        self.message.value = ""
        first = len(self.films)
        for name, film in files:
            with self.working(f"Reading {name}"):
                self.films.append(PanelFilm(name, parts.read_upload(name, film, load_image)))
        if first < len(self.films):
            self.choice.unobserve(self.choose, "value")
            self.choice.options = self.titles()
            self.choice.value = first
            self.choice.observe(self.choose, "value")
            self.show()

    def take_truth(self, _change: object = None) -> None:
        """Compare the film that is shown with the mask, or one for each lung, that was uploaded."""
        files, prediction = parts.taken(self.upload_truth), self.prediction
        if not files or prediction is None:
            return
        self.message.value = ""
        with self.working("Reading the mask"):
            self.film.truth = parts.true_lungs(files, prediction.film)
            self.film.row = parts.row_of(self.film, prediction, self.network_name)
            self.rearrange()

    def read_at(self, message: dict) -> None:
        """Read the values where the picture was clicked, or a pixel beside by a key."""
        parts.move_point(self.row, self.column, message, self.layers.box)
        self.pointing.value = True

    def show(self) -> None:
        """Predict the chosen film and draw it; then the uploads that have no answer yet."""
        film = self.films[self.choice.value]
        self.previous.disabled = film is self.films[0]
        self.next.disabled = film is self.films[-1]
        with self.working(f"Predicting {film.name}"):
            self.prediction, self.film = self.predict(film), film
            self.rearrange()
            for widget, length in zip((self.row, self.column), self.prediction.film.shape):
                if widget.max != length - 1:
                    widget.max, widget.value = length - 1, length // 2
        waiting = [film for film in self.films if film.uploaded and film.row is None]
        for number, film in enumerate(waiting, start=1):
            with self.working(f"Predicting {film.name}, {number} of {len(waiting)}"):
                self.predict(film)
                self.draw()

    def predict(self, film: PanelFilm) -> Prediction:
        """What the network says of a film, which gets its row of the table. Errors: ValueError."""
        if self.model is None:
            raise ValueError("No network is loaded; choose one.")
        image = film.source if isinstance(film.source, LoadedImage) else load_image(film.source)
        (prediction,) = predict_batch(self.model, [image], [film.name], PredictOptions())
        film.row = parts.row_of(film, prediction, self.network_name)
        return prediction

    def rearrange(self, _change: object = None) -> None:
        """Draw another film, or another part of it."""
        if self.prediction is None:
            return
        self.layers = layers_of(self.prediction, self.film.truth, self.zoom.value)
        self.mark_lungs()

    def mark_lungs(self, _change: object = None) -> None:
        """Draw with another threshold, which makes another mask."""
        if self.prediction is None:
            return
        self.mask = self.prediction.mask_probability > self.threshold.value
        self.mask_file = file_content(Image.fromarray(self.mask).convert("L"), "PNG")
        self.draw()

    def draw(self, _change: object = None) -> None:
        """Picture, texts and downloads anew from the last prediction."""
        prediction, film = self.prediction, self.film
        if prediction is None:
            return
        settings = self.settings(prediction)
        self.hide_what_does_nothing()
        picture = file_content(compose(self.layers, settings))
        self.picture.value = picture
        show_if(self.picture, True)
        self.answer.value = parts.answer_html(prediction, self.mask, film, self.network_name)
        self.legend.value = parts.legend_html(settings, film.truth is not None)
        if settings.point:
            self.reading.value = parts.point_html(prediction, self.layers, settings.point)
        listed = [other for other in self.films if other.uploaded == film.uploaded and other.row]
        self.table.value = parts.table_html(listed, film)
        links = [
            parts.link(f"{prediction.name}_mask.png", self.mask_file, "mask"),
            parts.link(f"{prediction.name}_{settings.view}.jpg", picture, "this picture"),
            parts.link("predictions.csv", parts.table_csv(listed), "table"),
        ]
        self.downloads.value = f"Download: {', '.join(links)}"

    def settings(self, prediction: Prediction) -> ViewSettings:
        """What the sliders say."""
        height, width = prediction.film.shape
        point = min(self.row.value, height - 1), min(self.column.value, width - 1)
        values = {name: getattr(self, name).value for name in ("view", *HEEDED)}
        return ViewSettings(**values, point=point if self.pointing.value else None)

    def hide_what_does_nothing(self) -> None:
        """Show those settings alone that the view heeds."""
        for name, views in HEEDED.items():
            show_if(getattr(self, name), self.view.value in views)
        for widget in (self.row, self.column, self.reading):
            show_if(widget, self.pointing.value)
