"""A sweep's tables as figures, in colours that colour-blind people can tell apart."""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from notebooks.paper_table.tables import SYSTEM_NAMES, Cell, by_cell, read_table, title_of

DOMAINS = {"test": "test film", "cross": "film from elsewhere"}
METRICS = {"auc": ("AUC", "class_labels"), "dice": ("Dice", "masks")}  # title, label budget
PANELS = {
    ("auc", "test"): "AUC",
    ("auc", "cross"): "AUC elsewhere",
    ("accuracy", "test"): "accuracy",
    ("accuracy", "cross"): "accuracy elsewhere",
    ("dice", "test"): "Dice",
    ("dice", "cross"): "Dice elsewhere",
}
VERDICTS = {"helped": ("#009E73", "^"), "harmed": ("#D55E00", "v")}  # colour and marker


def draw_figures(folder: Path) -> dict[str, Figure]:
    """Every figure that the folder's tables and its runs' logs allow, by name."""
    runs, films = read_table(folder / "runs.csv"), read_table(folder / "films.csv")
    figures: dict[str, Figure] = {}
    for domain, title in DOMAINS.items():
        lungs = films[(films["domain"] == domain) & (films["task"] == "segmentation")]
        dice = {}
        for cell, rows in by_cell(runs).items():
            dice[str(cell)] = lungs[rows["run"]].mean(axis="columns").dropna()
        dice = {name: means for name, means in dice.items() if len(means)}
        if dice:
            heading = f"Dice of each {title}, mean over seeds"
            figures[f"dice_{domain}"] = plot_boxes(dice, heading)
    for metric, (title, budget) in METRICS.items():
        if curves := budget_curves(runs, f"test_{metric}", budget):
            heading = f"Test {title} by label budget"
            words = budget.replace("_", " ")
            figures[f"budget_{metric}"] = plot_lines(curves, heading, words, title)
        logs = {}
        for cell, rows in by_cell(runs).items():
            logs[str(cell)] = mean_log(folder, rows["run"], f"val_{metric}")
        if logs := {name: log for name, log in logs.items() if len(log)}:
            heading = f"Validation {title}, mean over seeds"
            figures[f"training_{metric}"] = plot_lines(logs, heading, "step", title)
    return figures


def budget_curves(runs: pd.DataFrame, metric: str, budget: str) -> dict[str, pd.Series]:
    """A metric, mean over seeds, against the number of labels, for systems with several numbers.

    Arguments:
        runs: runs.csv.
        metric: a column of it.
        budget: 'class_labels' or 'masks'.

    Returns: a line for each system, longest first; one for each other budget, if a system has
        several of them with the same number.
    """
    cells = by_cell(runs)
    points: dict[str, dict[str, float]] = {}
    for cell, rows in cells.items():
        number = getattr(cell, budget)
        if number == "none" or metric not in rows or rows[metric].isna().all():
            continue
        numbers = [getattr(other, budget) for other in cells if other.label == cell.label]
        name = cell.label
        if len(set(numbers)) < len(numbers):
            name += f", {other_budget(cell, budget)}"
        points.setdefault(name, {})[number] = rows[metric].mean()
    lines = {name: pd.Series(line) for name, line in points.items() if len(line) > 1}
    # The longest first: matplotlib takes the order of words on the axis from it.
    return dict(sorted(lines.items(), key=lambda line: -len(line[1])))


def other_budget(cell: Cell, budget: str) -> str:
    """'50 masks' if the curve is over class labels, '100 class labels' if it is over masks."""
    if budget == "class_labels":
        return f"{cell.masks} masks"
    return f"{cell.class_labels} class labels"


def mean_log(folder: Path, runs: pd.Series, column: str) -> pd.Series:
    """A column of the runs' logs by step, mean over the runs that have it."""
    paths = [folder / run / "log.csv" for run in runs]
    logs = [read_table(path).reindex(columns=["step", column]) for path in paths if path.exists()]
    if not logs:
        return pd.Series(dtype=float)
    return pd.concat(logs).groupby("step")[column].mean().dropna()


def plot_boxes(groups: Mapping[str, pd.Series], title: str) -> Figure:
    """One box for each name: median, quartiles, and every film far outside."""
    figure, axis = plt.subplots(figsize=(8, 1.2 + 0.4 * len(groups)), layout="constrained")
    axis.boxplot(
        list(groups.values())[::-1],
        orientation="horizontal",
        widths=0.6,
        medianprops={"color": "#D55E00"},
        flierprops={"marker": ".", "markeredgecolor": "grey"},
    )
    axis.set_yticks(range(1, len(groups) + 1), list(groups)[::-1])
    axis.set(title=title, xlabel="Dice")
    return figure


def plot_verdicts(compared: pd.DataFrame, panels: Mapping[tuple[str, str], str] = PANELS) -> Figure:
    """Every comparison: a row for each part and pair of systems, a panel for metric and films.

    Arguments:
        compared: rows of comparisons.csv.
        panels: the title of each panel, by metric and domain.
    """
    measured = compared.groupby(["metric", "domain"], sort=False).groups
    panels = {panel: title for panel, title in panels.items() if panel in measured}
    keys = ["part", "off", "on", "class_labels", "masks"]
    pairs = compared[keys].drop_duplicates().itertuples(index=False, name=None)
    rows = {pair: -row for row, pair in enumerate(pairs)}
    figure, axes = plt.subplots(
        ncols=len(panels),
        sharey=True,
        squeeze=False,
        figsize=(4 + 1.6 * len(panels), 1.2 + 0.28 * len(rows)),
        layout="constrained",
    )
    for axis, (panel, title) in zip(axes.flat, panels.items()):
        axis.axvline(0, color="grey", linewidth=0.8)
        for row in compared.loc[measured[panel]].itertuples():
            colour, marker = VERDICTS.get(row.verdict, ("grey", "."))
            error = [[row.difference - row.low], [row.high - row.difference]]
            up = rows[tuple(getattr(row, key) for key in keys)]
            axis.errorbar(row.difference, up, xerr=error, color=colour, fmt=marker)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=8)
    names = []
    for part, off, _, labels, masks in rows:
        base = title_of(off)
        if base.startswith("+"):
            base = f"{SYSTEM_NAMES['umtl']} {base}"
        names.append(f"{part}, added to {base} ({labels} / {masks})")
    axes[0, 0].set_yticks(list(rows.values()), names)
    figure.supxlabel("on - off, 95% interval: ▲ helped, ▼ harmed, · not shown", fontsize=9)
    return figure


def plot_lines(lines: Mapping[str, pd.Series], title: str, across: str, up: str) -> Figure:
    """Points joined by lines, one line for each name; across are numbers, or words in order."""
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (name, line), style in zip(lines.items(), cycle(("-", "--", ":", "-."))):
        axis.plot(line.index, line, style, marker=".", label=name)
    axis.set(title=title, xlabel=across, ylabel=up)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
