"""How good the class is in each group of films: by age, view, sex, or any column of a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd

from multimix.data.tables import COLUMNS, plain, read_table
from multimix.evaluation.metrics import classification_metrics, intervals
from multimix.model import CLASSES


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
    path = next((name for name in COLUMNS["path"].split() if name in cells), "path")
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
    """The group of each film, sorted by number or name, 'not known' last.

    The group is the cell's text, or a band such as '40 to 55'.
    """
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
