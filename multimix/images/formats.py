"""A film's file, whatever its format, to a picture or an array of its own values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from multimix.images.dicom import DICOM_SUFFIXES, is_dicom, open_dicom
from multimix.images.opened import Opened, Undecodable, check_size, without_decoder_warnings
from multimix.images.pictures import open_picture

RAW_SUFFIX = ".img"
ARRAY_SUFFIX = ".npy"
ARRAY_MARK = b"\x93NUMPY"
PICTURE_SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".gif", ".webp"]
)
SUFFIXES = PICTURE_SUFFIXES | DICOM_SUFFIXES | {RAW_SUFFIX, ARRAY_SUFFIX}
DICOM_CONTENTS = "DICOMDIR"  # lists the films of a disc
JSRT_SIDE = 2048  # px of JSRT's raw files
JSRT_WHITE = 4095  # the largest value of their 12 bits
JSRT_CM = 0.0175 * JSRT_SIDE  # 0.175 mm a pixel


class FilmError(ValueError):
    """A film's file that cannot be used.

    Arguments:
        path: the file.
        reason: what is wrong with it and how to fix it, without the path.
        sentence: how the message joins the two.
    """

    def __init__(self, path: Path, reason: str, sentence: str = "{path} {reason}"):
        super().__init__(path, reason, sentence)  # all, so that another process can take it over
        self.path = path
        self.reason = reason
        self.sentence = sentence

    def __str__(self) -> str:
        path = str(self.path).replace("\n", "\\n").replace("\r", "\\r")  # one line, also of a table
        return self.sentence.format(path=path, reason=self.reason)


def film_paths(folder: Path) -> list[Path]:
    """The films directly in a folder.

    Returns: paths in the order of their names, without hidden files; none where there is no folder.
    """
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and is_film(path)
    )


def is_film(path: Path) -> bool:
    """Whether a file is a film by its ending; of any other ending, or none, a DICOM file is one."""
    if path.suffix.lower() in SUFFIXES:
        return not path.is_dir()
    try:
        if not path.is_file() or path.name.upper() == DICOM_CONTENTS:
            return False
        with open(path, "rb") as file:
            return is_dicom(file)
    except OSError:  # this user may not read it
        return False


def stem_of(path: Path) -> str:
    """A film's name without its ending: only a known one is cut off, as a UID has dots too."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def open_film(path: Path, side: int | None = None) -> Opened:
    """Decode a film's file of any kind.

    Arguments:
        path: the file.
        side: pixels that the film will be reduced to, which lets a large JPEG be decoded smaller.

    Errors: FilmError.
    """
    try:
        if not path.is_file():
            reason = "give the path of a picture file."
            raise FilmError(path, reason, "There is no film {path}; {reason}")
        with open(path, "rb") as file:
            return decode(file, path.suffix.lower(), side)
    except Undecodable as error:
        raise FilmError(path, str(error)) from None
    except OSError as error:
        raise FilmError(path, f"cannot be read ({error.strerror or 'disk error'}).") from None


def decode(file: BinaryIO, suffix: str, side: int | None = None) -> Opened:
    """The film in an open file.

    Arguments:
        file: open for reading bytes, at its beginning.
        suffix: its ending in small letters, '' where it is not known.
        side: as for `open_film`.

    Errors: Undecodable.
    """
    mark = file.read(len(ARRAY_MARK))
    file.seek(0)
    if not mark:
        raise Undecodable("is empty (0 bytes); export or download the film again.")
    if suffix == RAW_SUFFIX:
        return open_raw(file)
    if suffix == ARRAY_SUFFIX or mark == ARRAY_MARK:
        return open_array(file)
    with without_decoder_warnings():
        if suffix in DICOM_SUFFIXES or is_dicom(file):
            return open_dicom(file)
        return open_picture(file, side)


def open_raw(file: BinaryIO) -> Opened:
    """A raw JSRT file, which has no header: (2048, 2048) int32 with air dark."""
    size, expected = file_size(file), 2 * JSRT_SIDE**2
    if size != expected:
        raise Undecodable(
            f"has {size} bytes and a raw JSRT film has {expected}; copy or download it again."
        )
    values = np.frombuffer(file.read(), dtype=">u2").astype(np.int32)  # 12 bits, lung bright
    grey = JSRT_WHITE - values.reshape(JSRT_SIDE, JSRT_SIDE)
    return Opened(grey, size_cm=(JSRT_CM, JSRT_CM))


def open_array(file: BinaryIO) -> Opened:
    """The array of a NumPy file; no object in it is loaded, as that would run its code."""
    npy = np.lib.format
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        shape, by_columns, dtype = readers[npy.read_magic(file)](file)
        count = math.prod(shape)
        check_size(count // 4, 1)  # it may have four channels
        if dtype.hasobject or count * dtype.itemsize > file_size(file) - file.tell():
            raise ValueError
        content = file.read(count * dtype.itemsize)
        values = np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")
    except Undecodable:
        raise
    except Exception:  # noqa: BLE001  (of headers that are not NumPy's, many kinds)
        raise Undecodable(
            "is a damaged NumPy file, or holds no numbers; save the film with numpy.save."
        ) from None
    return Opened(values)


def file_size(file: BinaryIO) -> int:
    """Bytes of an open file, which is left where it is."""
    place = file.tell()
    size = file.seek(0, 2)
    file.seek(place)
    return size
