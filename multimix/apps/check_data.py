"""`doctor`: what a folder has, and whether a network can be trained on it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy
from tqdm.auto import tqdm

from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import SPLITS, Film, FoundFilms
from multimix.data.films import mask_of
from multimix.data.mask_faults import UNUSUAL, first_few, mask_fault
from multimix.data.splits import split_films
from multimix.data.training_films import missing_labels
from multimix.images.quality import looks_inverted, looks_turned
from multimix.images.reading import load_image, resize
from multimix.model import CLASSES

Problem = tuple[str, str, str]  # '?' (look at it) or 'x' (repair it), what it is, which film


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
    if not found.films:
        raise ValueError(f"All films of {folder} are of other classes; see the option --classes.")
    with ThreadPoolExecutor() as pool:
        scans = pool.map(scan_film, found.films)
        bar = tqdm(scans, "reading", len(found.films), False, unit="film", disable=not progress)
        films = pd.DataFrame(list(bar))
    films["use"] = split_films(found.films, seed=0)  # in training
    findings = Findings(facts_of(found, films))
    problems = [*films["problems"].explode().dropna()]
    films = films[films["digest"] != ""]  # those that can be read
    if len(films):
        problems += common_problems(films)
    table = pd.DataFrame(problems, columns=["mark", "what", "name"])
    for (mark, what), names in table.groupby(["mark", "what"], sort=False)["name"]:
        lines = findings.remarks if mark == "?" else findings.faults
        lines.append(f"{what}: {first_few(list(names))}")
    if len(films):
        plan_training(findings, films)
    findings.remarks += found.left_out
    return findings


def scan_film(film: Film) -> dict[str, Any]:
    """Read a film and its masks once; keep what the report needs."""
    row = {name: getattr(film, name) for name in ("name", "label", "split", "patient")}
    row["class"] = "without class" if film.label is None else CLASSES[film.label]
    row |= {"other_class": bool(film.other_class), "masked": bool(film.masks), "has_lung": None}
    try:
        image = load_image(film.source)
    except ValueError as error:
        problem = "x", "films that cannot be read", str(error)
        return row | {"digest": "", "problems": [problem]}
    problems = row["problems"] = []
    row["height"], row["width"] = image.grey.shape
    grey = np.ascontiguousarray(image.box.of(image.grey))
    row["digest"] = hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()
    # Perceptual hash, (255,): which of the lowest frequencies are above their median, as 1 or -1.
    low = scipy.fft.dctn(resize(grey, 32).astype(np.float32))[:16, :16].flatten()[1:]
    row["hash"] = np.where(low > np.median(low), 1, -1).astype(np.float32)
    if looks_inverted(grey):
        problems.append(("?", "films that may be inverted (air bright)", film.name))
    if looks_turned(grey):
        problems.append(("?", "films that may be upside down or on their side", film.name))
    try:
        if film.masks and (lungs := mask_of(film, 256)) is not None:
            row["has_lung"] = bool(lungs.any())
            if fault := mask_fault(lungs):
                mark = "?" if fault == UNUSUAL else "x"
                problems.append((mark, f"masks that {fault}", film.name))
    except ValueError as error:
        problems.append(("x", "masks that cannot be used", str(error)))
    return row


def facts_of(found: FoundFilms, films: pd.DataFrame) -> list[str]:
    """Layout, splits, classes, masks, sizes."""
    patients = films["patient"].nunique()
    facts = [f"layout: {found.layout}, {len(films)} films of {patients} patients"]
    for split in (*SPLITS, ""):
        part = films[films["split"] == split]
        counts = {**part["class"].value_counts().sort_index(), "with mask": part["masked"].sum()}
        if words := ", ".join(f"{count} {kind}" for kind, count in counts.items() if count):
            facts.append(f"{split or 'no split'}: {words}")
    facts += [found.split_rule] if found.split_rule else []
    if "width" in films:
        low, high = (films[["width", "height"]].agg(end).astype(int) for end in ("min", "max"))
        facts.append("sizes: {} x {} to {} x {}".format(*low, *high))
    return facts


def common_problems(films: pd.DataFrame) -> Iterator[Problem]:
    """What several films show: masks that some lack, duplicates, patients in several splits."""
    if films["masked"].any():
        for name in films["name"][~films["masked"]]:
            yield "?", "films without a mask, used as unlabelled", name
    copies = films[films.duplicated("digest", keep=False)].groupby("digest", sort=False)
    for _, group in copies:
        names = " = ".join(group["name"].iloc[:5])
        yield "?", "groups of identical films", names
        for column, more in (("split", "in several splits"), ("class", "with several classes")):
            if group[column].nunique() > 1:
                yield "x", f"groups of identical films {more}", names
    yield from look_alikes(films)
    splits = films.groupby("patient")["split"].nunique()
    for patient in splits.index[splits > 1]:
        yield "?", "patients in several splits, going by their keys", patient


def look_alikes(films: pd.DataFrame) -> Iterator[Problem]:
    """Each film that looks the same as a later one that is not identical."""
    digests, splits = (pd.factorize(films[column])[0] for column in ("digest", "split"))
    hashes, names = np.array([*films["hash"]]), films["name"].to_numpy()
    for first in range(0, len(films), 512):
        rows = slice(first, first + 512)
        # The product is the number of equal bits minus that of different ones, of which 24 may be.
        near = np.triu(hashes[rows] @ hashes[first:].T >= 255 - 2 * 24, 1)
        near &= digests[rows, None] != digests[first:]
        leaks = near & (splits[rows, None] != splits[first:])
        for what, pairs in (("another", near), ("one in another split", leaks)):
            for row in np.flatnonzero(pairs.any(axis=1)):
                pair = f"{names[first + row]} ~ {names[first + pairs[row].argmax()]}"
                yield "?", f"films that look the same as {what}", pair


def plan_training(findings: Findings, films: pd.DataFrame) -> None:
    """How a training on this folder alone would use it, and what it would lack."""
    classes = films["label"][~films["other_class"]]
    labels = {"classification": classes, "segmentation": films["has_lung"]}
    labels = {task: column for task, column in labels.items() if column.notna().any()}
    if not labels:
        findings.faults.append("nothing to train on: no film has a class or a mask")
    for task, column in labels.items():
        uses, lacks = [], []
        for split, use in zip(SPLITS, ("train on", "validate on", "test on")):
            part = column[films["use"] == split]
            labelled = part.dropna().astype(int)
            some = f" ({len(labelled)} labelled)" if len(labelled) < len(part) else ""
            uses.append(f"{use} {len(part)}{some}")
            lacks.append("" if split == "test" else missing_labels(task, split, set(labelled)))
        findings.facts.append(f"{task} will {', '.join(uses)} of these films")
        can_train_lungs = task == "classification" and "segmentation" in labels
        lines = findings.remarks if can_train_lungs else findings.faults
        lines += list(filter(None, lacks))[:1]
