"""The panel: choose or upload a film, see what the network makes of it, move the thresholds;
ipywidgets 7.7 or 8.
"""

from __future__ import annotations

import base64
import html
import io
import os
import tempfile
from pathlib import Path

import ipywidgets as widgets
from PIL import Image

from multimix.evaluation.film_figures import VIEWS, as_png, plot_view
from multimix.images.formats import SUFFIXES, film_paths
from multimix.images.reading import load_image
from multimix.inference import PredictOptions, load_model, predict_batch
from multimix.runtime.device import choose_device
from multimix.runtime.files import bundled

WIDE = {"description_width": "7em"}


class Panel(widgets.VBox):
    """A film, its lungs and its class, to play with in a notebook.

    `samples` is a folder of films to choose from, the bundled ones unless given; `weights` as
    `load_model` takes them.
    """

    def __init__(
        self, samples: str | os.PathLike | None = None, weights: str | os.PathLike | None = None
    ):
        self.model = self.film = self.prediction = None
        self.name = ""
        self.files = film_paths(Path(samples or bundled("sample_data")))
        self.sample = widgets.Dropdown(
            options=[(path.stem, i) for i, path in enumerate(self.files)],
            description="Sample",
            style=WIDE,
        )
        self.upload = widgets.FileUpload(
            description="Your own film", multiple=False, layout={"width": "auto"}
        )
        self.view = widgets.ToggleButtons(options=VIEWS, style={"button_width": "6em"})
        self.opacity = slider("Opacity", 0.35)
        self.threshold = slider("Lung above", 0.5)
        self.weights = widgets.Text(
            str(weights or ""),
            description="Weights",
            placeholder="the bundled ones",
            continuous_update=False,
            style=WIDE,
        )
        self.device = widgets.Dropdown(
            options=["auto", *devices()], description="Device", style=WIDE
        )
        self.answer, self.download = widgets.HTML(), widgets.HTML()
        self.picture = widgets.Image(
            format="png", layout={"max_width": "100%", "object_fit": "contain"}
        )
        for widget, react in (
            (self.sample, self.show_sample),
            (self.upload, self.show_upload),
            (self.weights, self.reload),
            (self.device, self.reload),
            (self.view, self.draw),
            (self.opacity, self.draw),
            (self.threshold, self.draw),
        ):
            widget.observe(react, "value")
        left = widgets.VBox(
            [
                self.sample,
                self.upload,
                self.opacity,
                self.threshold,
                self.weights,
                self.device,
                self.answer,
                self.download,
            ],
            layout={"width": "24em"},
        )
        right = widgets.VBox([self.view, self.picture], layout={"flex": "1 1 24em"})
        super().__init__([widgets.HBox([left, right], layout={"flex_flow": "row wrap"})])
        self.reload()
        self.show_sample()

    def __repr__(self) -> str:
        return "Panel: shown in a running notebook only."

    def reload(self, _change=None) -> None:
        """Load the chosen weights on the chosen device, and look at the film again."""
        try:
            self.model = load_model(self.weights.value.strip() or "multimix", self.device.value)
        except ValueError as error:
            self.model = None
            self.say(error)
            return
        self.predict()

    def show_sample(self, _change=None) -> None:
        """A film was chosen from the list."""
        if self.sample.value is not None:
            path = self.files[self.sample.value]
            self.read(path, path.name)

    def show_upload(self, _change=None) -> None:
        """A film was uploaded; no sample is chosen any more."""
        file = uploaded(self.upload.value)
        if file:
            self.sample.value = None
            name, content = file
            with tempfile.TemporaryDirectory() as folder:
                ending = Path(name).suffix.lower()
                path = Path(folder) / ("film" + ending * (ending in SUFFIXES))
                path.write_bytes(content)
                self.read(path, name)

    def read(self, path: Path, name: str) -> None:
        """Take a film from a file; one that cannot be read leaves one sentence."""
        self.film, self.name = None, Path(name).stem
        try:
            self.film = load_image(path)
        except ValueError as error:
            self.say(str(error).replace(str(path), name))
            return
        self.predict()

    def predict(self) -> None:
        """Ask the network about the film."""
        if self.model is not None and self.film is not None:
            self.prediction = predict_batch(self.model, [self.film], [self.name], PredictOptions())[
                0
            ]
            self.draw()

    def say(self, sentence: object) -> None:
        """Show a fault in the place of an answer."""
        self.prediction, self.picture.layout.display, self.download.value = None, "none", ""
        self.answer.value = f"<p style='color:#D55E00'><b>{html.escape(str(sentence))}</b></p>"

    def draw(self, _change=None) -> None:
        """Picture, text and mask anew from the last prediction: no network runs for a slider."""
        p, threshold = self.prediction, self.threshold.value
        if p is None:
            return
        mask = p.mask_probability > threshold
        warnings = "".join(f"<br>&#9888; {html.escape(text)}" for text in p.warnings)
        self.answer.value = (
            f"<p><b>{p.label}</b>, probability {p.probability:.2f}<br>lungs: {mask.mean():.1%} of "
            f"the film{warnings}<br><i>For research, not for diagnosis.</i></p>"
        )
        self.picture.value = as_png(plot_view(p, self.view.value, self.opacity.value, threshold))
        self.picture.layout.display = None
        buffer = io.BytesIO()
        Image.fromarray(mask).convert("L").save(buffer, "PNG")
        name, content = (
            html.escape(p.name, quote=True),
            base64.b64encode(buffer.getvalue()).decode(),
        )
        self.download.value = (
            f"<a style='text-decoration: underline' download='{name}_mask.png' "
            f"href='data:image/png;base64,{content}'>Download the mask</a>"
        )


def slider(description: str, value: float) -> widgets.FloatSlider:
    return widgets.FloatSlider(
        value, min=0, max=1, step=0.05, description=description, continuous_update=False, style=WIDE
    )


def devices() -> list[str]:
    """Those that are here."""
    found = []
    for name in ("cpu", "cuda", "mps"):
        try:
            choose_device(name)
            found.append(name)
        except ValueError:
            pass
    return found


def uploaded(value) -> tuple[str, bytes] | None:
    """Name and content of the last file; ipywidgets 7 has {name: {'content': …}}, 8 a tuple of
    dicts.
    """
    files = (
        [{"name": name, **file} for name, file in value.items()]
        if isinstance(value, dict)
        else list(value)
    )
    return (files[-1]["name"], bytes(files[-1]["content"])) if files else None
