"""A DICOM file to its film, as a viewer shows it, and to what the header says about it."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import MutableSequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import scipy

from multimix.images.dicom_header import (
    number,
    numbers,
    size_and_warning,
    subject_warnings,
    text,
    value_of,
)
from multimix.images.formats import (
    Opened,
    Undecodable,
    check_scans,
    check_size,
    is_dicom,
)
from multimix.images.grey import MIN_CONTRAST, scaled, usual_range

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

PIXELS = {"PixelData": 0, "FloatPixelData": 32, "DoubleFloatPixelData": 64}  # and their bits
# Frame headers in a compressed picture: JPEG and JPEG-LS (height, width), JPEG 2000.
JPEG_HEADER = re.compile(
    rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]..[\x02-\x10](.{4})", re.S
)
J2K_HEADER = re.compile(rb"\xff\x4f\xff\x51.{4}(.{34})", re.S)
DAMAGED = "is a damaged DICOM file, or none; export it again, or as PNG."


def open_dicom(file: BinaryIO) -> Opened:
    """Decode the one picture of a DICOM file.

    Returns: (H, W) uint8 with air dark, or (H, W, 3) in colour.

    Errors: Undecodable.
    """
    import pydicom  # slow to import, and most films are pictures

    if not is_dicom(file):
        raise Undecodable(DAMAGED)
    content = file.read()
    items = content.count(b"\xfe\xff\x00\xe0") + content.count(b"\xff\xfe\xe0\x00")
    if items > 20_000:  # each item takes kilobytes of memory
        raise Undecodable("is a DICOM file larger than any film's; export it as PNG.")
    if b"1.2.840.10008.1.2.1.99" in content:  # Deflated Explicit VR: it may unpack to any size
        raise Undecodable("is a DICOM file that is deflated as a whole; export it uncompressed.")
    try:
        dataset = pydicom.dcmread(BytesIO(content), force=True)
    except Exception:  # noqa: BLE001  (pydicom raises many kinds)
        raise Undecodable(DAMAGED) from None
    return open_dataset(dataset)


def open_dataset(dataset: Dataset) -> Opened:
    """Decode the one picture of a data set, which is not changed. As `open_dicom`."""
    from pydicom.pixels import apply_color_lut

    name = "unknown compression"
    try:
        keyword = next((keyword for keyword in PIXELS if keyword in dataset), "")
        frames = int(number(dataset, "NumberOfFrames", 1)) or 1
        if frames > 1 or not keyword:
            what = f"{frames} pictures" if frames > 1 else "no picture"
            raise Undecodable(f"is a DICOM file with {what}; one film with one picture is needed.")
        check_size(int(number(dataset, "Columns")), int(number(dataset, "Rows")))
        syntax = transfer_syntax(dataset)
        name = syntax.name
        stored = decoded(dataset, keyword, syntax)
        if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR" and stored.ndim == 2:
            stored = apply_color_lut(stored, dataset)
        grey, warnings = shown(stored, dataset) if stored.ndim == 2 else (stored, [])
        size_cm, implausible = size_and_warning(dataset)
        warnings += subject_warnings(dataset) + implausible
        return Opened(grey, tuple(warnings), kind="DICOM", size_cm=size_cm)
    except Undecodable:
        raise
    except Exception:  # noqa: BLE001  (pydicom and its decoders raise many kinds)
        raise Undecodable(
            f"is a damaged DICOM file, or of a kind that cannot be decoded ({name}); export it "
            "again, uncompressed or as PNG."
        ) from None


def transfer_syntax(dataset: Dataset) -> UID:
    """How the pixels are written; a file without this element was read in one of three ways."""
    from pydicom import uid

    implicit, little_endian = dataset.original_encoding
    plain = uid.ExplicitVRLittleEndian if little_endian is not False else uid.ExplicitVRBigEndian
    named = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    return uid.UID(str(named or (uid.ImplicitVRLittleEndian if implicit else plain)))


def decoded(dataset: Dataset, keyword: str, syntax: UID) -> np.ndarray:
    """The stored values, (H, W), or (H, W, 3) in colour."""
    from pydicom.encaps import get_frame
    from pydicom.pixels import get_decoder

    names = ("Rows", "Columns", "PlanarConfiguration", "PixelRepresentation")
    rows, columns, planar, signed = (int(number(dataset, name)) for name in names)
    samples, content = int(number(dataset, "SamplesPerPixel", 1)), value_of(dataset, keyword)
    allocated = int(number(dataset, "BitsAllocated"))
    bits = PIXELS[keyword] or allocated or 8 * len(content) // (rows * columns)
    stored = int(number(dataset, "BitsStored", bits))
    stored = stored if 0 < stored <= bits else bits
    photometric = text(dataset, "PhotometricInterpretation") or "RGB"
    options: dict[str, Any] = dict(
        pixel_keyword=keyword,
        rows=rows,
        columns=columns,
        number_of_frames=1,
        samples_per_pixel=samples,
        planar_configuration=planar,
        photometric_interpretation="MONOCHROME2" if samples == 1 else photometric,
        bits_allocated=bits,
        bits_stored=stored,
        pixel_representation=signed,
    )
    if syntax.is_encapsulated:
        frame = get_frame(content, 0, number_of_frames=1)
        check_frame(frame, rows, columns, rows * columns * samples * bits // 8)
    else:
        options["correct_unused_bits"] = False  # `used_bits` does
    values, _ = get_decoder(syntax).as_array(content, index=0, **options)
    if values.ndim == 2 and values.dtype.kind in "iu":
        return used_bits(values, stored, int(number(dataset, "HighBit", stored - 1)))
    return values


def check_frame(frame: bytes, rows: int, columns: int, size: int) -> None:
    """Compare a compressed picture's own size with that of its file, of `size` bytes.

    Errors: Undecodable or ValueError where it is larger, or another one.
    """
    sizes = [struct.unpack(">HH", found) for found in JPEG_HEADER.findall(frame)]
    if frame.startswith(b"\xff\xd8"):
        check_scans(frame, columns, rows)
    elif headers := J2K_HEADER.findall(frame):
        sizes = []
        for header in headers:
            right, bottom, left, top, *tile, _, _, channels = struct.unpack(">8IH", header)
            check_size(min(tile[0], right), min(tile[1], bottom))
            sizes.append((bottom - top, right - left) if channels <= 4 else (0, 0))
    else:  # run lengths are at most a little longer than the pixels
        sizes = [(rows, columns)]
        if len(frame) > 1.1 * size + 1024:
            raise Undecodable("is a DICOM file with more compressed values than its size says.")
    for height, width in sizes:
        check_size(width, height)
    if set(sizes) != {(rows, columns)}:
        raise ValueError


def used_bits(values: np.ndarray, stored: int, high_bit: int) -> np.ndarray:
    """Values (H, W) of all allocated bits, without the bits that do not belong to the film."""
    bits = 8 * values.dtype.itemsize
    limit = 2 ** (stored - 1) if values.dtype.kind == "i" else 2**stored
    if stored >= bits or (values.max() < limit and (limit == 2**stored or values.min() >= -limit)):
        return values
    if high_bit < stored:  # the upper bits are an old overlay, or BitsStored is too small:
        lower, upper = (values % 2**stored).astype(int), values // 2**stored
        jumps = np.abs(np.diff(lower, axis=1))[np.diff(upper, axis=1) != 0]
        if len(jumps) and np.median(jumps) > 2 ** (stored - 1):  # then they carry over
            return values
    above = bits - 1 - min(max(high_bit, stored - 1), bits - 1)
    return (values << above) >> (bits - stored)


def shown(stored: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, list[str]]:
    """Stored values (H, W) to grey values (H, W) uint8 with air dark and padding black; warnings.

    A window or table that is missing or wrong never makes a film unreadable: it is not used.
    """
    padding = is_padding(stored, dataset)
    film = stored[~padding]
    low, high = film.min().item(), film.max().item()
    count = 2**16 if stored.dtype.kind == "f" else min(int(high - low) + 1, 2**16)
    levels = np.linspace(low, high, count)  # the values that are told apart
    steps = (stored - float(low)) * ((count - 1) / (high - low or 1))
    places = np.clip(np.rint(steps, out=steps), 0, count - 1, out=steps).astype(np.int32)
    weights = np.bincount(places[~padding], minlength=count) / film.size
    is_grey = stored.dtype == np.uint8 and number(dataset, "BitsStored", 8) >= 8
    ends = (0.0, 255.0) if is_grey else usual_range(film)
    table, warnings = shown_levels(levels, weights, ends, dataset)
    said = text(dataset, "PhotometricInterpretation"), text(dataset, "PresentationLUTShape")
    if "MONOCHROME1" in said or "INVERSE" in said:  # a film may say both, and is inverted once
        table = 255 - table
    return np.where(padding, np.uint8(0), table[places]), warnings


def is_padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """(H, W) bool, the filling around the film; nowhere if there is nothing else."""
    first = number(dataset, "PixelPaddingValue", np.nan)
    last = number(dataset, "PixelPaddingRangeLimit", first)
    padding = np.zeros(stored.shape, dtype=bool)
    # The element may have a negative value as if it were unsigned, or the other way round.
    size = 2 ** (8 * stored.dtype.itemsize) if stored.dtype.kind in "iu" else 0
    for shift in (0, size, -size) if math.isfinite(first) else ():
        low, high = sorted((first + shift, last + shift))
        padding |= (stored >= low) & (stored <= high)
    return padding & (not padding.all())


def shown_levels(
    levels: np.ndarray, weights: np.ndarray, ends: tuple[float, float], dataset: Dataset
) -> tuple[np.ndarray, list[str]]:
    """The grey value of each stored value, before any inversion; warnings.

    Arguments:
        levels: (L,) stored values, rising.
        weights: (L,) the share of the film's pixels with each.
        ends: the stored values that become black and white if there is no window.
    """
    values, own = mapped(levels, dataset, "ModalityLUTSequence"), scaled(levels, *ends)
    if values is not None and np.ptp(values):
        inside = values[(levels >= ends[0]) & (levels <= ends[1])]
        own = scaled(values, inside.min(), inside.max())
    else:
        slope, intercept = number(dataset, "RescaleSlope", 1), number(dataset, "RescaleIntercept")
        first, last = float(levels[0]) * slope + intercept, float(levels[-1]) * slope + intercept
        if not np.isfinite([first, last]).all() or first == last:
            slope, intercept = 1.0, 0.0
        values, own = levels * slope + intercept, 255 - own if slope < 0 else own
    attempts = {}
    table = mapped(values, dataset, "VOILUTSequence")
    if table is not None:
        attempts["lookup table"] = scaled(table, table.min(), table.max())
    function = text(dataset, "VOILUTFunction")
    for centre, width in zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")):
        if len(attempts) < 3 and np.isfinite(centre) and width > 0:
            name = f"window (centre {centre:g}, width {width:g})"
            attempts[name] = windowed(values, centre, width, function)
    for grey in attempts.values():
        if is_usable(grey, weights) or not is_usable(own, weights):
            return grey, []
    sentence = "The film's {} leaves it flat: the film's own range of values is shown."
    return own, [sentence.format(name) for name in attempts]


def windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Values to [0, 255] by the window functions of DICOM, PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if function == "SIGMOID":
            shares = scipy.special.expit(4 * (values / width - centre / width))
        else:
            if function != "LINEAR_EXACT" and width >= 1:
                centre, width = centre - 0.5, max(width - 1, 1e-9)
            shares = np.clip(values / width - centre / width + 0.5, 0, 1)
    return np.rint(255 * shares).astype(np.uint8)


def mapped(values: np.ndarray, dataset: Dataset, keyword: str) -> np.ndarray | None:
    """Values by a lookup table of the header, at its ends the end's; None without a whole table."""
    items = value_of(dataset, keyword)
    if not items or not isinstance(items, MutableSequence):
        return None
    descriptor, content = numbers(items[0], "LUTDescriptor"), value_of(items[0], "LUTData")
    if len(descriptor) < 3 or not np.isfinite(descriptor).all() or content is None:
        return None
    count, first = int(descriptor[0]) % 2**16 or 2**16, int(descriptor[1])
    if isinstance(content, bytes):
        content = np.frombuffer(content, "<u2" if len(content) >= 2 * count else "u1")
    entries = np.asarray(content, dtype=np.float64).ravel()[:count]
    if len(entries) < count:
        return None
    if values.min() < 0 and first >= 2**15:
        first -= 2**16
    return entries[np.clip(np.rint(values) - first, 0, count - 1).astype(int)]


def is_usable(grey: np.ndarray, weights: np.ndarray) -> bool:
    """Whether a film, of these grey values (L,) with these weights (L,), shows anything."""
    shares = np.cumsum(np.bincount(grey, weights, minlength=256))
    darkest, brightest = np.searchsorted(shares, (0.01, 0.99))
    return bool(brightest - darkest >= MIN_CONTRAST and shares[254] - shares[0] >= 0.05)
