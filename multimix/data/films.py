"""Folders to sets of films: each film is read once, reduced, and given a split by patient."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from multimix.data.cache import name_cache_file, read_cache, write_cache
from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import NO_PICTURE, Films, FilmSet, FilmStack
from multimix.data.found_films import Film, FoundFilms
from multimix.data.splits import split_films
from multimix.images.preparation import film_box
from multimix.images.reading import load_image, read_mask, resize
from multimix.model import SIDES, SIDES_NAMED
from multimix.runtime.files import bundled

Folders = str | os.PathLike | Sequence[str | os.PathLike] | None


def load_films(
    classification: Folders = None,
    segmentation: Folders = None,
    side: int = 256,
    seed: int = 0,
    progress: bool = True,
    *,
    classification_layout: str = "auto",
    segmentation_layout: str = "auto",
    classes: Mapping[str, str] | None = None,
    cache: str | os.PathLike | None = None,
    skip_damaged: bool = False,
) -> Films:
    """Read folders of films, one or several for each task; without any, the bundled small set.

    Every film below a folder is read. Films without a class (or mask) are unlabelled, so any folder
    can serve either task. Splits are the set's own; a set without any gives a tenth of its patients
    to testing, and one with fewer than 20 validation films a tenth of its training patients to
    validation.

    Arguments:
        classification: folders, tables (.csv) or jsrt.mat with the classes of films.
        segmentation: the same with lung masks; masks and their films may be in different folders.
        side: px that films are reduced to, a multiple of 16.
        seed: draws the splits; `model.info.seed` gives those of a network's training.
        progress: show a bar.
        classification_layout, segmentation_layout: one of `dataset_layouts.LAYOUTS`, to require
            what it has; 'auto' requires nothing.
        classes: other names of classes on disk, such as {"Viral Pneumonia": "PNEUMONIA"}.
        cache: a folder that keeps the reduced films from one run to the next; films are mapped from
            there, not read into memory.
        skip_damaged: leave out films and masks that cannot be read, and list them in `skipped`.

    Returns: `Films`: a set for each task, or None, and sentences on what was left out.

    Errors: ValueError names the folder or file that is wrong.
    """
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"The seed is {seed}; 0 or a larger whole number is needed.")
    if side not in SIDES:
        raise ValueError(f"Films cannot be reduced to {side} px; {SIDES_NAMED} is needed.")
    if not classification and not segmentation:
        classification = segmentation = bundled("sample_data") / "small"
    skipped: list[str] = []
    read = partial(
        read_films,
        side=side,
        progress=progress,
        cache=Path(cache) if cache else None,
        skipped=skipped if skip_damaged else None,
    )
    class_sets = find_sets(classification, classification_layout, classes)
    mask_sets = find_sets(segmentation, segmentation_layout, classes)
    found = class_sets + mask_sets
    notes = [f"{name}: {note}" for name, one in found for note in one.left_out]
    rules = [f"{name}: {one.split_rule}" for name, one in found]
    parts = load_sets(class_sets, False, seed, read), load_sets(mask_sets, True, seed, read)
    return Films(*parts, *(tuple(dict.fromkeys(text)) for text in (skipped, notes, rules)))


def find_sets(
    folders: Folders, layout: str, classes: Mapping[str, str] | None
) -> list[tuple[str, FoundFilms]]:
    """The films in each folder, with the folder's name."""
    if isinstance(folders, (str, os.PathLike)):
        folders = [folders]
    if not isinstance(folders, Sequence | None):
        raise ValueError(f"{folders} is not a folder; give a path, or several in a list.")
    sets: dict[Path, FoundFilms] = {}
    for folder in folders or ():
        found = read_layout(folder, layout, classes, others=folders or ())
        place = (found.folder or Path(folder)).resolve()
        if not (place in sets and any(film.masks for film in sets[place].films)):
            sets[place] = found
    return [(place.name if place.is_dir() else place.stem, sets[place]) for place in sets]


def load_sets(
    sets: Sequence[tuple[str, FoundFilms]], masks: bool, seed: int, read: partial
) -> FilmSet | None:
    """The films of all folders of one task, segmentation where `masks`; None without folders."""
    if not sets:
        return None
    films, folders = [], {}
    for title, found in sets:
        for film, split in zip(found.films, split_films(found.films, seed)):
            if masks or not film.other_class:
                name, patient = f"{title}/{film.name}", f"{title}/{film.patient}"
                if name in folders:
                    raise ValueError(
                        f"Two films have the name {name}; leave one out, or rename its folder."
                    )
                folders[name] = str(found.folder)
                films.append(replace(film, name=name, patient=patient, split=split))
    films, pixels, lungs = read(films, masks=masks)
    labels = torch.tensor([film.label or 0 for film in films])
    labelled = torch.tensor([film.label is not None for film in films], dtype=torch.bool)
    return FilmSet(
        pixels,
        lungs if masks else labels,
        lungs.rows != NO_PICTURE if masks else labelled,
        tuple(film.name for film in films),
        tuple(film.patient for film in films),
        tuple(film.split for film in films),
        tuple(folders[film.name] for film in films),
        "" if masks else " ".join(filter(None, (found.unrecognised for _, found in sets))),
    )


def read_films(
    films: Sequence[Film],
    *,
    masks: bool,
    side: int,
    progress: bool,
    cache: Path | None,
    skipped: list[str] | None,
) -> tuple[list[Film], FilmStack, FilmStack]:
    """Read films, and their masks where `masks`, with several threads; or take them from the cache.

    `skipped` gets the sentences of films and masks that cannot be read; None lets the first raise.

    Returns: the films that can be read, (N, side, side) uint8, and (N, side, side) bool.
    """
    films = list(films)
    masked = [film for film in films if film.masks and masks]
    # The version of the preparation is in the names: films are cut to their box.
    film_cache = name_cache_file(cache, films, f"films-cut-{side}")
    mask_cache = name_cache_file(cache, masked, f"masks-cut-{side}")
    pixels = read_cache(film_cache, len(films))
    lungs = read_cache(mask_cache, len(masked)) if masked else np.zeros((0, side, side), bool)
    if pixels is None or lungs is None:
        read = partial(read_pair, side=side, masks=masks, strict=skipped is None)
        with ThreadPoolExecutor() as pool:
            bar = dict(desc="reading films", total=len(films), leave=False, disable=not progress)
            pairs = list(tqdm(pool.map(read, films), **bar))
        faults = [fault for *_, fault in pairs if fault]
        if skipped is not None:
            skipped += faults
        masked = [film for film, pair in zip(films, pairs) if pair[1] is not None]
        films = [film for film, pair in zip(films, pairs) if pair[0] is not None]
        if faults and not films:
            raise ValueError(f"None of {len(faults)} films can be read; the first: {faults[0]}")
        empty = [np.zeros((0, side, side))]
        pictures = ([pair[i][None] for pair in pairs if pair[i] is not None] for i in (0, 1))
        ours, theirs = (np.concatenate(found or empty) for found in pictures)
        pixels, lungs = ours.astype(np.uint8, copy=False), theirs.astype(bool, copy=False)
        if not faults:
            write_cache(film_cache, pixels)
            write_cache(mask_cache, lungs)
    row_of = {film.name: row for row, film in enumerate(masked)}
    rows = torch.tensor([row_of.get(film.name, NO_PICTURE) for film in films], dtype=torch.int64)
    return films, FilmStack(torch.from_numpy(pixels)), FilmStack(torch.from_numpy(lungs), rows)


def read_pair(
    film: Film, side: int, masks: bool = True, strict: bool = True
) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """Read a film, and its masks where `masks`: both are cut to the film's box, then reduced.

    Returns: (side, side) uint8; (side, side) bool; and, unless `strict` raises it as a ValueError,
        what is wrong with one of them.
    """
    pixels = None
    try:
        grey = load_image(film.source, side).grey
        box = film_box(grey)
        pixels = resize(box.of(grey), side)
        if not (masks and film.masks):
            return pixels, None, ""
        return pixels, read_mask(film.masks, side, box, grey.shape), ""
    except ValueError as error:
        if strict:
            raise
        return pixels, None, str(error)


def mask_of(film: Film, side: int) -> np.ndarray | None:
    """A film's lungs as in training, (side, side) bool; None where it has no mask."""
    return read_pair(film, side)[1]
