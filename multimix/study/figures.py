"""A sweep's tables as figures, in colours distinct to colour-blind eyes (Okabe and Ito)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from multimix.evaluation.figures import square
from multimix.evaluation.film_figures import CURVE, PREDICTED, TRUE
from multimix.study.results import SYSTEM_NAMES, Cell, by_cell, read_table, title_of

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
VERDICTS = {"helped": (TRUE, "^"), "harmed": (PREDICTED, "v")}  # colour and marker


def draw_figures(folder: Path) -> dict[str, Figure]:
    """Every figure that the folder's tables and its runs' logs allow, by name."""
    runs = read_table(folder / "runs.csv", ("run", *Cell._fields))
    films = read_table(folder / "films.csv", ("domain", "task"))
    figures: dict[str, Figure] = {}
    for domain in DOMAINS:
        figures |= draw_dice(runs, films, domain)
    for metric in METRICS:
        figures |= draw_curves(runs, folder, metric)
    if (folder / "comparisons.csv").exists():
        compared = read_table(folder / "comparisons.csv", ("metric", "domain", "part", "off"))
        if len(compared):
            figures["verdicts"] = plot_verdicts(compared)
    return figures


def draw_dice(runs: pd.DataFrame, films: pd.DataFrame, domain: str) -> dict[str, Figure]:
    """The Dice of single films: of each system, and of MultiMix against plain multi-task."""
    lungs = films[(films["domain"] == domain) & (films["task"] == "segmentation")]
    dice: dict[str, pd.Series] = {}
    fewest: dict[str, str] = {}  # by system: the cell with the fewest labels
    for cell, rows in by_cell(runs).items():
        means = lungs.reindex(columns=rows["run"]).mean(axis="columns").dropna()
        if len(means):
            dice[str(cell)] = means
            fewest.setdefault(cell.label, str(cell))
    if not dice:
        return {}
    title = f"Dice of each {DOMAINS[domain]}"
    figures = {f"dice_{domain}": plot_boxes(dice, f"{title}, mean over seeds")}
    if "umtl" in fewest and "multimix" in fewest:
        names = [fewest["umtl"], fewest["multimix"]]
        both = pd.concat([dice[name] for name in names], axis="columns", join="inner", keys=names)
        if len(both):
            pair = {name: both[name] for name in names}
            figures[f"scatter_{domain}"] = plot_scatter(pair, title)
    return figures


def draw_curves(runs: pd.DataFrame, folder: Path, metric: str) -> dict[str, Figure]:
    """A metric against the label budget, and against the step."""
    title, budget = METRICS[metric]
    figures: dict[str, Figure] = {}
    curves = budget_curves(runs, f"test_{metric}", budget)
    if curves:
        heading = f"Test {title} by label budget"
        figures[f"budget_{metric}"] = plot_lines(curves, heading, budget.replace("_", " "), title)
    logs = {}
    for cell, rows in by_cell(runs).items():
        log = mean_log(folder, rows["run"], f"val_{metric}")
        if len(log):
            logs[str(cell)] = log
    if logs:
        heading = f"Validation {title}, mean over seeds"
        figures[f"training_{metric}"] = plot_lines(logs, heading, "step", title)
    return figures


def budget_curves(runs: pd.DataFrame, metric: str, budget: str) -> dict[str, pd.Series]:
    """A metric, mean over seeds, against the number of labels, where there are several.

    Arguments:
        runs: `runs.csv`.
        metric: a column of it.
        budget: 'class_labels' or 'masks'.

    Returns: a line for each system, longest first; several, one for each other budget, where a
        system has more than one of them with the same number.
    """
    budgets: dict[str, list[str]] = {}  # of each system
    for cell in by_cell(runs):
        budgets.setdefault(cell.label, []).append(getattr(cell, budget))
    points: dict[str, dict[str, float]] = {}
    for cell, rows in by_cell(runs).items():
        number = getattr(cell, budget)
        if number == "none" or metric not in rows or rows[metric].isna().all():
            continue
        numbers = budgets[cell.label]
        name = cell.label
        if len(set(numbers)) < len(numbers):
            name += f", {other_budget(cell, budget)}"
        points.setdefault(name, {})[number] = rows[metric].mean()
    lines = {name: pd.Series(line) for name, line in points.items() if len(line) > 1}
    # Longest first, as it has the words across in their order.
    return dict(sorted(lines.items(), key=lambda line: -len(line[1])))


def other_budget(cell: Cell, budget: str) -> str:
    """'50 masks' where class labels are across, '100 class labels' where masks are."""
    return (
        f"{cell.masks} masks" if budget == "class_labels" else f"{cell.class_labels} class labels"
    )


def mean_log(folder: Path, runs: pd.Series, column: str) -> pd.Series:
    """A column of the runs' logs by step, mean over the runs that have it."""
    logs = []
    for run in runs:
        path = folder / run / "log.csv"
        if path.exists():
            log = read_table(path, ("step",))
            logs.append(log.reindex(columns=["step", column]))
    if not logs:
        return pd.Series(dtype=float)
    return pd.concat(logs).groupby("step")[column].mean().dropna()


def plot_boxes(groups: Mapping[str, pd.Series], title: str) -> Figure:
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


def plot_verdicts(compared: pd.DataFrame, panels: Mapping[tuple[str, str], str] = PANELS) -> Figure:
    """Every comparison: a row for each part and pair of systems, a panel for metric and films.

    Arguments:
        compared: lines of `comparisons.csv`.
        panels: by metric and domain, what a panel is called.
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
        beside = title_of(off)
        if beside.startswith("+"):
            beside = f"{SYSTEM_NAMES['umtl']} {beside}"
        names.append(f"{part}, beside {beside} ({labels} / {masks})")
    axes[0, 0].set_yticks(list(rows.values()), names)
    figure.supxlabel("on - off, 95% interval: ▲ helped, ▼ harmed, · not shown", fontsize=9)
    return figure


def plot_lines(lines: Mapping[str, pd.Series], title: str, across: str, up: str) -> Figure:
    """Points joined by lines, one for each name; across are numbers, or words as they come."""
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (name, line), style in zip(lines.items(), cycle(("-", "--", ":", "-."))):
        axis.plot(line.index, line, style, marker=".", label=name)
    axis.set(title=title, xlabel=across, ylabel=up)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def plot_scatter(pair: Mapping[str, pd.Series], title: str) -> Figure:
    """One system against another, film by film: above the diagonal the second is better."""
    (across, first), (up, second) = pair.items()
    figure, axis = square(title, across, up)
    low = min(first.min(), second.min())
    axis.plot([low, 1], [low, 1], ":", color="grey")
    axis.plot(first, second, ".", color=CURVE, alpha=0.6)
    return figure
