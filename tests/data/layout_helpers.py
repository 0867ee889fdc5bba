"""What the tests of dataset layouts share: one film, its lungs, and empty files in folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from helpers import SIDE

from multimix.data import phantom
from multimix.data.film_set import FilmSet
from multimix.data.films import load_films
from multimix.data.found_films import FoundFilms

FILM, MASK = phantom.draw(1, 0, SIDE)
LUNGS = MASK.astype(np.uint8) * 255
HALF = np.arange(SIDE) < SIDE // 2
LEFT, RIGHT = np.where(HALF, LUNGS, 0), np.where(HALF, 0, LUNGS)


def loaded(folder: Path) -> FilmSet:
    """The folder's films, of which the first has the right lungs."""
    films = load_films(segmentation=folder, side=SIDE, progress=False).segmentation
    assert np.array_equal(films.targets[0], MASK)
    return films


def touch(root: Path, *names: str | Iterable[str]) -> Path:
    """Empty files of these names, as nothing is decoded; the folder."""
    for name in names:
        for inner in [name] if isinstance(name, str) else name:
            (root / inner).parent.mkdir(parents=True, exist_ok=True)
            (root / inner).touch()
    return root


def numbered(folder: str, count: int, ending: str = ".png") -> list[str]:
    """'folder/0.png', 'folder/1.png' and so on."""
    return [f"{folder}/{i}{ending}" for i in range(count)]


def labels(found: FoundFilms) -> dict[int | None, int]:
    """How many films there are of each label."""
    return dict(Counter(film.label for film in found.films))


def splits(found: FoundFilms) -> dict[str, int]:
    """How many films there are in each split."""
    return dict(Counter(film.split for film in found.films))


def masks(found: FoundFilms) -> dict[str, list[str]]:
    """The masks of each film, by the names of the files."""
    return {film.source.name: [mask.name for mask in film.masks] for film in found.films}
