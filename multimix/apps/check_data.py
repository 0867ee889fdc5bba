"""`doctor`: what a folder has, and whether a network can be trained on it."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy
from tqdm.auto import tqdm

from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import SPLITS, Film, FoundFilms
from multimix.data.splits import split_films
from multimix.data.training_films import UNUSUAL, first_few, mask_fault, missing_labels
from multimix.images.quality import looks_inverted, looks_turned
from multimix.images.reading import load_image, read_mask, resize
from multimix.model import CLASSES

Line = tuple[str, str, str]  # ' ' (a fact), '?' (look at it) or 'x' (repair it); what; a film or ''


@dataclass
class Findings:
    """Facts about a folder, then what needs a look, then what must be repaired before training."""

    facts: list[str]
    remarks: list[str]
    faults: list[str]

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
    lines = [*facts_of(found, films), *films["problems"].explode().dropna()]
    if len(films := films[films["digest"] != ""]):  # those that can be read
        lines += [*common_problems(films), *look_alikes(films), *training_plan(films)]
    lines += [("?", text, "") for text in found.left_out]
    marked: dict[str, list[str]] = {" ": [], "?": [], "x": []}
    table = pd.DataFrame(lines, columns=["mark", "what", "name"])
    for (mark, what), names in table.groupby(["mark", "what"], sort=False)["name"]:
        marked[mark].append(f"{what}: {first_few(list(names))}" if any(names) else what)
    return Findings(*marked.values())


def scan_film(film: Film) -> dict[str, Any]:
    """Read a film and its masks once; keep what the report needs."""
    row = {name: getattr(film, name) for name in ("name", "label", "split", "patient")}
    row["class"] = "without class" if film.label is None else CLASSES[film.label]
    row |= {"other_class": bool(film.other_class), "masked": bool(film.masks), "has_lung": None}
    try:
        image = load_image(film.source)
    except ValueError as error:
        return row | {"digest": "", "problems": [("x", "films that cannot be read", str(error))]}
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
        if film.masks:
            lungs = read_mask(film.masks, 256, image.box, image.grey.shape)
            row["has_lung"] = bool(lungs.any())
            if fault := mask_fault(lungs):
                mark = "?" if fault == UNUSUAL else "x"
                problems.append((mark, f"masks that {fault}", film.name))
    except ValueError as error:
        problems.append(("x", "masks that cannot be used", str(error)))
    return row


def facts_of(found: FoundFilms, films: pd.DataFrame) -> Iterator[Line]:
    """Layout, splits, classes, masks, sizes."""
    patients = films["patient"].nunique()
    yield " ", f"layout: {found.layout}, {len(films)} films of {patients} patients", ""
    for split in (*SPLITS, ""):
        part = films[films["split"] == split]
        counts = {**part["class"].value_counts().sort_index(), "with mask": part["masked"].sum()}
        if words := ", ".join(f"{count} {kind}" for kind, count in counts.items() if count):
            yield " ", f"{split or 'no split'}: {words}", ""
    if found.split_rule:
        yield " ", found.split_rule, ""
    if "width" in films:
        low, high = (films[["width", "height"]].agg(end).astype(int) for end in ("min", "max"))
        yield " ", "sizes: {} x {} to {} x {}".format(*low, *high), ""


def common_problems(films: pd.DataFrame) -> Iterator[Line]:
    """What several films show: masks that some lack, duplicates, patients in several splits."""
    for name in films["name"][~films["masked"]] if films["masked"].any() else ():
        yield "?", "films without a mask, used as unlabelled", name
    for _, group in films[films.duplicated("digest", keep=False)].groupby("digest", sort=False):
        names = " = ".join(group["name"].iloc[:5])
        yield "?", "groups of identical films", names
        for column, more in (("split", "in several splits"), ("class", "with several classes")):
            if group[column].nunique() > 1:
                yield "x", f"groups of identical films {more}", names
    splits = films.groupby("patient")["split"].nunique()
    for patient in splits.index[splits > 1]:
        yield "?", "patients in several splits", patient


def look_alikes(films: pd.DataFrame) -> Iterator[Line]:
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


def training_plan(films: pd.DataFrame) -> Iterator[Line]:
    """How a training on this folder alone would use it, and what it would lack."""
    classes = films["label"][~films["other_class"]]
    labels = {"classification": classes, "segmentation": films["has_lung"]}
    labels = {task: column for task, column in labels.items() if column.notna().any()}
    if not labels:
        yield "x", "nothing to train on: no film has a class or a mask", ""
    for task, column in labels.items():
        uses, lacks = [], ""
        for split, use in zip(SPLITS, ("train on", "validate on", "test on")):
            part = column[films["use"] == split]
            labelled = part.dropna().astype(int)
            some = f" ({len(labelled)} labelled)" if len(labelled) < len(part) else ""
            uses.append(f"{use} {len(part)}{some}")
            if split != "test":
                lacks = lacks or missing_labels(task, split, set(labelled))
        yield " ", f"{task} will {', '.join(uses)} of these films", ""
        if lacks:
            can_train_lungs = task == "classification" and "segmentation" in labels
            yield "?" if can_train_lungs else "x", lacks, ""
