"""Which files are films, and the content of picture files, as Pillow decodes them."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base

RAW_SUFFIX = ".img"  # of JSRT
PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".gif", ".webp")
SUFFIXES = (*PICTURES, ".dcm", ".dicom", ".npy", RAW_SUFFIX)
for name in ("PIL", "pydicom"):  # a logger without a handler prints
    logging.getLogger(name).addHandler(logging.NullHandler())
lock, hidden, decoding = threading.Lock(), ExitStack(), 0  # of `without_decoder_warnings`

SizeCm = tuple[float, float]  # height, width


class Decoded(NamedTuple):
    """The content of a film's or a mask's file."""

    values: np.ndarray  # (H, W) or (H, W, C), upright
    warnings: tuple[str, ...] = ()  # sentences about the film
    size_cm: SizeCm | None = None
    several: bool = False  # pages of a TIFF, frames of a GIF
    inverted: bool = False  # large values are dark


class FilmError(ValueError):
    """Why a film cannot be used. Decoders leave out the subject: `reading` adds the path."""


@contextmanager
def errors_as(sentence: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a FilmError with this sentence; FilmErrors stay."""
    try:
        yield
    except FilmError:
        raise
    except Exception:  # noqa: BLE001  (decoders raise many kinds)
        raise FilmError(sentence) from None


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
    if width * height > 50_000_000:  # the largest detectors have some 20 million
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


def open_picture(file: BinaryIO, side: int | None) -> Decoded:
    """A picture file, decoded and upright; `side` as for `read_film`. Errors: FilmError."""
    with errors_as("is damaged or cut short; export or download the film again."):
        try:
            # Some other decoders of Pillow start programs.
            picture = Image.open(file, formats=("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP"))
            check_header(picture)
            if side:
                picture.draft(None, (side, side))
            several = getattr(picture, "is_animated", False)
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
        except Image.UnidentifiedImageError:
            raise FilmError(
                "is not a picture that can be read; PNG, JPEG, BMP, TIFF (8 or 16 bits), GIF, "
                "WebP, .npy or DICOM is needed."
            ) from None
        except Image.DecompressionBombError:
            check_size(2**16, 2**16)
        return decoded_picture(picture)._replace(several=several)


def check_header(picture: Image.Image) -> None:
    """FilmError where a picture is too large to decode, or Pillow misreads its values."""
    check_size(*picture.size)
    tags: Any = getattr(picture, "tag_v2", {})  # of a TIFF
    check_size(tags.get(Base.TileWidth, 0), tags.get(Base.TileLength, 0))
    value = tags.get(Base.BitsPerSample, (1,))[0], tags.get(Base.SampleFormat, (1,))[0]
    is_deep = ";16" in str(getattr(picture, "tile", "")) and not picture.mode.startswith("I")
    if is_deep or value in ((8, 2), (32, 1)):  # 8 bits with a sign, 32 bits without
        raise FilmError(
            "has values that cannot be read; save it as grey with 8 or 16 bits, or as 8-bit RGB."
        )


def decoded_picture(picture: Image.Image) -> Decoded:
    """A loaded picture: grey (H, W), RGB (H, W, 3), or with opacity (H, W, 2) or (H, W, 4)."""
    mode = picture.mode
    values = np.asarray(picture)
    white_is_0 = getattr(picture, "tag_v2", {}).get(Base.PhotometricInterpretation) == 0
    inverted = white_is_0 and mode.startswith(("I", "F"))  # Pillow inverts the other modes
    if mode == "La":  # multiplied by its opacity already
        values = values[..., 0]
    elif mode not in ("L", "LA") and not mode.startswith(("1", "I", "F")):
        colours = np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
        if mode != "P" or np.ptp(colours, axis=(0, 1)).any():  # else the palette shows nothing
            values = colours
    return Decoded(values, inverted=inverted)
