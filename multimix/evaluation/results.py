"""The results of an evaluation, for the terminal, a notebook, JSON and CSV; and of subgroups."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd

from multimix.data.film_set import FilmSet
from multimix.data.tables import SYNONYMS, plain, read_table
from multimix.evaluation.metrics import DEFINITIONS, RAW, classification_metrics, intervals
from multimix.model import CLASSES
from multimix.runtime.files import write_text


class Results(dict[str, float]):
    """Metrics by name; `multimix.evaluation.metrics.DEFINITIONS` explains each.

    A network with a calibration has two sets: 'calibrated_accuracy' is that of `predict`, and
    'accuracy' that of the raw probability, which the tables show as 'raw_accuracy'.

    Attributes:
        intervals: 95%, by bootstrap over patients.
        baseline: the metrics of one guess for all films: the share of PNEUMONIA among the training
            films as probability, and their mean mask; without training films, and for the splits
            'train' and 'all', those of the measured films.
        rows: one for each film. `probability` (of PNEUMONIA) and `correct` are those of `predict`;
            `raw_probability` and `raw_correct` are without calibration.
        subgroups: the output of `multimix.evaluation.results.subgroups`, if it was used.
        notes: plain sentences: which films were measured, and what could not be measured.
        segmentation: the films with masks; `predicted`: their lungs, (N, side, side) bool.
    """

    def __init__(self) -> None:
        super().__init__()
        self.intervals: dict[str, tuple[float, float]] = {}
        self.baseline: dict[str, float] = {}
        self.rows: list[dict] = []
        self.subgroups: list[dict] = []
        self.notes: list[str] = []
        self.segmentation: FilmSet | None = None
        self.predicted: np.ndarray | None = None

    def __repr__(self) -> str:
        """A line for the head, then one for each metric: value, interval, baseline."""
        form = "{:<30}{:>9}   {:<20}{:>9}".format
        lines = [form("metric", "value", "95% interval", "baseline")]
        for name, value in self.items():
            baseline = f"{self.baseline[name]:.4f}" if name in self.baseline else ""
            interval = " to ".join(f"{end:.4f}" for end in self.intervals.get(name, ()))
            shown = f"raw_{name}" if name in RAW and "calibrated_accuracy" in self else name
            lines.append(form(shown, f"{value:.4f}", interval, baseline).rstrip())
        return "\n".join(lines)


def as_table(results: Results) -> str:
    """The notes, and the metrics with their definitions, for the terminal."""
    head, *rows = repr(results).splitlines()
    lines = [*results.notes, "", head]
    for row, name in zip(rows, results):
        lines += [row, f"    {DEFINITIONS[name]}"]
    lines += ["", "Intervals: bootstrap over patients. Baseline: more frequent class and mean mask"]
    lines += ["of the training films; without training films, of these."]
    if results.subgroups:
        forms = {"auc_interval": lambda ends: "{:.3f} to {:.3f}".format(*ends)}
        style = {"float_format": "{:.3f}".format, "na_rep": "", "index": False}
        lines += ["", pd.DataFrame(results.subgroups).to_string(formatters=forms, **style)]
    return "\n".join(lines)


def write_results(results: Results, path: Path, **more: object) -> None:
    """Write all results, and `more`, as JSON, and the rows as CSV; errors: `table_beside`."""
    found: dict[str, Mapping] = {"value": results, "interval": results.intervals}
    found |= {"baseline": results.baseline, "definition": DEFINITIONS}
    metrics = {name: {key: values.get(name) for key, values in found.items()} for name in results}
    content = {"metrics": metrics, "notes": results.notes, "subgroups": results.subgroups}
    table = table_beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(table, pd.DataFrame(results.rows).to_csv(index=False, lineterminator="\r\n"))
    write_text(path, json.dumps({**more, **content, "films": results.rows}, indent=1))


def table_beside(path: Path) -> Path:
    """The CSV file beside a .json; ValueError for another name, or files that are not its own."""
    if path.suffix != ".json":
        raise ValueError(f"{path} does not end in .json; give a name that does.")
    table = path.with_suffix(".csv")
    try:
        # A pipe would wait for somebody to write to it.
        ours = path.is_file() and {"metrics", "films"} <= json.loads(path.read_bytes()).keys()
    except (ValueError, AttributeError):
        ours = False
    for file in (path, table):
        if file.exists() and not ours:
            raise ValueError(f"{file} is not the output of an evaluation; give another name.")
    return table


def subgroups(
    rows: Sequence[Mapping], table: str | os.PathLike, columns: Sequence[str]
) -> list[dict]:
    """AUC, balanced accuracy and rates of `predict` in each group of films.

    Arguments:
        rows: of films with a class, from `evaluate` (`results.rows`).
        table: a CSV file with a column of film names; their folders do not matter.
        columns: other columns, such as 'age' and 'view'. Numbers with more than eight values are
            cut into four bands with about as many films each.

    Returns: a dict for each column and group: column, group, films, metrics, and, if there is an
        AUC, its 95% interval by bootstrap over patients.

    Errors: ValueError if no classes were measured, or the table has no such column or film.
    """
    films = [row for row in rows if row["task"] == "classification"]
    if not films:
        raise ValueError("Subgroups need measured classes; give films with classes.")
    names = [PureWindowsPath(row["film"]).name for row in films]  # folders of any system
    cells = cells_of_films(Path(table), columns, names)
    found = []
    for column in columns:
        groups = groups_of(cells[plain(column)])
        for group, members in groups.groupby(groups, sort=False):
            metrics = group_metrics([films[i] for i in members.index])
            found.append({"column": column, "group": group, **metrics})
    return found


def cells_of_films(table: Path, columns: Sequence[str], films: Sequence[str]) -> pd.DataFrame:
    """The table's row of each film, in their order; '' for films that it does not have."""
    cells = read_table(table)
    path = next((name for name in SYNONYMS["path"].split() if name in cells), "path")
    if not columns:
        raise ValueError(f"{table}: name one of its columns: {', '.join(cells)}.")
    for column in (path, *columns):
        if plain(column) not in cells:
            raise ValueError(f"{table} has no column '{column}'; it has {', '.join(cells)}.")
    cells.index = pd.Index(cells[path].map(lambda path: PureWindowsPath(path).name))
    if not cells.index.isin(films).any():
        raise ValueError(
            f"None of the {len(films)} films is in {table}; its first is "
            f"{next(iter(cells.index), 'missing')}. Give the table of these films."
        )
    one_each = cells[~cells.index.duplicated(keep="last")]
    return one_each.reindex(films, fill_value="").reset_index(drop=True)


def groups_of(cells: pd.Series) -> pd.Series:
    """Each film's group, sorted, 'not known' last: its cell's text, or a band like '40 to 55'."""
    groups = order = cells[cells != ""]
    numbers = pd.to_numeric(groups, errors="coerce").replace([np.inf, -np.inf], np.nan)
    if numbers.notna().all():
        order = numbers
        if groups.nunique() > 8:
            bands = numbers.groupby(pd.qcut(numbers, 4, labels=False, duplicates="drop"))
            groups = bands.transform(lambda band: f"{band.min():g} to {band.max():g}")
    places = order.sort_values(kind="stable").index
    return groups.reindex([*places, *cells.index.difference(places)]).fillna("not known")


def group_metrics(films: Sequence[Mapping]) -> dict:
    """The number of films and the metrics of one group."""
    labels = np.array([CLASSES.index(row["label"]) for row in films])
    probability = np.array([row["probability"] for row in films])

    def measure(index: slice | np.ndarray) -> dict[str, float]:
        values = classification_metrics(probability[index], labels[index])
        shown = ("auc", "balanced_accuracy", "sensitivity", "specificity")
        return {name: values[name] for name in shown if name in values}

    found: dict = {"films": len(films), **measure(slice(None))}
    if "auc" in found:
        found["auc_interval"] = intervals(measure, [row["patient"] for row in films])["auc"]
    return found
