"""What a training needs of its films, asked before it begins."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from multimix.config import Config
from multimix.data.film_set import Films, FilmSet
from multimix.model import CLASSES

ENOUGH = "films of three patients or more"  # one to train, one to validate, one to test


def check_training_films(films: Films, config: Config) -> Films:
    """The films of the tasks that a system has.

    Errors: ValueError where the films of one of them cannot train it, or cannot choose the best
        network: the splits 'train' and 'val' need films of both classes, and a mask with lung.
    """
    classes = films.classification if config.classify else None
    masks = films.segmentation if config.segment else None
    for split in ("train", "val"):
        if config.classify:
            films_with_answers(classes, "classification", split, config.side)
        if config.segment:
            films_with_answers(masks, "segmentation", split, config.side)
    return replace(films, classification=classes, segmentation=masks)


def films_with_answers(films: FilmSet | None, task: str, split: str, side: int) -> FilmSet:
    """One split. ValueError where its answers are too few for the task, or it has another side."""
    part = films.split(split) if films else None
    known = part.with_labels() if part else None
    fault = missing_answers(task, split, answers_of(known) if known else ())
    if fault or not part:
        raise ValueError(f"{fault}.")
    if part.pixels.shape[-1] != side:
        raise ValueError(
            f"The films were loaded at {part.pixels.shape[-1]} px and the training wants {side} "
            f"px: load them with side={side}."
        )
    return part


def answers_of(films: FilmSet) -> set[int]:
    """Which classes labelled films have; of masks, whether any has lung: 1 or 0."""
    if films.targets.ndim == 1:
        return set(films.labels.tolist())
    return {int(any(bool(masks.any()) for masks in films.masks.split(256)))}


def missing_answers(task: str, split: str, answers: Collection[int]) -> str:
    """What a split, 'train' or 'val', lacks for a task, as a sentence; '' where nothing.

    `answers` are what `answers_of` gives for its labelled films, none where there are no such.
    """
    if not answers and split == "train":
        return (
            f"There are no labelled training films for {task}; give a folder that has them, or "
            "train a system without this task"
        )
    each = " of each class" if task == "classification" else ""
    if not answers:
        return (
            f"There are no labelled films in the split 'val' for {task}, and the best network is "
            f"chosen by them; give {ENOUGH}{each}, or some of the training films as val"
        )
    films = "training" if split == "train" else "validation"
    if task == "segmentation":
        empty = f"No mask of the {films} films has lung in it; mend or replace the masks"
        return "" if 1 in answers else empty
    for label, name in enumerate(CLASSES):
        if label not in answers:
            return (
                f"Among the {films} films there is no {name} one; films of both classes are "
                f"needed, as in {split}/{CLASSES[0]} and {split}/{CLASSES[1]}, or {ENOUGH}{each}"
            )
    return ""
