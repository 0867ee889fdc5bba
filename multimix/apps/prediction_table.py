"""Rows of `predictions.csv`, shown as text and as JSON; true classes from a `films.csv`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from multimix.model import CLASSES
from multimix.predictions.output_folder import BETWEEN, MEASURES, Row
from multimix.runtime.files import printable

Truths = dict[Path, tuple[str, Path | None]]  # by film: its class, and a mask outlined by hand


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

    table = pd.DataFrame(rows)
    names = table["file"].map(lambda file: Path(file).name)
    names = (names if names.is_unique else table["file"]).map(printable)
    table["probability"] = [row.get(row["label"]) for row in rows]
    table["label"] = table["label"].replace("", "no class")
    forms = {"label": "", "probability": ".3f", "truth": "", "lung_share": ".1%", "dice": ".3f"}
    cells = {}
    for column, form in (forms | {"quality": "", "seconds": ".2f"}).items():
        known = table[column].notna() & (table[column] != "")
        if known.any():
            cells[column] = [
                format(value, form) if k else "" for k, value in zip(known, table[column])
            ]
    titles = {"lung_share": "lungs", "dice": "Dice"}
    frame = pd.DataFrame(cells, list(names)).rename(columns=titles).rename_axis(columns="film")
    head, *lines = frame.to_string().splitlines()
    for number, row in enumerate(rows):
        for text in filter(None, row["warnings"].split(BETWEEN)):
            lines[number] += f"\n{' ' * max(map(len, names))}  ! {printable(text)}"
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

    The table has the columns `path`, `truth` or `label`, and perhaps `mask`. Other tables are
    ignored.
    """
    import pandas as pd

    found: Truths = {}
    folders = {folder for film in films for folder in film.parents[:2]}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):  # the nearest first
        try:
            table = pd.read_csv(folder / "films.csv", dtype=str, keep_default_na=False)
            labels = table["truth" if "truth" in table else "label"].str.upper()
            masks = table.get("mask", pd.Series("", table.index))
            for name, label, mask in zip(table["path"], labels, masks):
                known = label if label in CLASSES else "", folder / mask if mask else None
                found.setdefault(folder / name, known)
        except (ValueError, KeyError, OSError):
            continue
    return found
