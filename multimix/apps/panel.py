"""The panel: choose or upload a film, see what the network says of it, move the thresholds.

It works with ipywidgets 7.7 and 8.
"""

from __future__ import annotations

import base64
import html
import io
import os
import tempfile
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from PIL import Image

from multimix.evaluation.film_figures import VIEWS, as_png, plot_view
from multimix.evaluation.prediction import Prediction
from multimix.images.film_folder import look_through
from multimix.images.formats import SUFFIXES, stem_of
from multimix.images.reading import LoadedImage, load_image
from multimix.inference import PredictOptions, load_model, predict_batch
from multimix.model import MultiMix
from multimix.runtime.device import choose_device
from multimix.runtime.files import bundled

WIDE = {"description_width": "7em"}


class Panel(widgets.VBox):
    """A film, its lungs and its class, to play with in a notebook.

    Arguments:
        samples: a folder of films to choose from; without one, the bundled films.
        weights: as `load_model` takes them; without any, the bundled ones.

    Errors: ValueError where the folder has no film.
    """

    def __init__(
        self, samples: str | os.PathLike | None = None, weights: str | os.PathLike | None = None
    ):
        self.model: MultiMix | None = None
        self.film: LoadedImage | None = None
        self.prediction: Prediction | None = None
        self.name = ""
        self.files = look_through(Path(samples or bundled("sample_data"))).films
        self._make_inputs(str(weights or ""))
        self._make_outputs()
        super().__init__([self._arranged()])
        self._react()
        self.reload()
        self.show_sample()

    def _make_inputs(self, weights: str) -> None:
        """What a person sets."""
        samples = [(stem_of(path), index) for index, path in enumerate(self.files)]
        self.sample = widgets.Dropdown(options=samples, description="Sample", style=WIDE)
        self.upload = widgets.FileUpload(
            description="Your own film", multiple=False, layout={"width": "auto"}
        )
        self.view = widgets.ToggleButtons(options=VIEWS, style={"button_width": "6em"})
        self.opacity = slider("Opacity", 0.35)
        self.threshold = slider("Lung above", 0.5)
        self.weights = widgets.Text(
            weights,
            description="Weights",
            placeholder="the bundled ones",
            continuous_update=False,
            style=WIDE,
        )
        self.device = widgets.Dropdown(
            options=["auto", *available_devices()], description="Device", style=WIDE
        )

    def _make_outputs(self) -> None:
        """What the panel shows."""
        self.answer = widgets.HTML()
        self.download = widgets.HTML()
        layout = {"max_width": "100%", "object_fit": "contain"}
        self.picture = widgets.Image(format="png", layout=layout)

    def _arranged(self) -> widgets.HBox:
        """Settings and answer left, the picture right; one below the other where it is narrow."""
        settings = [self.sample, self.upload, self.opacity, self.threshold]
        settings += [self.weights, self.device]
        left = widgets.VBox([*settings, self.answer, self.download], layout={"width": "24em"})
        right = widgets.VBox([self.view, self.picture], layout={"flex": "1 1 24em"})
        return widgets.HBox([left, right], layout={"flex_flow": "row wrap"})

    def _react(self) -> None:
        """Have each setting call its method when it changes."""
        self.sample.observe(self.show_sample, "value")
        self.upload.observe(self.show_upload, "value")
        for widget in (self.weights, self.device):
            widget.observe(self.reload, "value")
        for widget in (self.view, self.opacity, self.threshold):
            widget.observe(self.draw, "value")

    def __repr__(self) -> str:
        return "Panel: shown in a running notebook only."

    def reload(self, _change: object = None) -> None:
        """Load the chosen weights on the chosen device, and predict the film again."""
        try:
            self.model = load_model(self.weights.value.strip() or "multimix", self.device.value)
        except ValueError as error:
            self.model = None
            self.show_error(str(error))
            return
        self.predict()

    def show_sample(self, _change: object = None) -> None:
        """Take the film that was chosen from the list."""
        if self.sample.value is not None:
            path = self.files[self.sample.value]
            self.read(path, path.name)

    def show_upload(self, _change: object = None) -> None:
        """Take the film that was uploaded; no sample is chosen any more."""
        file = uploaded(self.upload.value)
        if file is None:
            return
        # The same file can then be uploaded again.
        self.upload.set_trait("value", type(self.upload.value)())
        name, content = file
        self.sample.value = None
        suffix = Path(name).suffix.lower()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / (f"film{suffix}" if suffix in SUFFIXES else "film")
            path.write_bytes(content)
            self.read(path, name)

    def read(self, path: Path, name: str) -> None:
        """Take a film from a file; one that cannot be read leaves one sentence."""
        self.film, self.name = None, stem_of(Path(name))
        try:
            self.film = load_image(path)
        except ValueError as error:
            self.show_error(str(error).replace(str(path), name))
            return
        self.predict()

    def predict(self) -> None:
        """Have the network predict the film, where there are both."""
        if self.model is None or self.film is None:
            return
        try:
            predictions = predict_batch(self.model, [self.film], [self.name], PredictOptions())
        except ValueError as error:
            self.show_error(str(error))
            return
        self.prediction = predictions[0]
        self.draw()

    def show_error(self, sentence: str) -> None:
        """Show what is wrong where the answer would be."""
        self.prediction = None
        self.picture.layout.display = "none"
        self.download.value = ""
        self.answer.value = f"<p style='color:#D55E00'><b>{html.escape(sentence)}</b></p>"

    def draw(self, _change: object = None) -> None:
        """Picture, text and mask anew from the last prediction: no slider runs the network."""
        prediction, threshold = self.prediction, self.threshold.value
        if prediction is None:
            return
        mask = prediction.mask_probability > threshold
        self.answer.value = answer_html(prediction, float(mask.mean()))
        figure = plot_view(prediction, self.view.value, self.opacity.value, threshold)
        self.picture.value = as_png(figure)
        self.picture.layout.display = None
        self.download.value = download_html(f"{prediction.name}_mask.png", mask)


def answer_html(prediction: Prediction, lung_share: float) -> str:
    """Class, lungs and warnings."""
    warnings = "".join(f"<br>&#9888; {html.escape(warning)}" for warning in prediction.warnings)
    return (
        f"<p><b>{prediction.label}</b>, probability {prediction.probability:.2f}<br>lungs: "
        f"{lung_share:.1%} of the film{warnings}<br><i>For research, not for diagnosis.</i></p>"
    )


def download_html(name: str, mask: np.ndarray) -> str:
    """A link that saves a mask (H, W) bool as a PNG, without asking the server."""
    buffer = io.BytesIO()
    Image.fromarray(mask).convert("L").save(buffer, "PNG")
    content = base64.b64encode(buffer.getvalue()).decode()
    return (
        f"<a style='text-decoration: underline' download='{html.escape(name)}' "
        f"href='data:image/png;base64,{content}'>Download the mask</a>"
    )


def slider(description: str, value: float) -> widgets.FloatSlider:
    """From 0 to 1; it tells its value when it is let go."""
    return widgets.FloatSlider(
        value, min=0, max=1, step=0.05, description=description, continuous_update=False, style=WIDE
    )


def available_devices() -> list[str]:
    """The devices that are here, of 'cpu', 'cuda' and 'mps'."""
    found = []
    for name in ("cpu", "cuda", "mps"):
        try:
            choose_device(name)
        except ValueError:
            continue
        found.append(name)
    return found


def uploaded(value: dict | tuple) -> tuple[str, bytes] | None:
    """Name and content of the last file that was uploaded.

    Arguments:
        value: of a FileUpload: {name: {'content': ...}} in ipywidgets 7, a tuple of dicts in 8.
    """
    if not value:
        return None
    if isinstance(value, dict):
        name, file = list(value.items())[-1]
        return name, bytes(file["content"])
    return value[-1]["name"], bytes(value[-1]["content"])
