"""What a training needs of its films, checked before it begins."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from multimix.config import Config
from multimix.data.film_set import Films, FilmSet
from multimix.model import CLASSES


def check_training_films(films: Films, config: Config) -> Films:
    """The films of the tasks that a system has.

    Errors: ValueError where a task has too few labels to train it, or to choose the best network:
        the splits 'train' and 'val' need films of both classes, and a mask with lung.
    """
    tasks = {"classification": config.classify, "segmentation": config.segment}
    for split in ("train", "val"):
        for task in filter(tasks.get, tasks):
            films_with_labels(getattr(films, task), task, split, config.side)
    classes = films.classification if config.classify else None
    masks = films.segmentation if config.segment else None
    return replace(films, classification=classes, segmentation=masks)


def films_with_labels(films: FilmSet | None, task: str, split: str, side: int) -> FilmSet:
    """One split. ValueError where it has too few labels for the task, or another side."""
    part = films.split(split) if films else None
    known = part.with_labels() if part else None
    labels: set[int] = set()
    if known and task == "classification":
        labels = set(known.labels.tolist())
    elif known:
        labels = {int(any(bool(mask.any()) for mask in known.masks))}
    fault = missing_labels(task, split, labels)
    if fault or not part:
        raise ValueError(f"{fault}.")
    if (own := part.pixels.shape[-1]) != side:
        raise ValueError(
            f"The films were loaded at {own} px, and the training needs {side} px: load them with "
            f"side={side}."
        )
    return part


def missing_labels(task: str, split: str, labels: Collection[int]) -> str:
    """What a split, 'train' or 'val', lacks for a task, as a sentence; '' for nothing.

    `labels` are the classes of its labelled films; of masks, 1 if any has lung, else 0.
    """
    kind = "training" if split == "train" else "validation"
    enough = "films of three patients or more" + " of each class" * (task == "classification")
    forms = f"folders {CLASSES[0]} and {CLASSES[1]}, or a table with the columns path and label"
    if task == "segmentation":
        forms = "images/ and masks/ with the same names, or a table with the column mask"
    if not labels and split == "train":
        way = f"give {forms}, or train a system without this task"
        return f"There are no labelled training films for {task}; {way}"
    if not labels:
        way = f"give {enough}, or name some of the training films val"
        return f"There are no labelled films in the split 'val' for {task}; {way}"
    lacking = [name for label, name in enumerate(CLASSES) if label not in labels]
    if task == "classification" and lacking:
        return f"Among the {kind} films there is no {lacking[0]} film; give {enough}"
    if task == "segmentation" and 1 not in labels:
        return f"No mask of the {kind} films has lung in it; repair or replace the masks"
    return ""
