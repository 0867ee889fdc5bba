"""Files and folders: written whole or not at all, by one process at a time."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import psutil
from filelock import FileLock, Timeout

PART = ".multimix-"  # a file that is being written: .multimix-PROCESS-THREAD.part


def bundled(name: str) -> Path:
    """A file or folder of the project: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return package / name if (package / name).exists() else package.parent / name


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """Write beside `path`, then rename: a reader finds the old file or the new one, never half.

    `durable` waits until the disk has it, so that a power cut leaves no empty file either.

    Errors: ValueError where `path` is a device or a pipe; OSError, with the file's name.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise ValueError(f"{path} is a device or a pipe; give the name of a file.")
    remove_dead_parts(target.parent)
    part = target.with_name(f"{PART}{os.getpid()}-{threading.get_ident()}.part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        if error.errno:
            error.filename = str(path)  # the error of a full disk names no file
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@cache
def remove_dead_parts(folder: Path) -> None:
    """Remove what ended processes have left half-written in a folder; once per folder."""
    for part in folder.glob(f"{PART}*.part"):
        process = part.name.removeprefix(PART).partition("-")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            part.unlink(missing_ok=True)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make a folder and lock it. ValueError for a file, or where another process has locked it."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give the name of a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        with suppress(NotImplementedError):  # a file system without locks
            lock.acquire(blocking=False)
        yield
    except Timeout:
        raise ValueError(
            f"Another process is writing to {folder}; wait for it, or choose another folder."
        ) from None
    finally:
        lock.release()


def write_text(path: Path, text: str) -> None:
    """A whole file of text, in which file names may be any bytes."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def printable(text: str) -> str:
    """The text with everything that moves a terminal's cursor, or colours it, escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def in_brief(text: object, most: int = 40) -> str:
    """A file's content for a sentence: on one line, and cut where it is long."""
    line = printable(str(text))
    return line if len(line) <= most else f"{line[:most]}..."
