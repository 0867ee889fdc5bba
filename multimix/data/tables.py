"""Read tables as people and spreadsheets write them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pandas as pd


def plain(name: str) -> str:
    """A column's name in lower case, without spaces, underscores and the like."""
    return re.sub(r"[\W_]+", "", str(name)).lower()


def read_table(path: Path, rows: int | None = None) -> pd.DataFrame:
    """The table in a file, as `parse_table` returns it. ValueError where there is none."""
    if not path.is_file():
        raise ValueError(f"There is no table {path}; give the path of a .csv file.")
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        table = parse_table(content.decode(encoding, "surrogateescape"), rows)
    except ValueError:
        raise ValueError(f"{path} is damaged, or not a table; save it as CSV.") from None
    if twice := list(table.columns[table.columns.duplicated()]):
        raise ValueError(f"{path} has two columns {twice[0]}; rename or remove one of them.")
    return table


def parse_table(text: str, rows: int | None = None) -> pd.DataFrame:
    """A table, or its first `rows` lines: cells are text, '' where empty; the index has the numbers
    of the lines. ValueError where the text is no table.
    """
    lines = text.count("\n")
    text = re.sub(r"\A(\s*\n|sep=.*\n)*", "", text, flags=re.IGNORECASE)  # Excel writes sep=;
    separator = max(",;\t|", key=text.partition("\n")[0].count)
    options: dict[str, Any] = {"dtype": str, "header": None, "skip_blank_lines": False}
    options |= {"na_values": ["none", "na"], "encoding_errors": "surrogateescape", "nrows": rows}
    frame = pd.read_csv(io.StringIO(text), sep=separator, **options).fillna("").map(str.strip)
    frame.columns = pd.Index(map(plain, frame.iloc[0]))
    frame.index += 1 + lines - text.count("\n")
    frame = frame.loc[:, frame.columns != ""].iloc[1:]
    return frame[frame.ne("").any(axis=1)]
