"""Which files are films, what every decoder returns, and how a film is refused."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

RAW_SUFFIX = ".img"  # of JSRT
PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".gif", ".webp")
SUFFIXES = (*PICTURES, ".dcm", ".dicom", ".npy", RAW_SUFFIX)
MAX_PIXELS = 50_000_000  # of a film; the largest detectors have some 20 million
for name in ("PIL", "pydicom"):  # a logger without a handler prints
    logging.getLogger(name).addHandler(logging.NullHandler())
lock, hidden, decoding = threading.Lock(), ExitStack(), 0  # of `without_decoder_warnings`

SizeCm = tuple[float, float]  # height, width


class Decoded(NamedTuple):
    """The content of a film's or a mask's file."""

    values: np.ndarray  # (H, W) or (H, W, C), upright
    warnings: tuple[str, ...] = ()  # sentences about the film
    kind: str = ""  # Pillow's mode, the array's type, or DICOM
    size_cm: SizeCm | None = None
    several: bool = False  # pages of a TIFF, frames of a GIF
    inverted: bool = False  # large values are dark


class FilmError(ValueError):
    """Why a film cannot be used. Decoders leave out the subject: `reading` adds the path."""


def film_paths(folder: Path) -> list[Path]:
    """The films directly in a folder, sorted, without hidden files; none without a folder."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if not path.name.startswith(".") and is_film(path)]


def is_film(path: Path) -> bool:
    """Whether a file is a film by its suffix; with any other suffix a DICOM file is a film."""
    if path.suffix.lower() in SUFFIXES:
        return not path.is_dir()
    try:
        if not path.is_file() or path.name.upper() == "DICOMDIR":  # a disc's list of its films
            return False
        with open(path, "rb") as file:
            return is_dicom(file)
    except OSError:  # this user may not read it
        return False


def is_dicom(file: BinaryIO) -> bool:
    """Whether an open file is DICOM: by its mark or, without one, by its picture's size."""
    head = file.read(132)
    file.seek(0)
    if head[128:] == b"DICM":
        return True
    if len(head) < 8 or head[1] or head[0] not in (0x2, 0x8, 0x10, 0x18, 0x20, 0x28):  # its group
        return False
    import pydicom  # slow to import, and most films are pictures

    try:
        wanted = ["Rows", "Columns"]
        found = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=wanted)
        return bool(found.Rows and found.Columns)
    except Exception:  # noqa: BLE001  (pydicom raises many kinds for other files)
        return False
    finally:
        file.seek(0)


def stem_of(path: Path) -> str:
    """A film's name without its suffix: only a known one is removed, as a UID has dots too."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def check_size(width: int, height: int) -> None:
    """FilmError where decoding would take more memory than any film needs."""
    if width * height > MAX_PIXELS:
        raise FilmError("claims more than 50 million pixels; reduce the film first.")


@contextmanager
def without_decoder_warnings() -> Iterator[None]:
    """Hide the decoders' own warnings: what matters of a film is in `Decoded.warnings`.

    Threads may overlap: the first one in hides them, the last one out shows them again.
    """
    global decoding
    with lock:
        if not decoding:
            hidden.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module="PIL|pydicom")
        decoding += 1
    try:
        yield
    finally:
        with lock:
            decoding -= 1
            if not decoding:
                hidden.close()
