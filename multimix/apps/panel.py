"""The panel: choose or upload films, see their lungs and classes, look closer, download.

It works with ipywidgets 7.7 and 8, in Jupyter and Voila. With anywidget the mouse works, too.
"""

from __future__ import annotations

import base64
import html
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from PIL import Image

from multimix.apps import panel_parts as parts
from multimix.apps.panel_parts import PanelFilm
from multimix.data.film_folder import look_through
from multimix.images.formats import stem_of
from multimix.images.reading import load_image
from multimix.inference import load_model, predict_iter
from multimix.predictions import pictures
from multimix.predictions.prediction import Prediction
from multimix.runtime.files import bundled


class Panel(widgets.VBox):
    """Films with their lungs and classes, to look at closely in a notebook.

    Arguments:
        samples: a folder of films to choose from; the bundled ones by default. A `films.csv` there
            with the columns `path` and `mask` names outlines by hand, which are shown.
        weights: as for `load_model`.

    Errors: ValueError if the folder has no film, or as for `load_model`.
    """

    def __init__(
        self, samples: str | os.PathLike | None = None, weights: str | os.PathLike = "multimix"
    ):
        self.model = load_model(weights)
        self.prediction: Prediction  # of the film that is shown
        folder = Path(samples or bundled("sample_data"))
        masks = parts.masks_of(folder)
        paths = look_through(folder).films
        self.films = [PanelFilm(path.name, path, masks.get(path.name)) for path in paths]
        self.uploads = Path(tempfile.mkdtemp(prefix="multimix-"))
        weakref.finalize(self, shutil.rmtree, self.uploads, ignore_errors=True)
        wide = {"width": "auto"}
        self.choice = widgets.Dropdown(options=self.titles(), description="Film", layout=wide)
        self.upload = widgets.FileUpload(description="Your own films", multiple=True, layout=wide)
        self.busy = widgets.HTML(layout={"min_height": "2em"})
        self.message, self.answer, self.downloads, self.table = (widgets.HTML() for _ in range(4))
        self.view = widgets.ToggleButtons(options=pictures.VIEWS, style={"button_width": "6em"})
        limits = {"max_width": "100%", "max_height": "90vh", "align_self": "flex-start"}
        self.picture = widgets.Image(format="jpeg", layout=limits)
        self.zoom = parts.slider("Zoom", 1, 1, 8)
        self.threshold = parts.slider("Lung if probability >", 0.5, 0, 1)
        self.opacity = parts.slider("Opacity of colours", 0.35, 0, 1)
        self.brightness = parts.slider("Brightness", 0, -1, 1)
        self.contrast = parts.slider("Contrast", 1, 0.2, 4)
        self.centre = np.full(2, 0.5)  # of the part that is shown, as shares of the film
        left = [self.choice, self.upload, self.busy, self.message, self.answer, self.downloads]
        right = [self.view, self.picture, widgets.HTML(parts.LEGEND), self.zoom, self.threshold]
        right += [self.opacity, self.brightness, self.contrast]
        both = [  # in a narrow window one below the other
            widgets.VBox([*left, self.table], layout={"flex": "1 1 22em", "max_width": "100%"}),
            widgets.VBox(right, layout={"flex": "3 1 26em", "max_width": "100%"}),
        ]
        super().__init__([widgets.HBox(both, layout={"flex_flow": "row wrap", "grid_gap": "1em"})])
        self.choice.observe(self.choose, "value")
        self.upload.observe(self.take_films, "value")
        self.show()

    def __repr__(self) -> str:
        return "Panel: shown in a running notebook only."

    def _repr_mimebundle_(self, **options: object) -> dict | tuple[dict, dict]:
        """The widget, and a still picture for pages without a kernel; ipywidgets 8 calls it."""
        bundle = super()._repr_mimebundle_(**options)
        if not hasattr(self, "prediction"):
            return bundle
        still = pictures.overlay(self.prediction, self.truth)
        still.thumbnail((900, 900))
        data = base64.b64encode(pictures.file_content(still, "JPEG")).decode()
        return {**bundle, "image/jpeg": data}, {"image/jpeg": {"alt": repr(self.prediction)}}

    @contextmanager
    def working_on(self, film: PanelFilm, what: str) -> Iterator[None]:
        """Show that the panel is busy; a ValueError becomes a message, and the picture stays."""
        self.busy.value = f"{what} {html.escape(film.file)} ..."
        try:
            yield
        except ValueError as error:
            sentence = html.escape(str(error).replace(str(film.path), film.file))
            self.message.value += f"<p style='color: {pictures.WARNING}'><b>{sentence}</b></p>"
        finally:
            self.busy.value = ""

    def titles(self) -> list[tuple[str, int]]:
        """The entries of the list of films."""
        return [(pictures.cut_middle(film.file, 40), i) for i, film in enumerate(self.films)]

    def choose(self, _change: object = None) -> None:
        """Show the film that the user chose."""
        self.message.value = ""
        self.films[self.choice.value].in_table = True
        self.show()

    def take_films(self, _change: object = None) -> None:
        """Add uploaded films to the list, show the first, predict all; a bad one is named."""
        self.upload.unobserve(self.take_films, "value")
        self.choice.unobserve(self.choose, "value")
        self.message.value = ""
        first = len(self.films)
        for name, content in parts.take_files(self.upload):
            path = Path(tempfile.mkdtemp(dir=self.uploads)) / f"film{Path(name).suffix[:9]}"
            film = PanelFilm(name, path, in_table=True)
            with self.working_on(film, "Reading"):
                path.write_bytes(content)
                load_image(path)
                self.films.append(film)
        if first < len(self.films):
            self.choice.options = self.titles()
            self.choice.value = first
            self.show()
        self.choice.observe(self.choose, "value")
        self.upload.observe(self.take_films, "value")

    def show(self) -> None:
        """Predict the chosen film and draw it, then predict the other films of the table."""
        film = self.films[self.choice.value]
        with self.working_on(film, "Predicting"):
            first = not hasattr(self, "prediction")
            self.prediction, self.film = self.predict(film), film
            self.truth = parts.true_lungs(film.mask, self.prediction.film.shape)
            self.resize()
            if first:
                self.react()
        for other in self.films:
            if other is not film and other.in_table and other.row is None:
                with self.working_on(other, "Predicting"):
                    self.predict(other)
                    self.mark_lungs()

    def predict(self, film: PanelFilm) -> Prediction:
        """Predict a film and make its row of the table. ValueError if it cannot be read."""
        (found,) = predict_iter(self.model, film.path)
        prediction = replace(found, name=stem_of(Path(film.file)))
        words = {"warnings": " | ".join(prediction.warnings), "network": prediction.network}
        film.row = {"file": film.file, "label": prediction.label, **prediction.numbers, **words}
        return prediction

    def react(self) -> None:
        """Draw anew for each change of a setting."""
        self.zoom.observe(self.resize, "value")
        self.threshold.observe(self.mark_lungs, "value")
        for setting in (self.view, self.opacity, self.brightness, self.contrast):
            setting.observe(self.draw, "value")
        parts.listen_to_mouse(self.picture, self.use_mouse)

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

    def resize(self, _change: object = None) -> None:
        """Draw another film, or another part of it."""
        size = 1 / self.zoom.value
        self.corner = (self.centre - size / 2).clip(0, 1 - size)
        part = (*self.corner, size)
        self.layers = pictures.layers_of(self.prediction, 1000, 1000, part, self.truth)
        self.mark_lungs()

    def mark_lungs(self, _change: object = None) -> None:
        """Update texts and downloads for another threshold, then draw."""
        prediction, mask, links = self.prediction, None, []
        if prediction.mask_probability is not None:
            mask = prediction.mask_probability > self.threshold.value
            content = pictures.file_content(Image.fromarray(np.uint8(255) * mask), "PNG")
            links.append(parts.link(f"{prediction.name}_mask.png", content, "mask"))
        self.answer.value = parts.answer_html(prediction, mask, self.truth)
        if rows := [film.row for film in self.films if film.in_table and film.row]:
            self.table.value, content = parts.table_of(rows)
            links.append(parts.link("predictions.csv", content, "table"))
        self.downloads.value = f"Download: {', '.join(links)}" if links else ""
        self.draw()

    def draw(self, _change: object = None) -> None:
        """Draw the chosen view with the chosen settings; the picture itself can be saved."""
        sliders = (self.threshold, self.opacity, self.brightness, self.contrast)
        settings = (slider.value for slider in sliders)
        picture = pictures.draw(self.layers, self.view.value, *settings)
        pictures.mark_sides(picture)
        self.picture.value = pictures.file_content(picture, "JPEG")
