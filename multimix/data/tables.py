"""Tables on disk, as spreadsheets and people write them, and the files that they name."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from pathlib import Path

import pandas as pd

from multimix.data.film_folder import list_folder
from multimix.data.paths import normalised
from multimix.images.formats import stem_of

EMPTY = ("nan", "na", "n/a", "none", "null", "<na>", "nat")


def plain(name: str) -> str:
    """A column's name without case, spaces, underscores and the like."""
    return re.sub(r"[\W_]+", "", str(name)).lower()


def read_table(path: Path, rows: int | None = None) -> pd.DataFrame:
    """The table in a file, as `parse_table` gives it."""
    if not path.is_file():
        raise ValueError(f"There is no table {path}; give the path of a .csv file.")
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16") if wide else content.decode("utf-8-sig", "surrogateescape")
        table = parse_table(text, rows)
    except (ValueError, csv.Error):
        raise ValueError(
            f"{path} is damaged, or not a table of comma-separated values; save it as CSV."
        ) from None
    if twice := list(table.columns[table.columns.duplicated()]):
        raise ValueError(f"{path} has two columns {twice[0]}; rename or remove one of them.")
    return table


def parse_table(text: str, rows: int | None = None) -> pd.DataFrame:
    """The cells of a table as text, '' for empty ones: at most `rows` lines of it."""
    table = re.sub(r"\A(\s*\n|sep=.*\n)*", "", text, flags=re.IGNORECASE)  # Excel writes sep=;
    if not table.strip():
        return pd.DataFrame()
    options = dict(header=None, nrows=rows, dtype=str, keep_default_na=False, engine="python")
    separator = max(",;\t|", key=table.partition("\n")[0].count)
    frame = pd.read_csv(
        io.StringIO(table.replace("\0", "")), sep=separator, skip_blank_lines=False, **options
    )
    frame = frame.fillna("").map(str.strip)
    frame = frame.mask(frame.map(str.lower).isin(EMPTY), "")
    frame.columns = pd.Index([plain(name) for name in frame.iloc[0]])
    frame.index += text.count("\n") - table.count("\n") + 1
    frame = frame.loc[:, frame.columns != ""].iloc[1:]
    return frame[frame.ne("").any(axis=1)]


class FileFinder:
    """The films and masks below a folder, by paths that were perhaps written elsewhere."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.folder_names: set[str] = set()
        # By the last parts of the path, with and without ending: films, masks; None for several.
        self.found: tuple[dict[str, Path | None], ...] = ({}, {})
        for path in list_folder(folder).films:
            parts = [normalised(part) for part in path.relative_to(folder).parts]
            found = self.found[any("mask" in part for part in parts)]
            self.folder_names.update(parts[:-1])
            for name in {parts[-1], normalised(stem_of(path))}:
                for first in range(len(parts)):
                    last = "/".join([*parts[first:-1], name])
                    found[last] = None if last in found else path

    def find(self, text: str, mask: bool = False) -> Path | None:
        """The file with the most last parts of a path, with or without ending; None if unclear."""
        path = Path(os.path.normpath(self.folder / text))
        try:
            if path.is_file():
                return path
        except OSError:  # a name too long for a file
            return None
        if not text.isprintable():  # not UTF-8: Excel writes cp1252
            text = text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
        parts = [normalised(part) for part in re.split(r"[/\\]", os.path.normpath(text)) if part]
        for first in range(len(parts)):
            last = "/".join(parts[first:])
            if last in self.found[mask]:
                # A folder that is here, but not around this file, is not another machine's.
                elsewhere = first and parts[first - 1] in self.folder_names
                return None if elsewhere else self.found[mask][last]
        return None
