"""A DICOM file, with or without its header, to the one film in it."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from multimix.images.dicom_display import DISPLAY_KEYWORDS, shown_grey
from multimix.images.dicom_elements import integer, number, text, value_of
from multimix.images.dicom_frames import check_frame
from multimix.images.dicom_subject import SUBJECT_KEYWORDS, subject_warnings
from multimix.images.opened import MAX_BYTES, Opened, Undecodable, check_size
from multimix.images.size import SIZE_KEYWORDS, dicom_size_cm

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.tag import BaseTag
    from pydicom.uid import UID

DICOM_SUFFIXES = frozenset([".dcm", ".dicom"])
MARK, MARK_PLACE = b"DICM", 128
DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax of files that are compressed whole
FIRST_GROUPS = (0x2, 0x8, 0x10, 0x18, 0x20, 0x28)  # in which a file without a mark may begin
ITEM_MARKS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # of a sequence; by either byte order
MAX_ITEMS = 20_000  # each costs some kilobytes once it is read
PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
PALETTE_KEYWORDS = tuple(
    f"{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for part in ("Descriptor", "Data")
)
IMAGE_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def is_dicom(file: BinaryIO) -> bool:
    """Whether an open file is DICOM: by its mark or, without one, by its picture's size."""
    head = file.read(MARK_PLACE + len(MARK))
    file.seek(0)
    if head[MARK_PLACE:] == MARK:
        return True
    if len(head) < 8 or struct.unpack("<H", head[:2])[0] not in FIRST_GROUPS:
        return False
    import pydicom

    try:
        found = pydicom.dcmread(
            file, stop_before_pixels=True, force=True, specific_tags=["Rows", "Columns"]
        )
        return bool(number(found, "Rows") and number(found, "Columns"))
    except Exception:  # noqa: BLE001  (of what is no DICOM, pydicom raises many kinds)
        return False
    finally:
        file.seek(0)


def open_dicom(file: BinaryIO) -> Opened:
    """The one picture of a DICOM file, (H, W) uint8 with air dark, or (H, W, 3) where coloured.

    Errors: Undecodable.
    """
    import pydicom  # slow to import, and most films are pictures

    damaged = Undecodable("is a damaged DICOM file, or none; export it again, or as PNG.")
    if not is_dicom(file):
        raise damaged
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES or sum(map(content.count, ITEM_MARKS)) > MAX_ITEMS:
        raise Undecodable("is a DICOM file larger than any film's; export it as PNG.")
    if DEFLATED in content:  # it may unpack to any size
        raise Undecodable("is a DICOM file that is deflated as a whole; export it uncompressed.")
    try:
        dataset = pydicom.dcmread(BytesIO(content), specific_tags=wanted_tags(), force=True)
    except Exception:  # noqa: BLE001  (pydicom raises many kinds)
        raise damaged from None
    return open_dataset(dataset)


def wanted_tags() -> list[BaseTag]:
    """The elements that are read; all others are passed over."""
    from pydicom.tag import Tag

    keywords = IMAGE_KEYWORDS + DISPLAY_KEYWORDS + SUBJECT_KEYWORDS + PALETTE_KEYWORDS
    return [Tag(keyword) for keyword in keywords + SIZE_KEYWORDS + PIXEL_KEYWORDS]


def open_dataset(dataset: Dataset) -> Opened:
    """The one picture of a data set, as `open_dicom` gives it; the data set stays as it is.

    Errors: Undecodable.
    """
    name = "unknown"
    try:
        keyword = next((name for name in PIXEL_KEYWORDS if name in dataset), "")
        frames = integer(dataset, "NumberOfFrames", 1) or 1
        if frames > 1 or not keyword:
            what = f"{frames} pictures" if frames > 1 else "no picture"
            raise Undecodable(f"is a DICOM file with {what}; one film with one picture is needed.")
        check_size(integer(dataset, "Columns"), integer(dataset, "Rows"))
        syntax = transfer_syntax(dataset)
        name = name if syntax.name == syntax else syntax.name  # an unknown one's is the UID
        grey, warnings = shown(decoded(dataset, keyword, syntax), dataset)
        size_cm, absurd = dicom_size_cm(dataset)
        warnings = (*warnings, *subject_warnings(dataset), *absurd)
        return Opened(grey, warnings, kind="DICOM", size_cm=size_cm)
    except Undecodable:
        raise
    except Exception:  # noqa: BLE001  (pydicom and its decoders raise many kinds)
        raise Undecodable(
            f"is a damaged DICOM file, or of a kind that cannot be decoded ({name}); export it "
            "again, uncompressed or as PNG."
        ) from None


def shown(stored: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stored values to grey (H, W) uint8, or to colours (H, W, 3); sentences."""
    if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR" and stored.ndim == 2:
        stored = coloured(stored, dataset)
    if stored.ndim > 2:
        return stored, ()
    fills_8_bits = stored.dtype == np.uint8 and integer(dataset, "BitsStored", 8) >= 8
    return shown_grey(stored, dataset, fills_8_bits)


def transfer_syntax(dataset: Dataset) -> UID:
    """How a data set is written; where it does not say so, how it was found to be."""
    from pydicom.uid import (
        UID,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )

    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if syntax:
        return UID(str(syntax))
    implicit, little_endian = dataset.original_encoding
    if little_endian is False:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def decoded(dataset: Dataset, keyword: str, syntax: UID) -> np.ndarray:
    """The stored values of the first frame: (H, W), or (H, W, 3) where they are colours."""
    from pydicom.pixels import get_decoder

    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    samples = integer(dataset, "SamplesPerPixel", 1)
    content = value_of(dataset, keyword)
    bits = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword, 0)
    bits = bits or integer(dataset, "BitsAllocated") or 8 * len(content) // (rows * columns)
    stored_bits = integer(dataset, "BitsStored", bits)
    if not 0 < stored_bits <= bits:
        stored_bits = bits
    photometric = text(dataset, "PhotometricInterpretation")
    options: dict[str, Any] = dict(
        pixel_keyword=keyword,
        rows=rows,
        columns=columns,
        number_of_frames=1,
        samples_per_pixel=samples,
        planar_configuration=integer(dataset, "PlanarConfiguration"),
        photometric_interpretation="MONOCHROME2" if samples == 1 else photometric or "RGB",
        bits_allocated=bits,
        bits_stored=stored_bits,
        pixel_representation=integer(dataset, "PixelRepresentation"),
    )
    if syntax.is_encapsulated:
        check_frame(content, rows, columns, samples * bits)
    else:
        options["correct_unused_bits"] = False  # `used_bits` does
    values, _ = get_decoder(syntax).as_array(content, index=0, **options)
    if values.ndim == 2 and values.dtype.kind in "iu":
        return used_bits(values, stored_bits, integer(dataset, "HighBit", stored_bits - 1))
    return values


def used_bits(values: np.ndarray, stored: int, high: int) -> np.ndarray:
    """Values by the bits in which they are stored, where they go beyond those.

    Arguments:
        values: (H, W) of the whole allocated bits.
        stored: how many bits are used.
        high: the highest of them.
    """
    bits = 8 * values.dtype.itemsize
    limit = 2 ** (stored - 1) if values.dtype.kind == "i" else 2**stored
    within = values.max() < limit and (values.dtype.kind == "u" or values.min() >= -limit)
    if within or stored >= bits:
        return values
    above = bits - 1 - min(max(high, stored - 1), bits - 1)  # bits above those that are used
    cut = (values << above) >> (bits - stored)  # of signed values, the sign comes along
    if high >= stored or not carries_over(values, stored):
        return cut
    return values


def carries_over(values: np.ndarray, stored: int) -> bool:
    """Whether bits beyond those stored count on from them, in a file that names too few.

    Those of an old overlay, or of no meaning, change where the film does not.
    """
    limit = 2**stored
    low, beyond = (values % limit).astype(np.int64), values // limit
    changes = np.diff(beyond, axis=1) != 0
    jumps = np.abs(np.diff(low, axis=1))[changes]
    return bool(len(jumps) and np.median(jumps) > limit / 2)


def coloured(indices: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Indices into a palette to (H, W, 3); as they are where the palette is damaged."""
    from pydicom.pixels import apply_color_lut

    try:
        return apply_color_lut(indices, dataset)
    except Exception:  # noqa: BLE001  (pydicom raises many kinds)
        return indices
