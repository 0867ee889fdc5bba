"""Sets of films of one size: pictures in memory or mapped from a file, seen through an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

SPLITS = ("train", "val", "test")
NO_PICTURE = -1  # a row of a stack that has none: it reads as zeros


class FilmStack:
    """N pictures of one size, (N, side, side), that lie in one or several tensors.

    Choosing some of them, or joining several stacks, copies no pixel: only what is indexed is read.
    So a set that a cache maps into memory stays on the disk.
    """

    def __init__(self, parts: Sequence[Tensor], rows: Tensor | None = None):
        """`parts` are (N_i, side, side), `rows` (N,) places in them as if they lay in a row."""
        self.parts = tuple(parts)
        self.starts = np.cumsum([0, *(len(part) for part in self.parts)]).tolist()
        self.rows = torch.arange(self.starts[-1]) if rows is None else rows

    @classmethod
    def join(cls, stacks: Sequence[FilmStack]) -> FilmStack:
        """All pictures of several stacks, in their order."""
        parts: list[Tensor] = []
        rows: list[Tensor] = []
        start = 0
        for stack in stacks:
            rows.append(torch.where(stack.rows < 0, NO_PICTURE, stack.rows + start))
            parts += stack.parts
            start += stack.starts[-1]
        return cls(parts, torch.cat(rows))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, side, side)"""
        return (len(self), *self.parts[0].shape[1:])

    @property
    def ndim(self) -> int:
        """3, where the targets of a classification set have 1."""
        return len(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        """uint8 of films, bool of masks."""
        return self.parts[0].dtype

    @property
    def nbytes(self) -> int:
        """Bytes that all pictures together would take."""
        return int(np.prod(self.shape))

    def view(self, index: Tensor) -> FilmStack:
        """The pictures at these places, (M,) int64, of the same memory."""
        return FilmStack(self.parts, self.rows[index])

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        """A copy of one picture, (side, side), or of several, (M, side, side)."""
        rows = self.rows[index]
        if rows.ndim == 0:
            return self._read(rows[None])[0]
        return self._read(rows)

    def _read(self, rows: Tensor) -> Tensor:
        found = torch.zeros((len(rows), *self.shape[1:]), dtype=self.dtype)
        for part, start in zip(self.parts, self.starts):
            here = ((rows >= start) & (rows < start + len(part))).nonzero().flatten()
            if len(here):
                found[here] = part[rows[here] - start]
        return found

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def split(self, size: int) -> Iterator[Tensor]:
        """Copies of `size` pictures at a time."""
        return (self[first : first + size] for first in range(0, len(self), size))

    def numpy(self) -> np.ndarray:
        """A copy of all."""
        return self[:].numpy()


@dataclass(frozen=True)
class FilmSet:
    """N films of one task, reduced to `side` pixels. Choosing some of them copies no pixel."""

    pixels: FilmStack  # (N, side, side) uint8
    targets: Tensor | FilmStack = field(repr=False)  # (N,) int64 classes, (N, side, side) bool
    labelled: Tensor = field(repr=False)  # (N,) bool: has a target
    names: tuple[str, ...] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    splits: tuple[str, ...] = field(repr=False)  # each one of SPLITS

    def __post_init__(self) -> None:
        for name in ("pixels", "targets"):
            value = getattr(self, name)
            if isinstance(value, Tensor) and value.ndim == 3:
                object.__setattr__(self, name, FilmStack([value]))

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        side, labelled = self.pixels.shape[-1], int(self.labelled.sum())
        what = "class" if self.targets.ndim == 1 else "mask"
        return f"{len(self)} films of {side} px ({self.counts()}), {labelled} with a {what}"

    def __getitem__(self, index: Tensor) -> FilmSet:
        """The films at these places, (M,) int64, or where a mask (N,) bool is true."""
        if index.dtype == torch.bool:
            index = index.nonzero().flatten()
        places = index.tolist()
        if isinstance(self.targets, FilmStack):
            targets: Tensor | FilmStack = self.targets.view(index)
        else:
            targets = self.targets[index]
        return FilmSet(
            self.pixels.view(index),
            targets,
            self.labelled[index],
            tuple(self.names[i] for i in places),
            tuple(self.patients[i] for i in places),
            tuple(self.splits[i] for i in places),
        )

    @property
    def labels(self) -> Tensor:
        """(N,) int64, the targets of a classification set."""
        assert isinstance(self.targets, Tensor), "a segmentation set has masks"
        return self.targets

    @property
    def masks(self) -> FilmStack:
        """(N, side, side) bool, the targets of a segmentation set."""
        assert isinstance(self.targets, FilmStack), "a classification set has labels"
        return self.targets

    def split(self, name: str) -> FilmSet:
        """The films of one split, or of 'all'."""
        if name == "all":
            return self
        return self[torch.tensor([split == name for split in self.splits], dtype=torch.bool)]

    def with_labels(self) -> FilmSet | None:
        """The films that have a target; None where there is none."""
        return self[self.labelled] if self.labelled.any() else None

    def counts(self) -> str:
        """'4700 train, 532 val, 624 test'"""
        return ", ".join(f"{self.splits.count(name)} {name}" for name in SPLITS)


@dataclass(frozen=True)
class Films:
    """What one training or evaluation is given: films with classes, films with masks, or both."""

    classification: FilmSet | None = None
    segmentation: FilmSet | None = None
    skipped: tuple[str, ...] = ()  # why a film that could not be read is not among them
    left_out: tuple[str, ...] = ()  # what else below the folders is not among them
    split_rules: tuple[str, ...] = ()  # where the splits of each folder come from

    def __repr__(self) -> str:
        lines = [f"classification: {self.classification}", f"segmentation: {self.segmentation}"]
        if self.skipped:
            lines.append(f"left out: {len(self.skipped)}")
        lines += [f"left out: {sentence}" for sentence in self.left_out]
        return "\n".join(lines)

    def labelled(self, split: str) -> Films:
        """The films of one split, or of 'all', that have a target."""
        parts = []
        for part in (self.classification, self.segmentation):
            parts.append(part.split(split).with_labels() if part is not None else None)
        return replace(self, classification=parts[0], segmentation=parts[1])


def concatenate(sets: Sequence[FilmSet]) -> FilmSet | None:
    """One set of several, None of none; copies no pixel. ValueError where a name repeats."""
    if not sets:
        return None
    if isinstance(sets[0].targets, FilmStack):
        targets: Tensor | FilmStack = FilmStack.join([s.masks for s in sets])
    else:
        targets = torch.cat([s.labels for s in sets])
    found = FilmSet(
        FilmStack.join([s.pixels for s in sets]),
        targets,
        torch.cat([s.labelled for s in sets]),
        sum((s.names for s in sets), ()),
        sum((s.patients for s in sets), ()),
        sum((s.splits for s in sets), ()),
    )
    if len(set(found.names)) < len(found):
        twice = next(name for name in found.names if found.names.count(name) > 1)
        raise ValueError(
            f"{twice} comes twice, and a manifest could not tell which is which; leave one out, or "
            "rename its folder."
        )
    return found
