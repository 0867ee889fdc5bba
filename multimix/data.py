"""Films from disk: layouts, splits by patient, sets of films in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from multimix import phantom
from multimix.film import film_paths, read_film, read_mask, resize
from multimix.model import CLASSES

SPLITS = ("train", "val", "test")
MIN_VALIDATION = 20  # films; a smaller validation folder (Kaggle's has 16) is filled up from the training films
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
        texts = (tuple(column[i] for i in index.tolist()) for column in (self.names, self.patients, self.splits))
        return FilmSet(self.pixels[index], self.targets[index], self.labelled[index], *texts)

    def split(self, name: str) -> FilmSet:
        """The films of one split, or of 'all'."""
        return self if name == "all" else self[torch.tensor([s == name for s in self.splits]).nonzero().flatten()]

    def counts(self) -> str:
        """'4700 train, 532 val, 624 test'"""
        return ", ".join(f"{self.splits.count(name)} {name}" for name in SPLITS)


@dataclass(frozen=True)
class Films:
    """What one training or evaluation is given: films with classes, films with masks, or both."""

    classification: FilmSet | None = None
    segmentation: FilmSet | None = None


def load_films(classification: str | os.PathLike | Sequence = (), segmentation: str | os.PathLike | Sequence = (),
               side: int = 256, seed: int = 0, progress: bool = True) -> Films:
    """Read folders, one or several for each task, into memory.

    classification: Kaggle's `chest_xray` layout, {train,val,test}/{NORMAL,PNEUMONIA}/*.
    segmentation: a folder with `images/` and `masks/`, files matched by stem; a film without a mask is unlabelled.
    Either may be 'phantom://400': that many synthetic films. JSRT films are split as in the SCR study (odd numbers
    for training, even for testing); where a set has no validation films, a tenth of its training patients, drawn
    with `seed`, becomes that. ValueError names the folder or file that does not fit.
    """
    def join(folders, load) -> FilmSet | None:
        folders = [folders] if isinstance(folders, (str, os.PathLike)) else folders
        return concatenate([load(str(folder), side, seed, progress) for folder in folders])

    return Films(join(classification, load_classification), join(segmentation, load_segmentation))


def concatenate(sets: list[FilmSet]) -> FilmSet | None:
    """One set of several; None of none."""
    if not sets:
        return None
    tensors = (torch.cat([getattr(s, name) for s in sets]) for name in ("pixels", "targets", "labelled"))
    texts = (sum((getattr(s, name) for s in sets), ()) for name in ("names", "patients", "splits"))
    return FilmSet(*tensors, *texts)


def load_classification(folder: str, side: int, seed: int, progress: bool) -> FilmSet:
    """{train,val,test}/{NORMAL,PNEUMONIA}/*; splits or classes that are not there stay empty."""
    if folder.startswith(PHANTOM):
        return load_phantoms(folder, side, progress, first_seed=0, masks=False)
    root = existing(folder)
    found = [(path, label, split) for split in SPLITS for label, name in enumerate(CLASSES)
             for path in film_paths(root / split / name)]
    missing = [name for label, name in enumerate(CLASSES) if not any(row[1] == label for row in found)]
    if missing:
        raise ValueError(f"{root} has no {' and no '.join(missing)} films; it needs train/NORMAL and train/PNEUMONIA "
                         "with films in them (and, if there are any, val/ and test/ alike).")
    paths, labels, splits = zip(*found)
    patients = [f"{root.name}/{patient_of(path.stem)}" for path in paths]
    return FilmSet(read_all(paths, side, progress, root.name), torch.tensor(labels),
                   torch.ones(len(paths), dtype=torch.bool), names_below(root, paths), tuple(patients),
                   carve_validation(patients, splits, labels, seed))


def load_segmentation(folder: str, side: int, seed: int, progress: bool) -> FilmSet:
    """images/ and masks/, matched by stem."""
    if folder.startswith(PHANTOM):
        return load_phantoms(folder, side, progress, first_seed=1_000_000, masks=True)
    root = existing(folder)
    films, masks = ({p.stem: p for p in film_paths(root / kind)} for kind in ("images", "masks"))
    for kind, there in (("images", films), ("masks", masks)):
        if not there:
            raise ValueError(f"{root} has no films in {kind}/; it needs images/ and masks/ with the same file names.")
    strays = sorted(masks.keys() - films.keys())
    if strays:
        raise ValueError(f"{masks[strays[0]]} has no film in {root / 'images'} (and {len(strays) - 1} more have none); "
                         "each mask needs a film with the same file name.")
    stems = sorted(films)
    labelled = torch.tensor([stem in masks for stem in stems])
    targets = torch.zeros(len(stems), side, side, dtype=torch.bool)
    for i in labelled.nonzero().flatten().tolist():
        targets[i] = torch.from_numpy(read_mask(masks[stems[i]], side))
    patients = [f"{root.name}/{stem}" for stem in stems]
    paths = [films[stem] for stem in stems]
    splits = carve_validation(patients, segmentation_splits(stems, seed), [0] * len(stems), seed)
    return FilmSet(read_all(paths, side, progress, root.name), targets, labelled, names_below(root, paths),
                   tuple(patients), splits)


def load_phantoms(address: str, side: int, progress: bool, first_seed: int, masks: bool) -> FilmSet:
    """Synthetic films, NORMAL and PNEUMONIA in turn; of ten, eight are train, one val, one test."""
    count = address.removeprefix(PHANTOM)
    if not count.isdecimal() or int(count) < 20:
        raise ValueError(f"'{address}' names no number of phantom films; write for example {PHANTOM}400 (20 or more).")
    order = range(int(count))
    with ThreadPoolExecutor() as pool:
        drawn = list(tqdm(pool.map(lambda i: phantom.draw(first_seed + i, i % 2, side), order), total=len(order),
                          desc="drawing phantoms", unit="film", disable=not progress, leave=False))
    pixels, shapes = (torch.from_numpy(np.stack(both)) for both in zip(*drawn))
    names = tuple(f"phantom-{first_seed + i}" for i in order)
    splits = tuple({8: "val", 9: "test"}.get(i // 2 % 10, "train") for i in order)
    return FilmSet(pixels, shapes if masks else torch.arange(len(order)) % 2, torch.ones(len(order), dtype=torch.bool),
                   names, names, splits)


def existing(folder: str) -> Path:
    if not Path(folder).is_dir():
        raise ValueError(f"There is no folder {folder}; give one with films in it, or {PHANTOM}400 for synthetic ones.")
    return Path(folder).resolve()


def names_below(root: Path, paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(f"{root.name}/{path.relative_to(root).as_posix()}" for path in paths)


def read_all(paths: Sequence[Path], side: int, progress: bool, what: str) -> Tensor:
    """(N, side, side) uint8, decoded by a pool of threads (Pillow leaves the interpreter free while it decodes)."""
    with ThreadPoolExecutor() as pool:
        films = pool.map(lambda path: resize(read_film(path), side), paths)
        return torch.from_numpy(np.stack(list(tqdm(films, total=len(paths), desc=f"reading {what}", unit="film",
                                                   disable=not progress, leave=False))))


def patient_of(stem: str) -> str:
    """Kermany's file names tell the patient: person12_virus_7 -> person12, NORMAL2-IM-0115-0001 -> IM-0115."""
    known = re.search(r"person\d+|IM-\d+", stem)
    return known.group() if known else stem


def segmentation_splits(stems: Sequence[str], seed: int) -> list[str]:
    """JSRT: odd numbers train, even numbers test, as SCR's two folds. Others: a tenth is test."""
    numbers = [re.fullmatch(r"JPC[LN]N(\d{3})", stem) for stem in stems]
    if all(numbers):
        return ["train" if int(number[1]) % 2 else "test" for number in numbers]
    splits = np.full(len(stems), "train", dtype=object)
    splits[np.random.default_rng(seed).permutation(len(stems))[:len(stems) // 10]] = "test"
    return splits.tolist()


def carve_validation(patients: Sequence[str], splits: Sequence[str], strata: Sequence[int],
                     seed: int) -> tuple[str, ...]:
    """Turn a tenth of the training patients of each stratum into validation, if there are too few validation films.

    Every film of a chosen patient goes with it, and so do the training films of patients who already are in
    validation.
    """
    splits = np.array(splits, dtype=object)
    patients, strata = np.array(patients), np.array(strata)
    if (splits == "val").sum() < MIN_VALIDATION:
        generator = np.random.default_rng(seed)
        for stratum in np.unique(strata):
            there = np.unique(patients[(splits == "train") & (strata == stratum)])
            chosen = generator.permutation(there)[:max(1, len(there) // 10)] if len(there) > 1 else []
            splits[(splits == "train") & np.isin(patients, chosen)] = "val"
    splits[(splits == "train") & np.isin(patients, patients[splits == "val"])] = "val"
    return tuple(splits.tolist())
