"""Films in a folder for each class, with splits around or inside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from multimix.data.class_names import Labels
from multimix.data.folders import (
    folded,
    split_folders,
    split_of,
    subfolders,
)
from multimix.data.found_films import Film, Reading
from multimix.data.mask_folders import films_with_masks, is_for_films
from multimix.data.patients import films_of_patients


def splits_of_classes(root: Path, labels: Labels) -> Reading:
    """Kaggle's chest_xray: class folders in split folders."""
    films: list[Film] = []
    for folder in split_folders(root):
        for film in films_of_classes(root, folder, labels):
            films.append(replace(film, split=split_of(folder.name)))
    return Reading(films)


def class_folders(root: Path, labels: Labels) -> Reading:
    """Films in a folder for each class, which may have split folders inside."""
    return Reading(films_of_classes(root, root, labels))


def films_of_classes(root: Path, folder: Path, labels: Labels) -> list[Film]:
    """The films of the class folders in `folder`; none where no class there is known.

    Those of other classes that have masks serve for lungs.
    """
    inner = subfolders(folder)
    films: list[Film] = []
    if any(folded(path.name) in labels for path in inner):
        for path in sorted(inner, key=lambda path: labels.get(folded(path.name), len(labels))):
            films += films_of_class(root, path, labels)
    return films


def films_of_class(root: Path, folder: Path, labels: Labels) -> list[Film]:
    """The films of one class folder; of another class those with masks alone."""
    label = labels.get(folded(folder.name))
    parts = split_folders(folder)
    films = []
    for part in parts or [folder]:
        split = split_of(part.name) if parts else ""
        for film in films_below_class(root, part, labels):
            if label is not None:
                films.append(replace(film, label=label, split=split))
            elif film.masks:
                films.append(replace(film, split=split, other_class=folder.name))
    return films


def films_below_class(root: Path, folder: Path, labels: Labels) -> list[Film]:
    """Films with masks, or films alone, or films in a folder for each patient."""
    films = films_with_masks(root, folder, labels)
    if films:
        return films
    inner = subfolders(folder)
    if len(inner) == 1 and (folded(inner[0].name) in labels or is_for_films(inner[0])):
        return films_below_class(root, inner[0], labels)  # a folder in one of its own name
    return films_of_patients(root, inner)
