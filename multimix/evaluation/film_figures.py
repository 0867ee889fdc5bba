"""Figures of one film's prediction. Colours are distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multimix.evaluation.overlay import compose
from multimix.evaluation.prediction import Prediction
from multimix.runtime.files import atomic_write

TRUE, PREDICTED = "#009E73", "#D55E00"  # a green and a red that differ to colour-blind eyes
CURVE = "#0072B2"


def plot_prediction(prediction: Prediction) -> Figure:
    """The picture that is saved, as a figure."""
    picture = compose(prediction)
    figure = plt.figure(figsize=(picture.width / 100, picture.height / 100))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(picture)
    axis.set_axis_off()
    return figure


def draw_film(axis: Axes, film: np.ndarray) -> None:
    """The grey values (H, W) uint8 as they are: 0 is black, 255 white."""
    axis.imshow(film, cmap="gray", vmin=0, vmax=255)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG, and close the figure."""
    content = as_png(figure)
    with atomic_write(path, durable=False) as file:
        file.write(content)
    return path


def as_png(figure: Figure) -> bytes:
    """The figure as the content of a PNG file; it is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90, format="png")
    plt.close(figure)
    return buffer.getvalue()
