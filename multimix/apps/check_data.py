"""What a folder holds, and whether it is fit to train on, told before hours are spent."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from scipy.fft import dctn
from tqdm.auto import tqdm

from multimix.data.dataset_layouts import Film, read_layout
from multimix.data.films import mask_of
from multimix.images.quality import looks_inverted
from multimix.images.reading import load_image, resize
from multimix.model import CLASSES

LUNG_SHARE = (0.10, 0.60)  # of the film; a mask outside is probably not one of both lungs
HASH_SIDE, NEAR = (
    16,
    24,
)  # perceptual hash: 16 x 16 lowest frequencies, and how many of its 255 bits may differ
SHOWN = 5  # names after a finding


@dataclass
class Report:
    """Facts, then what is worth a look, then what must be mended before training."""

    facts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def fit(self) -> bool:
        """Nothing must be mended."""
        return not self.faults

    def __str__(self) -> str:
        verdict = (
            "Fit to train on." if self.fit else "Not fit to train on: mend what is marked with x."
        )
        return "\n".join(
            [
                *(f"  {line}" for line in self.facts),
                *(f"? {line}" for line in self.remarks),
                *(f"x {line}" for line in self.faults),
                verdict,
            ]
        )


@dataclass(frozen=True)
class Scan:
    """One film, looked at: either `fault`, or all the rest."""

    film: Film
    fault: str = ""
    size: tuple[int, int] = (0, 0)  # height, width
    kind: str = ""  # Pillow's mode or the array's type
    digest: str = ""  # of the pixels
    bits: np.ndarray | None = None  # (255,) bool, the perceptual hash
    inverted: bool = False
    mask: str = ""  # what is wrong with it
    lung_share: float | None = None


def examine(folder: str | os.PathLike, layout: str = "auto", progress: bool = False) -> Report:
    """Read every film and mask of a folder and report. ValueError where there is nothing that could
    be a film.
    """
    layout, films = read_layout(folder, layout)
    with ThreadPoolExecutor() as pool:
        scans = list(
            tqdm(
                pool.map(scan, films),
                total=len(films),
                desc="examining",
                unit="film",
                disable=not progress,
                leave=False,
            )
        )
    good = [s for s in scans if not s.fault]
    report = Report(describe(layout, films, good))
    find_faulty_films(report, scans)
    find_faulty_masks(report, good)
    find_duplicates(report, good)
    find_strangers(report, films)
    return report


def scan(film: Film) -> Scan:
    """Decode a film and its masks once and keep only what the report needs."""
    try:
        look = load_image(film.source)
    except ValueError as error:
        return Scan(film, str(error))
    grey = look.grey
    low = dctn(resize(grey, 2 * HASH_SIDE).astype(np.float32))[:HASH_SIDE, :HASH_SIDE].flatten()[1:]
    share, mask = examine_mask(film)
    digest = hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()
    return Scan(
        film,
        size=grey.shape,
        kind=look.kind,
        digest=digest,
        bits=low > np.median(low),
        inverted=looks_inverted(grey),
        mask=mask,
        lung_share=share,
    )


def examine_mask(film: Film) -> tuple[float | None, str]:
    """The share of the film that is lung, and what is wrong with the mask, if anything is."""
    if not film.masks:
        return None, ""
    try:
        lungs = mask_of(film, 256)
    except ValueError as error:
        return None, str(error)
    border = np.concatenate([lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]])
    if not lungs.any():
        return 0.0, f"{film.name} has an empty mask"
    if border.mean() > 0.5:
        return float(
            lungs.mean()
        ), f"{film.name} has a mask that is lung at the film's border: is it inverted?"
    return float(lungs.mean()), ""


def describe(layout: str, films: list[Film], good: list[Scan]) -> list[str]:
    """Layout, counts, sizes, depths."""
    facts = [
        f"layout: {layout}, {len(films)} films of {len({film.patient for film in films})} patients"
    ]
    for split in sorted({film.split for film in films}, key=("train", "val", "test", "").index):
        part = [film for film in films if film.split == split]
        counts = [
            f"{sum(film.label == i for film in part)} {name}" for i, name in enumerate(CLASSES)
        ]
        counts += [
            f"{sum(film.label is None for film in part)} without class",
            f"{sum(bool(film.masks) for film in part)} with mask",
        ]
        facts.append(
            f"{split or 'no split'}: "
            f"{', '.join(count for count in counts if not count.startswith('0 '))}"
        )
    if good:
        heights, widths = zip(*(s.size for s in good))
        kinds = Counter(s.kind for s in good).most_common()
        facts.append(
            f"sizes: {min(widths)} x {min(heights)} to {max(widths)} x {max(heights)}; kinds: "
            f"{', '.join(f'{count} {kind}' for kind, count in kinds)}"
        )
    labels = Counter(film.label for film in films if film.label is not None)
    if len(labels) == 2:
        facts.append(f"class balance: {labels[1] / labels.total():.0%} {CLASSES[1]}")
    shares = [s.lung_share for s in good if s.lung_share is not None]
    if shares:
        facts.append(
            f"lung share: {min(shares):.0%} to {max(shares):.0%} of the film, mean "
            f"{np.mean(shares):.0%}"
        )
    return facts


def find_faulty_films(report: Report, scans: list[Scan]) -> None:
    """Unreadable films, inverted ones, films without any answer, one class alone."""
    add(report.faults, "cannot be read", (s.fault for s in scans if s.fault))
    add(report.remarks, "look inverted (air bright)", (s.film.name for s in scans if s.inverted))
    films = [s.film for s in scans]
    if not any(film.label is not None or film.masks for film in films):
        report.remarks.append(
            "no film has a class or a mask: they can serve as unlabelled films alone"
        )
    labels = {film.label for film in films if film.label is not None}
    if len(labels) == 1:
        report.faults.append(f"all classes are {CLASSES[labels.pop()]}: both are needed")


def find_faulty_masks(report: Report, good: list[Scan]) -> None:
    """Unreadable, empty, inverted or implausible masks; films without one among films with."""
    add(report.faults, "have a mask that is no use", (s.mask for s in good if s.mask))
    add(
        report.remarks,
        f"have a mask outside {LUNG_SHARE[0]:.0%} to {LUNG_SHARE[1]:.0%} of the film",
        (
            s.film.name
            for s in good
            if not s.mask
            and s.lung_share is not None
            and not LUNG_SHARE[0] <= s.lung_share <= LUNG_SHARE[1]
        ),
    )
    if any(s.film.masks for s in good):
        add(
            report.remarks,
            "have no mask and will be unlabelled",
            (s.film.name for s in good if not s.film.masks),
        )


def find_duplicates(report: Report, good: list[Scan]) -> None:
    """Films of the same pixels, and pairs that look the same; those that lie in two splits, or have
    two classes.
    """
    groups: dict[str, list[Scan]] = {}
    for s in good:
        groups.setdefault(s.digest, []).append(s)
    same = [group for group in groups.values() if len(group) > 1]
    add(
        report.remarks,
        "groups of films have identical pixels",
        (" = ".join(s.film.name for s in g) for g in same),
    )
    add(
        report.faults,
        "groups of identical films lie in several splits",
        (" = ".join(s.film.name for s in g) for g in same if len({s.film.split for s in g}) > 1),
    )
    add(
        report.faults,
        "groups of identical films have different classes",
        (" = ".join(s.film.name for s in g) for g in same if len({s.film.label for s in g}) > 1),
    )
    near = near_pairs(good)
    add(
        report.remarks,
        "pairs look the same without being identical",
        (f"{a.film.name} ~ {b.film.name}" for a, b in near),
    )
    add(
        report.remarks,
        "of these pairs lie in two splits",
        (f"{a.film.name} ~ {b.film.name}" for a, b in near if a.film.split != b.film.split),
    )


def near_pairs(good: list[Scan]) -> list[tuple[Scan, Scan]]:
    """Pairs of films whose perceptual hashes differ by `NEAR` bits or fewer, without those of
    identical pixels.
    """
    if not good:
        return []
    signs = np.where(np.stack([s.bits for s in good]), 1, -1).astype(np.float32)
    pairs = []
    for first in range(0, len(good), 1024):  # a thousand rows of the table of all pairs at a time
        distance = (signs.shape[1] - signs[first : first + 1024] @ signs.T) / 2
        for row, column in zip(*np.nonzero(distance <= NEAR)):
            one, other = good[first + row], good[column]
            if first + row < column and one.digest != other.digest:
                pairs.append((one, other))
    return pairs


def find_strangers(report: Report, films: list[Film]) -> None:
    """Patients in more than one split."""
    splits: dict[str, set[str]] = {}
    for film in films:
        splits.setdefault(film.patient, set()).add(film.split)
    add(
        report.remarks,
        "patients are in more than one split, going by their keys",
        (patient for patient, where in splits.items() if len(where) > 1),
    )


def add(lines: list[str], what: str, names: Iterable[str]) -> None:
    """One line: how many, what, and the first few by name; nothing where there are none."""
    names = list(names)
    if names:
        more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"{len(names)} {what}: {'; '.join(names[:SHOWN])}{more}")
