"""What a folder holds, and whether it is fit to train on, told before hours are spent."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm.auto import tqdm

from multimix.apps.duplicates import find_identical, find_similar, perceptual_hash
from multimix.apps.findings import Findings, Scan
from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import SPLITS
from multimix.data.films import mask_of
from multimix.data.found_films import Film, FoundFilms
from multimix.data.splits import split_films
from multimix.data.training_films import missing_answers
from multimix.images.quality import LUNG_SHARE, looks_inverted, looks_turned
from multimix.images.reading import load_image
from multimix.model import CLASSES


def examine(
    folder: str | os.PathLike,
    layout: str = "auto",
    progress: bool = False,
    classes: Mapping[str, str] | None = None,
) -> Findings:
    """Read every film and mask of a folder.

    Arguments:
        folder: what `load_films` takes.
        layout: one of `LAYOUTS`; 'auto' takes the first that fits.
        progress: show a bar.
        classes: the folder's names of classes, each with ours.

    Returns: what was found, by weight.

    Errors: ValueError where there is nothing that could be a film.
    """
    found = read_layout(folder, layout, classes)
    films = found.films
    with ThreadPoolExecutor() as pool:
        scanned = pool.map(scan_film, films)
        bar = tqdm(scanned, "examining", len(films), leave=False, unit="film", disable=not progress)
        scans = list(bar)
    readable = [scan for scan in scans if not scan.fault]
    findings = Findings(describe(found, readable))
    find_faulty_films(findings, scans)
    find_faulty_masks(findings, readable)
    find_identical(findings, readable)
    find_similar(findings, readable)
    find_shared_patients(findings, films)
    find_missing_answers(findings, readable)
    findings.remarks += found.left_out
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
        turned=looks_turned(grey),
        mask_fault=mask_fault,
        lung_share=lung_share,
    )


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


def describe(found: FoundFilms, readable: list[Scan]) -> list[str]:
    """Layout, counts, splits, sizes, class balance, lungs."""
    films = found.films
    patients = {film.patient for film in films}
    facts = [f"layout: {found.layout}, {len(films)} films of {len(patients)} patients"]
    for split in (*SPLITS, ""):
        part = [film for film in films if film.split == split]
        if part:
            facts.append(f"{split or 'no split'}: {counts_in_words(part)}")
    if found.split_rule:
        facts.append(found.split_rule)
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
    """Unreadable films, inverted or turned ones, films without any answer, one class alone."""
    unreadable, inverted, turned = [], [], []
    labels, masks = set(), 0
    for scan in scans:
        if scan.fault:
            unreadable.append(scan.fault)
        if scan.inverted:
            inverted.append(scan.film.name)
        if scan.turned:
            turned.append(scan.film.name)
        if scan.film.label is not None:
            labels.add(scan.film.label)
        masks += len(scan.film.masks)
    findings.fault("cannot be read", unreadable)
    findings.remark("may be inverted (air bright)", inverted)
    findings.remark("may be upside down or on their side", turned)
    if not labels and not masks:
        findings.remarks.append(
            "no film has a class or a mask: they can serve as unlabelled films alone"
        )
        findings.faults.append("nothing to train on: give films with classes or masks beside these")
    if len(labels) == 1:
        found = findings.remarks if masks else findings.faults
        needed = "both are needed to train the class"
        found.append(f"all classes are {CLASSES[labels.pop()]}: {needed}")


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


def find_shared_patients(findings: Findings, films: list[Film]) -> None:
    """Patients in more than one split."""
    splits: dict[str, set[str]] = {}
    for film in films:
        splits.setdefault(film.patient, set()).add(film.split)
    shared = [patient for patient, where in splits.items() if len(where) > 1]
    findings.remark("patients are in more than one split, going by their keys", shared)


def find_missing_answers(findings: Findings, readable: list[Scan]) -> None:
    """What a training on this folder alone would do with it, and what it would lack."""
    classified = [scan for scan in readable if not scan.film.other_class]
    labels = [scan.film.label for scan in classified]
    lungs = [None if scan.lung_share is None else int(scan.lung_share > 0) for scan in readable]
    for task, scans, answers in (
        ("classification", classified, labels),
        ("segmentation", readable, lungs),
    ):
        if any(answer is not None for answer in answers):
            films = [scan.film for scan in scans]
            splits = split_films(films, masks=task == "segmentation", seed=0)
            findings.facts.append(f"{task} will {uses_in_words(splits, answers)}")
            if task == "segmentation" or len(set(answers) - {None}) > 1:  # of one class: said
                find_lacking_split(findings, task, splits, answers)


def uses_in_words(splits: Sequence[str], answers: Sequence[int | None]) -> str:
    """'train on 80 (60 labelled), validate on 9, test on 10 of these films'"""
    uses = []
    for split, use in zip(SPLITS, ("train on", "validate on", "test on")):
        known = [answer is not None for answer, where in zip(answers, splits) if where == split]
        some = f" ({sum(known)} labelled)" if sum(known) < len(known) else ""
        uses.append(f"{use} {len(known)}{some}")
    return f"{', '.join(uses)} of these films"


def find_lacking_split(
    findings: Findings, task: str, splits: Sequence[str], answers: Sequence[int | None]
) -> None:
    """What training or validation lacks, the first of it."""
    for split in ("train", "val"):
        known = {a for a, where in zip(answers, splits) if where == split and a is not None}
        if fault := missing_answers(task, split, known):
            findings.faults.append(fault)
            return
