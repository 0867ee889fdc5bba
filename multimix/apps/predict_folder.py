"""Many films to a folder: a mask and a figure for each, and `predictions.csv`, by which a run that
was cut goes on.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import sys
import time
from contextlib import nullcontext
from itertools import chain
from pathlib import Path

from tqdm.auto import tqdm

from multimix.images.reading import load_image
from multimix.inference import Prediction, PredictOptions, predict_batch
from multimix.model import CLASSES, MultiMix
from multimix.runtime.device import micro_batch_size
from multimix.runtime.distributed import World
from multimix.runtime.files import lock_folder, printable, read_whole_lines, write_text

BETWEEN = " | "  # two warnings of one film
COLUMNS = ("file", "label", *CLASSES, "lung_share", "seconds", "warnings", "mask", "overlay", "how")


def predict_to(
    out: Path,
    model: MultiMix,
    paths: list[Path],
    world: World,
    predict_options: PredictOptions,
    how: str = "",
    resume: bool = False,
    figures: bool = True,
) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of `predictions.csv`, and a sentence for each film that could not be read.

    A row is written after the film's files, so what has a row is done: `resume` leaves those films
    alone. `how` names network and options, for the table: it does not take answers of several.
    ValueError where it would, where another process writes into the folder, and where a film would
    be overwritten.
    """
    with lock_folder(out) if world.is_main else nullcontext():
        return predict_all(out, model, paths, world, predict_options, how, resume, figures)


def predict_all(
    out: Path,
    model: MultiMix,
    paths: list[Path],
    world: World,
    predict_options: PredictOptions,
    how: str,
    resume: bool,
    figures: bool,
) -> tuple[list[dict[str, str]], list[str]]:
    table = out / "predictions.csv"
    done = read_rows(table) if resume else []
    if other := next((row["how"] for row in done if row["how"] != how), None):
        raise ValueError(
            f"{table} holds answers of '{other}' and these are to be of '{how}'; give the same "
            "options, or another folder (--out)."
        )
    known = {row["file"]: Path(row["mask"]).name.removesuffix("_mask.png") for row in done}
    names = unique_names(paths, known)
    written = {
        os.path.realpath(out / f"{name}{end}.png")
        for name in names.values()
        for end in ("_mask", "")[: 1 + figures]
    }
    if over := next((path for path in paths if os.path.realpath(path) in written), None):
        raise ValueError(
            f"{over} would be overwritten by an answer; choose another folder (--out)."
        )
    if world.is_main:
        write_text(table, as_csv(dict(zip(COLUMNS, COLUMNS)), *done))
    world.barrier()
    rest = [path for path in names if str(path) not in known]
    rest = [rest[index] for index in world.share(len(rest))]
    rows, faults = [], []
    size = micro_batch_size(next(model.parameters()).device, model.side)
    with tqdm(
        total=len(rest),
        desc="predicting",
        unit="film",
        disable=len(rest) <= 8 or not world.is_main or not sys.stderr.isatty(),
    ) as bar:
        for first in range(0, len(rest), size):
            start, films = time.perf_counter(), {}
            for path in rest[first : first + size]:
                try:
                    films[path] = load_image(path)
                except ValueError as error:
                    faults.append(str(error))
            predictions = (
                predict_batch(
                    model, list(films.values()), [names[p] for p in films], predict_options
                )
                if films
                else []
            )
            seconds = (time.perf_counter() - start) / max(len(films), 1)
            new = [
                {**row_of(path, p, seconds, out, figures), "how": how}
                for path, p in zip(films, predictions)
            ]
            append(table, as_csv(*new))
            rows += new
            bar.update(min(size, len(rest) - first))
    everyones = world.gather((rows, faults))
    order = {str(path): number for number, path in enumerate(names)}
    rows = sorted(
        chain(done, *(part[0] for part in everyones)), key=lambda row: order.get(row["file"], -1)
    )
    return rows, list(chain(*(part[1] for part in everyones)))


def row_of(path: Path, p: Prediction, seconds: float, out: Path, figures: bool) -> dict[str, str]:
    """Write the film's files; what the table says of it."""
    saved = p.save(out, figures)
    return {
        "file": str(path),
        "label": p.label,
        **{name: f"{value:.6f}" for name, value in p.probabilities.items()},
        "lung_share": f"{p.lung_share:.6f}",
        "seconds": f"{seconds:.3f}",
        "warnings": BETWEEN.join(p.warnings),
        "mask": str(out / f"{p.name}_mask.png"),
        "overlay": str(saved) if figures else "",
    }


def as_csv(*rows: dict[str, str]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, COLUMNS).writerows(rows)
    return text.getvalue()


def append(table: Path, text: str) -> None:
    """In one piece, so that the lines of several processes do not mix."""
    content = text.encode("utf-8", "surrogateescape")
    with open(table, "ab", buffering=0) as file:
        if file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(table))


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of an earlier run; none where there was none. A last line that was cut short does
    not count.
    """
    try:
        header, *lines = list(csv.reader(io.StringIO(read_whole_lines(table), newline=""))) or [
            COLUMNS
        ]
    except csv.Error:
        header, lines = [], []
    rows = [dict(zip(COLUMNS, line)) for line in lines]
    if tuple(header) != COLUMNS or any(
        len(row) < len(COLUMNS) or row["label"] not in CLASSES for row in rows
    ):
        raise ValueError(
            f"{table} is not as this program left it; choose another folder (--out), or leave "
            "--resume out to write it anew."
        )
    return rows


def unique_names(paths: list[Path], kept: dict[str, str] | None = None) -> dict[Path, str]:
    """A name for each film's output: its stem, numbered where another film has the same."""
    kept = kept or {}
    taken = {text for name in kept.values() for text in (name, f"{name}_mask")}
    names = {}
    for path in dict.fromkeys(paths):
        if str(path) in kept:
            names[path] = kept[str(path)]
            continue
        stem = os.fsdecode(
            os.fsencode(path.stem)[:200]
        )  # so that the endings fit into a file's name
        name, number = stem, 2
        while {name, f"{name}_mask"} & taken:
            name, number = f"{stem}-{number}", number + 1
        taken |= {name, f"{name}_mask"}
        names[path] = name
    return names


def as_json(rows: list[dict[str, str]]) -> str:
    return json.dumps(
        [
            {
                "file": row["file"],
                "label": row["label"],
                "probability": float(row[row["label"]]),
                "probabilities": {name: float(row[name]) for name in CLASSES},
                "lung_share": float(row["lung_share"]),
                "seconds": float(row["seconds"]),
                "warnings": warnings_of(row),
                "mask": row["mask"],
                "overlay": row["overlay"],
            }
            for row in rows
        ],
        indent=2,
    )


def as_text(rows: list[dict[str, str]], out: Path) -> str:
    """For the terminal."""
    names = [printable(Path(row["file"]).name) for row in rows]
    width = max(map(len, names))
    lines = [f"{'film':<{width}}  label      probability  lung area  seconds"]
    for name, row in zip(names, rows):
        lines.append(
            f"{name:<{width}}  {row['label']:<9}  {float(row[row['label']]):>11.3f}  "
            f"{float(row['lung_share']):>9.1%}  {float(row['seconds']):>7.2f}"
        )
        lines += [f"{'':<{width}}  ! {warning}" for warning in warnings_of(row)]
    return "\n".join(
        [
            *lines,
            "",
            f"Masks, overlays (film, lungs, saliency) and predictions.csv are in {out}. For "
            "research, not for diagnosis.",
        ]
    )


def warnings_of(row: dict[str, str]) -> list[str]:
    return row["warnings"].split(BETWEEN) if row["warnings"] else []
