"""Films as a set's folders and tables describe them, and sets of reduced films of one size."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from multimix.images.reading import Source, network_input

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Film:
    """One film; what its set does not say is None or empty."""

    source: Source  # a path, or pixels where the set is one file
    name: str  # the path below the set's folder
    label: int | None = None  # 0 NORMAL, 1 PNEUMONIA
    masks: tuple[Source, ...] = ()  # their union is the lungs
    patient: str = ""
    split: str = ""
    other_class: str = ""  # the name of a third class: the film is used for lungs only


@dataclass(frozen=True)
class FoundFilms:
    """The films of a set, and sentences for its user."""

    layout: str  # one of LAYOUTS
    films: list[Film]
    left_out: tuple[str, ...] = ()  # what below the folder is not read
    split_rule: str = ""  # where the splits come from
    folder: Path | None = None  # where the films lie


class FilmStack:
    """N pictures (N, side, side): `rows` (N,) int64 of `pictures` (M, side, side). A choice copies
    no pixel: a set that a cache maps into memory stays on the disk. Indexing reads pictures.
    """

    def __init__(self, pictures: Tensor, rows: Tensor | None = None):
        self.pictures = pictures
        self.rows = torch.arange(len(pictures)) if rows is None else rows
        self.shape = (len(self.rows), *pictures.shape[1:])
        self.ndim, self.dtype = 3, pictures.dtype  # uint8 of films, bool of masks

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        """One picture, (side, side), or several, (M, side, side)."""
        return self.pictures[self.rows[index]]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def split(self, size: int) -> Iterator[Tensor]:
        """Copies of `size` pictures at a time."""
        return (self[first : first + size] for first in range(0, len(self), size))

    def numpy(self) -> np.ndarray:
        """A copy of all."""
        return self[:].numpy()


@dataclass(frozen=True)
class FilmSet(Dataset):
    """N films of one task, reduced to `side` pixels; a torch data set for any `DataLoader`.

    `films[i]` is one film with its target; `films[tensor]` and `films.split(name)` are sets of some
    of the films, which copy no pixel.
    """

    pixels: FilmStack  # (N, side, side) uint8; a tensor becomes a stack
    targets: Any  # (N,) int64 classes, or a stack (N, side, side) of bool
    labelled: Tensor  # (N,) bool: has a target
    names: tuple[str, ...]
    patients: tuple[str, ...]
    splits: tuple[str, ...]  # each one of SPLITS
    sources: tuple[str, ...] = ()  # the folder of each film

    def __post_init__(self) -> None:
        for name in ("pixels", "targets"):
            value = getattr(self, name)
            if isinstance(value, Tensor) and value.ndim == 3:
                object.__setattr__(self, name, FilmStack(value))
        object.__setattr__(self, "sources", self.sources or ("",) * len(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        side, labelled = self.pixels.shape[-1], int(self.labelled.sum())
        what = "class" if self.targets.ndim == 1 else "mask"
        return f"{len(self)} films of {side} px ({self.counts()}), {labelled} with a {what}"

    def __getitem__(self, index: Any) -> Any:
        """Films at places (M,) int64, or where (N,) bool is true, as a set; or one film, as a dict:
        `film`, (1, side, side) float in [-1, 1]; `target`, the class, int64, or the mask, (1, side,
        side) float, 0 or 1; `labelled`, bool: without it the target means nothing.
        """
        if not isinstance(index, Tensor) or index.ndim == 0:
            film, target = network_input(self.pixels[index][None]), self.targets[index]
            target = target[None].float() if target.ndim else target
            return {"film": film, "target": target, "labelled": self.labelled[index]}
        places = torch.arange(len(self))[index].tolist()

        def chosen(values: Any) -> Any:
            if isinstance(values, FilmStack):
                return FilmStack(values.pictures, values.rows[index])
            return values[index] if isinstance(values, Tensor) else tuple(values[i] for i in places)

        return FilmSet(*(chosen(values) for values in vars(self).values()))

    @property
    def labels(self) -> Tensor:
        """(N,) int64, the targets of a classification set."""
        return self.targets

    @property
    def masks(self) -> FilmStack:
        """(N, side, side) bool, the targets of a segmentation set."""
        return self.targets

    def split(self, name: str) -> "FilmSet":
        """The films of one split, or of 'all'."""
        if name == "all":
            return self
        return self[torch.tensor([own == name for own in self.splits], dtype=torch.bool)]

    def with_labels(self) -> "FilmSet | None":
        """The films that have a target; None where there is none."""
        return self[self.labelled] if self.labelled.any() else None

    def counts(self) -> str:
        """'4700 train, 532 val, 624 test'"""
        return ", ".join(f"{self.splits.count(name)} {name}" for name in SPLITS)


@dataclass(frozen=True)
class Films:
    """The films of a training or evaluation: with classes, with masks, or both."""

    classification: FilmSet | None = None
    segmentation: FilmSet | None = None
    skipped: tuple[str, ...] = ()  # sentences on films that cannot be read
    left_out: tuple[str, ...] = ()  # what else below the folders is not read
    split_rules: tuple[str, ...] = ()  # where each folder's splits come from

    def __repr__(self) -> str:
        lines = [f"classification: {self.classification}", f"segmentation: {self.segmentation}"]
        lines += [f"left out: {len(self.skipped)} films that cannot be read"] * bool(self.skipped)
        return "\n".join([*lines, *(f"left out: {sentence}" for sentence in self.left_out)])

    def labelled(self, split: str) -> "Films":
        """The films of one split, or of 'all', that have a target."""
        parts = (self.classification, self.segmentation)
        chosen = [part.split(split).with_labels() if part is not None else None for part in parts]
        return replace(self, classification=chosen[0], segmentation=chosen[1])
