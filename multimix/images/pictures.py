"""Picture files: PNG, JPEG, BMP, TIFF, GIF and WebP."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from multimix.images.grey import channels_to_picture, negative
from multimix.images.opened import (
    MAX_COSTLY_PIXELS,
    MAX_PIXELS,
    Opened,
    Undecodable,
    check_scans,
    check_size,
    without_decoder_warnings,
)
from multimix.images.size import picture_size_cm

# Pillow tries no other decoder: some of them start programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")
QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of a TIFF
IMAGE_WIDTH, IMAGE_LENGTH = 256, 257
BITS, COMPRESSION, ORIENTATION, PLANAR, SAMPLE_FORMAT = 258, 259, 274, 284, 339
WHITE_IS_ZERO, UNCOMPRESSED, SEPARATE = 0, 1, 2  # what some of them may say
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # sample formats
MISREAD = ((8, SIGNED), (32, UNSIGNED))  # bits and sample formats that Pillow takes for others
MISREAD_IF_SWAPPED = ((16, SIGNED), (32, SIGNED), (32, FLOAT))  # compressed, high byte first
MAX_CHANNELS = 4
ASSOCIATED_ALPHA = 1  # colours are multiplied by their opacity already
# Pillow keeps the upper byte of a 16-bit channel. Read in the other order, it keeps the lower.
LOWER_BYTES = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBA;16N": "RGBA;16B",
}
GREY_ALPHA = "LA;16B"  # as four bytes it is read by the mode "RGBA"
DAMAGED = "is damaged or cut short; export or download the film again."


def open_picture(file: BinaryIO, side: int | None) -> Opened:
    """A picture file, fully decoded and upright.

    Errors: Undecodable.
    """
    try:
        mark = file.read(4)
        file.seek(0)
        if mark in TIFF_MARKS:
            silence_libtiff()
            if is_odd_tiff(file, mark):
                return open_odd_tiff(file)
        return decode_picture(file, side)
    except Undecodable:
        raise
    except Image.UnidentifiedImageError:
        raise Undecodable(
            "is not a picture that can be read; PNG, JPEG, BMP, TIFF, GIF, WebP, .npy or DICOM is "
            "needed."
        ) from None
    except Image.DecompressionBombError:
        check_size(10**6, 10**6)
    except Exception:  # noqa: BLE001  (Pillow raises many kinds)
        pass
    raise Undecodable(DAMAGED)


def decode_picture(file: BinaryIO, side: int | None) -> Opened:
    """A picture that Pillow decodes."""
    picture = Image.open(file, formats=FORMATS)
    check_size(*picture.size)
    stored_size, turned = picture.size, False
    if picture.format == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        # Pillow turns it itself as it loads it, and newer ones say so before.
        stored_size = tags.get(IMAGE_WIDTH, 0), tags.get(IMAGE_LENGTH, 0)
        turned = tags.get(ORIENTATION) in QUARTER_TURNS
        check_size(tags.get(TILE_WIDTH, 0), tags.get(TILE_LENGTH, 0))
    size_cm = picture_size_cm(stored_size, picture.info.get("dpi"))
    if picture.format in ("JPEG", "MPO"):
        check_jpeg(file, picture)
        if side:
            picture.draft(None, (side, side))
    if picture.format == "WEBP":
        check_size(*picture.size, MAX_COSTLY_PIXELS)
    several = getattr(picture, "is_animated", False)
    mode = raw_mode(picture.tile[0]) if picture.tile else ""
    if mode in LOWER_BYTES or mode == GREY_ALPHA:
        check_size(*picture.size, MAX_COSTLY_PIXELS)
        whole = whole_channels(file, picture, mode)
        whole.getexif()[ORIENTATION] = picture.getexif().get(ORIENTATION, 1)
        picture = whole  # type: ignore[assignment]
    picture.load()
    turned = turned or picture.getexif().get(ORIENTATION) in QUARTER_TURNS
    if size_cm and turned:
        size_cm = size_cm[::-1]
    ImageOps.exif_transpose(picture, in_place=True)
    return Opened(picture, first_of_several=several, size_cm=size_cm)


@functools.cache
def silence_libtiff() -> None:
    """Keep what libtiff prints off the screen: a sentence says what is wrong with a film."""
    library = ctypes.CDLL(Image.core.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        if hasattr(library, name):  # not where it is built into Pillow
            getattr(library, name)(None)


def check_jpeg(file: BinaryIO, picture: Image.Image) -> None:
    """Undecodable where a JPEG has far too many scans."""
    place = file.tell()
    file.seek(0)
    check_scans(file.read(), *picture.size)
    file.seek(place)


def raw_mode(tile: Any) -> str:
    """How Pillow unpacks a part of a picture."""
    return tile[3] if isinstance(tile[3], str) else str(tile[3][0]) if tile[3] else ""


def unpacked_by(tile: Any, mode: str) -> Any:
    """The same part of a picture, unpacked in another way."""
    arguments = mode if isinstance(tile[3], str) else (mode, *tile[3][1:])
    if hasattr(tile, "_replace"):
        return tile._replace(args=arguments)
    return (*tile[:3], arguments)  # before Pillow 11


def whole_channels(file: BinaryIO, picture: Image.Image, mode: str) -> Image.Image:
    """All 16 bits of each channel, of which Pillow alone keeps 8, stretched as those of a film."""
    picture.load()
    file.seek(0)
    again: Any = Image.open(file, formats=FORMATS)
    again.tile = [unpacked_by(tile, LOWER_BYTES.get(mode, "RGBA")) for tile in again.tile]
    if mode == GREY_ALPHA:
        both = np.asarray(again).astype(np.uint16)  # (H, W, 4), two bytes of each channel
        return channels_to_picture(both[..., 0::2] * 256 + both[..., 1::2])
    values = np.asarray(picture).astype(np.uint16)  # (H, W, C)
    values *= 256
    values += np.asarray(again)
    return channels_to_picture(values)


def is_odd_tiff(file: BinaryIO, mark: bytes) -> bool:
    """Whether a TIFF's values are of a kind that Pillow does not know or misreads."""
    try:
        tags = Image.open(file, formats=("TIFF",)).tag_v2  # type: ignore[attr-defined]
    except Image.UnidentifiedImageError:
        return True
    finally:
        file.seek(0)
    kind = tags.get(BITS, (1,))[0], tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0]
    swapped = mark.startswith(b"MM") and tags.get(COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED
    if swapped and kind in MISREAD_IF_SWAPPED:
        return True
    return kind in MISREAD or (kind[0] > 8 and tags.get(PLANAR) == SEPARATE)


def open_odd_tiff(file: BinaryIO) -> Opened:
    """A TIFF of floats of 16 or 64 bits, signed bytes, and the like."""
    import tifffile

    try:
        pages = tifffile.TiffFile(file).pages
        page: Any = pages[0]
        samples = int(page.samplesperpixel)
        if samples > MAX_CHANNELS:
            raise ValueError
        limit = MAX_CHANNELS * MAX_PIXELS // (samples * page.dtype.itemsize)
        check_size(int(page.imagewidth), int(page.imagelength), limit)
        check_size(int(page.tilewidth), int(page.tilelength), limit)
        array, several = page.asarray(), has_page(pages, 1)
    except Undecodable:
        raise
    except Exception:  # noqa: BLE001  (tifffile raises many kinds)
        raise Undecodable(
            "is a TIFF that is damaged, or whose kind of values or compression cannot be decoded; "
            "save it with 8 or 16 bits, uncompressed, or as PNG."
        ) from None
    if array.dtype.kind not in "buif":
        raise Undecodable(f"is a TIFF of {array.dtype} values; save it with 8 or 16 bits.")
    if page.planarconfig == SEPARATE and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    if ASSOCIATED_ALPHA in page.extrasamples:
        array = array[..., :-1]
    if array.ndim > 2:
        picture = channels_to_picture(array)
    else:
        with np.errstate(over="ignore"):  # what becomes infinite is refused
            values = array.astype(np.float32)  # so that a mask's labels stay what they are
        picture = Image.fromarray(negative(values) if page.photometric == WHITE_IS_ZERO else values)
    orientation = page.tags.get(ORIENTATION)
    picture.getexif()[ORIENTATION] = int(orientation.value) if orientation else 1
    ImageOps.exif_transpose(picture, in_place=True)
    return Opened(picture, first_of_several=several)


def has_page(pages: Any, number: int) -> bool:
    """Whether a TIFF has this page, without going through all of them."""
    try:
        return bool(pages[number])
    except IndexError:
        return False


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file as its header says, once it is upright.

    Returns: (0, 0) for any other file, and for one that cannot be read.
    """
    try:
        if not path.is_file():
            return 0, 0
        with without_decoder_warnings(), Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
            return (height, width) if orientation in QUARTER_TURNS else (width, height)
    except Exception:  # noqa: BLE001  (Pillow raises many kinds; reading the film names the fault)
        return 0, 0
