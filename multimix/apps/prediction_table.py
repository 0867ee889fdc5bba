"""Rows of `predictions.csv`, shown as text and as JSON; true classes from a `films.csv`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from multimix.images.reading import read_mask
from multimix.model import CLASSES
from multimix.predictions.output_folder import BETWEEN, MEASURES, Row
from multimix.runtime.files import printable

FORMS = {"probability": "{:.3f}", "lungs": "{:.1%}", "Dice": "{:.3f}", "seconds": "{:.2f}"}


def as_json(rows: Sequence[Row]) -> str:
    """The rows for programs; `probability` is that of the label."""
    columns = ("file", *MEASURES, "quality", "truth", "dice", "seconds", "mask", "overlay")
    films = []
    for row in rows:
        found = {"label": row["label"] or None, "probability": row.get(row["label"])}
        found["probabilities"] = {name: row[name] for name in CLASSES if row[name] is not None}
        found["warnings"] = list(filter(None, row["warnings"].split(BETWEEN)))
        films.append({name: row[name] for name in columns} | found)
    return json.dumps(films, indent=2)


def summary(rows: Sequence[Row], out: Path, figures: bool) -> str:
    """The films that were predicted now, and where the files are; there is at least one row."""
    import pandas as pd  # slow to import

    new, place = [row for row in rows if row["is_new"]], out / "predictions.csv"
    if not new:
        return f"Nothing to do: all {len(rows)} films have been predicted; see {place}."
    names = [Path(row["file"]).name for row in new]
    names = names if len({*names}) == len(names) else [row["file"] for row in new]
    table = pd.DataFrame(new, list(map(printable, names))).rename_axis(columns="film")
    table = table.rename(columns={"lung_share": "lungs", "dice": "Dice"})
    table["probability"] = [row.get(row["label"]) for row in new]
    table["label"] = table["label"].replace("", "no class")
    columns = ["label", "probability", "truth", "lungs", "Dice", "quality", "seconds"]
    table = table[columns].replace("", None).dropna(axis="columns", how="all")
    forms = {name: form.format for name, form in FORMS.items() if name in table}
    head, *lines = table.to_string(formatters=forms, na_rep="").splitlines()
    text, indent = [head], " " * max(map(len, table.index))
    for line, row in zip(lines, new):
        warnings = filter(None, row["warnings"].split(BETWEEN))
        text += [line, *(f"{indent}  ! {printable(warning)}" for warning in warnings)]
    files = "Masks, overlays (film, lungs, explanation)" if figures else "Masks"
    end = [f"{files} and {place.name} are in {out}."]
    if earlier := len(rows) - len(new):
        end.append(f"Predicted before: {earlier} more.")
    end.append("For research, not for diagnosis.")
    return "\n".join([*(line.rstrip() for line in text), "", " ".join(end)])


def truths_beside(films: Iterable[Path]) -> dict[Path, tuple[str, Path | None]]:
    """True class ('' if unknown), and hand outline, of films that a `films.csv` near them lists.

    It is in their folder or the one above, and has the column `path`, and `truth`, `label` or
    `mask`. Other tables are ignored.
    """
    import pandas as pd

    found: dict[Path, tuple[str, Path | None]] = {}
    folders = {folder for film in films for folder in film.parents[:2]}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):  # the nearest first
        try:
            table = pd.read_csv(folder / "films.csv", dtype=str, keep_default_na=False)
            for row in table.to_dict("records"):
                label, mask = row.get("truth", row.get("label", "")).upper(), row.get("mask")
                known = label if label in CLASSES else "", folder / mask if mask else None
                found.setdefault(folder / row["path"], known)
        except (ValueError, KeyError, OSError):
            continue
    return found


def hand_outline(mask: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The lungs outlined by hand, (H, W) bool at the film's size; ValueError if unreadable."""
    square = Image.fromarray(read_mask([mask], max(shape)))
    return np.asarray(square.resize((shape[1], shape[0])))
