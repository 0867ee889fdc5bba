"""Figures of an evaluation. Colours are distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multimix.evaluation.film_figures import CURVE, PREDICTED, TRUE, draw_film, save_figure
from multimix.evaluation.results import Results
from multimix.model import CLASSES

RELIABILITY_BINS = 10


def save_evaluation(results: Results, out: Path) -> list[Path]:
    """Write every figure that the results allow into a folder.

    Returns: the paths of the PNGs.
    """
    classes = [row for row in results.rows if row["task"] == "classification"]
    lungs = [row for row in results.rows if row["task"] == "segmentation"]
    figures = {}
    if "auc" in results:
        figures["roc"] = plot_roc(classes, results["auc"], results.intervals["auc"])
    if classes:
        figures["confusion"] = plot_confusion(classes)
        figures["reliability"] = plot_reliability(classes)
    if lungs:
        figures["overlays"] = plot_overlays(results)
        figures["areas"] = plot_areas(lungs)
    out.mkdir(parents=True, exist_ok=True)
    return [save_figure(figure, out / f"{name}.png") for name, figure in figures.items()]


def values_of(rows: list[dict], name: str) -> np.ndarray:
    """The value of each film in one column, (N,)."""
    return np.array([row[name] for row in rows])


def class_values(rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Of each film, (N,): whether it shows PNEUMONIA, and the probability of that."""
    return values_of(rows, "label") == "PNEUMONIA", values_of(rows, "probability")


def square(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, and what they measure."""
    figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
    axis.set(title=title, xlabel=across, ylabel=up)
    return figure, axis


def plot_roc(rows: list[dict], auc: float, interval: tuple[float, float]) -> Figure:
    """Sensitivity against false alarms at every threshold, and where 0.5 lies."""
    low, high = interval
    title = f"ROC: AUC {auc:.3f} ({low:.3f} to {high:.3f})"
    figure, axis = square(title, "NORMAL films called PNEUMONIA", "PNEUMONIA films called so")
    positive, probability = class_values(rows)
    thresholds = np.concatenate([[np.inf], np.unique(probability)[::-1]])
    false_alarms = shares_above(thresholds, probability[~positive])
    sensitivity = shares_above(thresholds, probability[positive])
    axis.plot(false_alarms, sensitivity, color=CURVE)
    axis.plot([0, 1], [0, 1], ":", color="grey", label="chance")
    at_half = (probability[~positive] >= 0.5).mean(), (probability[positive] >= 0.5).mean()
    axis.plot(*at_half, "o", color=PREDICTED, label="probability 0.5")
    axis.legend(loc="lower right")
    return figure


def shares_above(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The share of the values that reach each threshold, (M,) of falling thresholds (M,)."""
    reached = np.searchsorted(np.sort(-values), -thresholds, side="right")
    return reached / len(values)


def plot_confusion(rows: list[dict]) -> Figure:
    """How many films of each class are called what at probability 0.5."""
    figure, axis = square("Confusion at probability 0.5", "predicted class", "true class")
    positive, probability = class_values(rows)
    counts = np.zeros((2, 2), dtype=int)  # true class, predicted class
    np.add.at(counts, (positive.astype(int), (probability >= 0.5).astype(int)), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set(xticks=(0, 1), xticklabels=CLASSES, yticks=(0, 1), yticklabels=CLASSES)
    for (true, called), share in np.ndenumerate(shares):
        text = f"{counts[true, called]}\n{share:.0%}"
        colour = "white" if share > 0.5 else "black"
        axis.text(called, true, text, ha="center", va="center", fontsize=14, color=colour)
    return figure


def plot_reliability(rows: list[dict]) -> Figure:
    """Share of PNEUMONIA among films of about one probability: on the diagonal if calibrated."""
    figure, axis = square(
        "Reliability", "probability of PNEUMONIA", "share of PNEUMONIA among such films"
    )
    positive, probability = class_values(rows)
    bins = np.minimum((probability * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    counts, means, shares = [], [], []
    for number in np.unique(bins):
        inside = bins == number
        counts.append(inside.sum())
        means.append(probability[inside].mean())
        shares.append(positive[inside].mean())
    areas = 20 + 200 * np.array(counts) / max(counts)
    axis.plot([0, 1], [0, 1], ":", color="grey")
    axis.plot(means, shares, color=CURVE)
    axis.scatter(means, shares, color=CURVE, s=areas, label="area: number of films", alpha=0.7)
    axis.legend(loc="upper left")
    return figure


def plot_areas(rows: list[dict]) -> Figure:
    """Bland and Altman: difference of the lung areas against their mean."""
    figure, axis = square(
        "Lung areas", "mean of predicted and true area, % of the film", "predicted - true, %"
    )
    area, true_area = values_of(rows, "area"), values_of(rows, "true_area")
    difference = area - true_area
    spread = 1.96 * np.std(difference, ddof=min(1, len(area) - 1))
    axis.plot((area + true_area) / 2, difference, ".", color=CURVE, alpha=0.6)
    mean = difference.mean()
    draw_level(axis, mean, "-")
    draw_level(axis, mean - spread, "--")
    draw_level(axis, mean + spread, "--")
    return figure


def draw_level(axis: Axes, level: float, style: str) -> None:
    """A line across at one height, and its value at the right."""
    axis.axhline(level, color=PREDICTED, linestyle=style, linewidth=1)
    at_right = (1, level)
    units = ("axes fraction", "data")
    axis.annotate(f"{level:+.2f}", at_right, xycoords=units, ha="right", va="bottom")


def plot_overlays(results: Results) -> Figure:
    """The films of best, median and worst Dice: true outline green, predicted red."""
    films, predicted = results.segmentation, results.predicted
    assert films is not None and predicted is not None  # as there are rows of them
    lungs = [row for row in results.rows if row["task"] == "segmentation"]
    dice = values_of(lungs, "dice")
    order = np.argsort(-dice, kind="stable")
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
    for axis, (rank, index) in zip(axes, chosen.items()):
        draw_film(axis, films.pixels[int(index)].numpy())
        draw_outline(axis, films.masks[int(index)].numpy(), TRUE)
        draw_outline(axis, predicted[index], PREDICTED)
        axis.set_axis_off()
        title = f"{rank}: Dice {dice[index]:.3f}\n{films.names[index]}"
        axis.set_title(title, parse_math=False, fontsize=10)
    figure.supxlabel("true outline green, predicted red", fontsize=10)
    return figure


def draw_outline(axis: Axes, mask: np.ndarray, colour: str) -> None:
    """The outline of a mask (H, W) bool, if it has one."""
    if mask.any() and not mask.all():
        axis.contour(mask, levels=[0.5], colors=[colour], linewidths=1.5)


def show(alt: str) -> None:
    """Display the current figure in a notebook, and close it; elsewhere open its window.

    Arguments: alt: what the picture shows, for those who cannot see it.
    """
    shell = get_ipython()
    formatter = shell.display_formatter if shell else None
    if formatter is None or "inline" not in matplotlib.get_backend():
        return plt.show()
    content, metadata = formatter.format(plt.gcf())
    content["text/plain"] = alt  # for programs that display no pictures
    for kind in content:
        if kind.startswith("image/"):
            metadata[kind] = {"alt": alt}
    display(content, metadata=metadata, raw=True)
    plt.close()
