import functools

import pytest

from multimix.evaluation import evaluator, metrics


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """A short bootstrap, so that every evaluation is quick."""
    short = functools.partial(metrics.intervals, draws=50)
    monkeypatch.setattr(evaluator, "intervals", short)
