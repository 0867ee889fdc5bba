"""The manifest: which film was used for what, written with every training, read to repeat it."""

from __future__ import annotations

import csv
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from multimix.data.film_set import SPLITS, Films, FilmSet
from multimix.runtime.files import csv_text, in_brief, parse_csv, read_csv

COLUMNS = ("task", "film", "patient", "split", "use")
TASKS = ("classification", "segmentation")
USES = ("labelled", "unlabelled")


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
    for line, row in enumerate(rows, start=2):
        if row["task"] not in TASKS or row["split"] not in SPLITS or row["use"] not in USES:
            raise ValueError(
                f"{path}, line {line}: task '{in_brief(row['task'])}', split "
                f"'{in_brief(row['split'])}', use '{in_brief(row['use'])}'; the task is "
                f"{' or '.join(TASKS)}, the split {', '.join(SPLITS)}, the use {' or '.join(USES)}."
            )
    parts = {}
    for task in TASKS:
        named = [row for row in rows if row["task"] == task]
        wanted = {row["film"]: row for row in named}
        part = getattr(films, task)
        if not wanted or part is None:
            continue
        position = {name: i for i, name in enumerate(part.names)}
        if len(named) > len(wanted):
            raise ValueError(f"{path} names a film of {task} twice; give it as it was written.")
        missing = [name for name in wanted if name not in position]
        if missing:
            raise ValueError(
                f"{path} names {len(missing)} films that are not there, "
                f"{in_brief(missing[0], 60)} first; give the same --{task} folders as then."
            )
        part = part[torch.tensor([position[name] for name in wanted])]
        use = torch.tensor([row["use"] == "labelled" for row in wanted.values()])
        splits = tuple(row["split"] for row in wanted.values())
        parts[task] = replace(part, splits=splits, labelled=part.labelled & use)
    return replace(films, **parts, split_rules=(f"{path} says which film is in which split.",))
