"""Tables on disk, as spreadsheets, pandas and people write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from multimix.data.file_finder import FileFinder
from multimix.data.folders import visible
from multimix.runtime.files import csv_reader, csv_rows, decoded, unreadable_csv

TABLE_SUFFIXES = (".csv", ".tsv")
SHEETS = (".xlsx", ".xls", ".ods", ".numbers")  # which are not read
PERHAPS_TABLES = (*TABLE_SUFFIXES, ".txt")
NOTHING = frozenset(["", "nan", "na", "n/a", "none", "null", "<na>", "nat"])  # an empty cell
HEADER_BYTES = 2**16


@dataclass(frozen=True)
class Table:
    """A CSV file, its columns by their plain names and its cells without spaces around them."""

    path: Path
    rows: dict[int, dict[str, str]]  # by line
    files: FileFinder  # what its paths mean

    @property
    def columns(self) -> list[str]:
        """Plain names of the columns; none where there are no rows."""
        return list(next(iter(self.rows.values()), ()))


def read_table(path: Path) -> Table:
    """A table's cells; those that pandas writes for nothing are '', and rows without any go.

    Errors: ValueError where it is no table, or has two columns of one name.
    """
    rows = {}
    try:
        for line, row in csv_rows(decoded(path.read_bytes())):
            cells: dict[str, str] = {}
            for name, cell in row.items():
                # A long row has cells of no column, and pandas writes its index without a name.
                if isinstance(name, str) and plain(name):
                    cells[plain(name)] = "" if cell.strip().lower() in NOTHING else cell.strip()
            if any(cells.values()):
                rows[line] = cells
    except csv.Error:
        raise unreadable_csv(path) from None
    names = list(filter(None, column_names(path)))
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path} has two columns {twice[0]}; rename or remove one of them.")
    return Table(path, rows, FileFinder(path.parent))


def plain(name: str) -> str:
    """A column's name without regard to case, spaces, underscores and the like."""
    return re.sub(r"[\W_]+", "", name).lower()


def tables_at(root: Path, fits: Callable[[set[str]], bool]) -> list[Path]:
    """The table that `root` is, or those directly in the folder, whose columns fit."""
    found = []
    for path in [root] if root.is_file() else visible(root):
        is_table = path.suffix.lower() in PERHAPS_TABLES and path.is_file()
        if is_table and fits(set(column_names(path))):
            found.append(path)
    return found


def column_names(path: Path) -> list[str]:
    """The plain names of a table's columns; none where it is damaged, or cannot be read."""
    try:
        with open(path, "rb") as file:
            text = decoded(file.read(HEADER_BYTES))
        return [plain(name) for name in csv_reader(text).fieldnames or ()]
    except (OSError, csv.Error):
        return []
