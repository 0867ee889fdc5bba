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

Truths = dict[Path, tuple[str, Path | None]]  # by film: its class or '', and a mask made by hand
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


def as_text(rows: Sequence[Row]) -> str:
    """The rows for the terminal; there is at least one."""
    import pandas as pd  # slow to import

    names = [Path(row["file"]).name for row in rows]
    names = names if len({*names}) == len(names) else [row["file"] for row in rows]
    table = pd.DataFrame(rows, list(map(printable, names))).rename_axis(columns="film")
    table = table.rename(columns={"lung_share": "lungs", "dice": "Dice"})
    table["probability"] = [row.get(row["label"]) for row in rows]
    table["label"] = table["label"].replace("", "no class")
    columns = ["label", "probability", "truth", "lungs", "Dice", "quality", "seconds"]
    table = table[columns].replace("", None).dropna(axis="columns", how="all")
    forms = {name: form.format for name, form in FORMS.items() if name in table}
    head, *lines = table.to_string(formatters=forms, na_rep="").splitlines()
    for number, row in enumerate(rows):
        for text in filter(None, row["warnings"].split(BETWEEN)):
            lines[number] += f"\n{' ' * max(map(len, table.index))}  ! {printable(text)}"
    return "\n".join(line.rstrip() for line in [head, *lines])


def summary(rows: Sequence[Row], out: Path, figures: bool) -> str:
    """The films that were predicted now, and where the files are; there is at least one row."""
    new, table = [row for row in rows if row["is_new"]], out / "predictions.csv"
    if not new:
        return f"Nothing to do: all {len(rows)} films have been predicted; see {table}."
    files = "Masks, overlays (film, lungs, explanation)" if figures else "Masks"
    text = f"{as_text(new)}\n\n{files} and {table.name} are in {out}. "
    if earlier := len(rows) - len(new):
        text += f"Predicted before: {earlier} more. "
    return f"{text}For research, not for diagnosis."


def truths_beside(films: Iterable[Path]) -> Truths:
    """True class and hand outline of films, from `films.csv` in their folders or those above.

    The table has the column `path`, and `truth`, `label` or `mask`. Other tables are ignored.
    """
    import pandas as pd

    found: Truths = {}
    folders = {folder for film in films for folder in film.parents[:2]}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):  # the nearest first
        try:
            table = pd.read_csv(folder / "films.csv", dtype=str, keep_default_na=False)
            blank = pd.Series("", table.index)
            labels = table.get("truth", table.get("label", blank)).str.upper()
            for name, label, mask in zip(table["path"], labels, table.get("mask", blank)):
                known = label if label in CLASSES else "", folder / mask if mask else None
                found.setdefault(folder / name, known)
        except (ValueError, KeyError, OSError):
            continue
    return found


def hand_outline(mask: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The lungs outlined by hand, (H, W) bool at the film's size; ValueError if unreadable."""
    square = Image.fromarray(read_mask([mask], max(shape)))
    return np.asarray(square.resize((shape[1], shape[0])))
