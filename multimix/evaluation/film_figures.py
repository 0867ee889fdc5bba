"""Figures of one film's prediction. Colours are distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from multimix.evaluation.overlay import LUNG, compose
from multimix.evaluation.prediction import Prediction
from multimix.runtime.files import atomic_write

TRUE, PREDICTED = "#009E73", "#D55E00"  # a green and a red that differ to colour-blind eyes
CURVE = "#0072B2"
SHOWN = 640  # px: longer films are reduced for the screen


def plot_prediction(prediction: Prediction) -> Figure:
    """The picture that is saved, as a figure."""
    picture = compose(prediction)
    figure = plt.figure(figsize=(picture.width / 100, picture.height / 100))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(picture)
    axis.set_axis_off()
    return figure


def reduced(prediction: Prediction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Film, lung probability and saliency at a size for the screen, each (h, w)."""
    stride = max(1, max(prediction.film.shape) // SHOWN)
    film = np.asarray(Image.fromarray(prediction.film).reduce(stride))
    lung_probability = prediction.mask_probability[::stride, ::stride]
    saliency = prediction.saliency[::stride, ::stride]
    return film, lung_probability, saliency


def shown_aspect(film: np.ndarray) -> float:
    """Height by width, as far as a figure follows it."""
    height, width = film.shape
    return float(np.clip(height / width, 0.5, 2))


def draw_film(axis: Axes, film: np.ndarray) -> None:
    """The grey values (H, W) uint8 as they are: 0 is black, 255 white."""
    axis.imshow(film, cmap="gray", vmin=0, vmax=255)


def draw_lungs(
    axis: Axes, lung_probability: np.ndarray, opacity: float = 0.25, threshold: float = 0.5
) -> None:
    """Fill and outline where lung is more probable than the threshold."""
    fill = np.zeros((*lung_probability.shape, 4), dtype=np.float32)
    fill[lung_probability > threshold] = to_rgba(LUNG, opacity)
    axis.imshow(fill)
    has_outline = lung_probability.min() < threshold < lung_probability.max()
    if has_outline:
        axis.contour(lung_probability, levels=[threshold], colors=[LUNG], linewidths=1.8)


def draw_saliency(axis: Axes, saliency: np.ndarray, opacity: float = 0.9) -> None:
    """Heat over the film, with its scale: from none to most of what moved the score.

    The few sharpest pixels lie above the scale: they would leave the rest dark.
    """
    top = max(float(np.percentile(saliency, 99.5)), 1e-12)
    share = saliency / top
    alpha = np.clip(share, min(0.25, opacity), opacity)
    heat = axis.imshow(share, cmap="magma", vmin=0, vmax=1, alpha=alpha)
    bar = axis.figure.colorbar(heat, ax=axis, fraction=0.04, pad=0.02, ticks=[0, 1])
    bar.ax.set_yticklabels(["none", "most"])
    bar.set_label("what moved the class score", labelpad=-18)


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
