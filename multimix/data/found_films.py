"""The films of a set as its folders and tables describe them, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from multimix.images.reading import Source


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
