"""`doctor`: what a folder has, and whether a network can be trained on it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from multimix.apps.duplicates import identical, perceptual_hash, similar
from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import SPLITS
from multimix.data.films import mask_of
from multimix.data.found_films import Film, FoundFilms
from multimix.data.mask_faults import UNUSUAL, first_few, mask_fault
from multimix.data.splits import split_films
from multimix.data.training_films import missing_labels
from multimix.images.preparation import WHOLE, film_box
from multimix.images.quality import looks_inverted, looks_turned
from multimix.images.reading import load_image
from multimix.model import CLASSES


@dataclass
class Findings:
    """Facts about a folder, then what needs a look, then what must be repaired before training."""

    facts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def fit(self) -> bool:
        """Whether nothing must be repaired."""
        return not self.faults

    def remark(self, what: str, names: Iterable[str], count: int = 0) -> None:
        """Add a line if there are names; `count` is their number if not all are given."""
        if found := list(names):
            self.remarks.append(f"{what}: {first_few(found, count)}")

    def fault(self, what: str, names: Iterable[str]) -> None:
        """The same for what must be repaired."""
        if found := list(names):
            self.faults.append(f"{what}: {first_few(found)}")

    def __str__(self) -> str:
        marked = ((" ", self.facts), ("?", self.remarks), ("x", self.faults))
        lines = [f"{mark} {line}" for mark, found in marked for line in found]
        look = "; look at what is marked with ? first" if self.remarks else ""
        repair = "Not fit to train on: repair what is marked with x."
        return "\n".join([*lines, repair if self.faults else f"Fit to train on{look}."])


def examine(
    folder: str | os.PathLike,
    layout: str = "auto",
    progress: bool = False,
    classes: Mapping[str, str] | None = None,
) -> Findings:
    """Read every film and mask of a folder, prepared as for training, and report.

    Arguments:
        folder, layout, classes: as for `load_films`.
        progress: show a bar.

    Errors: ValueError if there is nothing that could be a film.
    """
    found = read_layout(folder, layout, classes)
    with ThreadPoolExecutor() as pool:
        scanned = pool.map(scan_film, found.films)
        bar = tqdm(scanned, "reading", len(found.films), False, unit="film", disable=not progress)
        scans = pd.DataFrame(list(bar), dtype=object)
    scans["use"] = split_films(found.films, seed=0)  # in training
    readable = scans[scans["fault"] == ""]
    findings = Findings(facts_of(found, scans, readable))
    findings.fault("films that cannot be read", scans["fault"][scans["fault"] != ""])
    for report in (report_films, report_masks, report_duplicates, report_labels):
        if len(readable):
            report(findings, readable)
    findings.remarks += found.left_out
    return findings


def scan_film(film: Film) -> dict[str, object]:
    """Read a film and its masks once and keep what the report needs."""
    row = {"film": film, "fault": "", "mask_error": "", "mask_fault": "", "lung_share": None}
    row |= {name: getattr(film, name) for name in ("name", "label", "split", "patient")}
    row["masked"], row["kind"] = bool(film.masks), ""
    row["class"] = "without class" if film.label is None else CLASSES[film.label]
    try:
        image = load_image(film.source)
    except ValueError as error:
        return row | {"fault": str(error)}
    row["kind"], row["height"], row["width"] = image.kind, *image.grey.shape
    box = film_box(image.grey)
    grey = np.ascontiguousarray(box.of(image.grey))
    row["bordered"], row["bits"] = box != WHOLE, perceptual_hash(grey)
    row["digest"] = hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()
    row["inverted"], row["turned"] = looks_inverted(grey), looks_turned(grey)
    try:
        if film.masks and (lungs := mask_of(film, 256)) is not None:
            row["mask_fault"], row["lung_share"] = mask_fault(lungs), float(lungs.mean())
    except ValueError as error:
        row["mask_error"] = str(error)
    return row


def facts_of(found: FoundFilms, scans: pd.DataFrame, readable: pd.DataFrame) -> list[str]:
    """Layout, counts, splits, sizes, class balance, lungs."""
    patients = scans["patient"].nunique()
    facts = [f"layout: {found.layout}, {len(scans)} films of {patients} patients"]
    for split in (*SPLITS, ""):
        part = scans[scans["split"] == split]
        counts = {**part["class"].value_counts(), "with mask": part["masked"].sum()}
        kinds = [k for k in (*CLASSES, "without class", "with mask") if counts.get(k)]
        if words := ", ".join(f"{counts[kind]} {kind}" for kind in kinds):
            facts.append(f"{split or 'no split'}: {words}")
    facts += [found.split_rule] if found.split_rule else []
    if len(readable):
        widths, heights = readable["width"], readable["height"]
        smallest, largest = f"{min(widths)} x {min(heights)}", f"{max(widths)} x {max(heights)}"
        kinds = [f"{count} {kind}" for kind, count in readable["kind"].value_counts().items()]
        facts.append(f"sizes: {smallest} to {largest}; kinds: {', '.join(kinds)}")
        if bordered := readable["bordered"].sum():
            facts.append(f"plain borders, which are cut off: {bordered} films")
    if len(shares := readable["lung_share"].dropna()):
        facts.append(f"lungs: {shares.min():.0%} to {shares.max():.0%} of the film")
    return facts


def report_films(findings: Findings, readable: pd.DataFrame) -> None:
    """Films that look inverted or turned; classes that are missing."""
    inverted, turned = (readable[name].astype(bool) for name in ("inverted", "turned"))
    findings.remark("films that may be inverted (air bright)", readable["name"][inverted])
    findings.remark("films that may be upside down or on their side", readable["name"][turned])
    classes, masks = readable["class"].unique(), readable["masked"].any()
    known = [name for name in classes if name in CLASSES]
    if len(known) == 1:
        lines = findings.remarks if masks else findings.faults
        lines.append(f"all classes are {known[0]}: training the class needs both")
    elif not known and not masks:
        findings.faults.append("nothing to train on: no film has a class or a mask")


def report_masks(findings: Findings, readable: pd.DataFrame) -> None:
    """Masks that cannot be read or are wrong; films without a mask among films with one."""
    errors = readable["mask_error"]
    findings.fault("masks that cannot be used", errors[errors != ""])
    for fault, part in readable.groupby("mask_fault"):
        if fault:
            add = findings.remark if fault == UNUSUAL else findings.fault
            add(f"masks that {fault}", part["name"])
    if readable["masked"].any():
        without = readable["name"][~readable["masked"].astype(bool)]
        findings.remark("films without a mask, used as unlabelled", without)


def report_duplicates(findings: Findings, readable: pd.DataFrame) -> None:
    """Films that are there twice; films and patients in several splits, which leak."""
    findings.remark("groups of identical films", identical(readable))
    findings.fault("groups of identical films in several splits", identical(readable, "split"))
    findings.fault("groups of identical films with several classes", identical(readable, "class"))
    pairs, leaks = similar(readable)
    findings.remark("pairs of films that look the same", pairs.names, pairs.count)
    findings.remark("such pairs in two splits", leaks.names, leaks.count)
    splits = readable.groupby("patient")["split"].nunique()
    findings.remark("patients in several splits, going by their keys", splits.index[splits > 1])


def report_labels(findings: Findings, readable: pd.DataFrame) -> None:
    """How a training on this folder alone would use it, and what it would lack."""
    lungs = [None if share is None else int(share > 0) for share in readable["lung_share"]]
    other = [bool(film.other_class) for film in readable["film"]]  # these have no class
    for task, column in (("classification", readable["label"]), ("segmentation", lungs)):
        rows = readable.assign(answer=list(column))
        rows = rows[np.logical_not(other)] if task == "classification" else rows
        known = set(rows["answer"].dropna())
        if not known:
            continue
        uses, lacks = [], []
        for split, use in zip(SPLITS, ("train on", "validate on", "test on")):
            part = rows[rows["use"] == split]
            labelled = part["answer"].dropna()
            some = f" ({len(labelled)} labelled)" if len(labelled) < len(part) else ""
            uses.append(f"{use} {len(part)}{some}")
            if split != "test" and (task == "segmentation" or len(known) > 1):
                lacks.append(missing_labels(task, split, set(labelled)))
        findings.facts.append(f"{task} will {', '.join(uses)} of these films")
        findings.faults += [lack for lack in lacks if lack][:1]
