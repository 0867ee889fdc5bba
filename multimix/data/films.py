"""Sets of films in memory: read once, split by patient."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from multimix.data import phantom
from multimix.runtime.checkpoint import whole_file
from multimix.images.reading import check_mask_shapes, picture_for_network, read_mask
from multimix.data.dataset_layouts import SPLITS, Film, read_layout
from multimix.model import SIDES, SIDES_NAMED

MIN_VALIDATION = (
    20  # films; a smaller validation folder (Kaggle's has 16) is filled up from the training films
)
PHANTOM = "phantom://"  # phantom://400 stands for a folder of 400 synthetic films


@dataclass(frozen=True)
class FilmSet:
    """N films of one task in memory, reduced to `side` pixels."""

    pixels: Tensor  # (N, side, side) uint8
    targets: Tensor  # (N,) int64 classes, or (N, side, side) bool masks
    labelled: Tensor  # (N,) bool: has a target
    names: tuple[str, ...]
    patients: tuple[str, ...]
    splits: tuple[str, ...]  # each one of SPLITS

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Tensor) -> FilmSet:
        """The films at these places, (M,) int64."""
        texts = (
            tuple(column[i] for i in index.tolist())
            for column in (self.names, self.patients, self.splits)
        )
        return FilmSet(self.pixels[index], self.targets[index], self.labelled[index], *texts)

    def split(self, name: str) -> FilmSet:
        """The films of one split, or of 'all'."""
        return (
            self
            if name == "all"
            else self[torch.tensor([s == name for s in self.splits]).nonzero().flatten()]
        )

    def counts(self) -> str:
        """'4700 train, 532 val, 624 test'"""
        return ", ".join(f"{self.splits.count(name)} {name}" for name in SPLITS)


@dataclass(frozen=True)
class Films:
    """What one training or evaluation is given: films with classes, films with masks, or both."""

    classification: FilmSet | None = None
    segmentation: FilmSet | None = None
    skipped: tuple[str, ...] = ()  # why a film that could not be read is not among them


def load_films(
    classification: str | os.PathLike | Sequence = (),
    segmentation: str | os.PathLike | Sequence = (),
    side: int = 256,
    seed: int = 0,
    progress: bool = True,
    *,
    classification_layout: str = "auto",
    segmentation_layout: str = "auto",
    cache: str | os.PathLike | None = None,
    skip_damaged: bool = False,
) -> Films:
    """Read folders, one or several for each task, into memory.

    A folder may lie as any of `multimix.data.dataset_layouts.LAYOUTS` says, recognised unless a layout is named,
    or be 'phantom://400': that many synthetic films. Films without a class (or mask) are
    unlabelled, so that any folder may serve either task. Splits are the set's own; a set without
    gives a tenth of its patients, drawn with `seed`, to testing, and one with fewer than 20
    validation films a tenth of its training patients to validation. `cache` is a folder that keeps
    the reduced films from one run to the next. `side` is what films are reduced to, in px, and
    `progress` shows a bar. To have the split that a network was trained with, give
    `seed=model.seed`. ValueError names the folder or file that does not fit; with `skip_damaged`
    unreadable films, and masks, are left out instead and listed in `skipped`.
    """
    if side not in SIDES:
        raise ValueError(f"Films cannot be reduced to {side} px; {SIDES_NAMED} is needed.")
    skipped: list[str] = []

    def join(folders, layout: str, masks: bool) -> FilmSet | None:
        folders = [folders] if isinstance(folders, (str, os.PathLike)) else folders
        read = partial(
            load_set,
            masks=masks,
            side=side,
            seed=seed,
            progress=progress,
            layout=layout,
            cache=Path(cache) if cache else None,
            skipped=skipped if skip_damaged else None,
        )
        return concatenate([read(str(folder)) for folder in folders])

    return Films(
        join(classification, classification_layout, False),
        join(segmentation, segmentation_layout, True),
        tuple(skipped),
    )


def concatenate(sets: list[FilmSet]) -> FilmSet | None:
    """One set of several; None of none."""
    if not sets:
        return None
    tensors = (
        torch.cat([getattr(s, name) for s in sets]) for name in ("pixels", "targets", "labelled")
    )
    texts = (sum((getattr(s, name) for s in sets), ()) for name in ("names", "patients", "splits"))
    found = FilmSet(*tensors, *texts)
    if len(set(found.names)) < len(found):
        twice = next(name for name in found.names if found.names.count(name) > 1)
        raise ValueError(
            f"{twice} comes twice, and a manifest could not tell which is which; leave one out, or "
            "rename "
            "its folder."
        )
    return found


def load_set(
    folder: str,
    masks: bool,
    side: int,
    seed: int,
    progress: bool,
    layout: str,
    cache: Path | None,
    skipped: list[str] | None,
) -> FilmSet:
    """One folder, for one task."""
    if folder.startswith(PHANTOM):
        return load_phantoms(folder, masks, side, progress)
    _, films = read_layout(folder, layout)
    root = Path(folder).resolve()
    root = root.name if root.is_dir() else root.stem
    pixels, films = read_all(
        films,
        lambda film: picture_for_network(film.source, side),
        root,
        progress,
        cache,
        f"film-{side}",
        skipped,
    )
    labelled = torch.tensor(
        [bool(film.masks) if masks else film.label is not None for film in films]
    )
    if masks:
        shapes, masked = read_all(
            [film for film in films if film.masks],
            lambda film: mask_of(film, side),
            f"{root} masks",
            progress,
            cache,
            f"mask-{side}",
            skipped,
        )
        whole = {film.name for film in masked}
        labelled = torch.tensor([film.name in whole for film in films])
        targets = torch.zeros(len(films), side, side, dtype=torch.bool)
        targets[labelled] = torch.from_numpy(np.asarray(shapes, dtype=bool).reshape(-1, side, side))
    else:
        targets = torch.tensor([film.label or 0 for film in films])
    patients = tuple(f"{root}/{film.patient}" for film in films)
    strata = [0 if masks or film.label is None else film.label + 1 for film in films]
    names = tuple(f"{root}/{film.name}" for film in films)
    return FilmSet(
        torch.from_numpy(pixels),
        targets,
        labelled,
        names,
        patients,
        split_by_patient(patients, [film.split for film in films], strata, seed),
    )


def mask_of(film: Film, side: int) -> np.ndarray:
    """(side, side) bool."""
    check_mask_shapes(film.source, film.masks)
    return read_mask(film.masks, side)


def load_phantoms(address: str, masks: bool, side: int, progress: bool) -> FilmSet:
    """Synthetic films, NORMAL and PNEUMONIA in turn; of ten, eight are train, one val, one test."""
    count, _, start = address.removeprefix(PHANTOM).partition("+")
    if (
        not all(number.isdecimal() and len(number) <= 6 for number in (count, start or "0"))
        or int(count) < 20
    ):
        raise ValueError(
            f"'{address[:40]}' names no number of phantom films; write for example {PHANTOM}400 "
            "(20 to "
            f"999999), or {PHANTOM}400+1000 to leave out the first thousand."
        )
    order, first_seed = range(int(count)), (1_000_000 if masks else 0) + int(start or 0)
    with ThreadPoolExecutor() as pool:
        drawn = list(
            tqdm(
                pool.map(lambda i: phantom.draw(first_seed + i, i % 2, side), order),
                total=len(order),
                desc="drawing phantoms",
                unit="film",
                disable=not progress,
                leave=False,
            )
        )
    pixels, shapes = (torch.from_numpy(np.stack(both)) for both in zip(*drawn))
    names = tuple(f"phantom-{first_seed + i}" for i in order)
    splits = tuple({8: "val", 9: "test"}.get(i // 2 % 10, "train") for i in order)
    return FilmSet(
        pixels,
        shapes if masks else torch.arange(len(order)) % 2,
        torch.ones(len(order), dtype=torch.bool),
        names,
        names,
        splits,
    )


def read_all(
    films: list[Film],
    read: Callable[[Film], np.ndarray],
    what: str,
    progress: bool,
    cache: Path | None,
    kind: str,
    skipped: list[str] | None,
) -> tuple[np.ndarray, list[Film]]:
    """What `read` makes of each film, stacked, and the films that could be read.

    Decoded by a pool of threads (Pillow leaves the interpreter free while it decodes), or taken
    from the cache.
    """
    kept_file = cache and cache_file(cache, films, f"{what}-{kind}")
    if kept_file and (stack := read_cache(kept_file, len(films))) is not None:
        return stack, films

    def attempt(film: Film) -> np.ndarray | str:
        try:
            return read(film)
        except ValueError as error:
            if skipped is None:
                raise
            return str(error)

    with ThreadPoolExecutor() as pool:
        results = list(
            tqdm(
                pool.map(attempt, films),
                total=len(films),
                desc=f"reading {what}",
                unit="film",
                disable=not progress,
                leave=False,
            )
        )
    faults = [result for result in results if isinstance(result, str)]
    if len(faults) == len(films) > 0:
        raise ValueError(
            f"None of the {len(films)} films of {what} can be read; the first one: {faults[0]}"
        )
    good = [(film, result) for film, result in zip(films, results) if not isinstance(result, str)]
    stack = np.stack([result for _, result in good]) if good else np.zeros(0, dtype=bool)
    if faults:
        skipped.extend(faults)
    elif kept_file:
        cache.mkdir(parents=True, exist_ok=True)
        with whole_file(kept_file) as file:
            np.save(file, stack)
    return stack, [film for film, _ in good]


def cache_file(cache: Path, films: list[Film], kind: str) -> Path | None:
    """Named by every file's path, size and time of change: a changed film gives another name, so
    nothing goes stale.
    """
    paths = [
        path for film in films for path in (film.source, *film.masks) if isinstance(path, Path)
    ]
    if not paths or any(not path.exists() for path in paths):
        return None
    stats = [
        (os.fsencode(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns)
        for path in paths
    ]
    return (
        cache
        / f"{kind.replace(' ', '-')}-{hashlib.sha256(repr(stats).encode()).hexdigest()[:16]}.npy"
    )


def read_cache(path: Path, count: int) -> np.ndarray | None:
    """The stack of films, mapped into memory; None where there is none or it is damaged."""
    try:
        stack = np.load(path, mmap_mode="c") if path.is_file() else None
    except (OSError, ValueError, EOFError):
        return None
    fits = (
        stack is not None
        and stack.ndim == 3
        and len(stack) == count
        and stack.dtype in (np.uint8, np.bool_)
    )
    return stack if fits else None


def split_by_patient(
    patients: Sequence[str], splits: Sequence[str], strata: Sequence[int], seed: int
) -> tuple[str, ...]:
    """Fill in what a set does not say: test films where it names no split, validation films where
    it has too few.
    """
    patients, strata, generator = np.array(patients), np.array(strata), np.random.default_rng(seed)
    given = np.array(splits, dtype=object)
    splits = np.where(given == "", "train", given)
    splits[(given == "") & np.isin(patients, patients[given == "test"])] = (
        "test"  # with their patient's other films
    )
    if not any(given):
        carve(splits, "test", patients, strata, generator)
    if (splits == "val").sum() < MIN_VALIDATION:
        carve(splits, "val", patients, strata, generator)
    splits[(splits == "train") & np.isin(patients, patients[splits == "val"])] = "val"
    return tuple(splits.tolist())


def carve(
    splits: np.ndarray,
    target: str,
    patients: np.ndarray,
    strata: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Move a tenth of the training patients of each stratum, with every training film of theirs, to
    another split.
    """
    for stratum in np.unique(strata):
        there = np.unique(patients[(splits == "train") & (strata == stratum)])
        chosen = generator.permutation(there)[: max(1, len(there) // 10)] if len(there) > 1 else []
        splits[(splits == "train") & np.isin(patients, chosen)] = target
