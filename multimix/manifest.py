"""Which film was used for what: written with every training, and given back to repeat it exactly."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

import torch

from multimix.data import Films, FilmSet
from multimix.layouts import read_table

COLUMNS = ("task", "film", "patient", "split", "use")


def manifest_of(films: Films, kept: dict[str, FilmSet]) -> str:
    """Which film is in which split, and which training films keep their label: `kept` holds those of each task. CSV."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for task in kept:
        part, labelled = getattr(films, task), set(kept[task].names)
        for name, patient, split, has in zip(part.names, part.patients, part.splits, part.labelled.tolist()):
            use = "labelled" if has and (split != "train" or name in labelled) else "unlabelled"
            rows.writerow((task, name, patient, split, use))
    return text.getvalue()


def apply_manifest(films: Films, path: str | os.PathLike) -> Films:
    """The films in the splits, and with the labels, that a manifest names; those that it does not name are left out.

    ValueError where the manifest is not one, or a film that it names is not there.
    """
    rows = list(read_table(Path(path), *COLUMNS))
    parts = {}
    for task in ("classification", "segmentation"):
        wanted = {row["film"]: row for row in rows if row["task"] == task}
        part = getattr(films, task)
        if not wanted or part is None:
            continue
        place = {name: i for i, name in enumerate(part.names)}
        missing = [name for name in wanted if name not in place]
        if missing:
            raise ValueError(f"{path} names {len(missing)} films that are not there, {missing[0]} first; give the same "
                             f"--{task} folders as then.")
        part = part[torch.tensor([place[name] for name in wanted])]
        use = torch.tensor([row["use"] == "labelled" for row in wanted.values()])
        parts[task] = replace(part, splits=tuple(row["split"] for row in wanted.values()), labelled=part.labelled & use)
    return replace(films, **parts)
