"""A few of the odd checkpoints, tables and caches that `tables.py` makes by the thousand."""

import numpy as np
import pytest
from fuzz.tables import Pool, sentence_of

QUICK = ("set", "manifest", "predictions", "test.json", "cache", "checkpoint")
SLOW = ("log", "resumed", "runs.csv", "films.csv", "a run's log")  # they train or draw


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", QUICK + SLOW)
def test_what_is_odd_is_used_or_refused_in_a_sentence(pool, kind):
    harm, use = pool.kinds()[kind]
    for seed in range(2 if kind in SLOW else 6):
        sentence_of(use, harm(np.random.default_rng(seed)), pool.folder)
