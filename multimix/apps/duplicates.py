"""Films that are in a folder twice: of the same pixels, or looking the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy

from multimix.apps.findings import SHOWN, Findings, Scan, first_few
from multimix.images.reading import resize

HASH_SIDE = 16  # of the perceptual hash: the 16 x 16 lowest frequencies
NEAR = 24  # how many of its 255 bits may differ
ROWS_AT_ONCE = 512  # of the distances between all pairs of films


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """(255,) bool: which of the lowest frequencies are above their median; the mean is left out."""
    frequencies = scipy.fft.dctn(resize(grey, 2 * HASH_SIDE).astype(np.float32))
    low = frequencies[:HASH_SIDE, :HASH_SIDE].flatten()[1:]
    return low > np.median(low)


def find_identical(findings: Findings, readable: Sequence[Scan]) -> None:
    """Films of the same pixels, above all those that lie in several splits or have two classes."""
    by_digest: dict[str, list[Scan]] = {}
    for scan in readable:
        by_digest.setdefault(scan.digest, []).append(scan)
    same, splits, classes = [], [], []
    for group in by_digest.values():
        if len(group) == 1:
            continue
        names = first_few([scan.film.name for scan in group], " = ")
        same.append(names)
        if len({scan.film.split for scan in group}) > 1:
            splits.append(names)
        if len({scan.film.label for scan in group}) > 1:
            classes.append(names)
    findings.remark("groups of films have identical pixels", same)
    findings.fault("groups of identical films lie in several splits", splits)
    findings.fault("groups of identical films have different classes", classes)


def find_similar(findings: Findings, readable: Sequence[Scan]) -> None:
    """Pairs of films that look the same, and those of them that lie in two splits.

    All are counted and the first few named: films that all look alike have millions of pairs.
    """
    splits = np.unique([scan.film.split for scan in readable], return_inverse=True)[1]
    similar, divided = Pairs(), Pairs()
    for first, near in near_pairs(readable):
        rows = splits[first : first + len(near)]
        similar.add(readable[first:], near)
        divided.add(readable[first:], near & (rows[:, None] != splits[first:]))
    what = "pairs look the same without being identical"
    findings.remark(what, similar.names, similar.count)
    findings.remark("of these pairs lie in two splits", divided.names, divided.count)


class Pairs:
    """How many pairs there are, and the first few by name."""

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []

    def add(self, scans: Sequence[Scan], near: np.ndarray) -> None:
        """Those of row and column, both places in `scans`, where `near` is true."""
        self.count += int(near.sum())
        for row in np.flatnonzero(near.any(axis=1))[:SHOWN]:
            for column in np.flatnonzero(near[row])[:SHOWN]:
                if len(self.names) < SHOWN:
                    self.names.append(f"{scans[row].film.name} ~ {scans[column].film.name}")


def near_pairs(scans: Sequence[Scan]) -> Iterator[tuple[int, np.ndarray]]:
    """Which pairs of films have perceptual hashes that differ by `NEAR` bits or fewer.

    Each pair comes once; those of identical pixels are left out. A part of the rows at a time: the
    first row's place, and (rows, films from that one on) bool.
    """
    if not scans:
        return
    signs = np.where(np.stack([scan.bits for scan in scans]), 1, -1).astype(np.float32)
    digests = np.unique([scan.digest for scan in scans], return_inverse=True)[1]
    for first in range(0, len(scans), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        # The product counts equal bits minus different ones.
        distance = (signs.shape[1] - signs[rows] @ signs[first:].T) / 2
        near = np.triu(distance <= NEAR, 1)
        yield first, near & (digests[rows, None] != digests[first:])
