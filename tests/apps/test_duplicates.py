"""Films that are alike are counted, whatever their number, and a few are named."""

import time
import tracemalloc

import numpy as np
import pandas as pd

from multimix.apps.duplicates import NEAR, Pairs, identical, similar

BITS = 255


def scans_of(hashes: np.ndarray, digests: list[int]) -> pd.DataFrame:
    """Films with these hashes (N, 255), by turns for training and testing."""
    names = [str(i) for i in range(len(hashes))]
    splits = [("train", "test")[i % 2] for i in range(len(hashes))]
    columns = {"name": names, "split": splits, "class": "NORMAL", "digest": digests}
    return pd.DataFrame({**columns, "bits": list(hashes)})


def test_pairs_are_those_of_a_look_at_each_pair():
    rng = np.random.default_rng(0)
    groups = rng.random((300, BITS)) > 0.5
    hashes = groups[rng.integers(0, 300, 1200)] ^ (rng.random((1200, BITS)) < 0.05)
    digests = rng.integers(0, 600, 1200).tolist()
    pairs, leaks = [], []
    for i in range(1200):
        for j in i + 1 + np.flatnonzero((hashes[i] != hashes[i + 1 :]).sum(axis=1) <= NEAR):
            if digests[i] != digests[j]:
                pairs.append(f"{i} ~ {j}")
                if (j - i) % 2:
                    leaks.append(f"{i} ~ {j}")
    found, divided = similar(scans_of(hashes, digests))
    assert len(pairs) > 500
    for ours, theirs in ((found, pairs), (divided, leaks)):
        assert ours == Pairs(len(theirs), theirs[:5])


def test_thousands_of_films_that_all_look_alike():
    count = 4000
    hashes = np.repeat([[True], [False]], count, axis=0) & np.ones(BITS, bool)
    scans = scans_of(hashes, [*range(count), *[-1] * count])
    start = time.perf_counter()
    tracemalloc.start()
    assert identical(scans) == [" = ".join(str(count + i) for i in range(5))]
    assert len(identical(scans, "split")) == 1 and not identical(scans, "class")
    found, divided = similar(scans)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - start < 60 and peak < 2**28
    assert found.count == count * (count - 1) // 2 and divided.count == (count // 2) ** 2
    assert found.names == [f"0 ~ {i}" for i in range(1, 6)]
    assert divided.names == [f"0 ~ {i}" for i in range(1, 10, 2)]


def test_no_films_have_no_pairs():
    assert similar(scans_of(np.zeros((0, BITS), bool), [])) == (Pairs(), Pairs())
