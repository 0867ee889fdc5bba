"""Files and folders: written whole or not at all, held by one process, read as text and as CSV."""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout


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
    part = target.with_name(f"{os.getpid()}-{threading.get_ident()}.part")
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


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make a folder and hold it. ValueError where another process does, or where it is a file."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, and a folder is needed; choose another name.")
    folder.mkdir(parents=True, exist_ok=True)
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


def read_csv(path: Path, *required: str) -> list[dict[str, str]]:
    """The rows of a CSV file, with commas or semicolons, that must have the `required` columns.

    Errors: ValueError where there is no such file, it is no CSV, or a column is missing.
    """
    if not path.is_file():
        raise ValueError(f"There is no table {path}; give the path of a .csv file.")
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    try:
        rows = parse_csv(text)
    except csv.Error as error:
        raise ValueError(
            f"{path} is not a table of comma-separated values ({error}); save it as CSV."
        ) from None
    missing = [name for name in required if not rows or name not in rows[0]]
    if missing:
        raise ValueError(
            f"{path} has no column {' and no '.join(missing)}, or no rows; it needs "
            f"{', '.join(required)}."
        )
    return rows


def parse_csv(text: str) -> list[dict[str, str]]:
    """The rows of CSV text with a header; what a short row lacks is ''. csv.Error where broken."""
    header = text.partition("\n")[0]
    delimiter = "," if "," in header or ";" not in header else ";"
    return list(csv.DictReader(io.StringIO(text, newline=""), restval="", delimiter=delimiter))


def csv_text(rows: Sequence[dict], columns: Sequence[str] = (), header: bool = True) -> str:
    """Rows as CSV; `columns` are those of all rows, in the order they come, unless given."""
    text = io.StringIO(newline="")
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
