"""What a folder holds, and whether it is fit to train on, told before hours are spent."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from scipy.fft import dctn
from tqdm.auto import tqdm

from multimix.data.dataset_layouts import Film, read_layout
from multimix.data.film_set import SPLITS
from multimix.data.films import mask_of
from multimix.images.quality import looks_inverted
from multimix.images.reading import load_image, resize
from multimix.model import CLASSES

LUNG_SHARE = (0.10, 0.60)  # of the film; a mask outside is probably not one of both lungs
HASH_SIDE = 16  # of the perceptual hash: the 16 x 16 lowest frequencies
NEAR = 24  # how many of its 255 bits may differ
ROWS_AT_ONCE = 1024  # of the distances between all pairs of films
SHOWN = 5  # names after a finding


@dataclass
class Findings:
    """Facts, then what is worth a look, then what must be mended before training."""

    facts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def fit(self) -> bool:
        """Whether nothing must be mended."""
        return not self.faults

    def remark(self, what: str, names: Sequence[str]) -> None:
        """Add what is worth a look, if it has names."""
        add_line(self.remarks, what, names)

    def fault(self, what: str, names: Sequence[str]) -> None:
        """Add what must be mended, if it has names."""
        add_line(self.faults, what, names)

    def __str__(self) -> str:
        lines = []
        for mark, found in ((" ", self.facts), ("?", self.remarks), ("x", self.faults)):
            for line in found:
                lines.append(f"{mark} {line}")
        if self.fit:
            lines.append("Fit to train on.")
        else:
            lines.append("Not fit to train on: mend what is marked with x.")
        return "\n".join(lines)


def add_line(lines: list[str], what: str, names: Sequence[str]) -> None:
    """One line: how many, what, and the first few by name; nothing where there are none."""
    if names:
        more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"{len(names)} {what}: {'; '.join(names[:SHOWN])}{more}")


@dataclass(frozen=True)
class Scan:
    """One film that was read: either `fault`, or all the rest."""

    film: Film
    fault: str = ""
    size: tuple[int, int] = (0, 0)  # height, width
    kind: str = ""  # Pillow's mode or the array's type
    digest: str = ""  # of the pixels
    bits: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # (255,) perceptual hash
    inverted: bool = False
    mask_fault: str = ""  # what is wrong with it
    lung_share: float | None = None


def examine(folder: str | os.PathLike, layout: str = "auto", progress: bool = False) -> Findings:
    """Read every film and mask of a folder.

    Arguments:
        folder: what `load_films` takes.
        layout: one of `LAYOUTS`; 'auto' takes the first that fits.
        progress: show a bar.

    Returns: what was found, by weight.

    Errors: ValueError where there is nothing that could be a film.
    """
    layout, films = read_layout(folder, layout)
    with ThreadPoolExecutor() as pool:
        scanned = pool.map(scan_film, films)
        bar = tqdm(scanned, "examining", len(films), leave=False, unit="film", disable=not progress)
        scans = list(bar)
    readable = [scan for scan in scans if not scan.fault]
    findings = Findings(describe(layout, films, readable))
    find_faulty_films(findings, scans)
    find_faulty_masks(findings, readable)
    find_identical(findings, readable)
    find_similar(findings, readable)
    find_shared_patients(findings, films)
    return findings


def scan_film(film: Film) -> Scan:
    """Decode a film and its masks once and keep only what the findings need."""
    try:
        image = load_image(film.source)
    except ValueError as error:
        return Scan(film, str(error))
    grey = image.grey
    lung_share, mask_fault = examine_mask(film)
    return Scan(
        film,
        size=(grey.shape[0], grey.shape[1]),
        kind=image.kind,
        digest=hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest(),
        bits=perceptual_hash(grey),
        inverted=looks_inverted(grey),
        mask_fault=mask_fault,
        lung_share=lung_share,
    )


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """(255,) bool: which of the lowest frequencies are above their median; the mean is left out."""
    frequencies = dctn(resize(grey, 2 * HASH_SIDE).astype(np.float32))
    low = frequencies[:HASH_SIDE, :HASH_SIDE].flatten()[1:]
    return low > np.median(low)


def examine_mask(film: Film) -> tuple[float | None, str]:
    """The share of the film that is lung, and what is wrong with the mask, if anything is."""
    if not film.masks:
        return None, ""
    try:
        lungs = mask_of(film, 256)
    except ValueError as error:
        return None, str(error)
    share = float(lungs.mean())
    border = np.concatenate([lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]])
    if not lungs.any():
        return share, f"{film.name} has an empty mask"
    if border.mean() > 0.5:
        fault = f"{film.name} has a mask that is lung at the film's border: is it inverted?"
        return share, fault
    return share, ""


def describe(layout: str, films: list[Film], readable: list[Scan]) -> list[str]:
    """Layout, counts, sizes, class balance, lungs."""
    patients = {film.patient for film in films}
    facts = [f"layout: {layout}, {len(films)} films of {len(patients)} patients"]
    for split in (*SPLITS, ""):
        part = [film for film in films if film.split == split]
        if part:
            facts.append(f"{split or 'no split'}: {counts_in_words(part)}")
    if readable:
        facts.append(sizes_in_words(readable))
    labels = Counter(film.label for film in films if film.label is not None)
    if len(labels) == 2:
        facts.append(f"class balance: {labels[1] / labels.total():.0%} {CLASSES[1]}")
    shares = [scan.lung_share for scan in readable if scan.lung_share is not None]
    if shares:
        facts.append(
            f"lung share: {min(shares):.0%} to {max(shares):.0%} of the film, mean "
            f"{np.mean(shares):.0%}"
        )
    return facts


def counts_in_words(films: list[Film]) -> str:
    """How many films there are of each class, without a class, and with a mask."""
    counts: Counter[str] = Counter()
    for film in films:
        counts["without class" if film.label is None else CLASSES[film.label]] += 1
        if film.masks:
            counts["with mask"] += 1
    names = (*CLASSES, "without class", "with mask")
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name])


def sizes_in_words(scans: list[Scan]) -> str:
    """The smallest and the largest width and height, and how many films are of each kind."""
    heights, widths = zip(*(scan.size for scan in scans))
    kinds = []
    for kind, count in Counter(scan.kind for scan in scans).most_common():
        kinds.append(f"{count} {kind}")
    return (
        f"sizes: {min(widths)} x {min(heights)} to {max(widths)} x {max(heights)}; kinds: "
        f"{', '.join(kinds)}"
    )


def find_faulty_films(findings: Findings, scans: list[Scan]) -> None:
    """Unreadable films, inverted ones, films without any answer, one class alone."""
    unreadable, inverted = [], []
    labels, masks = set(), 0
    for scan in scans:
        if scan.fault:
            unreadable.append(scan.fault)
        if scan.inverted:
            inverted.append(scan.film.name)
        if scan.film.label is not None:
            labels.add(scan.film.label)
        masks += len(scan.film.masks)
    findings.fault("cannot be read", unreadable)
    findings.remark("look inverted (air bright)", inverted)
    if not labels and not masks:
        findings.remarks.append(
            "no film has a class or a mask: they can serve as unlabelled films alone"
        )
    if len(labels) == 1:
        findings.faults.append(f"all classes are {CLASSES[labels.pop()]}: both are needed")


def find_faulty_masks(findings: Findings, readable: list[Scan]) -> None:
    """Unreadable, empty, inverted or implausible masks; films without one among films with."""
    low, high = LUNG_SHARE
    faults, implausible, missing = [], [], []
    for scan in readable:
        if not scan.film.masks:
            missing.append(scan.film.name)
        elif scan.mask_fault:
            faults.append(scan.mask_fault)
        elif scan.lung_share is not None and not low <= scan.lung_share <= high:
            implausible.append(scan.film.name)
    findings.fault("have a mask that is no use", faults)
    findings.remark(f"have a mask outside {low:.0%} to {high:.0%} of the film", implausible)
    if len(missing) < len(readable):
        findings.remark("have no mask and will be unlabelled", missing)


def find_identical(findings: Findings, readable: list[Scan]) -> None:
    """Films of the same pixels, above all those that lie in several splits or have two classes."""
    by_digest: dict[str, list[Scan]] = {}
    for scan in readable:
        by_digest.setdefault(scan.digest, []).append(scan)
    same, splits, classes = [], [], []
    for group in by_digest.values():
        if len(group) == 1:
            continue
        names = " = ".join(scan.film.name for scan in group)
        same.append(names)
        if len({scan.film.split for scan in group}) > 1:
            splits.append(names)
        if len({scan.film.label for scan in group}) > 1:
            classes.append(names)
    findings.remark("groups of films have identical pixels", same)
    findings.fault("groups of identical films lie in several splits", splits)
    findings.fault("groups of identical films have different classes", classes)


def find_similar(findings: Findings, readable: list[Scan]) -> None:
    """Pairs of films that look the same, and those of them that lie in two splits."""
    similar, splits = [], []
    for one, other in near_pairs(readable):
        names = f"{one.film.name} ~ {other.film.name}"
        similar.append(names)
        if one.film.split != other.film.split:
            splits.append(names)
    findings.remark("pairs look the same without being identical", similar)
    findings.remark("of these pairs lie in two splits", splits)


def near_pairs(readable: list[Scan]) -> list[tuple[Scan, Scan]]:
    """Pairs of films whose perceptual hashes differ by `NEAR` bits or fewer.

    Those of identical pixels are left out.
    """
    if not readable:
        return []
    signs = np.where(np.stack([scan.bits for scan in readable]), 1, -1).astype(np.float32)
    pairs = []
    for first in range(0, len(readable), ROWS_AT_ONCE):
        # (rows, films): the product counts equal bits minus different ones
        distance = (signs.shape[1] - signs[first : first + ROWS_AT_ONCE] @ signs.T) / 2
        for row, column in zip(*np.nonzero(distance <= NEAR)):
            one, other = readable[first + row], readable[column]
            if first + row < column and one.digest != other.digest:
                pairs.append((one, other))
    return pairs


def find_shared_patients(findings: Findings, films: list[Film]) -> None:
    """Patients in more than one split."""
    splits: dict[str, set[str]] = {}
    for film in films:
        splits.setdefault(film.patient, set()).add(film.split)
    shared = [patient for patient, where in splits.items() if len(where) > 1]
    findings.remark("patients are in more than one split, going by their keys", shared)
