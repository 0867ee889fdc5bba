"""A DICOM file to its film, as a viewer shows it, and to what the header says about it."""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import scipy

from multimix.images.formats import Decoded, FilmError, SizeCm, check_size, errors_as
from multimix.images.grey import MIN_CONTRAST, scaled, usual_range

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

# Frame headers in a compressed picture: JPEG and JPEG-LS (height, width), JPEG 2000.
JPEG_HEADER = re.compile(
    rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]..[\x02-\x10](.{4})", re.S
)
J2K_HEADER = re.compile(rb"\xff\x4f\xff\x51.{4}(.{34})", re.S)
LATERAL = re.compile(r"\b(LL|RL|[LR]LO|[LR]?LAT|LATERAL\w*|OBL\w*|[LR][AP]O)\b")  # and oblique


def open_dicom(file: BinaryIO) -> Decoded:
    """The picture of a DICOM file: (H, W) uint8 with air dark, or (H, W, 3). Errors: FilmError."""
    import pydicom  # slow to import, and most films are pictures

    if b"1.2.840.10008.1.2.1.99" in file.read():  # Deflated: it may unpack to any size
        raise FilmError("is a DICOM file that is deflated as a whole; export it uncompressed.")
    file.seek(0)
    with errors_as("is a damaged DICOM file; export it again, or as PNG."):
        dataset = pydicom.dcmread(file, force=True)
    return open_dataset(dataset)


def open_dataset(dataset: Dataset) -> Decoded:
    """Decode the one picture of a data set, which is not changed. As `open_dicom`."""
    from pydicom import uid
    from pydicom.pixels import apply_color_lut

    frames = int(number(dataset, "NumberOfFrames", 1)) or 1
    if frames > 1 or "PixelData" not in dataset:
        what = f"{frames} pictures" if frames > 1 else "no picture"
        raise FilmError(f"is a DICOM file with {what}; one film with one picture is needed.")
    check_size(int(number(dataset, "Columns")), int(number(dataset, "Rows")))
    implicit, little_endian = dataset.original_encoding
    plain = uid.ExplicitVRLittleEndian if little_endian is not False else uid.ExplicitVRBigEndian
    named = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    syntax = uid.UID(str(named or (uid.ImplicitVRLittleEndian if implicit else plain)))
    warnings: list[str] = []
    with errors_as(
        f"is a damaged DICOM file, or cannot be decoded ({syntax.name}); export it uncompressed or "
        "as PNG."
    ):
        values = decode_pixels(dataset, syntax)
        if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
            values = apply_color_lut(values, dataset)
        elif values.ndim == 2:
            values, warnings = shown(values, dataset)
    if LATERAL.search(view := text(dataset, "ViewPosition")):
        warnings.append(f"The file says that the film is not frontal ({view[:40]}).")
    if text(dataset, "PatientOrientation").startswith("R"):
        warnings.append("The file says that the film is mirrored: its left lung is called right.")
    size_cm, implausible = size_and_warning(dataset)
    return Decoded(values, (*warnings, *implausible), size_cm)


def decode_pixels(dataset: Dataset, syntax: UID) -> np.ndarray:
    """The stored values, (H, W) or (H, W, 3). Errors: FilmError, and all that pydicom raises."""
    from pydicom.encaps import get_frame
    from pydicom.pixels import get_decoder

    if dataset.BitsAllocated > 16:
        raise FilmError("is a DICOM file of more than 16 bits a pixel; export it as PNG.")
    if syntax.is_encapsulated:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        check_frame(frame, (dataset.Rows, dataset.Columns))
    options: Any = {"correct_unused_bits": False}  # `used_bits` does
    values, _ = get_decoder(syntax).as_array(dataset, index=0, **options)
    if values.ndim > 2:
        return values
    return used_bits(values, dataset.BitsStored, dataset.get("HighBit") or dataset.BitsStored - 1)


def check_frame(frame: bytes, size: tuple[int, int]) -> None:
    """FilmError where a compressed picture claims to be too large, ValueError where not `size`."""
    claimed = []
    if frame.startswith(b"\xff\xd8"):
        claimed = [struct.unpack(">HH", header) for header in JPEG_HEADER.findall(frame)]
    for height, width in claimed:
        check_size(width, height)
    for header in J2K_HEADER.findall(frame):
        right, bottom, left, top, *tile, _, _, channels = struct.unpack(">8IH", header)
        check_size(min(tile[0], right), min(tile[1], bottom))
        check_size((right - left) * max(1, channels // 4), bottom - top)
        claimed.append((bottom - top, right - left))
    if claimed and size not in claimed:
        raise ValueError(f"The picture has {claimed[0]} pixels, not {size}.")


def used_bits(values: np.ndarray, stored: int, high_bit: int) -> np.ndarray:
    """Values (H, W) of all allocated bits, without the bits that do not belong to the film."""
    is_signed = values.dtype.kind == "i"
    limit = 2 ** (stored - is_signed)
    beyond = (values >= limit) | (values < -limit)
    # Overlays in the upper bits are small: where many values are large, BitsStored is wrong.
    if not beyond.any() or (high_bit < stored and not is_signed and beyond.mean() > 0.25):
        return values
    bits = 8 * values.dtype.itemsize
    above = bits - 1 - min(max(high_bit, stored - 1), bits - 1)
    return (values << above) >> (bits - stored)


def shown(stored: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, list[str]]:
    """Stored values (H, W) to grey values, uint8 with air dark and padding black; warnings."""
    # A window or table that is missing or wrong never makes a film unreadable: it is not used.
    padding = is_padding(stored, dataset)
    film = stored[~padding]
    low, high = int(film.min()), int(film.max())
    places = np.clip(stored.astype(np.int32), low, high) - low  # of each pixel's value in `levels`
    weights = np.bincount(places[~padding], minlength=high - low + 1) / film.size
    is_grey = stored.dtype == np.uint8 and dataset.BitsStored == 8
    levels = np.append(np.arange(low, high + 1.0), (0, 255) if is_grey else usual_range(film))
    # The last two of them are black and white, so that these are converted as the film is.
    values = looked_up(levels, dataset, "ModalityLUTSequence")
    if values is None or not np.ptp(values[:-2]):
        slope, intercept = number(dataset, "RescaleSlope", 1), number(dataset, "RescaleIntercept")
        values = levels * slope + intercept
        if not np.isfinite(values).all() or values[0] == values[-3]:
            values = levels
    values, (black, white) = values[:-2], sorted(values[-2:])
    own = scaled(values, black, white)
    grey, name, warnings = own, "", []
    table = looked_up(values, dataset, "VOILUTSequence")
    centre, width = number(dataset, "WindowCenter", math.nan), number(dataset, "WindowWidth")
    if table is not None:
        grey, name = scaled(table, table.min(), table.max()), "lookup table"
    elif width > 0 and math.isfinite(centre):
        grey = windowed(values, centre, width, text(dataset, "VOILUTFunction"))
        name = f"window (centre {centre:g}, width {width:g})"
    if is_usable(own, weights) and not is_usable(grey, weights):
        grey = own
        warnings = [f"The film's {name} leaves it flat: the film's own range of values is shown."]
    said = text(dataset, "PhotometricInterpretation"), text(dataset, "PresentationLUTShape")
    if "MONOCHROME1" in said or "INVERSE" in said:  # a film may say both, and is inverted once
        grey = 255 - grey
    return np.where(padding, np.uint8(0), grey[places]), warnings


def is_padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """(H, W) bool, the filling around the film; nowhere if there is nothing else."""
    first = number(dataset, "PixelPaddingValue", math.nan)
    last = number(dataset, "PixelPaddingRangeLimit", first)
    padding = np.zeros(stored.shape, dtype=bool)
    # The element may have a negative value as if it were unsigned, or the other way round.
    size = 2 ** (8 * stored.dtype.itemsize)
    for shift in (0, size, -size):
        low, high = sorted((first + shift, last + shift))
        padding |= (stored >= low) & (stored <= high)
    return padding & (not padding.all())


def windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Values to [0, 255] by the window functions of DICOM, PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    with np.errstate(all="ignore"):  # of tiny widths
        if function == "SIGMOID":
            shares = scipy.special.expit(4 * (values / width - centre / width))
        else:
            if function != "LINEAR_EXACT" and width >= 1:
                centre, width = centre - 0.5, max(width - 1, 1e-9)
            shares = np.clip(values / width - centre / width + 0.5, 0, 1)
        return np.rint(255 * shares).astype(np.uint8)


def looked_up(values: np.ndarray, dataset: Dataset, keyword: str) -> np.ndarray | None:
    """Values by a lookup table of the header, clipped at its ends; None without a whole table."""
    try:
        item = dataset[keyword].value[0]
        count, first = int(item.LUTDescriptor[0]) % 2**16 or 2**16, int(item.LUTDescriptor[1])
        content = item.LUTData
        if isinstance(content, bytes):
            content = np.frombuffer(content, "<u2" if len(content) >= 2 * count else "u1")
        if values.min() < 0 and first >= 2**15:  # a negative number, read as unsigned
            first -= 2**16
        places = np.clip(np.rint(values) - first, 0, count - 1).astype(int)
        return np.asarray(content, dtype=np.float64)[:count][places]
    except Exception:  # noqa: BLE001  (there is no table, or it is damaged)
        return None


def is_usable(grey: np.ndarray, weights: np.ndarray) -> bool:
    """Whether a film, of these grey values (L,) with these weights (L,), shows anything."""
    shares = np.cumsum(np.bincount(grey, weights, minlength=256))
    darkest, brightest = np.searchsorted(shares, (0.01, 0.99))
    return bool(brightest - darkest >= MIN_CONTRAST and shares[254] - shares[0] >= 0.05)


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """An element's finite numbers; none where it is missing or damaged."""
    try:
        found = np.array(dataset[keyword].value, dtype=np.float64).ravel()
        return found[np.isfinite(found)].tolist()
    except Exception:  # noqa: BLE001  (pydicom converts a value when it is first read)
        return []


def number(dataset: Dataset, keyword: str, default: float = 0) -> float:
    """An element's first number."""
    return next(iter(numbers(dataset, keyword)), default)


def text(dataset: Dataset, keyword: str) -> str:
    """An element's words in capitals; '' where it is missing or damaged."""
    try:
        return " ".join(re.findall(r"\w+", str(dataset[keyword].value or "").upper()))
    except Exception:  # noqa: BLE001  (as above)
        return ""


def size_and_warning(dataset: Dataset) -> tuple[SizeCm | None, list[str]]:
    """Height and width of a film in cm by its file's spacing; a warning where that is absurd."""
    found = []
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        down, across = (*numbers(dataset, keyword), 0.0, 0.0)[:2]
        size = number(dataset, "Rows") * down / 10, number(dataset, "Columns") * across / 10
        if 0 < max(down, across) <= 2 * min(down, across) and 15 <= max(size) <= 60:
            return size, []
        if down or across:  # zeros mean that it is unknown
            found.append(f"{keyword} ({down:g} x {across:g} mm)")
    sentence = "The file's {} cannot be that of a chest film: areas in cm² are not known."
    return None, [sentence.format(what) for what in found[:1]]
