"""The tables of a sweep (runs.csv, films.csv), and what is shown of them beside the paper's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

# The parts of each of the paper's systems; a plus means "U-Net + classifier" and more.
SYSTEM_NAMES = {
    "unet": "U-Net alone",
    "enc": "classifier alone",
    "enc_ssl": "classifier + unlabelled films",
    "umtl": "U-Net + classifier",
    "umtl_s": "+ bridge",
    "umtl_ssl": "+ unlabelled films",
    "umtl_ssl_s": "+ both",
    "multimix": "MultiMix",
}
# The columns of runs.csv that the table shows, and their titles; those that do not depend on the
# share of each class come first.
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


class Cell(NamedTuple):
    """One cell of the table: its runs differ only in the seed."""

    system: str
    recipe: str
    class_labels: str
    masks: str

    def __str__(self) -> str:
        return f"{self.title} {self.class_labels}/{self.masks}"

    @property
    def label(self) -> str:
        """'multimix', or 'multimix, quick' if the recipe is not the paper's."""
        return self.system if self.recipe == "paper" else f"{self.system}, {self.recipe}"

    @property
    def title(self) -> str:
        """The parts of the system, and the recipe if it is not the paper's."""
        return title_of(self.label)


def title_of(label: str) -> str:
    """'MultiMix, quick' for a cell's label 'multimix, quick'."""
    system, comma, recipe = label.partition(", ")
    return SYSTEM_NAMES.get(system, system) + comma + recipe


def read_table(path: Path) -> pd.DataFrame:
    """A table of a sweep, or the log of a training.

    Numbers of labels are text, because 'all' is one of them.
    """
    text = dict.fromkeys(("class_labels", "masks", "film", "patient"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=["", "nan"])


def by_cell(runs: pd.DataFrame) -> dict[Cell, pd.DataFrame]:
    """The rows of runs.csv for each cell."""
    groups = runs.groupby(list(Cell._fields), sort=False)
    return {Cell(*key): rows for key, rows in groups}


def published_figures() -> pd.DataFrame:
    """The paper's figures (table 2, supplement) by system, class labels and masks.

    The columns have the names of those in runs.csv; `_hd` is a distance that the paper does not
    define.
    """
    paper = read_table(Path(__file__).with_name("published.csv"))
    return paper.set_index(["system", "class_labels", "masks"])


def results_table(runs: pd.DataFrame, heads: Mapping[str, str] = HEADS) -> str:
    """Markdown: mean ± standard deviation over seeds of each cell, and the published ones below.

    Arguments:
        runs: rows of runs.csv; the best mean of each column is bold.
        heads: the columns to show, and their titles.
    """
    shown = [name for name in heads if name in runs and runs[name].notna().any()]
    lines = [["system", "labels / masks", "", *(heads[name] for name in shown)]]
    cells, paper = by_cell(runs), published_figures()
    means = pd.DataFrame([rows[shown].mean() for rows in cells.values()])
    best = {name: means[name].min() if name.endswith("asd") else means[name].max() for name in shown}
    for cell, rows in cells.items():
        ours = []
        for name in shown:
            text = spread(rows[name])
            ours.append(f"**{text}**" if text and rows[name].mean() == best[name] else text)
        machines = rows["machine"].dropna().unique() if "machine" in rows else []
        count = "ours, 1 seed" if len(rows) == 1 else f"ours, {len(rows)} seeds"
        budget = f"{cell.class_labels} / {cell.masks}"
        lines.append([f"{cell.title} ({cell.system})", budget, ", ".join([count, *machines]), *ours])
        key = (cell.system, cell.class_labels, cell.masks)
        if cell.recipe == "paper" and key in paper.index:
            theirs = published_cells(paper.loc[key], shown)
            if any(theirs):
                lines.append(["", "", "published", *theirs])
    text = markdown(lines)
    if "†" in text:
        text += "\n\n† As published; no masks can have a Jaccard above their Dice."
    return text


def published_cells(figures: pd.Series, shown: Sequence[str]) -> list[str]:
    """One row of the paper's figures, with † after impossible ones."""
    cells = []
    for name in shown:
        text = f"{figures[name]:.3f}" if pd.notna(figures.get(name)) else ""
        if name == "test_jaccard" and figures[name] > figures["test_dice"]:
            text += "†"
        cells.append(text)
    return cells


def spread(numbers: pd.Series) -> str:
    """'0.812 ± 0.010' for several numbers, '0.812' for one, '' for none."""
    numbers = numbers.dropna()
    if numbers.empty:
        return ""
    mean = f"{numbers.mean():.3f}"
    return mean if len(numbers) == 1 else f"{mean} ± {numbers.std():.3f}"


def verdicts_table(compared: pd.DataFrame) -> str:
    """Markdown, of comparisons.csv: whether each part of the method helped."""
    heads = ["part", "off", "on", "labels / masks", "films", "metric", "on - off"]
    lines = [[*heads, "95% interval", "p", "adjusted p", "seeds that agree", ""]]
    for row in compared.itertuples():
        names = [row.part, row.off, row.on, f"{row.class_labels} / {row.masks}", row.domain]
        interval = [f"{row.difference:+.4f}", f"{row.low:+.4f} to {row.high:+.4f}"]
        p = [f"{row.p:.2g}", f"{row.adjusted_p:.2g}", f"{row.agreeing} of {row.seeds}"]
        lines.append([*names, row.metric, *interval, *p, f"**{row.verdict}**"])
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table; its first line is the head."""
    rule = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
