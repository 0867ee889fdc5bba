"""How the published sets, and anyone's own films, lie on disk: a folder to a list of films.

Nothing is decoded. A layout is recognised by what only it has, in the order of `LAYOUTS`; its name
skips the guessing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from multimix.data.class_folders import class_folders, splits_of_classes
from multimix.data.class_names import Labels, labels_of
from multimix.data.film_table import OTHER
from multimix.data.folders import holds_films, subfolders
from multimix.data.found_films import Film, FoundFilms, Reading
from multimix.data.jsrt import authors_mat, jsrt
from multimix.data.left_out import left_out_below
from multimix.data.mask_folders import (
    films_beside_masks,
    images_and_masks,
    is_for_masks,
    montgomery,
    shenzhen,
)
from multimix.data.nearest_layout import refusal
from multimix.data.patients import films_of_patients, with_patients
from multimix.data.splits import MIN_VALIDATION
from multimix.data.table_layouts import chexpert, csv_table, nih, rsna
from multimix.model import CLASSES

DEEPEST = 4  # folders around a set that are gone through, as archives have them
MOST_FOLDERS = 50  # in a folder that is gone through


@dataclass(frozen=True)
class DatasetLayout:
    """One way in which films lie on disk."""

    description: str  # what it looks like, for a person whose folder fits none
    read: Callable[[Path, Labels], Reading]  # no films where a folder is of another layout


class Match(NamedTuple):
    """A layout that fits."""

    layout: str
    reading: Reading


def read_layout(
    folder: str | os.PathLike, layout: str = "auto", classes: Mapping[str, str] | None = None
) -> FoundFilms:
    """List the films of a set.

    Arguments:
        folder: the set's folder, or its .csv, .tsv or .mat file.
        layout: one of `LAYOUTS`; 'auto' takes the first that fits.
        classes: what the classes are called there, such as {"Viral Pneumonia": "PNEUMONIA"};
            NORMAL and PNEUMONIA are known, in letters of any case.

    Returns: the films, in the order in which the layout lists them, with the layout's name, what
    below the folder is not read, and where the splits come from.

    Errors: ValueError says what does not fit.
    """
    root = Path(folder)
    if not root.exists() or not str(folder):
        raise ValueError(
            f"There is no folder {folder or 'without a name'}; give one with films in it, or "
            "phantom://400 for synthetic ones."
        )
    if root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        raise ValueError(f"{root} cannot be opened; change who may read it.")
    if layout not in ("auto", *LAYOUTS):
        raise ValueError(
            f"There is no layout '{layout}'; choose auto or one of {', '.join(LAYOUTS)}."
        )
    labels = labels_of(classes)
    match = find_layout(root, tuple(LAYOUTS) if layout == "auto" else (layout,), labels)
    if not match:
        needed = LAYOUTS[layout].description if layout != "auto" else ""
        raise ValueError(refusal(root, layout, needed))
    reading = match.reading
    masked = any(film.masks for film in reading.films)
    films = [film for film in reading.films if masked or not film.other_class]
    left_out = [*reading.notes, *notes_of_classes(reading.films, masked)]
    if root.is_dir():
        left_out += left_out_below(root, files_of(reading), labels)
    films = with_patients(films)
    return FoundFilms(match.layout, films, tuple(left_out), split_rule(films, reading.split_rule))


def find_layout(
    root: Path, names: tuple[str, ...], labels: Labels, deepest: int = DEEPEST
) -> Match | None:
    """The first layout of a folder, else of the one folder in it that has one; None if none fits.

    Errors: ValueError where several folders in it have one, or something in the only one is wrong.
    """
    telling = tuple(name for name in names if name != "flat")
    for name in telling:
        reading = LAYOUTS[name].read(root, labels)
        if reading.films:
            return Match(name, reading)
    if names == ("flat",):
        reading = flat(root, labels)
        return Match("flat", reading) if reading.films else None
    alone = Reading(films_beside_masks(root, root) if "flat" in names else [])
    inner = subfolders(root)
    matches = {}
    for folder in inner if deepest and len(inner) <= MOST_FOLDERS else ():
        match = find_layout(folder, telling, labels, deepest - 1)
        if match:
            matches[folder.name] = match
    most = max((len(match.reading.films) for match in matches.values()), default=0)
    if len(alone.films) >= max(1, most):
        return Match("flat", alone)
    if len(matches) > 1:
        raise ValueError(
            f"{root} holds several sets of films, {', '.join(sorted(matches)[:4])}; give them one "
            "by one."
        )
    if matches:
        return next(iter(matches.values()))
    filled = [folder for folder in inner if deepest and not is_for_masks(folder)]
    filled = [folder for folder in filled if holds_films(folder)]
    return find_layout(filled[0], names, labels, deepest - 1) if len(filled) == 1 else None


def flat(root: Path, labels: Labels) -> Reading:
    """Films alone, without class or mask; where it is asked for by name, at any depth."""
    return Reading(films_beside_masks(root, root) or films_of_patients(root, subfolders(root)))


def files_of(reading: Reading) -> Iterable[Path]:
    """Every file that a layout has read, or speaks of."""
    yield from reading.accounted_for
    for film in reading.films:
        for source in (film.source, *film.masks):
            if isinstance(source, Path):
                yield source


def notes_of_classes(films: list[Film], masked: bool) -> list[str]:
    """What becomes of films of other classes, in a set with masks or one without."""
    others = [film.other_class[:30] for film in films if film.other_class]
    if not others:
        return []
    names = sorted(set(others))
    hint = "" if names == [OTHER] else "; --classes can say which class is which"
    return [
        f"{len(others)} films of {', '.join(names[:4])} "
        f"{'serve for lungs alone' if masked else 'are left out'}, as they are neither "
        f"{CLASSES[0]} nor {CLASSES[1]}{hint}."
    ]


def split_rule(films: list[Film], rule: str) -> str:
    """Where the splits come from, in one or two sentences."""
    given = [film.split for film in films if film.split]
    if not given:
        return "No split is given: a tenth of the patients tests, a tenth of the others validates."
    rule = rule or "The folders' names say the splits."
    if given.count("val") < MIN_VALIDATION and set(given) != {"test"}:
        rule += (
            f" As validation has {given.count('val')} films, fewer than {MIN_VALIDATION}, a tenth "
            "of the training patients joins it."
        )
    return rule


LAYOUTS = {
    "mat": DatasetLayout(
        "jsrt.mat with x_train, y_train, x_val, y_val, x_test, y_test", authors_mat
    ),
    "chex": DatasetLayout("{train,val,test}/{NORMAL,PNEUMONIA}/*", splits_of_classes),
    "classes": DatasetLayout("{NORMAL,PNEUMONIA}/*, or a folder for each patient", class_folders),
    "nih": DatasetLayout("ChestX-ray14's Data_Entry_2017*.csv, with its films at any depth", nih),
    "rsna": DatasetLayout(
        "a table with patientId and Target, with films of those names at any depth", rsna
    ),
    "chexpert": DatasetLayout(
        "CheXpert's train.csv or valid.csv, with the folders beside it", chexpert
    ),
    "csv": DatasetLayout(
        "a .csv file with the column path, and any of label, mask, patient, split", csv_table
    ),
    "jsrt": DatasetLayout(
        "JPCLN*.IMG and JPCNN*.IMG, or pictures of these names with SCR's {left,right} lung/*",
        jsrt,
    ),
    "montgomery": DatasetLayout("CXR_png/*, ManualMask/{leftMask,rightMask}/*", montgomery),
    "shenzhen": DatasetLayout("CXR_png/*, mask/*_mask.png", shenzhen),
    "images_and_masks": DatasetLayout(
        "images/*, masks/* with the same names, also in or named after {train,val,test}",
        images_and_masks,
    ),
    "flat": DatasetLayout("films and nothing else: all unlabelled", flat),
}
