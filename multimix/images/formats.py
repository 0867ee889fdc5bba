"""A film's file, whatever its format, to a picture or an array of its own values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps

if TYPE_CHECKING:
    from pydicom import Dataset

# Pillow tries no other decoder: some of them start programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF")
DICOM_SUFFIXES = frozenset([".dcm", ".dicom"])
RAW_SUFFIX = ".img"
PICTURE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif"])
SUFFIXES = PICTURE_SUFFIXES | DICOM_SUFFIXES | {RAW_SUFFIX}
JSRT_SIDE = 2048  # px of JSRT's raw files
JSRT_WHITE = 4095  # the largest value of their 12 bits
DEFLATED = "1.2.840.10008.1.2.1.99"  # DICOM's transfer syntax of files that are compressed whole
MAX_PIXELS = 50_000_000  # of a film; the largest detectors have some 20 million
QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


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
        return self.sentence.format(path=self.path, reason=self.reason)


def film_paths(folder: Path) -> list[Path]:
    """The films directly in a folder.

    Returns: paths in the order of their names, without hidden files; none where there is no folder.
    """
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and is_film(path)
    )


def film_files(path: Path) -> list[Path]:
    """The films of a folder; of anything else, itself.

    Errors: ValueError where the folder has none.
    """
    films = film_paths(path) if path.is_dir() else [path]
    if not films:
        raise ValueError(
            f"There are no films in {path}; PNG, JPEG, BMP, TIFF, GIF or DICOM files are needed, "
            "in the folder itself, as those below it are not looked through."
        )
    return films


def is_film(path: Path) -> bool:
    """Whether a file is a film by its ending; of any other ending, or none, a DICOM file is one."""
    if path.suffix.lower() in SUFFIXES:
        return not path.is_dir()
    try:
        return path.is_file() and is_dicom(path)
    except OSError:  # this user may not read it
        return False


def open_film(path: Path, side: int | None = None) -> Image.Image | np.ndarray:
    """Decode a film's file of any kind.

    Arguments:
        path: the file.
        side: pixels that the film will be reduced to, which lets a large JPEG be decoded smaller.

    Returns: a picture, upright, whose `info` says under "several" whether the file has more of
    them; of a DICOM or raw file an array (H, W) with air dark.

    Errors: FilmError.
    """
    try:
        if not path.is_file():
            reason = "give the path of a picture file."
            raise FilmError(path, reason, "There is no film {path}; {reason}")
        if path.stat().st_size == 0:
            raise FilmError(path, "is empty (0 bytes); export or download the film again.")
        if path.suffix.lower() == RAW_SUFFIX:
            return open_raw(path)
        return open_dicom(path) if is_dicom(path) else open_picture(path, side)
    except OSError as error:
        raise FilmError(path, f"cannot be read ({error.strerror or error}).") from None


def open_raw(path: Path) -> np.ndarray:
    """A raw JSRT file, which has no header: (2048, 2048) int32 with air dark."""
    size = path.stat().st_size
    expected = 2 * JSRT_SIDE**2
    if size != expected:
        raise FilmError(
            path,
            f"has {size} bytes and a raw JSRT film has {expected}; copy or download it again.",
        )
    values = np.fromfile(path, dtype=">u2").astype(np.int32)  # 12 bits used, lung bright
    return JSRT_WHITE - values.reshape(JSRT_SIDE, JSRT_SIDE)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its ending or, as archives often give none, by its mark."""
    with open(path, "rb") as file:
        return path.suffix.lower() in DICOM_SUFFIXES or file.read(132)[128:] == b"DICM"


def open_dicom(path: Path) -> np.ndarray:
    """The one picture of a DICOM file, (H, W), as `shown_values` gives it."""
    import pydicom  # slow to import, and most films are pictures

    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") == DEFLATED:  # it may unpack to any size
            raise ValueError("it is deflated as a whole")
        dataset = pydicom.dcmread(path)
        frames = int(dataset.get("NumberOfFrames") or 1)
        check_size(path, int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0))
        pixels = None
        if frames == 1 and "PixelData" in dataset:
            pixels = dataset.pixel_array
            if pixels.ndim == 2:
                pixels = shown_values(pixels, dataset)
    except FilmError:
        raise
    except Exception as error:  # noqa: BLE001  (pydicom and its decoders raise many kinds)
        raise FilmError(
            path,
            "is a damaged DICOM file, or of a kind that cannot be decoded "
            f"({one_line(error)}); export it again, uncompressed or as PNG.",
        ) from None
    if pixels is None:
        what = f"{frames} pictures" if frames > 1 else "no picture"
        raise FilmError(path, f"is a DICOM file with {what}; one film with one picture is needed.")
    return pixels


def shown_values(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Stored values (H, W) to those of a film: in [0, 1] where there is a window, with air dark."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

    values = apply_modality_lut(pixels, dataset)
    has_window = all(dataset.get(name) is not None for name in ("WindowCenter", "WindowWidth"))
    if has_window and "VOILUTSequence" not in dataset:
        low, high = apply_windowing(np.array([-1e9, 1e9]), dataset)  # what the window gives at most
        values = (apply_windowing(values, dataset) - low) / (high - low)
        white = 1
    else:
        values = apply_voi_lut(values, dataset)
        white = values.max()
    inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    return white - values if inverted else values


def open_picture(path: Path, side: int | None) -> Image.Image:
    """A picture file, fully decoded and upright."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            check_size(path, *picture.size)
            if side:
                picture.draft(None, (side, side))
            several = getattr(picture, "is_animated", False)
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            upright.info["several"] = several
            return upright
    except Image.UnidentifiedImageError:
        raise FilmError(
            path, "is not a picture that can be read; PNG, JPEG, BMP, TIFF, GIF or DICOM is needed."
        ) from None
    except (FilmError, PermissionError):
        raise
    except Image.DecompressionBombError:
        raise too_large(path) from None
    except Exception as error:  # noqa: BLE001  (Pillow raises many kinds)
        raise FilmError(
            path,
            f"is damaged or cut short ({one_line(error)}); export or download the film again.",
        ) from None


def check_size(path: Path, width: int, height: int) -> None:
    """FilmError where decoding would take more memory than any film needs."""
    if width * height > MAX_PIXELS:
        raise too_large(path)


def too_large(path: Path) -> FilmError:
    """The error of a file that claims to be larger than any film."""
    limit = f"{MAX_PIXELS / 1e6:.0f} million pixels"
    return FilmError(path, f"claims more than {limit}; reduce the film first.")


def one_line(error: Exception) -> str:
    """What a library says of a fault, without line breaks."""
    return " ".join(str(error).split())


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file as its header says, once it is upright.

    Returns: (0, 0) for any other file, and for one that cannot be read.
    """
    try:
        if not path.is_file():
            return 0, 0
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
            return (height, width) if orientation in QUARTER_TURNS else (width, height)
    except Exception:  # noqa: BLE001  (Pillow raises many kinds; reading the film names the fault)
        return 0, 0
