"""Figures of an evaluation, in colours that are distinct to colour-blind readers (Okabe, Ito)."""

from base64 import b64encode
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.core.getipython import get_ipython
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multimix.evaluation.metrics import counts_at_thresholds
from multimix.evaluation.results import Results
from multimix.model import CLASSES
from multimix.predictions.pictures import overlay
from multimix.predictions.prediction import Prediction, file_content
from multimix.runtime.files import atomic_write

TRUE, PREDICTED, CURVE = "#009E73", "#D55E00", "#0072B2"  # truth, prediction, a curve


def save_evaluation(results: Results, out: Path) -> list[Path]:
    """Write a figure of each measured task into a folder; the paths of the PNG files."""
    figures = {}
    if rows := [row for row in results.rows if row["task"] == "classification"]:
        figures["classes"] = plot_classes(pd.DataFrame(rows), results.get("auc"))
    if results.segmentation is not None:
        figures["lungs"] = plot_overlays(results)
    out.mkdir(parents=True, exist_ok=True)
    return [save_figure(figure, out / f"{name}.png") for name, figure in figures.items()]


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG, and close the figure."""
    with atomic_write(path, durable=False) as file:
        figure.savefig(file, dpi=90, format="png")
    plt.close(figure)
    return path


def plot_classes(rows: pd.DataFrame, auc: float | None) -> Figure:
    """Confusion and reliability of the class that `predict` gives, and the ROC of both classes."""
    positive, probability = rows["label"] == CLASSES[1], rows["probability"]
    called = probability >= 0.5
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.8), layout="constrained")
    counts = np.bincount(2 * positive + called, minlength=4).reshape(2, 2)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes[0].imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, other), share in np.ndenumerate(shares):
        text, colour = f"{counts[true, other]}\n{share:.1%}", "white" if share > 0.5 else "black"
        axes[0].text(other, true, text, ha="center", va="center", color=colour)
    axes[0].set(title="Confusion", xlabel="predicted class", ylabel="true class")
    axes[0].set(xticks=(0, 1), xticklabels=CLASSES, yticks=(0, 1), yticklabels=CLASSES)
    bins = rows.assign(share=positive).groupby(np.minimum(probability * 10, 9).astype(int))
    line = bins[["probability", "share"]].mean().to_numpy().T
    axes[1].scatter(*line, 20 + 200 * bins.size() / len(rows), CURVE)
    axes[1].plot(*line, color=CURVE)
    axes[1].plot([0, 1], [0, 1], ":", color="grey")
    axes[1].set(title="Reliability: the diagonal is ideal, areas are numbers of films")
    axes[1].set(xlabel="probability of PNEUMONIA", ylabel="share of PNEUMONIA")
    if auc is None:
        axes[2].set_axis_off()
        return figure
    true, false = counts_at_thresholds(probability.to_numpy(), positive.to_numpy())
    axes[2].plot(np.append(0, false / false[-1]), np.append(0, true / true[-1]), color=CURVE)
    axes[2].plot([0, 1], [0, 1], ":", color="grey")
    axes[2].plot(called[~positive].mean(), called[positive].mean(), "o", color=PREDICTED)
    axes[2].set(title=f"ROC: AUC {auc:.3f}; the dot is the operating point")
    axes[2].set(xlabel="1 - specificity", ylabel="sensitivity")
    return figure


def plot_overlays(results: Results) -> Figure:
    """Eight films, from the best to the worst Dice: true outline green, predicted red."""
    films, predicted = results.segmentation, results.predicted
    assert films is not None and predicted is not None
    dice = np.array([row["dice"] for row in results.rows if row["task"] == "segmentation"])
    figure, axes = plt.subplots(2, 4, figsize=(12, 6.8), layout="constrained")
    places = np.linspace(0, len(dice) - 1, min(8, len(dice))).round().astype(int)
    for axis, index in zip(axes.flat, np.argsort(-dice, kind="stable")[places].tolist()):
        draw_film(axis, films.pixels[index].numpy())
        draw_outline(axis, films.masks[index].numpy(), TRUE)
        draw_outline(axis, predicted[index], PREDICTED)
        title = f"Dice {dice[index]:.3f}\n{films.names[index]}"
        axis.set_title(title, parse_math=False, fontsize=8)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure


def draw_film(axis: Axes, film: np.ndarray) -> None:
    """Show grey values (H, W) uint8 as they are: 0 is black, 255 is white."""
    axis.imshow(film, cmap="gray", vmin=0, vmax=255)


def draw_outline(axis: Axes, mask: np.ndarray, colour: str) -> None:
    """The outline of a mask (H, W) bool, if it has one."""
    if mask.any() and not mask.all():
        axis.contour(mask, levels=[0.5], colors=[colour], linewidths=1.5)


def show(alt: str, prediction: Prediction | None = None) -> None:
    """Display a prediction, else the current figure, in a notebook; elsewhere open the figure.

    `alt` describes the picture for people who cannot see it.
    """
    shell = get_ipython()
    formatter = shell.display_formatter if shell else None
    if formatter is None or "inline" not in matplotlib.get_backend():
        return plt.show()
    if prediction is None:
        content, metadata = formatter.format(plt.gcf())
    else:
        (picture := overlay(prediction)).thumbnail((900, 900))  # keeps the notebook small
        content, metadata = {"image/jpeg": b64encode(file_content(picture, "JPEG")).decode()}, {}
    content["text/plain"] = alt  # for programs that display no pictures
    metadata |= {kind: {"alt": alt} for kind in content if kind.startswith("image/")}
    display(content, metadata=metadata, raw=True)
    plt.close()
