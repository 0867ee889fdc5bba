"""Folders to sets of films: each film is read once, reduced, and given a split by patient."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import Film, Films, FilmSet, FilmStack, FoundFilms
from multimix.data.splits import split_films
from multimix.images.reading import load_image, read_mask, resize
from multimix.model import SIDES, SIDES_NAMED
from multimix.runtime.files import atomic_write, bundled

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
    parts = load_sets(class_sets, False, seed, read), load_sets(mask_sets, True, seed, read)
    found = class_sets + mask_sets
    notes = [f"{name}: {note}" for name, one in found for note in one.left_out]
    rules = [f"{name}: {one.split_rule}" for name, one in found]
    return Films(*parts, *(tuple(dict.fromkeys(text)) for text in (skipped, notes, rules)))


def find_sets(
    folders: Folders, layout: str, classes: Mapping[str, str] | None
) -> list[tuple[str, FoundFilms]]:
    """The films in each folder, with the folder's name."""
    folders = [folders] if isinstance(folders, (str, os.PathLike)) else folders
    if not isinstance(folders, Sequence | None):
        raise ValueError(f"{folders} is not a folder; give a path, or several in a list.")
    sets: dict[Path, FoundFilms] = {}
    for folder in folders or ():
        found = read_layout(folder, layout, classes, folders or ())
        place = (found.folder or Path(folder)).resolve()
        if place not in sets or any(film.masks for film in found.films):
            sets[place] = found  # the folder's films, or these with the masks of another folder
    return [(place.name if place.is_dir() else place.stem, sets[place]) for place in sets]


def load_sets(
    sets: Sequence[tuple[str, FoundFilms]], masks: bool, seed: int, read: Callable
) -> FilmSet | None:
    """The films of all folders of one task, segmentation where `masks`; None without folders."""
    films, folder_of = dict[str, Film](), dict[str, str]()
    for title, found in sets:
        for film, split in zip(found.films, split_films(found.films, seed)):
            name, patient = f"{title}/{film.name}", f"{title}/{film.patient}"
            if name in films:
                raise ValueError(f"Two films have the name {name}; rename the folder of one.")
            if masks or not film.other_class:
                film = replace(film, name=name, patient=patient, split=split)
                films[name] = film if masks else replace(film, masks=())
                folder_of[name] = str(found.folder)
    if not sets:
        return None
    if not films:
        raise ValueError(f"All films of {sets[0][0]} are of other classes; see --classes.")
    kept, pixels, lungs = read(list(films.values()))
    names, patients, splits = zip(*((film.name, film.patient, film.split) for film in kept))
    labels = torch.tensor([film.label or 0 for film in kept])
    labelled = torch.tensor([bool(f.masks) if masks else f.label is not None for f in kept])
    sources = tuple(folder_of[name] for name in names)
    return FilmSet(pixels, lungs if masks else labels, labelled, names, patients, splits, sources)


def read_films(
    films: list[Film], side: int, progress: bool, cache: Path | None, skipped: list[str] | None
) -> tuple[list[Film], FilmStack, FilmStack]:
    """Read films and masks with several threads, or map them from the cache: those that can be
    read, (N, side, side) uint8, and their lungs, (N, side, side) bool. `skipped` gets a sentence
    for each of the others; None lets the first one raise.
    """
    kept = cache_file(cache, films, side) if cache else None
    shape = (len(films) + sum(bool(film.masks) for film in films) + 1, side, side)

    def read(film: Film) -> list[np.ndarray] | str:
        try:
            image = load_image(film.source, side)
            found = [resize(image.box.of(image.grey), side)]
            if film.masks:
                found.append(read_mask(film.masks, side, image.box, image.grey.shape))
            return found
        except ValueError as error:
            if skipped is None:
                raise
            return str(error)

    if kept and kept.is_file() and kept.stat().st_size == np.prod(shape):
        stack: np.ndarray = np.memmap(kept, np.uint8, "c", shape=shape)
    else:
        with ThreadPoolExecutor() as pool:
            bar = dict(desc="reading films", total=len(films), leave=False, disable=not progress)
            found = list(tqdm(pool.map(read, films), **bar))
        faults = [one for one in found if isinstance(one, str)]
        if len(faults) == len(films):
            raise ValueError(f"None of {len(faults)} films can be read; the first: {faults[0]}")
        films = [film for film, one in zip(films, found) if not isinstance(one, str)]
        pairs = [one for one in found if not isinstance(one, str)]
        black = np.zeros((side, side), dtype=np.uint8)  # the mask of films without one
        lungs = [mask for one in pairs for mask in one[1:]]
        stack = np.stack([*(one[0] for one in pairs), *lungs, black])
        if skipped is not None:
            skipped += faults
        if kept and not faults:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(kept) as file:
                file.write(stack.data)
    masked = torch.tensor([bool(film.masks) for film in films])
    rows = torch.where(masked, masked.cumsum(0) - 1, masked.sum())
    pixels, masks = torch.from_numpy(stack).tensor_split([len(films)])
    return films, FilmStack(pixels), FilmStack(masks.view(torch.bool), rows)


def cache_file(cache: Path, films: Sequence[Film], side: int) -> Path | None:
    """The file of these films, by the path, size and time of each; None for films in memory."""
    sources = [source for film in films for source in (film.source, *film.masks)]
    paths = [source for source in sources if isinstance(source, Path) and source.is_file()]
    if len(paths) < len(sources):
        return None  # reading says what is wrong with a missing file
    facts = [(os.path.abspath(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    digest = hashlib.sha256("".join(map(repr, facts)).encode()).hexdigest()
    return cache / f"{len(films)}-films-cut-{side}-{digest[:16]}.uint8"
