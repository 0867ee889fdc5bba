"""Which files are films, what every decoder returns, and how a film is refused."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

RAW_SUFFIX, ARRAY_SUFFIX = ".img", ".npy"
DICOM_SUFFIXES = frozenset([".dcm", ".dicom"])
PICTURE_SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".gif", ".webp"]
)
SUFFIXES = PICTURE_SUFFIXES | DICOM_SUFFIXES | {RAW_SUFFIX, ARRAY_SUFFIX}
MAX_PIXELS = 50_000_000  # of a film; the largest detectors have some 20 million
MAX_BYTES = 500_000_000  # of a film's file
DECODERS = ("PIL", "pydicom", "tifffile")
for name in DECODERS:  # a logger without a handler prints
    logging.getLogger(name).addHandler(logging.NullHandler())

SizeCm = tuple[float, float]  # height, width


class Opened(NamedTuple):
    """A film's content as its file has it."""

    content: np.ndarray  # (H, W) or (H, W, C), upright, with air dark
    warnings: tuple[str, ...] = ()  # sentences about the film
    first_of_several: bool = False  # pages of a TIFF, frames of a GIF
    kind: str = ""  # of the file, where the content does not show it
    size_cm: SizeCm | None = None


class Undecodable(ValueError):
    """Why content is not a film: a sentence without its subject, such as 'is empty.'"""


class FilmError(ValueError):
    """A film's file that cannot be used.

    Arguments:
        path: the file.
        reason: what is wrong with it and how to fix it, without the path.
        sentence: how the message joins the two.
    """

    def __init__(self, path: Path, reason: str, sentence: str = "{path} {reason}"):
        super().__init__(path, reason, sentence)  # all, so that it can be pickled
        self.path = path
        self.reason = reason
        self.sentence = sentence

    def __str__(self) -> str:
        path = str(self.path).replace("\n", "\\n").replace("\r", "\\r")  # one line
        return self.sentence.format(path=path, reason=self.reason)


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
    import pydicom

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


def check_size(width: int, height: int, limit: int = MAX_PIXELS) -> None:
    """Undecodable where decoding would take more memory than any film needs."""
    if width * height > limit:
        most = f"{limit // 1_000_000} million pixels"
        raise Undecodable(f"claims more than {most}; reduce the film first.")


def check_scans(jpeg: bytes, width: int, height: int) -> None:
    """Undecodable where a JPEG has so many scans over its pixels that decoding takes minutes."""
    if jpeg.count(b"\xff\xda") * width * height > 20 * MAX_PIXELS:
        raise Undecodable("has more scans than any film; save it again, as PNG.")


class DecoderWarnings:
    """How many threads decode now, and the filter that hides the decoders' own warnings."""

    lock = threading.Lock()
    count = 0
    hidden = warnings.catch_warnings()


@contextmanager
def without_decoder_warnings() -> Iterator[None]:
    """Hide the decoders' own warnings; threads may overlap, unlike with `catch_warnings`."""
    with DecoderWarnings.lock:
        DecoderWarnings.count += 1
        if DecoderWarnings.count == 1:
            DecoderWarnings.hidden = warnings.catch_warnings()
            DecoderWarnings.hidden.__enter__()
            warnings.filterwarnings("ignore", module="|".join(DECODERS))
    try:
        yield
    finally:
        with DecoderWarnings.lock:
            DecoderWarnings.count -= 1
            if not DecoderWarnings.count:
                DecoderWarnings.hidden.__exit__(None, None, None)
