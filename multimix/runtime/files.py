"""Files and folders: written whole or not at all, held by one process, read as text and as CSV."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from multimix.runtime.stop_signal import unfinished

DELIMITERS = (",", ";", "\t", "|")  # of tables
PART = ".multimix-"  # how the name of a file begins that is being written


def bundled(name: str) -> Path:
    """A file or folder of the project: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return package / name if (package / name).exists() else package.parent / name


@contextmanager
def atomic_write(path: Path, old: Path | None = None, durable: bool = True) -> Iterator[BinaryIO]:
    """Write beside `path`, then rename: a reader meets the old file or the new one, never half.

    Arguments:
        path: the file to write.
        old: where the file that was there goes, if it is kept.
        durable: wait until the disk has it, so that a power cut leaves no empty file either.

    Errors: ValueError where `path` is a device or a pipe; OSError, with the file's name.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise ValueError(f"{path} is a device or a pipe; give the name of a file.")
    # Of this thread alone, as others may be writing the same file.
    part = target.with_name(f"{PART}{os.getpid()}-{threading.get_ident()}.part")
    unfinished.add(str(part))
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if old and target.exists():
            os.replace(target, old)
        os.replace(part, target)
    except OSError as error:
        if error.errno:
            error.filename = str(path)  # a full disk does not say of itself where it is
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        unfinished.discard(str(part))


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it. ValueError where a file or a broken link is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(
            f"{folder} is a file, and a folder is needed; choose another name."
            if folder.is_file()
            else f"{folder} cannot be made: a file or a broken link is there; choose another name."
        ) from None


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make a folder and hold it. ValueError where another process does, or it cannot be one.

    What processes that were killed as they wrote have left there is removed.
    """
    make_folder(folder)
    if (folder / ".lock").is_symlink():
        raise ValueError(f"{folder / '.lock'} is a link; choose another folder, or remove it.")
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ValueError(
            f"Another process is writing to {folder}; wait for it, or choose another folder."
        ) from None
    except NotImplementedError:  # a file system without locks
        pass
    try:
        for left in folder.glob(f"{PART}*.part"):
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def write_text(path: Path, text: str) -> None:
    """A whole file of text, in which file names may be any bytes."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def read_whole_lines(path: Path) -> str:
    """The text of a file that lines are appended to, '' where there is none.

    What a killed process left of a last line is cut off.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape") if path.is_file() else ""
    return text[: text.rfind("\n") + 1]


def printable(text: str) -> str:
    """The text with everything that moves a terminal's cursor, or colours it, escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def in_brief(text: object, most: int = 40) -> str:
    """What a file has somewhere, for a sentence: on one line, and cut where it is long."""
    line = printable(str(text))
    return line if len(line) <= most else f"{line[:most]}..."


def read_csv(path: Path, *required: str) -> list[dict[str, str]]:
    """The rows of a CSV file that must have the `required` columns.

    Columns are parted by commas, semicolons, tabs or bars; the text is UTF-8 or, as Excel may write
    it, UTF-16.

    Errors: ValueError where there is no such file, it is no CSV, or a column is missing.
    """
    if not path.is_file():
        raise ValueError(f"There is no table {path}; give the path of a .csv file.")
    try:
        rows = parse_csv(decoded(path.read_bytes()))
    except csv.Error:
        raise unreadable_csv(path) from None
    missing = [name for name in required if not rows or name not in rows[0]]
    if missing:
        raise ValueError(
            f"{path} has no column {' and no '.join(missing)}, or no rows; it needs "
            f"{', '.join(required)}."
        )
    return rows


def unreadable_csv(path: Path) -> ValueError:
    """The error for a file whose rows cannot be told."""
    return ValueError(
        f"{path} is damaged, or not a table of comma-separated values; save it as CSV."
    )


def decoded(content: bytes) -> str:
    """Text in UTF-8 or UTF-16; in UTF-8, any bytes that are no text stay as they are."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "surrogateescape")


def parse_csv(text: str) -> list[dict[str, str]]:
    """The rows of CSV text with a header; what a short row lacks is ''. csv.Error where broken."""
    return [row for _, row in csv_rows(text)]


def csv_rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each row's last line, and the row. csv.Error where broken."""
    reader = csv_reader(text)
    lines_above = text.count("\n") - from_header(text).count("\n")
    for row in reader:
        yield reader.line_num + lines_above, row


def csv_reader(text: str) -> csv.DictReader:
    """A reader that takes the delimiter from the header."""
    table = from_header(text)
    header = table.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    return csv.DictReader(io.StringIO(table, newline=""), restval="", delimiter=delimiter)


def from_header(text: str) -> str:
    """A table without empty lines above its header, and that in which Excel names the delimiter."""
    return re.sub(r"\A(\s*\n|sep=.*\n)*", "", text, flags=re.IGNORECASE)


def csv_text(rows: Sequence[dict], columns: Sequence[str] = (), header: bool = True) -> str:
    """Rows as CSV; `columns` are those of all rows, in the order they come, unless given."""
    text = io.StringIO(newline="")
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
