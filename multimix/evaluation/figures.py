"""Figures of an evaluation. Colours are distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from multimix.evaluation.film_figures import CURVE, PREDICTED, TRUE, save_figure
from multimix.evaluation.results import Results


def save_evaluation(results: Results, out: Path) -> list[Path]:
    """Write every figure that the results allow into a folder; their paths."""
    classes = [row for row in results.rows if row["task"] == "classification"]
    lungs = [row for row in results.rows if row["task"] == "segmentation"]
    figures = {}
    if "auc" in results:
        figures["roc"] = plot_roc(classes, results["auc"], results.intervals["auc"])
    if classes:
        figures |= {"confusion": plot_confusion(classes), "reliability": plot_reliability(classes)}
    if lungs:
        figures |= {"overlays": plot_overlays(results), "areas": plot_areas(lungs)}
    out.mkdir(parents=True, exist_ok=True)
    return [save_figure(figure, out / f"{name}.png") for name, figure in figures.items()]


def column(rows: list[dict], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def square(title: str, across: str, up: str):
    """A figure with one square axis."""
    figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
    axis.set(title=title, xlabel=across, ylabel=up)
    return figure, axis


def plot_roc(rows: list[dict], auc: float, interval: tuple[float, float]) -> Figure:
    """Sensitivity against false alarms at every threshold, and where 0.5 lies."""
    figure, axis = square(
        f"ROC: AUC {auc:.3f} ({interval[0]:.3f} to {interval[1]:.3f})",
        "NORMAL films called PNEUMONIA",
        "PNEUMONIA films called so",
    )
    ill, p = column(rows, "label") == "PNEUMONIA", column(rows, "probability")
    cuts = np.concatenate([[np.inf], np.unique(p)[::-1]])
    curve = [
        np.searchsorted(np.sort(-p[who]), -cuts, side="right") / who.sum() for who in (~ill, ill)
    ]
    axis.plot(*curve, color=CURVE)
    axis.plot([0, 1], [0, 1], ":", color="grey", label="chance")
    axis.plot(
        (p[~ill] >= 0.5).mean(),
        (p[ill] >= 0.5).mean(),
        "o",
        color=PREDICTED,
        label="probability 0.5",
    )
    axis.legend(loc="lower right")
    return figure


def plot_confusion(rows: list[dict]) -> Figure:
    """How many films of each class are called what at probability 0.5."""
    figure, axis = square("Confusion at probability 0.5", "predicted class", "true class")
    names = ("NORMAL", "PNEUMONIA")
    called = np.where(column(rows, "probability") >= 0.5, *names[::-1])
    counts = np.array(
        [
            [((column(rows, "label") == is_) & (called == as_)).sum() for as_ in names]
            for is_ in names
        ]
    )
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set(xticks=(0, 1), xticklabels=names, yticks=(0, 1), yticklabels=names)
    for (i, j), share in np.ndenumerate(shares):
        axis.text(
            j,
            i,
            f"{counts[i, j]}\n{share:.0%}",
            ha="center",
            va="center",
            fontsize=14,
            color="white" if share > 0.5 else "black",
        )
    return figure


def plot_reliability(rows: list[dict], bins: int = 10) -> Figure:
    """Of the films with about a probability, how many have pneumonia: on the diagonal if
    calibrated.
    """
    figure, axis = square(
        "Reliability", "probability of PNEUMONIA", "share of PNEUMONIA among such films"
    )
    ill, p = column(rows, "label") == "PNEUMONIA", column(rows, "probability")
    place = np.minimum((p * bins).astype(int), bins - 1)
    there = np.unique(place)
    axis.plot([0, 1], [0, 1], ":", color="grey")
    count = np.array([(place == b).sum() for b in there])
    axis.plot(
        [p[place == b].mean() for b in there], [ill[place == b].mean() for b in there], color=CURVE
    )
    axis.scatter(
        [p[place == b].mean() for b in there],
        [ill[place == b].mean() for b in there],
        color=CURVE,
        s=20 + 200 * count / count.max(),
        label="area: number of films",
        alpha=0.7,
    )
    axis.legend(loc="upper left")
    return figure


def plot_areas(rows: list[dict]) -> Figure:
    """Bland and Altman: difference of the lung areas against their mean."""
    figure, axis = square(
        "Lung areas", "mean of predicted and true area, % of the film", "predicted - true, %"
    )
    area, true = column(rows, "area"), column(rows, "true_area")
    difference, spread = area - true, 1.96 * np.std(area - true, ddof=min(1, len(area) - 1))
    axis.plot((area + true) / 2, difference, ".", color=CURVE, alpha=0.6)
    for offset, style in ((0, "-"), (-spread, "--"), (spread, "--")):
        level = difference.mean() + offset
        axis.axhline(level, color=PREDICTED, linestyle=style, linewidth=1)
        axis.annotate(
            f"{level:+.2f}", (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom"
        )
    return figure


def plot_overlays(results: Results) -> Figure:
    """The films of best, median and worst Dice: true outline green, predicted red."""
    dice = np.array([row["dice"] for row in results.rows if row["task"] == "segmentation"])
    order = np.argsort(-dice, kind="stable")
    films = results.segmentation
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
    for axis, which, place in zip(
        axes, ("best", "median", "worst"), order[[0, len(order) // 2, -1]]
    ):
        axis.imshow(films.pixels[place], cmap="gray", vmin=0, vmax=255)
        for mask, colour in (
            (films.targets[place].numpy(), TRUE),
            (results.predicted[place], PREDICTED),
        ):
            if mask.any() and not mask.all():
                axis.contour(mask, levels=[0.5], colors=[colour], linewidths=1.5)
        axis.set_axis_off()
        axis.set_title(
            f"{which}: Dice {dice[place]:.3f}\n{films.names[place]}", parse_math=False, fontsize=10
        )
    figure.supxlabel("true outline green, predicted red", fontsize=10)
    return figure
