"""The manifest: which film was used for what; written with every training, read to repeat it."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from multimix.data.film_set import SPLITS, Films, FilmSet
from multimix.data.tables import read_table
from multimix.model import TASKS
from multimix.runtime.files import in_brief

VALUES = {"task": TASKS, "split": SPLITS, "use": ("labelled", "unlabelled")}
COLUMNS = ("task", "film", "patient", "split", "use")


def manifest_of(films: Films, labelled: dict[str, FilmSet]) -> str:
    """Each film's split and use, as CSV; `labelled` training films, by task, keep their labels."""
    parts = []
    for task, kept in labelled.items():
        part = getattr(films, task)
        table = pd.DataFrame({"film": part.names, "patient": part.patients, "split": part.splits})
        used = (table["split"] != "train") | table["film"].isin(kept.names)
        used &= part.labelled.numpy()
        parts.append(table.assign(task=task, use=used.map({True: "labelled", False: "unlabelled"})))
    return pd.concat(parts).to_csv(columns=COLUMNS, index=False, lineterminator="\r\n")


def trained_on(manifest: str) -> set[tuple[str, str]]:
    """Task and name of every training film in a manifest's text."""
    rows = csv.DictReader(io.StringIO(manifest))
    return {(row["task"], row["film"]) for row in rows if row["split"] == "train"}


def apply_manifest(films: Films, path: str | os.PathLike) -> Films:
    """The films that a manifest names, in its splits and with its labels.

    Of a task that it names at all, the other films are left out.

    Errors: ValueError where the file is not a manifest, or a film that it names is missing.
    """
    table = read_table(Path(path))
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"{path} has no column {' and no '.join(missing)}; give a manifest.csv.")
    for column, values in VALUES.items():
        for line, cell in table[column][~table[column].isin(values)].items():
            raise ValueError(
                f"{path}, line {line}: {column} '{in_brief(cell)}'; it can be {', '.join(values)}."
            )
    parts: dict[str, Any] = {}
    for task, rows in table.groupby("task"):
        part: FilmSet | None = getattr(films, task)
        if part is None:
            continue
        if not rows["film"].is_unique:
            raise ValueError(f"{path} names a film of {task} twice; give it as it was written.")
        places = pd.Index(part.names).get_indexer(rows["film"])
        if (places < 0).any():
            first = in_brief(rows["film"].iloc[places.argmin()], 60)
            raise ValueError(
                f"{path} names {(places < 0).sum()} films that are not there, {first} first; give "
                f"the same --{task} folders as then."
            )
        part = part[torch.from_numpy(places)]
        use = torch.tensor((rows["use"] == "labelled").to_numpy(dtype=bool))
        parts[task] = replace(part, splits=tuple(rows["split"]), labelled=part.labelled & use)
    return replace(films, **parts, split_rules=(f"The splits are those of {path}.",))
