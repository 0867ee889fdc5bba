"""The manifest: which film was used for what, written with every training, read to repeat it."""

from __future__ import annotations

import csv
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from multimix.data.film_set import SPLITS, Films, FilmSet
from multimix.runtime.files import csv_text, parse_csv, read_csv

COLUMNS = ("task", "film", "patient", "split", "use")
TASKS = ("classification", "segmentation")


def manifest_of(films: Films, labelled: dict[str, FilmSet]) -> str:
    """Each film's split and use, as CSV.

    Arguments:
        films: all of them.
        labelled: by task, the training films that keep their labels.
    """
    rows = []
    for task, kept in labelled.items():
        part, keeps_label = getattr(films, task), set(kept.names)
        columns = zip(part.names, part.patients, part.splits, part.labelled.tolist())
        for name, patient, split, has_label in columns:
            used = has_label and (split != "train" or name in keeps_label)
            use = "labelled" if used else "unlabelled"
            rows.append(dict(zip(COLUMNS, (task, name, patient, split, use))))
    return csv_text(rows)


def trained_on(manifest: str) -> set[tuple[str, str]]:
    """Task and name of every training film in a manifest; none where it cannot be read."""
    found = set()
    with suppress(csv.Error, TypeError, AttributeError):
        for row in parse_csv(manifest):
            if row.get("split") == "train":
                found.add((row.get("task", ""), row.get("film", "")))
    return found


def apply_manifest(films: Films, path: str | os.PathLike) -> Films:
    """The films that a manifest names, in its splits and with its labels.

    Of a task that it names at all, the other films are left out.

    Errors: ValueError where the file is no manifest, or a film that it names is not there.
    """
    rows = read_csv(Path(path), *COLUMNS)
    for row in rows:
        if row["task"] not in TASKS or row["split"] not in SPLITS:
            raise ValueError(
                f"{path} says task '{row['task']}', split '{row['split']}' of {row['film']}; the "
                f"task is {' or '.join(TASKS)}, the split {', '.join(SPLITS)}."
            )
    parts = {}
    for task in TASKS:
        wanted = {row["film"]: row for row in rows if row["task"] == task}
        part = getattr(films, task)
        if not wanted or part is None:
            continue
        position = {name: i for i, name in enumerate(part.names)}
        missing = [name for name in wanted if name not in position]
        if missing:
            raise ValueError(
                f"{path} names {len(missing)} films that are not there, {missing[0]} first; give "
                f"the same --{task} folders as then."
            )
        part = part[torch.tensor([position[name] for name in wanted])]
        use = torch.tensor([row["use"] == "labelled" for row in wanted.values()])
        splits = tuple(row["split"] for row in wanted.values())
        parts[task] = replace(part, splits=splits, labelled=part.labelled & use)
    return replace(films, **parts)
