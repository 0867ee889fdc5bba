"""Folders to sets of films: each film is read once, reduced, and given a split by patient."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from multimix.data.cache import name_cache_file, read_cache, write_cache
from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import NO_PICTURE, Film, Films, FilmSet, FilmStack, FoundFilms
from multimix.data.splits import split_films
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

    Every film below a folder is read; films without a class (or mask) are unlabelled. Splits are
    the set's own; a set without any gives a tenth of its patients to testing, and one with fewer
    than 20 validation films a tenth of its training patients to validation.

    Arguments:
        classification: folders, tables (.csv) or jsrt.mat with the classes of films.
        segmentation: the same with lung masks; masks and their films may be in different folders.
        side: px that films are reduced to, a multiple of 16.
        seed: draws the splits; `model.info.seed` gives those of a network's training.
        progress: show a bar.
        classification_layout, segmentation_layout: one of `dataset_layouts.LAYOUTS`, to refuse
            other sets; 'auto' refuses none.
        classes: other names of classes on disk, such as {"Viral Pneumonia": "PNEUMONIA"}.
        cache: a folder that keeps the reduced films from one run to the next; films are mapped from
            there, not read into memory.
        skip_damaged: leave out films that cannot be read, or their mask; `skipped` lists them.

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
    place, faults = Path(cache) if cache else None, skipped if skip_damaged else None
    read = partial(read_films, side=side, progress=progress, cache=place, skipped=faults)
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
        if place not in sets or any(film.masks for film in found.films):
            sets[place] = found  # the folder's films, or these with the masks of another folder
    return [(place.name if place.is_dir() else place.stem, sets[place]) for place in sets]


def load_sets(
    sets: Sequence[tuple[str, FoundFilms]], masks: bool, seed: int, read: Callable
) -> FilmSet | None:
    """The films of all folders of one task, segmentation where `masks`; None without folders."""
    films = dict[str, tuple[Film, str]]()
    for title, found in sets:
        for film, split in zip(found.films, split_films(found.films, seed)):
            name, patient = f"{title}/{film.name}", f"{title}/{film.patient}"
            if name in films:
                raise ValueError(f"Two films have the name {name}; rename a folder around one.")
            if masks or not film.other_class:
                film = replace(film, name=name, patient=patient, split=split)
                films[name] = film, str(found.folder)
    if not sets:
        return None
    if not films:
        raise ValueError(
            f"All films of {sets[0][0]} are of other classes; see the option --classes."
        )
    kept, pixels, lungs = read([film for film, _ in films.values()], masks=masks)
    labels = torch.tensor([film.label or 0 for film in kept])
    labelled = torch.tensor([film.label is not None for film in kept], dtype=torch.bool)
    names, patients, splits = zip(*((film.name, film.patient, film.split) for film in kept))
    return FilmSet(
        pixels,
        lungs if masks else labels,
        lungs.rows != NO_PICTURE if masks else labelled,
        names,
        patients,
        splits,
        tuple(films[name][1] for name in names),
    )


def read_films(
    films: list[Film],
    *,
    masks: bool,
    side: int,
    progress: bool,
    cache: Path | None,
    skipped: list[str] | None,
) -> tuple[list[Film], FilmStack, FilmStack]:
    """Read films, and their masks where `masks`, with several threads; or take them from the cache.

    `skipped` gets the sentences of films that cannot be read, or whose mask cannot; None lets the
    first raise. Returns the films that can be read, (N, side, side) uint8, (N, side, side) bool.
    """
    masked = [film for film in films if film.masks and masks]
    # The version of the preparation is in the name: films are cut to their box, masks follow.
    kept = name_cache_file(cache, films, f"films-cut{'-masks' * masks}-{side}")
    stack = read_cache(kept, len(films) + len(masked))
    if stack is None:

        def read(film: Film) -> list[np.ndarray] | str:
            try:
                return read_pair(film, side, masks)
            except ValueError as error:
                if skipped is None:
                    raise
                return str(error)

        with ThreadPoolExecutor() as pool:
            bar = dict(desc="reading films", total=len(films), leave=False, disable=not progress)
            found = list(tqdm(pool.map(read, films), **bar))
        faults = [one for one in found if isinstance(one, str)]
        if len(faults) == len(films):
            raise ValueError(f"None of {len(faults)} films can be read; the first: {faults[0]}")
        if skipped is not None:
            skipped += faults
        pairs = {f.name: one for f, one in zip(films, found) if not isinstance(one, str)}
        films, masked = ([f for f in some if f.name in pairs] for some in (films, masked))
        stack = np.stack([pairs[f.name][0] for f in films] + [pairs[f.name][1] for f in masked])
        if not faults:
            write_cache(kept, stack)
    row_of = {film.name: row for row, film in enumerate(masked)}
    rows = torch.tensor([row_of.get(film.name, NO_PICTURE) for film in films], dtype=torch.int64)
    pixels, lungs = torch.from_numpy(stack).split([len(films), len(masked)])
    return films, FilmStack(pixels), FilmStack(lungs.view(torch.bool), rows)


def read_pair(film: Film, side: int, masks: bool = True) -> list[np.ndarray]:
    """A film and, where `masks`, its lungs if it has a mask, (side, side) uint8 each: cut to the
    film's box, then reduced; lungs are 1. ValueError where one cannot be read.
    """
    image = load_image(film.source, side)
    grey, box = image.grey, image.box
    found = [resize(box.of(grey), side)]
    if masks and film.masks:
        found.append(read_mask(film.masks, side, box, grey.shape).view(np.uint8))
    return found


def mask_of(film: Film, side: int) -> np.ndarray | None:
    """A film's lungs as in training, (side, side) bool; None where it has no mask."""
    return read_pair(film, side)[1].view(bool) if film.masks else None
