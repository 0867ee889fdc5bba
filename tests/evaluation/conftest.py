import functools
from dataclasses import replace

import pytest
from helpers import film_set

from multimix.data.film_set import Films
from multimix.evaluation import metrics


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """A short bootstrap, so that every evaluation is quick."""
    monkeypatch.setattr(metrics, "intervals", functools.partial(metrics.intervals, draws=50))


@pytest.fixture(scope="session")
def films() -> Films:
    """24 training, 8 validation and 8 test films for each task, half of each class."""
    splits = (*["train"] * 24, *["val"] * 8, *["test"] * 8)
    tasks = ("classification", "segmentation")
    return Films(*(replace(film_set(task), splits=splits) for task in tasks))
