"""The films of a set as its layout describes them, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from multimix.images.reading import Source


@dataclass(frozen=True)
class Film:
    """One film as its set describes it; what the set does not say is None or empty."""

    source: Source  # a path, or pixels where the set is one file
    name: str  # the path below the set's folder
    label: int | None = None  # 0 NORMAL, 1 PNEUMONIA
    masks: tuple[Source, ...] = ()  # their union is the lungs
    patient: str = ""
    split: str = ""
    other_class: str = ""  # the name of a class that is neither: the film serves for lungs alone


@dataclass
class Reading:
    """What one layout makes of a folder; none of its films where the folder is of another."""

    films: list[Film] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # films that it leaves out on purpose
    split_rule: str = ""  # one sentence, where it is not that of the folders or of patients
    accounted_for: list[Path] = field(default_factory=list)  # other files that it read or left out


@dataclass(frozen=True)
class FoundFilms:
    """The films of a set, and what a person should know of how they were found."""

    layout: str  # one of LAYOUTS
    films: list[Film]
    left_out: tuple[str, ...] = ()  # sentences: what below the folder is not read
    split_rule: str = ""  # one sentence: where the splits come from
