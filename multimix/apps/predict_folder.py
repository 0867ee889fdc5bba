"""Many films to a folder: a mask and a figure for each, and a table, `predictions.csv`."""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from multimix.evaluation.prediction import Prediction
from multimix.images.reading import LoadedImage, load_image
from multimix.inference import PredictOptions, predict_batch
from multimix.model import CLASSES, MultiMix
from multimix.runtime.device import micro_batch_size
from multimix.runtime.distributed import SINGLE, World
from multimix.runtime.files import (
    csv_text,
    lock_folder,
    parse_csv,
    printable,
    read_whole_lines,
    write_text,
)

BETWEEN = " | "  # two warnings of one film
COLUMNS = ("file", "label", *CLASSES, "lung_share", "seconds", "warnings", "mask", "overlay", "how")
STEM_BYTES = 200  # of a film's name, so that the endings fit into a file's name

Row = dict[str, str]  # of the table


@dataclass(frozen=True)
class PredictionFolder:
    """A folder that films are predicted into.

    A film's row is written after its files, so a film that has a row is done: a run that was
    interrupted goes on from there.

    Attributes:
        out: the folder; it is made if it is missing.
        model: what `load_model` gave.
        options: how to predict.
        how: network and options in words, for the table, which does not take answers of several.
        figures: False writes masks and the table alone, which is many times faster.
    """

    out: Path
    model: MultiMix
    options: PredictOptions
    how: str
    figures: bool = True

    @property
    def table(self) -> Path:
        """The file with a row for each film."""
        return self.out / "predictions.csv"

    def predict(
        self, paths: Sequence[Path], world: World = SINGLE, resume: bool = False
    ) -> tuple[list[Row], list[str]]:
        """Predict the films that the table lacks.

        Arguments:
            paths: the films' files.
            world: the processes that share the work.
            resume: go on with the table that is there, instead of a new one.

        Returns: the rows of the table, and a sentence for each film that could not be read.

        Errors: ValueError where the table is of another network or other options, another process
            writes into the folder, or a film would be overwritten; OSError.
        """
        with lock_folder(self.out) if world.is_main else nullcontext():
            done = self.read_done() if resume else []
            names = unique_names(paths, {row["file"]: name_of_row(row) for row in done})
            self.check_no_film_is_overwritten(paths, names)
            if world.is_main:
                write_text(self.table, csv_text(done, COLUMNS))
            world.barrier()
            finished = {row["file"] for row in done}
            rest = [path for path in names if str(path) not in finished]
            share = [rest[index] for index in world.share(len(rest))]
            rows, faults = self.predict_share(share, names, show_progress=world.is_main)
            all_rows, all_faults = list(done), []
            for other_rows, other_faults in world.gather((rows, faults)):
                all_rows += other_rows
                all_faults += other_faults
            order = {str(path): number for number, path in enumerate(names)}
            all_rows.sort(key=lambda row: order.get(row["file"], -1))
            return all_rows, all_faults

    def read_done(self) -> list[Row]:
        """The rows of an earlier run. ValueError where it was of another network or options."""
        rows = read_table(self.table)
        for row in rows:
            if row["how"] != self.how:
                raise ValueError(
                    f"{self.table} holds answers of '{row['how']}', and these would be of "
                    f"'{self.how}'; give the same options, or another folder (--out)."
                )
        return rows

    def check_no_film_is_overwritten(self, paths: Sequence[Path], names: dict[Path, str]) -> None:
        """ValueError where a film lies where an answer is written."""
        written = set()
        for name in names.values():
            written.add(os.path.realpath(self.out / f"{name}_mask.png"))
            if self.figures:
                written.add(os.path.realpath(self.out / f"{name}.png"))
        for path in paths:
            if os.path.realpath(path) in written:
                raise ValueError(
                    f"{path} would be overwritten by an answer; choose another folder (--out)."
                )

    def predict_share(
        self, paths: list[Path], names: dict[Path, str], show_progress: bool
    ) -> tuple[list[Row], list[str]]:
        """Predict this process's films, a batch at a time, and add their rows to the table."""
        rows: list[Row] = []
        faults: list[str] = []
        size = micro_batch_size(next(self.model.parameters()).device, self.model.side)
        hidden = len(paths) <= 8 or not show_progress or not sys.stderr.isatty()
        with tqdm(total=len(paths), desc="predicting", unit="film", disable=hidden) as bar:
            for first in range(0, len(paths), size):
                batch = paths[first : first + size]
                new = self.predict_one_batch(batch, names, faults)
                append(self.table, csv_text(new, COLUMNS, header=False))
                rows += new
                bar.update(len(batch))
        return rows, faults

    def predict_one_batch(
        self, paths: list[Path], names: dict[Path, str], faults: list[str]
    ) -> list[Row]:
        """Predict films in one pass and write their files; adds to `faults` what cannot be read."""
        start = time.perf_counter()
        images: dict[Path, LoadedImage] = {}
        for path in paths:
            try:
                images[path] = load_image(path)
            except ValueError as error:
                faults.append(str(error))
        if not images:
            return []
        batch_names = [names[path] for path in images]
        predictions = predict_batch(self.model, list(images.values()), batch_names, self.options)
        seconds = (time.perf_counter() - start) / len(images)
        rows = []
        for path, prediction in zip(images, predictions):
            rows.append(self.save(path, prediction, seconds))
        return rows

    def save(self, path: Path, prediction: Prediction, seconds: float) -> Row:
        """Write a film's files; its row."""
        saved = prediction.save(self.out, self.figures)
        row = {"file": str(path), "label": prediction.label}
        for name, probability in prediction.probabilities.items():
            row[name] = f"{probability:.6f}"
        row["lung_share"] = f"{prediction.lung_share:.6f}"
        row["seconds"] = f"{seconds:.3f}"
        row["warnings"] = BETWEEN.join(prediction.warnings)
        row["mask"] = str(self.out / f"{prediction.name}_mask.png")
        row["overlay"] = str(saved) if self.figures else ""
        row["how"] = self.how
        return row


def append(table: Path, text: str) -> None:
    """Add rows in one piece, so that the lines of several processes do not mix."""
    content = text.encode("utf-8", "surrogateescape")
    with open(table, "ab", buffering=0) as file:
        if file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(table))


def read_table(table: Path) -> list[Row]:
    """The rows of an earlier run, none where there was none; a last line cut short does not count.

    Errors: ValueError where the file is not such a table.
    """
    text = read_whole_lines(table)
    try:
        header = tuple(next(csv.reader(text.splitlines()[:1]), COLUMNS))
        rows = parse_csv(text)
    except csv.Error:
        header, rows = (), []
    # The last column of a row that is too short is empty.
    if header != COLUMNS or not all(row["how"] and row["label"] in CLASSES for row in rows):
        raise ValueError(
            f"{table} is not as this program left it; choose another folder (--out), or leave "
            "--resume out to write it anew."
        )
    return [{name: row[name] for name in COLUMNS} for row in rows]


def name_of_row(row: Row) -> str:
    """What the files of a film that is done are called."""
    return Path(row["mask"]).name.removesuffix("_mask.png")


def unique_names(paths: Sequence[Path], kept: dict[str, str] | None = None) -> dict[Path, str]:
    """A name for each film's files: its stem, numbered where another film has the same.

    `kept` holds the names of films that are done, by path.
    """
    kept = kept or {}
    taken: set[str] = set()
    for name in kept.values():
        taken |= {name, f"{name}_mask"}
    names = {}
    for path in dict.fromkeys(paths):
        if str(path) in kept:
            names[path] = kept[str(path)]
            continue
        stem = os.fsdecode(os.fsencode(path.stem)[:STEM_BYTES])
        name, number = stem, 2
        while {name, f"{name}_mask"} & taken:
            name, number = f"{stem}-{number}", number + 1
        taken |= {name, f"{name}_mask"}
        names[path] = name
    return names


def as_json(rows: list[Row]) -> str:
    """The table for programs."""
    films = []
    for row in rows:
        films.append(
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
        )
    return json.dumps(films, indent=2)


def as_text(rows: list[Row], out: Path) -> str:
    """The table for the terminal."""
    names = [printable(Path(row["file"]).name) for row in rows]
    width = max(map(len, names))
    lines = [f"{'film':<{width}}  label      probability  lung area  seconds"]
    for name, row in zip(names, rows):
        probability, share = float(row[row["label"]]), float(row["lung_share"])
        lines.append(
            f"{name:<{width}}  {row['label']:<9}  {probability:>11.3f}  {share:>9.1%}  "
            f"{float(row['seconds']):>7.2f}"
        )
        for warning in warnings_of(row):
            lines.append(f"{'':<{width}}  ! {warning}")
    lines += [
        "",
        f"Masks, overlays (film, lungs, saliency) and predictions.csv are in {out}. For research, "
        "not for diagnosis.",
    ]
    return "\n".join(lines)


def warnings_of(row: Row) -> list[str]:
    """The sentences that the table keeps in one cell."""
    return row["warnings"].split(BETWEEN) if row["warnings"] else []
