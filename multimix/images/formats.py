"""A film's file, whatever its format, to a picture or an array of its own values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "TIFF",
    "GIF",
)  # no other decoder of Pillow's is asked: some start programs
DICOM, RAW = frozenset([".dcm", ".dicom"]), ".img"
SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", RAW]) | DICOM
JSRT_SIDE, JSRT_WHITE = 2048, 4095  # the raw files of JSRT: pixels a side, largest value of 12 bits
DEFLATED = "1.2.840.10008.1.2.1.99"
MOST_PIXELS = 50_000_000  # of a film; the largest detectors have some 20 million


class TooLarge(ValueError):
    """A file that claims to be larger than any film."""

    def __init__(self, path: Path):
        super().__init__(
            f"{path} claims more than {MOST_PIXELS / 1e6:.0f} million pixels; reduce the film "
            "first."
        )


def film_paths(folder: Path) -> list[Path]:
    """The films directly in a folder, in the order of their names; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and is_film(path)
    )


def film_files(path: Path) -> list[Path]:
    """The films of a folder, at least one; of anything else, itself."""
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
    except OSError:  # not to be read by this user
        return False


def open_film(path: Path, side: int | None) -> Image.Image | np.ndarray:
    """A film's file of any kind, decoded. ValueError, in one sentence, where that fails."""
    try:
        if not path.is_file():
            raise ValueError(f"There is no film {path}; give the path of a picture file.")
        if path.stat().st_size == 0:
            raise ValueError(f"{path} is empty (0 bytes); export or download the film again.")
        if path.suffix.lower() == RAW:
            return open_raw(path)
        return open_dicom(path) if is_dicom(path) else open_picture(path, side)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}).") from None


def open_raw(path: Path) -> np.ndarray:
    """JSRT as it is distributed: 2048 x 2048 big-endian 16-bit values, 12 bits used, lung bright,
    no header.
    """
    size, expected = path.stat().st_size, 2 * JSRT_SIDE**2
    if size != expected:
        raise ValueError(
            f"{path} has {size} bytes and a raw JSRT film has {expected}; copy or download it "
            "again."
        )
    return JSRT_WHITE - np.fromfile(path, dtype=">u2").astype(np.int32).reshape(
        JSRT_SIDE, JSRT_SIDE
    )


def is_dicom(path: Path) -> bool:
    """By its ending, or, as files from a hospital's archive often have none, by the mark after the
    preamble.
    """
    with open(path, "rb") as file:
        return path.suffix.lower() in DICOM or file.read(132)[128:] == b"DICM"


def open_dicom(path: Path) -> np.ndarray:
    """The picture of a DICOM file with air dark: floats in [0, 1] through its window, else its own
    values.
    """
    import pydicom  # slow to import, and most films are pictures
    from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

    try:
        if pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID") == DEFLATED:
            raise ValueError("it is deflated as a whole")  # to any size
        dataset = pydicom.dcmread(path)
        frames = int(dataset.get("NumberOfFrames") or 1)
        check_size(path, int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0))
        pixels = dataset.pixel_array if frames == 1 and "PixelData" in dataset else None
        if pixels is not None and pixels.ndim == 2:
            pixels = apply_modality_lut(pixels, dataset)
            windowed = all(
                dataset.get(name) is not None for name in ("WindowCenter", "WindowWidth")
            )
            if windowed and "VOILUTSequence" not in dataset:
                low, high = apply_windowing(np.array([-1e9, 1e9]), dataset)
                pixels, white = (apply_windowing(pixels, dataset) - low) / (high - low), 1
            else:
                pixels = apply_voi_lut(pixels, dataset)
                white = pixels.max()
            if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
                pixels = white - pixels
    except TooLarge:
        raise
    except Exception as error:  # noqa: BLE001  (pydicom and its decoders raise many kinds)
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} is a damaged DICOM file, or of a kind that cannot be decoded ({reason}); "
            "export it again, uncompressed or as PNG."
        ) from None
    if pixels is None:
        what = f"{frames} pictures" if frames > 1 else "no picture"
        raise ValueError(
            f"{path} is a DICOM file with {what}; one film with one picture is needed."
        )
    return pixels


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
        raise ValueError(
            f"{path} is not a picture that can be read; PNG, JPEG, BMP, TIFF, GIF or DICOM is "
            "needed."
        ) from None
    except (TooLarge, PermissionError):
        raise
    except Image.DecompressionBombError:
        raise TooLarge(path) from None
    except Exception as error:  # noqa: BLE001  (Pillow raises many kinds)
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} is damaged or cut short ({reason}); export or download the film again."
        ) from None


def check_size(path: Path, width: int, height: int) -> None:
    """ValueError where decoding would take more memory than any film needs."""
    if width * height > MOST_PIXELS:
        raise TooLarge(path)


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file as its header says; 0 of anything else, or where it cannot
    be read.
    """
    try:
        if not path.is_file():
            return 0, 0
        with Image.open(path, formats=FORMATS) as picture:
            turned = picture.getexif().get(0x0112, 1) in (
                5,
                6,
                7,
                8,
            )  # by a quarter, when it is read
            return picture.size[::-1] if turned else picture.size
    except Exception:  # noqa: BLE001  (Pillow raises many kinds; reading the film will say what it is)
        return 0, 0
