"""The films of a training: whether their labels are enough, which are used, and the manifest."""

import csv
import io
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from multimix.config import Config
from multimix.data.film_set import SPLITS, Films, FilmSet
from multimix.data.tables import read_table
from multimix.model import CLASSES, TASKS
from multimix.runtime.files import in_brief

EMPTY, INVERTED = "are empty", "are lung at the film's border and black inside (inverted?)"
UNUSUAL = "fill less than 8% or more than 65% of the film"
MANIFEST = ("task", "film", "patient", "split", "use")  # its columns


def check_training_films(films: Films, config: Config) -> Films:
    """The films of a system's tasks. ValueError where they have another side, or the split
    train or val of a task lacks a class, or a mask with lung.
    """
    learnt = [task for task, on in zip(TASKS, (config.classify, config.segment)) if on]
    for split, task in product(("train", "val"), learnt):
        part: FilmSet | None = getattr(films, task)
        known, labels = part.split(split).with_labels() if part else None, set[int]()
        if known and task == "classification":
            labels = set(known.labels.tolist())
        elif known:
            labels = {int(any(mask.any() for mask in known.masks))}  # to the first lung
        if fault := missing_labels(task, split, labels):
            raise ValueError(f"{fault}.")
        if part and (own := part.pixels.shape[-1]) != config.side:
            raise ValueError(
                f"The films were loaded at {own} px, and the training needs {config.side} px: load "
                f"them with side={config.side}."
            )
    unused: dict[str, Any] = {task: None for task in TASKS if task not in learnt}
    return replace(films, **unused)


def missing_labels(task: str, split: str, labels: Collection[int]) -> str:
    """What a split, 'train' or 'val', lacks for a task, as a sentence; '' for nothing. `labels` are
    the classes of its labelled films; of masks, 1 if any has lung, else 0.
    """
    kind = "training" if split == "train" else "validation"
    lacking = [f"{name} film" for label, name in enumerate(CLASSES) if label not in labels]
    forms = f"folders {CLASSES[0]} and {CLASSES[1]}, or a table with the columns path and label"
    if task == "segmentation":
        lacking = [] if 1 in labels else ["mask with lung in it"]
        forms = "images/ and masks/ with the same names, or a table with the column mask"
    sentence = (
        f"Among the {kind} films there is no {' and no '.join(lacking)}; give {forms}, with films "
        f"of three patients or more{' of each class' * (task == 'classification')}, or train a "
        "system without this task"
    )
    return sentence if lacking else ""


def mask_fault(lungs: np.ndarray) -> str:
    """What is wrong with a mask (side, side) bool: EMPTY, INVERTED, UNUSUAL; '' if nothing is."""
    share = lungs.mean()
    if share == 0:
        return EMPTY
    if np.concatenate([lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]]).mean() > 0.5:
        return INVERTED
    return "" if 0.08 <= share <= 0.65 else UNUSUAL


def mask_faults(masks: Iterable[np.ndarray | Tensor], names: Iterable[str]) -> list[str]:
    """One sentence for each kind of fault in masks (N, side, side) bool of films of these names."""
    found = defaultdict(list)
    for lungs, name in zip(masks, names):
        found[mask_fault(np.asarray(lungs))].append(name)
    return [f"masks that {fault}: {first_few(films)}" for fault, films in found.items() if fault]


def first_few(names: Sequence[str]) -> str:
    """'7 (a; b; c; d; e; ...)': how many there are, and five of them."""
    return f"{len(names)} ({'; '.join(names[:5])}{'; ...' * (len(names) > 5)})"


def sample_budget(films: FilmSet, budget: int | None, seed: int) -> Tensor:
    """The training films that keep their labels, (budget,) int64; all where the budget is None.
    Drawn patient by patient, each class in its own share of the set, at least one of each.
    """
    usable = films.labelled.nonzero().flatten()
    if budget is None or budget == len(usable):
        return usable
    if budget > len(usable):
        raise ValueError(
            f"{budget} labelled films are needed, but there are {len(usable)} for training; lower "
            "class_labels or masks, or set them to all."
        )
    strata = films.labels[usable] if films.targets.ndim == 1 else torch.zeros_like(usable)
    kinds, sizes = strata.unique(return_counts=True)
    # Cumulative rounding: the parts add up to the budget exactly.
    ends = np.rint(np.cumsum(sizes.numpy()) * budget / len(usable)).astype(int)
    counts = np.diff(ends, prepend=0)
    for absent in np.flatnonzero(counts == 0)[: max(0, budget - 1)]:
        counts[counts.argmax()] -= 1
        counts[absent] += 1
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    for kind, count in zip(kinds, counts):
        indices = usable[strata == kind].tolist()
        patients = generator.permutation(sorted({films.patients[i] for i in indices})).tolist()
        turn = {patient: i for i, patient in enumerate(patients)}
        chosen += sorted(indices, key=lambda i: turn[films.patients[i]])[:count]
    return torch.tensor(sorted(chosen))


def manifest_of(films: Films, labelled: dict[str, FilmSet]) -> str:
    """Each film's split and use, as CSV; `labelled` training films, by task, keep their labels."""
    parts = []
    for task, kept in labelled.items():
        part = getattr(films, task)
        table = pd.DataFrame({"film": part.names, "patient": part.patients, "split": part.splits})
        use = ((table["split"] != "train") | table["film"].isin(kept.names)) & part.labelled.numpy()
        parts.append(table.assign(task=task, use=use.map({True: "labelled", False: "unlabelled"})))
    return pd.concat(parts).to_csv(columns=MANIFEST, index=False, lineterminator="\r\n")


def trained_on(manifest: str) -> set[tuple]:
    """Task and name of every training film in a manifest's text."""
    rows = csv.DictReader(io.StringIO(manifest, newline=""))
    return {(row.get("task"), row.get("film")) for row in rows if row.get("split") == "train"}


def apply_manifest(films: Films, path: str | os.PathLike) -> Films:
    """The films that a manifest names, in its splits and with its labels; all films of a task that
    it does not name. ValueError where it is no manifest, or a film that it names is missing.
    """
    table = read_table(Path(path))
    if missing := [name for name in MANIFEST if name not in table]:
        raise ValueError(f"{path} has no column {' and no '.join(missing)}; give a manifest.csv.")
    allowed = {"task": TASKS, "split": SPLITS, "use": ("labelled", "unlabelled")}
    for column, values in allowed.items():
        for line, cell in table[column][~table[column].isin(values)].items():
            raise ValueError(
                f"{path}, line {line}: {column} '{in_brief(cell)}'; it can be {', '.join(values)}."
            )
    parts: dict[str, Any] = {}
    for task, rows in table.groupby("task"):
        part: FilmSet | None = getattr(films, task)
        if part is None:
            continue
        places = pd.Index(part.names).get_indexer(rows["film"])
        if count := (places < 0).sum():
            first = in_brief(rows["film"].iloc[places.argmin()], 60)
            raise ValueError(
                f"{path} names {count} films that are not there, {first} first; give the same "
                f"--{task} folders as then."
            )
        part = part[torch.from_numpy(places)]
        use = torch.tensor((rows["use"] == "labelled").to_numpy(dtype=bool))
        parts[task] = replace(part, splits=tuple(rows["split"]), labelled=part.labelled & use)
    return replace(films, **parts, split_rules=(f"The splits are those of {path}.",))
