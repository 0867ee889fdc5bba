"""The report of a sweep: its tables as CSV, table.md with the paper's figures, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from multimix.evaluation.film_figures import save_figure
from multimix.runtime.files import write_text
from multimix.study.figures import draw_figures
from multimix.study.jobs import Job
from multimix.study.paired_tests import comparisons_table
from multimix.study.results import (
    RunResult,
    by_cell,
    collect,
    films_table,
    read_table,
    runs_table,
    write_table,
)

PUBLISHED = Path(__file__).with_name("published.csv")  # the paper's table 2, and the supplement
# The columns of `runs.csv` that the table shows, and how its head calls them: what the share of
# each class does not move comes first.
HEADS = {
    "test_auc": "AUC",
    "test_balanced_accuracy": "balanced",
    "test_accuracy": "accuracy",
    "test_f1_normal": "F1-N",
    "test_f1_pneumonia": "F1-P",
    "test_dice": "Dice",
    "test_jaccard": "Jaccard",
    "test_ssim": "SSIM",
    "test_asd": "ASD",
    "cross_auc": "cross AUC",
    "cross_balanced_accuracy": "cross balanced",
    "cross_accuracy": "cross accuracy",
    "cross_dice": "cross Dice",
    "cross_asd": "cross ASD",
}
LOWER_IS_BETTER = ("test_asd", "cross_asd")
NOTE = (
    "A part helped or harmed where p < 0.05, adjusted for the number of lines (Benjamini and "
    "Hochberg). Differences are\nmeans over seeds. Interval and p take both for chance, the films "
    "and the trainings: seeds are the readers and patients\nthe cases of a multi-reader study "
    "(Obuchowski and Rockette, Hillis), films of the AUC counted by their placements\n(DeLong). "
    "With one seed they tell of films alone.\n"
)


def write_report(jobs: Sequence[Job], out: Path) -> tuple[str, list[Path]]:
    """Write `runs.csv`, `comparisons.csv`, `films.csv`, `table.md`, and figures as PNG.

    Arguments:
        jobs: what `sweep` was given; other finished runs in the folder that are as long, and of
            films of that size, are in the report too.
        out: the folder of the runs.

    Returns: the text of `table.md`, and the paths of the figures.

    Errors: ValueError where a metric of a run is impossible.
    """
    text = write_tables(collect(jobs, out), out)
    figures = []
    for name, figure in draw_figures(out).items():
        figures.append(save_figure(figure, out / f"{name}.png"))
    return text, figures


def write_tables(found: Sequence[RunResult], out: Path) -> str:
    """Write the three CSV files and `table.md`; its text."""
    runs, compared = runs_table(found, out), comparisons_table(found)
    write_table(runs, out / "runs.csv")
    write_table(compared, out / "comparisons.csv")
    write_table(films_table(found), out / "films.csv")
    paragraphs = [
        f"# {len(runs)} runs: {values_of(runs['side'])} px, {values_of(runs['steps'])} steps each",
        results_table(runs),
        "Means ± standard deviations over seeds; ASD in px at 256.",
        "## Which parts helped",
        verdicts_table(compared),
        NOTE,
    ]
    text = "\n\n".join(paragraphs)
    write_text(out / "table.md", text)
    return text


def values_of(column: pd.Series) -> str:
    """The different values of a column, as '1200' or '1200, 3000'."""
    return ", ".join(sorted(column.astype(str).unique()))


def published_figures() -> pd.DataFrame:
    """The paper's figures, in columns named as in `runs.csv`, by system, class labels and masks."""
    return read_table(PUBLISHED).set_index(["system", "class_labels", "masks"])


def results_table(runs: pd.DataFrame, heads: Mapping[str, str] = HEADS) -> str:
    """Markdown, of `runs.csv`: each cell's mean ± deviation over seeds, below it the paper's.

    Arguments:
        runs: the rows to show; the best mean of a column is bold.
        heads: the columns to show, and what the table calls them.
    """
    shown = [name for name in heads if name in runs and runs[name].notna().any()]
    lines = [["system", "labels / masks", "", *(heads[name] for name in shown)]]
    best = best_means(runs, shown)
    paper = published_figures()
    marked = False
    for cell, rows in by_cell(runs).items():
        ours = []
        for name in shown:
            text = spread(rows[name])
            ours.append(f"**{text}**" if text and rows[name].mean() == best[name] else text)
        title = f"{cell.title} ({cell.system})"
        lines.append([title, f"{cell.class_labels} / {cell.masks}", whose(rows), *ours])
        key = (cell.system, cell.class_labels, cell.masks)
        if cell.recipe == "paper" and key in paper.index:
            theirs = published_cells(paper.loc[key], shown)
            marked = marked or any(text.endswith("†") for text in theirs)
            if any(theirs):
                lines.append(["", "", "paper", *theirs])
    text = markdown(lines)
    if marked:
        text += "\n\n† As published; no masks can have a Jaccard above their Dice."
    return text


def best_means(runs: pd.DataFrame, shown: Sequence[str]) -> dict[str, float]:
    """The best of the cells' means, by column."""
    means = pd.DataFrame([rows[list(shown)].mean() for rows in by_cell(runs).values()])
    lower, higher = means.min(), means.max()
    return {name: (lower if name in LOWER_IS_BETTER else higher)[name] for name in shown}


def whose(rows: pd.DataFrame) -> str:
    """'ours, 5 seeds', and the machine where `runs.csv` has it."""
    count = len(rows)
    seeds = "ours, 1 seed" if count == 1 else f"ours, {count} seeds"
    machines = rows["machine"].dropna().unique() if "machine" in rows else []
    return ", ".join([seeds, *machines])


def published_cells(figures: pd.Series, shown: Sequence[str]) -> list[str]:
    """One row of the paper's figures as the table shows them, with † where they are impossible."""
    cells = []
    for name in shown:
        text = f"{figures[name]:.3f}" if pd.notna(figures.get(name)) else ""
        if name == "test_jaccard" and figures[name] > figures["test_dice"]:
            text += "†"
        cells.append(text)
    return cells


def spread(numbers: pd.Series) -> str:
    """'0.812 ± 0.010' of several numbers, '0.812' of one, '' of none."""
    numbers = numbers.dropna()
    if numbers.empty:
        return ""
    mean = f"{numbers.mean():.3f}"
    return mean if len(numbers) == 1 else f"{mean} ± {numbers.std():.3f}"


def verdicts_table(compared: pd.DataFrame) -> str:
    """Markdown, of `comparisons.csv`: whether each part of the method helped."""
    heads = ["part", "off", "on", "labels / masks", "films", "metric", "on - off"]
    lines = [[*heads, "95% interval", "p", "adjusted p", "seeds that agree", ""]]
    for row in compared.itertuples():
        lines.append(
            [
                row.part,
                row.off,
                row.on,
                f"{row.class_labels} / {row.masks}",
                row.domain,
                row.metric,
                f"{row.difference:+.4f}",
                f"{row.low:+.4f} to {row.high:+.4f}",
                f"{row.p:.2g}",
                f"{row.adjusted_p:.2g}",
                f"{row.agreeing} of {row.seeds}",
                f"**{row.verdict}**",
            ]
        )
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table, the first line of it its head."""
    rule = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
