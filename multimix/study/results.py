"""What the finished runs of a sweep found, and the tables that show it run by run, film by film."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimix.config import Config
from multimix.evaluation.metrics import check_metrics, placements
from multimix.model import CLASSES
from multimix.recipes import RECIPES, SYSTEMS
from multimix.runtime.files import read_whole_lines, write_text
from multimix.study.jobs import Job, Measured, Sources, read_measured

FILM_COLUMNS = ["domain", "task", "film", "patient", "label"]  # columns that name a film
RUN_COLUMNS = ["run", "system", "recipe", "class_labels", "masks", "seed", "side", "steps"]
COMPARED_COLUMNS = ["part", "off", "on", "metric", "verdict"]
# The others are numbers.
MORE_TEXT = ["machine", "command", "config"]
TEXT_COLUMNS = [*FILM_COLUMNS, *RUN_COLUMNS[:5], *MORE_TEXT, *COMPARED_COLUMNS]
ALL = float("inf")  # of the labels: more than any number
# What each of the paper's systems is made of; those with a plus are "U-Net + classifier" and more.
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


class Cell(NamedTuple):
    """What the runs of one cell of the table share."""

    system: str
    recipe: str
    class_labels: str
    masks: str

    def __str__(self) -> str:
        return f"{self.title} {self.class_labels}/{self.masks}"

    @property
    def label(self) -> str:
        """The system, and the recipe if it is not the paper's."""
        return self.system if self.recipe == "paper" else f"{self.system}, {self.recipe}"

    @property
    def title(self) -> str:
        """What the system is made of, and the recipe if it is not the paper's."""
        return title_of(self.label)


def title_of(label: str) -> str:
    """'MultiMix, quick' of a cell's label 'multimix, quick'."""
    system, comma, recipe = label.partition(", ")
    return SYSTEM_NAMES.get(system, system) + comma + recipe


@dataclass(frozen=True)
class RunResult:
    """What one run found.

    Attributes:
        job: what was trained.
        metrics: by domain and name.
        films: a row for each film of each domain: FILM_COLUMNS, in which 'label' is '' where masks
            are measured, and what was found for it.
    """

    job: Job
    metrics: dict[str, dict[str, float]]
    films: pd.DataFrame

    @classmethod
    def from_measured(cls, job: Job, domains: dict[str, Measured]) -> RunResult:
        """Of what was measured in each domain. ValueError where a metric is impossible."""
        metrics, rows = {}, []
        for domain, measured in domains.items():
            metrics[domain] = check_metrics(measured.metrics)
            for row in measured.films:
                names = {name: readable(row[name]) for name in ("film", "patient")}
                if "probability" in row and "raw_probability" not in row:  # of an older run
                    row = row | {f"raw_{n}": row[n] for n in ("probability", "correct")}
                rows.append({"domain": domain, "label": "", **row, **names})
        return cls(job, metrics, pd.DataFrame(rows))

    @property
    def cell(self) -> Cell:
        """The cell of the table that it belongs to."""
        return Cell(self.job.system, self.job.recipe, *self.job.budget)


def collect(jobs: Sequence[Job], out: Path) -> list[RunResult]:
    """The results of the finished runs in a folder, in the order of the table.

    They are those of the jobs, and others of as many steps and the same side.

    Errors: ValueError where a metric is impossible.
    """
    alike = {(job.config.side, job.config.steps) for job in jobs}
    found = []
    for path in out.glob("*/test.json"):
        measured = read_measured(path)
        if measured is None:
            left_out = f"{path} is damaged, so its run is left out; its sweep makes it again"
            print(f"multimix: {left_out}.", file=sys.stderr)
            continue
        job = measured.job
        results = job.results(out) if job.name == path.parent.name else None
        if results and (job.config.side, job.config.steps) in alike:
            found.append(RunResult.from_measured(job, results))
    return sorted(found, key=table_order)


def table_order(run: RunResult) -> tuple:
    """By system, recipe, labels (fewest first), seed."""
    job, config = run.job, run.job.config
    return (
        list(SYSTEMS).index(job.system),
        list(RECIPES).index(job.recipe),
        config.class_labels or ALL,
        config.masks or ALL,
        config.seed,
    )


def runs_table(found: Sequence[RunResult], out: Path) -> pd.DataFrame:
    """`runs.csv`: what each run was, every metric, the command that repeats it, its config."""
    rows = []
    for run in found:
        config = run.job.config
        values = (run.job.name, *run.cell, config.seed, config.side, config.steps)
        row: dict[str, Any] = dict(zip(RUN_COLUMNS, values))
        for domain, metrics in run.metrics.items():
            for name, value in metrics.items():
                row[f"{domain}_{name}"] = round(value, 5)
        row["command"] = readable(run.job.command(out))
        row["config"] = json.dumps(config.as_dict())
        rows.append(row)
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=RUN_COLUMNS)


def films_table(found: Sequence[RunResult]) -> pd.DataFrame:
    """`films.csv`: each film's Dice, or its raw probability of PNEUMONIA, in each run."""
    if not found:
        return pd.DataFrame(columns=FILM_COLUMNS)
    columns = {}
    for run in found:
        films = run.films.reindex(columns=[*FILM_COLUMNS, "dice", "raw_probability"])
        values = films.set_index(FILM_COLUMNS)
        # Probabilities near 1 are many: fewer places would take them for one, and move the AUC.
        either = values["dice"].round(4).fillna(values["raw_probability"].round(6))
        columns[run.job.name] = either
    table = pd.concat(columns, axis="columns", sort=False).reset_index()
    by_first_film = sorted(columns, key=lambda run: table[run].first_valid_index())
    return table[[*FILM_COLUMNS, *by_first_film]]


def readable(name: str) -> str:
    """A file name with the bytes escaped that are not UTF-8: pandas takes all such for one."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """A table as CSV."""
    write_text(path, table.to_csv(index=False, lineterminator="\r\n"))


def read_table(path: Path, needed: Sequence[str] = ()) -> pd.DataFrame:
    """A table that `write_table` wrote, or a training's log.

    Numbers of labels are text, as 'all' is among them.

    Arguments:
        path: the file; a last line that was cut short is left out.
        needed: columns that must be there and filled.

    Errors: ValueError where the file is not as it was written.
    """
    text = read_whole_lines(path).encode("utf-8", "surrogateescape")
    try:
        table = pd.read_csv(
            io.BytesIO(text),
            dtype=dict.fromkeys(TEXT_COLUMNS, str),
            keep_default_na=False,
            na_values=[""],
            index_col=False,
            encoding_errors="backslashreplace",
        )
        filled = not table[list(needed)].isna().any(axis=None)
        numbers = table.drop(columns=TEXT_COLUMNS, errors="ignore").astype(float)
    except (ValueError, KeyError, OverflowError):  # pandas' own errors are ValueErrors
        filled, numbers = False, pd.DataFrame()
    if not filled or np.isinf(numbers).any(axis=None):
        raise ValueError(
            f"{path} is not as it was written: a column or a number is missing or damaged; delete "
            "it and run the same command again."
        )
    words = numbers.columns.difference(table.select_dtypes("number").columns)
    return table.astype(dict.fromkeys(words, float))  # such as a column with the word nan


def read_results(folder: Path) -> list[RunResult]:
    """The results behind `runs.csv` and `films.csv`, as exact as these have them.

    Errors: ValueError where a table is not as it was written.
    """
    runs = read_table(folder / "runs.csv", ("run", *Cell._fields, "config"))
    films = read_table(folder / "films.csv", ("domain", "task", "film", "patient"))
    found = []
    for row in runs.to_dict("records"):
        config = Config.from_dict(json.loads(row["config"]))
        job = Job(row["system"], row["recipe"], config, Sources())
        metrics: dict[str, dict[str, float]] = {}
        for name, value in row.items():
            domain, _, metric = name.partition("_")
            if domain in ("test", "cross") and pd.notna(value):
                metrics.setdefault(domain, {})[metric] = value
        measured = films[[*FILM_COLUMNS, row["run"]]].rename(columns={row["run"]: "value"})
        found.append(RunResult(job, metrics, film_rows(measured.dropna(subset="value"))))
    return found


def film_rows(measured: pd.DataFrame) -> pd.DataFrame:
    """One run's films, from its column of `films.csv`."""
    lungs = measured[measured["task"] == "segmentation"].rename(columns={"value": "dice"})
    rows = [lungs.assign(label="")] if len(lungs) else []
    classes = measured[measured["task"] == "classification"]
    for _, films in classes.groupby("domain", sort=False):
        probability = films["value"].to_numpy()
        positive = (films["label"] == CLASSES[1]).to_numpy()
        rows.append(
            films.rename(columns={"value": "raw_probability"}).assign(
                raw_correct=(probability > 0.5) == positive,
                placement=placements(probability, positive.astype(int)),
            )
        )
    return pd.concat(rows, ignore_index=True)


def by_cell(runs: pd.DataFrame) -> dict[Cell, pd.DataFrame]:
    """The rows of `runs.csv` that differ in their seeds alone."""
    groups = runs.groupby(list(Cell._fields), sort=False)
    return {Cell(*key): rows for key, rows in groups}
