"""Folders to sets of films: read once, reduced, split by patient."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from tqdm.auto import tqdm
from typing_extensions import Unpack

from multimix.data import phantom
from multimix.data.cache import name_cache_file, read_films
from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import NO_PICTURE, Films, FilmSet, FilmStack, concatenate
from multimix.data.found_films import Film
from multimix.data.splits import split_films
from multimix.images.reading import check_mask_shapes, picture_for_network, read_mask
from multimix.model import SIDES, SIDES_NAMED

PHANTOM = "phantom://"  # phantom://400 stands for a folder of 400 synthetic films
Folders = str | os.PathLike | Sequence[str | os.PathLike]


class ReadOptions(TypedDict, total=False):
    """What else `load_films` takes."""

    classification_layout: str
    segmentation_layout: str
    classes: Mapping[str, str] | None
    cache: str | os.PathLike | None
    skip_damaged: bool


@dataclass(frozen=True)
class Reader:
    """How folders of one task are read."""

    side: int
    seed: int
    progress: bool
    cache: Path | None
    skipped: list[str] | None  # takes sentences; None where a damaged film is an error
    classes: Mapping[str, str] | None
    left_out: list[str] = field(default_factory=list)  # takes sentences
    split_rules: list[str] = field(default_factory=list)
    layout: str = "auto"
    masks: bool = False


def load_films(
    classification: Folders = (),
    segmentation: Folders = (),
    side: int = 256,
    seed: int = 0,
    progress: bool = True,
    **options: Unpack[ReadOptions],
) -> Films:
    """Read folders, one or several for each task.

    Films without a class (or mask) are unlabelled, so that any folder may serve either task. Splits
    are the set's own; a set without gives a tenth of its patients to testing, and one with fewer
    than 20 validation films a tenth of its training patients to validation.

    Arguments:
        classification: folders of films with classes, as any of
            `multimix.data.dataset_layouts.LAYOUTS` has them, or 'phantom://400': that many
            synthetic films.
        segmentation: the same with lung masks.
        side: px that films are reduced to, a multiple of 16.
        seed: draws the splits; to have those that a network was trained with, `model.seed`.
        progress: show a bar (the default).
        classification_layout, segmentation_layout: one of LAYOUTS; 'auto' recognises them.
        classes: other names of classes on disk, such as {"Viral Pneumonia": "PNEUMONIA"}.
        cache: a folder that keeps the reduced films from one run to the next; they are mapped from
            there, not read into memory.
        skip_damaged: leave out films, and masks, that cannot be read, and list them in `skipped`.

    Returns: `Films`: two sets, or None, and sentences on what was left out and on the splits.

    Errors: ValueError names the folder or file that does not fit.
    """
    check_options(side, seed, options)
    skipped: list[str] | None = [] if options.get("skip_damaged") else None
    cache = options.get("cache")
    cache_folder = Path(cache) if cache else None
    reader = Reader(side, seed, progress, cache_folder, skipped, options.get("classes"))
    for_classes = replace(reader, layout=options.get("classification_layout", "auto"))
    for_masks = replace(reader, layout=options.get("segmentation_layout", "auto"), masks=True)
    return Films(
        load_sets(classification, for_classes),
        load_sets(segmentation, for_masks),
        tuple(skipped or ()),
        tuple(dict.fromkeys(reader.left_out)),  # a folder may serve both tasks
        tuple(dict.fromkeys(reader.split_rules)),
    )


def check_options(side: int, seed: int, options: Collection[str]) -> None:
    """ValueError where films cannot be of this side, or an argument has another name."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"The seed is {seed}; 0 or a larger whole number is needed.")
    if side not in SIDES:
        raise ValueError(f"Films cannot be reduced to {side} px; {SIDES_NAMED} is needed.")
    if wrong := set(options) - ReadOptions.__annotations__.keys():
        known = ", ".join(ReadOptions.__annotations__)
        raise ValueError(f"load_films has no argument '{min(wrong)}'; it takes {known}.")


def load_sets(folders: Folders, reader: Reader) -> FilmSet | None:
    """One folder, or several, as one set; None where there is none."""
    if isinstance(folders, (str, os.PathLike)):
        folders = [folders]
    if not isinstance(folders, Sequence | None):
        raise ValueError(f"{folders} is no folder; give a path, or several in a list.")
    return concatenate([load_set(str(folder), reader) for folder in folders or ()])


def load_set(folder: str, reader: Reader) -> FilmSet:
    """One folder, for one task."""
    if folder.startswith(PHANTOM):
        return load_phantoms(folder, reader)
    listed = read_layout(folder, reader.layout, reader.classes)
    root = Path(folder).resolve()
    title = root.name if root.is_dir() else root.stem
    reader.left_out.extend(f"{title}: {sentence}" for sentence in listed.left_out)
    reader.split_rules.append(f"{title}: {listed.split_rule}")
    films = [film for film in listed.films if reader.masks or not film.other_class]
    pixels, films = read_films(
        films,
        lambda film: picture_for_network(film.source, reader.side),
        title,
        reader.progress,
        name_cache_file(reader.cache, films, f"{title}-film-{reader.side}"),
        reader.skipped,
    )
    targets: torch.Tensor | FilmStack
    if reader.masks:
        targets, labelled = load_masks(films, title, reader)
    else:
        targets = torch.tensor([film.label or 0 for film in films])
        labelled = torch.tensor([film.label is not None for film in films])
    patients = tuple(f"{title}/{film.patient}" for film in films)
    return FilmSet(
        FilmStack([torch.from_numpy(pixels)]),
        targets,
        labelled,
        tuple(f"{title}/{film.name}" for film in films),
        patients,
        split_films(films, reader.masks, reader.seed),
    )


def load_masks(films: list[Film], title: str, reader: Reader) -> tuple[FilmStack, torch.Tensor]:
    """The lungs of each film, (N, side, side) bool, and which films have any, (N,) bool."""
    with_masks = [film for film in films if film.masks]
    lungs, readable = read_films(
        with_masks,
        lambda film: mask_of(film, reader.side),
        f"{title} masks",
        reader.progress,
        name_cache_file(reader.cache, with_masks, f"{title} masks-mask-{reader.side}"),
        reader.skipped,
    )
    row_of = {film.name: row for row, film in enumerate(readable)}
    rows = torch.tensor([row_of.get(film.name, NO_PICTURE) for film in films])
    part = torch.from_numpy(np.asarray(lungs, dtype=bool))
    return FilmStack([part.reshape(-1, reader.side, reader.side)], rows), rows != NO_PICTURE


def mask_of(film: Film, side: int) -> np.ndarray:
    """A film's lungs, (side, side) bool. ValueError where the mask is not one of this film."""
    check_mask_shapes(film.source, film.masks)
    return read_mask(film.masks, side)


def load_phantoms(address: str, reader: Reader) -> FilmSet:
    """Synthetic films, NORMAL and PNEUMONIA in turn; of ten, eight are train, one val, one test."""
    count, _, start = address.removeprefix(PHANTOM).partition("+")
    numbers = [count, start or "0"]
    if not all(n.isdecimal() and len(n) <= 6 for n in numbers) or int(count) < 20:
        raise ValueError(
            f"'{address[:40]}' names no number of phantom films; write for example {PHANTOM}400 "
            f"(20 to 999999), or {PHANTOM}400+1000 to leave out the first thousand."
        )
    order, first_seed = range(int(count)), (1_000_000 if reader.masks else 0) + int(start or 0)
    with ThreadPoolExecutor() as pool:
        drawing = pool.map(lambda i: phantom.draw(first_seed + i, i % 2, reader.side), order)
        bar = dict(unit="film", disable=not reader.progress, leave=False)
        drawn = list(tqdm(drawing, "drawing phantoms", len(order), **bar))
    pixels, lungs = (torch.from_numpy(np.stack(both)) for both in zip(*drawn))
    names = tuple(f"phantom-{first_seed + i}" for i in order)
    splits = tuple({8: "val", 9: "test"}.get(i // 2 % 10, "train") for i in order)
    targets = FilmStack([lungs]) if reader.masks else torch.arange(len(order)) % 2
    labelled = torch.ones(len(order), dtype=torch.bool)
    return FilmSet(FilmStack([pixels]), targets, labelled, names, names, splits)
