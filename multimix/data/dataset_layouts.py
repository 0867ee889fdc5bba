"""A folder, a table or jsrt.mat to a list of films. Nothing is decoded.

Folders are read by the rule of words (paths.py), tables by the names of their columns
(film_table.py).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from multimix.data.film_folder import FilmFolder, counted, expand, list_folder
from multimix.data.film_set import Film, FoundFilms
from multimix.data.film_table import PUBLISHED, TABLES, set_of_tables, tables_of_films
from multimix.data.mat import read_mat
from multimix.data.paths import Labels, NamedFile, films_of_paths, labels_of, root_of
from multimix.data.splits import split_rule, with_jsrt_split, with_patients
from multimix.model import CLASSES

Folders = Sequence[str | os.PathLike]
MASK_LAYOUTS = ("jsrt", "montgomery", "shenzhen", "images_and_masks")
LAYOUTS = ("mat", "chex", "classes", *PUBLISHED, "csv", *MASK_LAYOUTS, "flat")


def read_layout(
    folder: str | os.PathLike,
    layout: str = "auto",
    classes: Mapping[str, str] | None = None,
    others: Folders = (),
) -> FoundFilms:
    """List the films of a set.

    Arguments:
        folder: the set's folder, or its .csv, .tsv or .mat file.
        layout: one of `LAYOUTS`, to refuse other sets; 'auto' refuses none.
        classes: other names of classes on disk, such as {"Viral Pneumonia": "PNEUMONIA"}.
        others: where `folder` has masks only, their films are in these folders or beside it.

    Returns: the films, and what their user should know.

    Errors: ValueError says what is missing or wrong.
    """
    if layout not in ("auto", *LAYOUTS):
        known = ", ".join(LAYOUTS)
        raise ValueError(f"There is no layout '{layout}'; choose auto or one of {known}.")
    root, labels = expand(folder)[0], labels_of(classes)
    mat = root / "jsrt.mat" if root.is_dir() else root
    if mat.suffix.lower() == ".mat" and mat.is_file():
        found = FoundFilms("mat", read_mat(mat))
    elif root.is_dir():
        found = set_of_folder(root, layout, labels, others)
    elif root.suffix.lower() in TABLES:
        found = set_of_tables(root.parent, [root], labels)
    else:
        raise ValueError(
            f"{root} is not a set of films; give a folder (archives unpacked), a .csv table with "
            "the column path, or jsrt.mat."
        )
    masked = any(film.masks for film in found.films)
    more = ["classes"] * (found.layout == "chex") + ["csv"] * (found.layout in PUBLISHED)
    fits = ["flat", found.layout, *more, *(MASK_LAYOUTS if masked else ())]
    if layout not in ("auto", *fits):
        raise ValueError(f"{root} is not a set of layout {layout}; it can be {' or '.join(fits)}.")
    films = with_patients(with_jsrt_split(found.films))
    notes = (*found.left_out, *notes_of_classes(films, masked))
    films = [film for film in films if masked or not film.other_class]
    return replace(
        found,
        layout=found.layout if layout == "auto" else layout,
        films=films,
        left_out=notes,
        split_rule=split_rule(films, found.split_rule),
        folder=found.folder or root,
    )


def set_of_folder(root: Path, layout: str, labels: Labels, others: Folders) -> FoundFilms:
    """The films of a folder, by its tables where no folder names a class, else by its words."""
    contents = list_folder(root)
    if not contents.films:
        there = "; ".join(notes_of_contents(contents, []))
        raise ValueError(
            f"{root} has no films; it needs folders {CLASSES[0]} and {CLASSES[1]}, images/ with "
            "masks/, a table with the column path, or films alone, in unpacked folders"
            f"{f' (there: {there})' if there else ''}."
        )
    start = root_of(root, contents.films, labels)
    films, strays = films_of_paths(start, contents.films, labels)
    tables = tables_of_films(contents.texts)
    has_labels = any(film.label is not None for film in films)
    if tables and (layout in (*PUBLISHED, "csv") or (layout == "auto" and not has_labels)):
        folder = Path(os.path.commonpath([path.parent for path in tables]))
        found = set_of_tables(folder, tables, labels, films)
    elif strays and not films:
        return films_elsewhere(root, strays, others, labels)
    elif strays:
        more = f" (and {len(strays) - 1} more have none)" if len(strays) > 1 else ""
        raise ValueError(
            f"{strays[0].path} has no film in {root}{more}; each mask needs one film with the same "
            "file name, or that name without _mask."
        )
    else:
        tables = []
        if layout == "flat":
            films = [Film(film.source, film.name, patient=film.patient) for film in films]
        found = FoundFilms(name_of_layout(films), films)
    notes = (f"{note}." for note in notes_of_contents(contents, tables))
    return replace(found, left_out=(*found.left_out, *notes))


def name_of_layout(films: Sequence[Film]) -> str:
    """The layout of films that folders describe."""
    if any(film.label is not None for film in films):
        return "chex" if any(film.split for film in films) else "classes"
    return "images_and_masks" if any(film.masks for film in films) else "flat"


def films_elsewhere(
    root: Path, masks: Sequence[NamedFile], others: Folders, labels: Labels
) -> FoundFilms:
    """The films of masks, from the folder with most of them: of `others`, or beside the root."""
    for folders in (others, sorted(root.resolve().parent.iterdir())):
        found = [(len(masks), root, list[Film]())]
        for folder in filter(os.path.isdir, map(os.path.expanduser, folders)):
            if not os.path.samefile(folder, root):
                paths = list_folder(Path(folder)).films
                start = root_of(Path(folder), paths, labels)
                films, strays = films_of_paths(start, paths, labels, masks)
                found.append((len(set(masks) & set(strays)), Path(folder), films))
        left, path, films = min(found, key=lambda one: one[0])
        if left < len(masks):
            notes = (f"{left} masks in {root} have no film and are left out.",) * bool(left)
            return FoundFilms(name_of_layout(films), films, notes, folder=path)
    raise ValueError(
        f"{root} has masks only, first {masks[0].path}; films with the same file names are needed, "
        "in images/ beside masks/ or in another folder beside it."
    )


def notes_of_classes(films: Sequence[Film], masked: bool) -> list[str]:
    """What becomes of films of third classes, or of films without classes in several folders."""
    option = f'--classes "{CLASSES[0].lower()}=NAME,{CLASSES[1].lower()}=NAME|NAME"'
    counts = Counter(film.other_class for film in films if film.other_class)
    shown = ", ".join(f"{name[:30]} ({count})" for name, count in sorted(counts.items())[:4])
    shown += " and more" * (len(counts) > 4)
    if all(film.label is None for film in films) and not masked:
        names = sorted({Path(film.name).parent.name[:20] for film in films} - {""})
        if shown := shown or ", ".join(names[:4]) * (len(names) > 1):
            return [
                f"No class is recognised in the names {shown}: give folders {CLASSES[0]} and "
                f"{CLASSES[1]}, also inside train, val and test, or a table with the columns path "
                f"and label, or {option}."
            ]
    kept = "are used for lungs only" if masked else "are left out"
    notes = [f"Films of other classes {kept}: {shown}; to use one: {option}."]
    return notes if counts else []


def notes_of_contents(contents: FilmFolder, used: Sequence[Path]) -> list[str]:
    """What else is in a folder, and not read; documents are not worth a sentence."""
    unused = [p for p in contents.texts if p.suffix.lower() in TABLES[:2] and p not in used]
    kinds = (
        (unused, "table", "that is not read; to use one, give it instead of the folder"),
        (contents.unknown, "file", "of kinds that are not read"),
        (contents.unreadable, "folder", "without read permission"),
    )
    return [f"{counted(paths, thing)} {why}" for paths, thing, why in kinds if paths]
