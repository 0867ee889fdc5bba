"""Which film was used for what: written with every training, and given back to repeat it exactly."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from multimix.data.films import Films, FilmSet
from multimix.evaluation.evaluator import as_csv
from multimix.data.dataset_layouts import SPLITS, read_table

COLUMNS = ("task", "film", "patient", "split", "use")
TASKS = ("classification", "segmentation")


def manifest_of(films: Films, kept: dict[str, FilmSet]) -> str:
    """Which film is in which split, and which training films keep their label: `kept` holds those
    of each task. CSV.
    """
    rows = []
    for task in kept:
        part, labelled = getattr(films, task), set(kept[task].names)
        for name, patient, split, has in zip(
            part.names, part.patients, part.splits, part.labelled.tolist()
        ):
            use = "labelled" if has and (split != "train" or name in labelled) else "unlabelled"
            rows.append(dict(zip(COLUMNS, (task, name, patient, split, use))))
    return as_csv(rows)


def apply_manifest(films: Films, path: str | os.PathLike) -> Films:
    """The films in the splits, and with the labels, that a manifest names; those that it does not
    name are left out.

    ValueError where the manifest is not one, or a film that it names is not there.
    """
    rows = list(read_table(Path(path), *COLUMNS))
    if wrong := next(
        (row for row in rows if row["task"] not in TASKS or row["split"] not in SPLITS), None
    ):
        raise ValueError(
            f"{path} says task '{wrong['task']}', split '{wrong['split']}' of {wrong['film']}; the "
            "task "
            f"is {' or '.join(TASKS)}, the split {', '.join(SPLITS)}."
        )
    parts = {}
    for task in TASKS:
        wanted = {row["film"]: row for row in rows if row["task"] == task}
        part = getattr(films, task)
        if not wanted or part is None:
            continue
        place = {name: i for i, name in enumerate(part.names)}
        missing = [name for name in wanted if name not in place]
        if missing:
            raise ValueError(
                f"{path} names {len(missing)} films that are not there, {missing[0]} first; give "
                "the same "
                f"--{task} folders as then."
            )
        part = part[torch.tensor([place[name] for name in wanted])]
        use = torch.tensor([row["use"] == "labelled" for row in wanted.values()])
        parts[task] = replace(
            part,
            splits=tuple(row["split"] for row in wanted.values()),
            labelled=part.labelled & use,
        )
    return replace(films, **parts)
