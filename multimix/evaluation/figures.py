"""Every figure. Colours are distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

import io
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from multimix.runtime.checkpoint import one_line, whole_file

if TYPE_CHECKING:
    from multimix.evaluation.evaluator import Results
    from multimix.inference import Prediction

LUNG = "#56B4E9"
TRUE, PREDICTED = (
    "#009E73",
    "#D55E00",
)  # bluish green, and a red that is not its twin to colour-blind eyes
CURVE = "#0072B2"
SHOWN = 640  # px: longer films are reduced for the screen


def plot_prediction(prediction: Prediction) -> Figure:
    """Film, lungs and saliency side by side."""
    film, lung, saliency = reduced(prediction)
    height, width = film.shape
    figure, axes = plt.subplots(
        1, 3, figsize=(12, 0.6 + 3.65 * np.clip(height / width, 0.5, 2)), layout="constrained"
    )
    for axis in axes:
        axis.imshow(film, cmap="gray", vmin=0, vmax=255)
        axis.set_axis_off()
    axes[0].set_title(one_line(prediction.name), parse_math=False)
    draw_lungs(axes[1], lung)
    axes[1].set_title(f"Lungs: {prediction.lung_share:.0%} of the film")
    draw_saliency(axes[2], saliency)
    axes[2].set_title(f"{prediction.label}, probability {prediction.probability:.2f}")
    if prediction.warnings:
        figure.supxlabel("\n".join(prediction.warnings), fontsize=9, color="#D55E00")
    return figure


def reduced(prediction: Prediction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Film, lung probability and saliency at a size for the screen."""
    step = max(1, max(prediction.film.shape) // SHOWN)
    film = np.asarray(Image.fromarray(prediction.film).reduce(step))
    return film, prediction.mask_probability[::step, ::step], prediction.saliency[::step, ::step]


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
    with whole_file(path, durable=False) as file:
        file.write(content)
    return path


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG, to show in a widget for example; it is let go."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90, format="png")
    plt.close(figure)
    return buffer.getvalue()


VIEWS = ("overlay", "film", "mask", "saliency")


def plot_view(
    prediction: Prediction, view: str = "overlay", opacity: float = 0.35, threshold: float = 0.5
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
    axis.set_title(one_line(prediction.name), parse_math=False)
    if view == "mask":
        axis.imshow(lung > threshold, cmap="gray", vmin=0, vmax=1)
    else:
        axis.imshow(film, cmap="gray", vmin=0, vmax=255)
    if view == "overlay":
        draw_lungs(axis, lung, opacity, threshold)
    if view == "saliency":
        draw_saliency(axis, saliency, np.clip(opacity * 2, 0, 1))
    return figure


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


def plot_boxes(groups: dict[str, list[float]], title: str) -> Figure:
    """One box for each name: median, quartiles, and every film that lies far out."""
    figure, axis = plt.subplots(figsize=(8, 1.2 + 0.4 * len(groups)), layout="constrained")
    axis.boxplot(
        list(groups.values())[::-1],
        orientation="horizontal",
        widths=0.6,
        medianprops={"color": PREDICTED},
        flierprops={"marker": ".", "markeredgecolor": "grey"},
    )
    axis.set_yticks(range(1, len(groups) + 1), list(groups)[::-1])
    axis.set(title=title, xlabel="Dice")
    return figure


def plot_lines(lines: dict[str, list[tuple]], title: str, across: str, up: str) -> Figure:
    """Points joined by lines, one for each name; numbers across, or words in the order they come."""
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (name, points), style in zip(lines.items(), cycle(("-", "--", ":", "-."))):
        axis.plot(*zip(*points), style, marker=".", label=name)
    axis.set(title=title, xlabel=across, ylabel=up)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def plot_scatter(
    first: list[float], second: list[float], across: str, up: str, title: str
) -> Figure:
    """One system against another, film by film: above the diagonal the second is better."""
    figure, axis = square(title, across, up)
    low = min(*first, *second)
    axis.plot([low, 1], [low, 1], ":", color="grey")
    axis.plot(first, second, ".", color=CURVE, alpha=0.6)
    return figure
