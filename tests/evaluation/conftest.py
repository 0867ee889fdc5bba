import functools
from dataclasses import replace
from pathlib import Path

import pytest
from drawn import write_films
from helpers import SIDE

from multimix.data.film_set import Films, FilmSet
from multimix.data.films import load_films
from multimix.evaluation import metrics


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """A short bootstrap, so that every evaluation is quick."""
    monkeypatch.setattr(metrics, "intervals", functools.partial(metrics.intervals, draws=50))


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> Path:
    """Forty drawn films in class folders, and the same forty with masks."""
    root = tmp_path_factory.mktemp("drawn")
    write_films(root / "classes", 40, SIDE)
    write_films(root / "lungs", 40, SIDE, masks=True)
    return root


@pytest.fixture(scope="session")
def films(folders) -> Films:
    """The drawn films of both tasks."""
    found = load_films(folders / "classes", folders / "lungs", SIDE, progress=False)
    return Films(*(with_splits(part) for part in (found.classification, found.segmentation)))


def with_splits(part: FilmSet) -> FilmSet:
    """24 training, 8 validation and 8 test films, half of each class."""
    splits = (*["train"] * 6, "val", "val", "test", "test")
    return replace(part, splits=tuple(splits[i % 20 // 2] for i in range(len(part))))
