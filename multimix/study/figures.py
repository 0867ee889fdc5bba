"""Figures of a sweep. Colours are distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

from itertools import cycle

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from multimix.evaluation.figures import square
from multimix.evaluation.film_figures import CURVE, PREDICTED


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
