import functools

import pytest

from multimix.evaluation import metrics


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """A short bootstrap, so that every evaluation is quick."""
    monkeypatch.setattr(metrics, "intervals", functools.partial(metrics.intervals, draws=50))
