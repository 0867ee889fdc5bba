"""A folder, a table or jsrt.mat to a list of films; nothing is decoded."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from multimix.data.film_folder import TABLES, expand, list_folder, look_through
from multimix.data.film_set import SPLITS, Film, FoundFilms
from multimix.data.paths import Labels, NamedFile, films_of_paths, labels_of
from multimix.data.splits import with_patients, with_splits
from multimix.data.tables import PUBLISHED, set_of_tables, tables_of_films
from multimix.model import CLASSES

OtherFolders = Sequence[str | os.PathLike]
MASK_LAYOUTS = ("jsrt", "montgomery", "shenzhen", "images_and_masks")
LAYOUTS = ("mat", "chex", "classes", *PUBLISHED, "csv", *MASK_LAYOUTS, "flat")
MOST_VALUES = 2**27  # that a .mat file may unpack to


def read_layout(
    folder: str | os.PathLike,
    layout: str = "auto",
    classes: Mapping[str, str] | None = None,
    others: OtherFolders = (),
) -> FoundFilms:
    """List the films of a set: a folder (by paths.py), a table (by tables.py) or a .mat file.

    Other sets than of `layout` are refused, 'auto' refuses none; `classes` is as for `load_films`.
    Where the folder has masks only, their films are in one of the `others`.
    """
    if layout not in ("auto", *LAYOUTS):
        raise ValueError(f"There is no layout '{layout}'; choose auto, {', '.join(LAYOUTS)}.")
    root, labels = expand(folder)[0], labels_of(classes)
    mat = root / "jsrt.mat" if root.is_dir() else root
    if mat.suffix.lower() == ".mat" and mat.is_file():
        found = FoundFilms("mat", read_mat(mat))
    elif root.is_dir():
        found = set_of_folder(root, layout, labels, others)
    elif root.suffix.lower() in (*TABLES, ".txt"):
        found = set_of_tables([root], labels)
    else:
        raise ValueError(
            f"{root} is not a set of films; give a folder (archives unpacked), a .csv or jsrt.mat."
        )
    masked = any(film.masks for film in found.films)
    more = ["classes"] * (found.layout == "chex") + ["csv"] * (found.layout in PUBLISHED)
    fits = ["flat", found.layout, *more, *(MASK_LAYOUTS if masked else ())]
    if layout not in ("auto", *fits):
        raise ValueError(
            f"{root} is not a set of layout {layout}; it can be {' or '.join(dict.fromkeys(fits))}."
        )
    notes = (*found.left_out, *notes_of_classes(found.films, masked))
    films = [f for f in with_patients(found.films) if masked or not f.other_class]
    films, rule = with_splits(films, found.split_rule)
    name = found.layout if layout == "auto" else layout
    return FoundFilms(name, films, notes, rule, found.folder or root)


def set_of_folder(root: Path, layout: str, labels: Labels, others: OtherFolders) -> FoundFilms:
    """The films of a folder, by its tables where no folder names a class, else by its words."""
    contents = look_through(root, recursive=True, outputs=True)
    films, strays = films_of_paths(root, contents.films, labels)
    tables = tables_of_films(contents.tables)
    has_labels = any(film.label is not None for film in films)
    if tables and (layout in (*PUBLISHED, "csv") or (layout == "auto" and not has_labels)):
        contents.tables = [path for path in contents.tables if path not in tables]
        found = set_of_tables(tables, labels, films)
    elif strays and not films:
        return films_elsewhere(root, strays, others, labels)
    elif strays:
        raise ValueError(
            f"{strays[0].path} has no film in {root}; each mask needs one film with the same file "
            "name, or that name without _mask."
        )
    else:
        if layout == "flat":
            films = [Film(film.source, film.name, patient=film.patient) for film in films]
        found = FoundFilms(name_of_layout(films), films)
    left_out = contents.left_out()
    return replace(found, left_out=(*found.left_out, *([f"{left_out}."] if left_out else [])))


def name_of_layout(films: Sequence[Film]) -> str:
    """The layout of films that folders describe."""
    if any(film.label is not None for film in films):
        return "chex" if any(film.split for film in films) else "classes"
    return "images_and_masks" if any(film.masks for film in films) else "flat"


def films_elsewhere(
    root: Path, masks: Sequence[NamedFile], others: OtherFolders, labels: Labels
) -> FoundFilms:
    """The films of masks, from the one of the other folders that has most of them."""
    found = [(len(masks), root, list[Film]())]
    for folder in filter(Path.is_dir, (Path(other).expanduser() for other in others)):
        if not folder.samefile(root):
            films, strays = films_of_paths(folder, list_folder(folder).films, labels, masks)
            found.append((len(set(masks) & set(strays)), folder, films))
    left, path, films = min(found, key=lambda one: one[0])
    if left == len(masks):
        raise ValueError(
            f"{root} has masks only, first {masks[0].path}; films with the same file names are "
            "needed, in images/ beside masks/ or in another folder that is given with it."
        )
    notes = (f"{left} masks in {root} have no film and are left out.",) * bool(left)
    return FoundFilms(name_of_layout(films), films, notes, folder=path)


def notes_of_classes(films: Sequence[Film], masked: bool) -> list[str]:
    """What becomes of films of third classes, or of films without classes in several folders."""
    names = Counter(film.other_class for film in films if film.other_class)
    kept = "are used for lungs only" if masked else "are left out"
    if not (masked or names or any(film.label is not None for film in films)):
        names = Counter(Path(film.name).parent.name or "." for film in films)
        names, kept = names if len(names) > 1 else Counter(), "have no label"
    shown = ", ".join(f"{name[:30]} ({count})" for name, count in sorted(names.items())[:4])
    what = "whose folders name no class" if kept == "have no label" else "of other classes"
    note = (
        f"Films {what} {kept}: {shown}{' and more' * (len(names) > 4)}; to use one as "
        f'{CLASSES[0]} or {CLASSES[1]}: --classes "normal=NAME,pneumonia=NAME|NAME".'
    )
    return [note] if names else []


def read_mat(path: Path) -> list[Film]:
    """The films x_train, x_val, x_test (N, H, W, ...) of a MATLAB file, with masks y_train and so
    on, which may have a channel for each lung. ValueError where the file has something else.
    """
    import scipy.io  # slow to import

    films: list[Film] = []
    try:
        sizes = [math.prod(shape) for _, shape, _ in scipy.io.whosmat(path)]
        content = scipy.io.loadmat(path) if sum(sizes) <= MOST_VALUES else {}
        for split in SPLITS:
            arrays = [content.get(f"{name}_{split}", np.zeros((0, 1, 1))) for name in "xy"]
            if min(array.ndim for array in arrays) < 3:
                raise ValueError
            for i, (film, mask) in enumerate(zip(*arrays, strict=True)):
                lungs = mask if mask.ndim == 2 else mask.max(np.argmin(mask.shape))
                name, patient = f"{split}/{i}", f"{split}-{i}"
                films.append(Film(film.squeeze(), name, None, (lungs,), patient, split))
    except Exception:  # noqa: BLE001  (scipy raises many kinds)
        films = []
    if not films:
        raise ValueError(
            f"{path} is damaged, too large, or not a MATLAB file up to version 7 with x_train, "
            "y_train and so on, (N, H, W); save the films as pictures in images/ and masks/."
        )
    return films
