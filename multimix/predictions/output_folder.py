"""A folder of predictions: the table `predictions.csv`, with one row for each film, and files."""

import hashlib
import io
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from multimix.model import CLASSES, MultiMix
from multimix.runtime.files import atomic_write, lock_folder

ENDINGS = {"mask": "_mask.png", "figure": ".png", "arrays": ".npz", "dicom_seg": "_seg.dcm"}
MEASURES = ("lung_share", "right_lung", "left_lung", "right_cm2", "left_cm2", "expected_dice")
COLUMNS = (
    *("file", "label", *CLASSES, *MEASURES, "seconds", "warnings", "mask", "overlay", "how"),
    *("probability", "threshold", "quality", "truth", "dice", "study_uid", "sop_uid"),
    *("network", "weights", "name", "film_id", "film_version"),
)
NUMBERS = [*CLASSES, *MEASURES, "seconds", "probability", "threshold", "dice"]
BETWEEN = " | "  # two warnings in one cell

Row = dict[str, Any]  # by column: numbers are floats, or None where they are unknown; else texts
saving = threading.Lock()  # one thread at a time; `lock_folder` keeps other processes away


def film_id(source: Path | None, film: np.ndarray | None = None) -> str:
    """Identify a film by its file's absolute path, or by its pixels where it has no file."""
    if source is not None:
        content = os.fsencode(os.path.join(os.path.realpath(source.parent), source.name))
    else:
        content = b"" if film is None else str(film.shape).encode() + film.tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def film_version(file: Path) -> str:
    """Size and time of a file, which differ after it was replaced; '' where there is none."""
    return f"{(s := file.stat()).st_size}-{s.st_mtime_ns}" if file.is_file() else ""


def weights_hash(model: MultiMix) -> str:
    """12 hexadecimal digits that identify a network: its weights, sides and calibration."""
    info = model.info
    settings = info.side, tuple(info.class_sides), sorted(info.calibration.items())
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in model.state_dict().items():
        values = tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy()
        digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()[:12]


@contextmanager
def open_folder(path: Path) -> "Iterator[OutputFolder]":
    """An output folder for this process and thread alone; afterwards each film has one row."""
    OutputFolder(path)  # its errors come before anything is written
    with saving, lock_folder(path):
        folder = OutputFolder(path)
        folder.tidy()
        yield folder
        folder.tidy()


class OutputFolder:
    """A folder that is new, empty, or has this program's `predictions.csv`; else ValueError.

    Attribute `rows`: the table's rows by `film_id`; of several rows for a film, the last.
    """

    def __init__(self, path: Path):
        self.path, self.table = path, path / "predictions.csv"
        if self.table.is_symlink():
            raise ValueError(f"{self.table} is a link; choose another folder (--out).")
        content = self.table.read_bytes() if self.table.is_file() else b""
        others = [] if content or not path.is_dir() else os.listdir(path)
        if others := [name for name in others if name[0] != "." and name != self.table.name]:
            raise ValueError(
                f"{path} has {min(others)} but no predictions.csv; choose a new or empty folder "
                "(--out)."
            )
        rows = self.parsed(content[: content.rfind(b"\n") + 1]) if content else []
        self.rows: dict[str, Row] = {row["film_id"]: row for row in rows}
        self.names = {row["name"] for row in rows}
        # Not after a row was cut short, or a film was predicted again.
        self.is_tidy = content.endswith(b"\n") and len(rows) == len(self.rows)

    def parsed(self, content: bytes) -> list[Row]:
        """The rows of a table. ValueError where it has other columns, types or names of files."""
        types = dict.fromkeys(COLUMNS, "str") | dict.fromkeys(NUMBERS, "float64")
        options: dict = {"dtype": types, "na_values": {name: [""] for name in NUMBERS}}
        try:
            frame = pd.read_csv(io.BytesIO(content), keep_default_na=False, **options)
        except ValueError:  # pandas' own errors are ValueErrors too
            frame = pd.DataFrame()
        if tuple(frame) != COLUMNS or not all(n and Path(n).name == n for n in frame["name"]):
            raise ValueError(
                f"{self.table} is damaged or of another version; choose another folder (--out)."
            )
        return frame.astype(object).where(frame.notna(), None).to_dict("records")

    def tidy(self) -> None:
        """Write the whole table, with one row for each film, if it is not so already."""
        if not self.is_tidy:
            with atomic_write(self.table) as file:
                file.write(b"\xef\xbb\xbf" + csv_lines(self.rows.values(), header=True))
            self.is_tidy = True

    def choose_name(self, film: str, wish: str) -> str:
        """The name of a film's files: that of its row, or `wish`, numbered where there are such."""
        if film in self.rows:
            return self.rows[film]["name"]
        name = wish = os.fsdecode(os.fsencode(wish)[:200])  # with an ending it must be a file name
        number = 2
        while name in self.names or any(map(os.path.lexists, self.paths(name).values())):
            name, number = f"{wish}-{number}", number + 1
        return name

    def paths(self, name: str) -> dict[str, Path]:
        """The files that a film of this name may have, by the names in `ENDINGS`."""
        return {kind: self.path / f"{name}{ending}" for kind, ending in ENDINGS.items()}

    def add(self, row: Row, contents: dict[str, bytes]) -> None:
        """Write a film's files, by the names in `ENDINGS`, then its row at the end of the table.

        After an OSError, as where the folder was removed, there are no files of a new film.
        """
        paths, is_new = self.paths(row["name"]), row["film_id"] not in self.rows
        try:
            for kind, content in contents.items():
                with atomic_write(paths[kind], durable=False) as file:
                    file.write(content)
            with open(self.table, "r+b") as table:
                table.seek(0, os.SEEK_END)
                table.write(csv_lines([row]))
        except OSError as error:
            for kind in contents if is_new else ():
                paths[kind].unlink(missing_ok=True)
            error.filename = error.filename or str(self.table)  # a full disk names no file
            raise
        self.is_tidy &= is_new
        self.rows[row["film_id"]] = row
        self.names.add(row["name"])


def csv_lines(rows: Iterable[Row], header: bool = False) -> bytes:
    """Rows as CSV, one line for each; unknown numbers are empty."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(NUMBERS, float))
    texts = frame.columns.difference(NUMBERS)
    frame[texts] = frame[texts].map(lambda text: text.replace("\r", "\\r").replace("\n", "\\n"))
    text = frame.to_csv(index=False, header=header, float_format="%.6f", lineterminator="\n")
    return text.encode("utf-8", "backslashreplace")  # a name may have bytes that are not text
