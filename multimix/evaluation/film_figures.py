"""Figures of one film's prediction. Colours are distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Protocol

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from multimix.runtime.files import atomic_write, printable

LUNG = "#56B4E9"
TRUE, PREDICTED = "#009E73", "#D55E00"  # a green and a red that differ to colour-blind eyes
CURVE = "#0072B2"
SHOWN = 640  # px: longer films are reduced for the screen
VIEWS = ("overlay", "film", "mask", "saliency")


class Drawable(Protocol):
    """What of a `multimix.Prediction` is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def film(self) -> np.ndarray: ...
    @property
    def mask_probability(self) -> np.ndarray: ...
    @property
    def saliency(self) -> np.ndarray: ...
    @property
    def label(self) -> str: ...
    @property
    def probability(self) -> float: ...
    @property
    def lung_share(self) -> float: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...


def plot_prediction(prediction: Drawable) -> Figure:
    """Film, lungs and saliency side by side."""
    film, lung, saliency = reduced(prediction)
    height, width = film.shape
    figure, axes = plt.subplots(
        1, 3, figsize=(12, 0.6 + 3.65 * np.clip(height / width, 0.5, 2)), layout="constrained"
    )
    for axis in axes:
        axis.imshow(film, cmap="gray", vmin=0, vmax=255)
        axis.set_axis_off()
    axes[0].set_title(printable(prediction.name), parse_math=False)
    draw_lungs(axes[1], lung)
    axes[1].set_title(f"Lungs: {prediction.lung_share:.0%} of the film")
    draw_saliency(axes[2], saliency)
    axes[2].set_title(f"{prediction.label}, probability {prediction.probability:.2f}")
    if prediction.warnings:
        figure.supxlabel("\n".join(prediction.warnings), fontsize=9, color="#D55E00")
    return figure


def reduced(prediction: Drawable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Film, lung probability and saliency at a size for the screen."""
    stride = max(1, max(prediction.film.shape) // SHOWN)
    film = np.asarray(Image.fromarray(prediction.film).reduce(stride))
    return (
        film,
        prediction.mask_probability[::stride, ::stride],
        prediction.saliency[::stride, ::stride],
    )


def draw_lungs(
    axis, lung_probability: np.ndarray, opacity: float = 0.25, threshold: float = 0.5
) -> None:
    """Fill and outline where lung is more probable than the threshold."""
    fill = np.zeros((*lung_probability.shape, 4), dtype=np.float32)
    fill[lung_probability > threshold] = to_rgba(LUNG, opacity)
    axis.imshow(fill)
    if (
        lung_probability.min() < threshold < lung_probability.max()
    ):  # else there is no outline to draw
        axis.contour(lung_probability, levels=[threshold], colors=[LUNG], linewidths=1.8)


def draw_saliency(axis, saliency: np.ndarray, opacity: float = 0.9) -> None:
    """Heat over the film, with its scale: a few sharp pixels apart, from none to most of what moved
    the score.
    """
    top = max(float(np.percentile(saliency, 99.5)), 1e-12)  # those few would leave the rest dark
    heat = axis.imshow(
        saliency / top,
        cmap="magma",
        vmin=0,
        vmax=1,
        alpha=np.clip(saliency / top, min(0.25, opacity), opacity),
    )
    bar = axis.figure.colorbar(heat, ax=axis, fraction=0.04, pad=0.02, ticks=[0, 1])
    bar.ax.set_yticklabels(["none", "most"])
    bar.set_label("what moved the class score", labelpad=-18)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG and let the figure go."""
    content = as_png(figure)
    with atomic_write(path, durable=False) as file:
        file.write(content)
    return path


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG, to show in a widget for example; it is let go."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90, format="png")
    plt.close(figure)
    return buffer.getvalue()


def plot_view(
    prediction: Drawable, view: str = "overlay", opacity: float = 0.35, threshold: float = 0.5
) -> Figure:
    """One of `VIEWS` of a prediction; `opacity` of what lies on the film, lung where more probable
    than `threshold`.
    """
    film, lung, saliency = reduced(prediction)
    height, width = film.shape
    figure, axis = plt.subplots(
        figsize=(5.5, 0.4 + 5.1 * np.clip(height / width, 0.5, 2)), layout="constrained"
    )
    axis.set_axis_off()
    axis.set_title(printable(prediction.name), parse_math=False)
    if view == "mask":
        axis.imshow(lung > threshold, cmap="gray", vmin=0, vmax=1)
    else:
        axis.imshow(film, cmap="gray", vmin=0, vmax=255)
    if view == "overlay":
        draw_lungs(axis, lung, opacity, threshold)
    if view == "saliency":
        draw_saliency(axis, saliency, np.clip(opacity * 2, 0, 1))
    return figure
