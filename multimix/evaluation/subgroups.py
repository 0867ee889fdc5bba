"""How good the class is on each group of films that a table tells apart: by age, view, sex."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from multimix.data.film_table import COLUMNS
from multimix.data.tables import Table, plain, read_table
from multimix.evaluation.metrics import classification_metrics, intervals
from multimix.model import CLASSES

MOST_GROUPS = 8  # numbers of more values are cut into bands
BANDS = 4
UNKNOWN = "not known"
SHOWN = ("auc", "balanced_accuracy", "sensitivity", "specificity")


def subgroups(
    rows: Sequence[Mapping], table: str | os.PathLike, columns: Sequence[str]
) -> list[dict]:
    """AUC, balanced accuracy and rates at the calibrated 0.5 in each group of films.

    Arguments:
        rows: of films with a class, as `evaluate` gives them in `results.rows`.
        table: a CSV file with a column of film names, whose folders do not matter.
        columns: names of others, such as 'age' and 'view'. Numbers of more than eight values are
            cut into four bands of about as many films.

    Returns: a dict for each column and group: column, group, films, metrics, and the 95% interval
        of the AUC by bootstrap over patients, where there is one.

    Errors: ValueError where there are no classes, the table has no such column, or none of the
        films is in it.
    """
    films = [row for row in rows if row["task"] == "classification"]
    if not films:
        raise ValueError("Subgroups are of classes, and none were measured; give films with some.")
    cells = cells_of_films(read_table(Path(table)), columns, [row["film"] for row in films])
    found = []
    for column in columns:
        values = [row.get(plain(column), "") for row in cells]
        for group, members in groups_of(values).items():
            chosen = [films[i] for i in members]
            found.append({"column": column, "group": group, **measured(chosen)})
    return found


def cells_of_films(table: Table, columns: Sequence[str], films: Sequence[str]) -> list[dict]:
    """The table's row of each film, {} where it has none."""
    missing = [column for column in columns if plain(column) not in table.columns]
    if missing or not columns:
        asked = f"has no column '{missing[0]}'" if missing else "was given without a column"
        raise ValueError(f"{table.path} {asked}; it has {', '.join(table.columns)}.")
    path = next((name for name in COLUMNS["path"] if name in table.columns), "")
    if not path:
        raise ValueError(f"{table.path} has no column of film names; call it 'path'.")
    by_name = {file_name(row[path]): row for row in table.rows.values()}
    found = [by_name.get(file_name(film), {}) for film in films]
    if not any(found):
        raise ValueError(
            f"None of the {len(films)} films is in {table.path}, whose first is "
            f"{next(iter(by_name), 'nothing')}; give the table of these films."
        )
    return found


def file_name(path: str) -> str:
    """The last part of a path of any system."""
    return PurePosixPath(path.replace("\\", "/")).name


def groups_of(values: Sequence[str]) -> dict[str, list[int]]:
    """Places of the films of each value, or of each band of numbers; the unknown ones last."""
    known = sorted({value for value in values if value})
    numbers = {value: number for value in known if (number := as_number(value)) is not None}
    names = {value: value for value in known}
    if len(known) > MOST_GROUPS and len(numbers) == len(known):
        names = banded(numbers, [numbers[value] for value in values if value])
    groups: dict[str, list[int]] = {name: [] for name in names.values()}
    for i, value in enumerate(values):
        groups.setdefault(names.get(value, UNKNOWN), []).append(i)
    return groups


def banded(numbers: Mapping[str, float], of_films: Sequence[float]) -> dict[str, str]:
    """The band of each value, such as '40 to 55', in ascending order."""
    edges = np.quantile(of_films, np.linspace(0, 1, BANDS + 1)[1:-1])
    bands: dict[int, list[float]] = {}
    for number in sorted(numbers.values()):
        bands.setdefault(int(np.searchsorted(edges, number, side="left")), []).append(number)
    names = {}
    for value, number in sorted(numbers.items(), key=lambda pair: pair[1]):
        band = bands[int(np.searchsorted(edges, number, side="left"))]
        names[value] = f"{band[0]:g} to {band[-1]:g}"
    return names


def as_number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def measured(films: Sequence[Mapping]) -> dict:
    """Counts and metrics of one group."""
    labels = np.array([CLASSES.index(row["label"]) for row in films])
    probability = np.array([row["probability"] for row in films])
    patients = [row["patient"] for row in films]

    def measure(index: np.ndarray) -> dict[str, float]:
        values = classification_metrics(probability[index], labels[index])
        return {name: values[name] for name in SHOWN if name in values}

    found: dict = {"films": len(films), **measure(np.arange(len(films)))}
    if "auc" in found:
        found["auc_interval"] = intervals(measure, patients)["auc"]
    return found


def as_lines(groups: Sequence[Mapping]) -> list[str]:
    """The subgroups as a table for the terminal; a metric that a group cannot have is left out."""
    lines = [f"{'subgroup':<30}{'films':>7}{'AUC':>8}   {'95% interval':<18}{'balanced accuracy'}"]
    for group in groups:
        name = f"{group['column']} {group['group']}"
        auc, balanced, interval = "-", "-", ""
        if "auc" in group:
            auc, balanced = f"{group['auc']:.3f}", f"{group['balanced_accuracy']:.3f}"
            interval = "{:.3f} to {:.3f}".format(*group["auc_interval"])
        lines.append(f"{name:<30}{group['films']:>7}{auc:>8}   {interval:<18}{balanced}")
    return lines
