"""Films that are alike are counted, whatever their number, and a few are named."""

import time
import tracemalloc

import numpy as np

from multimix.apps.duplicates import NEAR, find_identical, find_similar
from multimix.apps.findings import Findings, Scan
from multimix.data.found_films import Film

BITS = 255


def scans_of(hashes: np.ndarray, digests: list[int]) -> list[Scan]:
    """Films of these hashes (N, 255), by turns for training and testing."""
    scans = []
    for i, (bits, digest) in enumerate(zip(hashes, digests)):
        film = Film("", str(i), label=0, split=("train", "test")[i % 2])
        scans.append(Scan(film, digest=str(digest), bits=bits))
    return scans


def test_pairs_are_those_of_a_look_at_each_pair():
    rng = np.random.default_rng(0)
    groups = rng.random((300, BITS)) > 0.5
    hashes = groups[rng.integers(0, 300, 1200)] ^ (rng.random((1200, BITS)) < 0.05)
    digests = rng.integers(0, 600, 1200).tolist()
    pairs, divided = [], []
    for i in range(1200):
        for j in i + 1 + np.flatnonzero((hashes[i] != hashes[i + 1 :]).sum(axis=1) <= NEAR):
            if digests[i] != digests[j]:
                pairs.append(f"{i} ~ {j}")
                if (j - i) % 2:
                    divided.append(f"{i} ~ {j}")
    findings = Findings()
    find_similar(findings, scans_of(hashes, digests))
    assert len(pairs) > 500 and findings.remarks == [
        line("pairs look the same without being identical", pairs),
        line("of these pairs lie in two splits", divided),
    ]


def line(what: str, names: list[str]) -> str:
    return f"{len(names)} {what}: {'; '.join(names[:5])}, and {len(names) - 5} more"


def test_thousands_of_films_that_all_look_alike():
    count = 4000
    scans = scans_of(np.ones((count, BITS), dtype=bool), list(range(count)))
    scans += scans_of(np.zeros((count, BITS), dtype=bool), [-1] * count)
    findings, start = Findings(), time.perf_counter()
    tracemalloc.start()
    find_identical(findings, scans)
    find_similar(findings, scans)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - start < 20 and peak < 2**28
    same, similar, divided = findings.remarks
    pairs, half = count * (count - 1) // 2, count // 2
    assert same == (
        f"1 groups of films have identical pixels: 0 = 1 = 2 = 3 = 4, and {count - 5} more"
    )
    assert similar.startswith(f"{pairs} pairs look the same without being identical: 0 ~ 1; 0 ~ 2;")
    assert similar.endswith(f"0 ~ 5, and {pairs - 5} more")
    assert divided.startswith(f"{half * half} of these pairs lie in two splits: 0 ~ 1; 0 ~ 3;")


def test_no_films_have_no_pairs():
    findings = Findings()
    find_similar(findings, [])
    find_identical(findings, [])
    assert findings == Findings()
