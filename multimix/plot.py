"""Every figure. Colours are distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    from multimix.predict import Prediction

LUNG = "#56B4E9"
SHOWN = 640  # px: longer films are reduced for the screen


def plot_prediction(prediction: Prediction) -> Figure:
    """Film, lungs and saliency side by side."""
    step = max(1, max(prediction.film.shape) // SHOWN)
    film = np.asarray(Image.fromarray(prediction.film).reduce(step))
    lung, saliency = prediction.mask_probability[::step, ::step], prediction.saliency[::step, ::step]
    height, width = film.shape
    figure, axes = plt.subplots(1, 3, figsize=(12, 0.9 + 3.9 * np.clip(height / width, 0.5, 2)), layout="constrained")
    for axis in axes:
        axis.imshow(film, cmap="gray", vmin=0, vmax=255)
        axis.set_axis_off()
    axes[0].set_title(prediction.name)
    draw_lungs(axes[1], lung)
    axes[1].set_title(f"Lungs: {prediction.lung_share:.0%} of the film")
    # A few sharp pixels would leave the rest dark: the scale ends where all but 0.5 % of the film lie below.
    top = max(float(np.percentile(saliency, 99.5)), 1e-12)
    heat = axes[2].imshow(saliency / top, cmap="magma", vmin=0, vmax=1, alpha=np.clip(saliency / top, 0.25, 0.9))
    axes[2].set_title(f"{prediction.label}, probability {prediction.probability:.2f}")
    bar = figure.colorbar(heat, ax=axes[2], fraction=0.04, pad=0.02, ticks=[0, 1])
    bar.ax.set_yticklabels(["none", "most"])
    bar.set_label("what moved the class score", labelpad=-18)
    if prediction.warnings:
        figure.supxlabel("\n".join(prediction.warnings), fontsize=9, color="#D55E00")
    return figure


def draw_lungs(axis, lung_probability: np.ndarray) -> None:
    """Fill and outline where lung is more probable than not."""
    fill = np.zeros((*lung_probability.shape, 4), dtype=np.float32)
    fill[lung_probability > 0.5] = to_rgba(LUNG, 0.25)
    axis.imshow(fill)
    if lung_probability.min() < 0.5 < lung_probability.max():  # else there is no outline to draw
        axis.contour(lung_probability, levels=[0.5], colors=[LUNG], linewidths=1.8)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG and let the figure go."""
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return path
