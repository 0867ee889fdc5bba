"""The table of predictions, `predictions.csv`: a row for each film; and how it is shown."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

from multimix.images.answers import MASK
from multimix.inference import PredictOptions
from multimix.model import CLASSES
from multimix.runtime.files import csv_text, parse_csv, printable, read_whole_lines

BETWEEN = " | "  # two warnings of one film
MEASURES = ("lung_share", "right_lung", "left_lung", "right_cm2", "left_cm2", "expected_dice")
UNKNOWN = ("right_cm2", "left_cm2")  # that may be empty
NUMBERS = (*CLASSES, *MEASURES, "seconds")
COLUMNS = ("file", "label", *NUMBERS, "warnings", "mask", "overlay", "how")
HOW_SHOWN = 60  # letters of a table's `how` in a message

Row = dict[str, str]  # of the table


def append(table: Path, rows: Sequence[Row]) -> None:
    """Add rows in one piece, so that the lines of several processes do not mix."""
    content = csv_text(rows, COLUMNS, header=False).encode("utf-8", "surrogateescape")
    with open(table, "ab", buffering=0) as file:
        if file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(table))


def read_table(table: Path) -> list[Row]:
    """The rows of earlier runs, none where there were none; a last line cut short does not count.

    Errors: ValueError where the file is not such a table.
    """
    if table.is_symlink():
        raise ValueError(f"{table} is a link; choose another folder (--out), or remove it.")
    if not table.exists() or not table.stat().st_size:
        return []
    text = read_whole_lines(table)
    try:
        header = tuple(next(csv.reader(text.splitlines()[:1]), ()))
        rows = parse_csv(text)
    except csv.Error:
        header, rows = (), []
    missing = [name for name in COLUMNS if name not in header]
    if missing and {"file", "label", "how"} <= set(header) <= set(COLUMNS):
        raise ValueError(
            f"{table} is of an earlier version, without the columns {', '.join(missing)}; choose "
            "another folder (--out), or move it away."
        )
    if header != COLUMNS or not all(map(is_whole, rows)):
        raise ValueError(
            f"{table} is not as this program left it; choose another folder (--out), or move it "
            "away."
        )
    return [{name: row[name] for name in COLUMNS} for row in rows]


def is_whole(row: Row) -> bool:
    """Whether a row is one that this program wrote; the last column of one too short is empty."""
    try:
        numbers = [known(row, name) or 0.0 for name in NUMBERS]
    except ValueError:
        return False
    named = row["file"] and row["how"] and row["mask"].endswith(MASK)
    return (
        bool(named)
        and row["label"] in CLASSES
        and all(0 <= number < math.inf for number in numbers)
    )


def cell(number: float | None) -> str:
    """A number as the table has it; an unknown one is empty."""
    return "" if number is None else f"{number:.6f}"


def known(row: Row, name: str) -> float | None:
    """A number of the table; None where it may be unknown, and is."""
    return None if name in UNKNOWN and not row[name] else float(row[name])


def name_of_row(row: Row) -> str:
    """What the files of a film that is done are called."""
    return Path(row["mask"]).name.removesuffix(MASK)


def check_how(table: Path, row: Row, how: str) -> None:
    """ValueError where a film was predicted by another network or with other options."""
    if row["how"] != how:
        before = textwrap.shorten(row["how"], HOW_SHOWN)
        raise ValueError(
            f"{table} holds answers of '{before}', and these would be of '{how}'; give the same "
            "options, or another folder (--out)."
        )


def how_in_words(
    network: str, options: PredictOptions, precision: str = "float32", label_mask: bool = False
) -> str:
    """How films are predicted, for the table: 'multimix invert-auto float32 flip'."""
    words = [network, f"invert-{options.invert}", precision]
    words += ["flip"] * options.flip + ["raw"] * (not options.clean) + ["label-mask"] * label_mask
    return " ".join(words)


def as_json(rows: Sequence[Row]) -> str:
    """The table for programs."""
    films = []
    for row in rows:
        films.append(
            {
                "file": row["file"],
                "label": row["label"],
                "probability": float(row[row["label"]]),
                "probabilities": {name: float(row[name]) for name in CLASSES},
                **{name: known(row, name) for name in MEASURES},
                "seconds": float(row["seconds"]),
                "warnings": warnings_of(row),
                "mask": row["mask"],
                "overlay": row["overlay"],
            }
        )
    return json.dumps(films, indent=2)


def as_text(rows: Sequence[Row]) -> str:
    """The table for the terminal; there is at least one row."""
    names = [Path(row["file"]).name for row in rows]
    if len(set(names)) < len(names):
        names = [row["file"] for row in rows]
    names = list(map(printable, names))
    width = max(map(len, names))
    lines = [f"{'film':<{width}}  label      probability  lung area  seconds"]
    for name, row in zip(names, rows):
        probability, share = float(row[row["label"]]), float(row["lung_share"])
        lines.append(
            f"{name:<{width}}  {row['label']:<9}  {probability:>11.3f}  {share:>9.1%}  "
            f"{float(row['seconds']):>7.2f}"
        )
        for warning in warnings_of(row):
            lines.append(f"{'':<{width}}  ! {printable(warning)}")
    return "\n".join(lines)


def warnings_of(row: Row) -> list[str]:
    """The sentences that the table keeps in one cell."""
    return row["warnings"].split(BETWEEN) if row["warnings"] else []
