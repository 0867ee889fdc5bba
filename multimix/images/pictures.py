"""Picture files: TIFF by tifffile, PNG, JPEG, BMP, GIF and WebP by Pillow."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from multimix.images.formats import (
    MAX_PIXELS,
    Opened,
    Undecodable,
    check_scans,
    check_size,
)
from multimix.images.grey import negative

# Pillow tries no other decoder: some of them start programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")
ORIENTATION = ExifTags.Base.Orientation
WHITE_IS_ZERO = 0  # of TIFF's PhotometricInterpretation


def open_picture(file: BinaryIO, side: int | None) -> Opened:
    """A picture file, decoded and upright; `side` as for `read_film`. Errors: Undecodable."""
    is_tiff = file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    file.seek(0)
    try:
        return open_tiff(file) if is_tiff else decode_picture(file, side)
    except Undecodable:
        raise
    except Image.UnidentifiedImageError:
        raise Undecodable(
            "is not a picture that can be read; PNG, JPEG, BMP, TIFF, GIF, WebP, .npy or DICOM is "
            "needed."
        ) from None
    except Image.DecompressionBombError:
        check_size(2**16, 2**16)
    except Exception:  # noqa: BLE001  (decoders raise many kinds)
        pass
    if is_tiff:
        raise Undecodable(
            "is a TIFF that is damaged, or whose kind of values or compression cannot be decoded; "
            "save it with 8 or 16 bits, uncompressed, or as PNG."
        )
    raise Undecodable("is damaged or cut short; export or download the film again.")


def decode_picture(file: BinaryIO, side: int | None = None) -> Opened:
    """A picture that Pillow decodes."""
    picture = Image.open(file, formats=FORMATS)
    check_size(*picture.size, MAX_PIXELS // (2 if picture.format == "WEBP" else 1))
    if picture.format in ("JPEG", "MPO"):
        place = file.tell()
        file.seek(0)
        check_scans(file.read(), *picture.size)
        file.seek(place)
        if side:
            picture.draft(None, (side, side))
    tile: Any = picture.tile[0][3] if picture.tile else ""
    if ";16" in str(tile) and not picture.mode.startswith("I"):
        raise Undecodable(
            "has 16 bits in each of several channels, of which only 8 can be read; save it as grey "
            "with 16 bits, or with 8 bits a channel."
        )
    several = getattr(picture, "is_animated", False)
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    return Opened(picture_values(picture), first_of_several=several, kind=picture.mode)


def picture_values(picture: Image.Image) -> np.ndarray:
    """A picture's values: (H, W), or (H, W, 3) RGB, or with opacity (H, W, 2) or (H, W, 4)."""
    mode = picture.mode
    values = np.asarray(picture)
    if mode in ("L", "1", "LA") or mode.startswith(("I", "F")):
        is_inverted = getattr(picture, "tag_v2", {}).get(262) == WHITE_IS_ZERO
        return negative(values) if is_inverted and mode not in ("L", "1") else values  # Pillow did
    if mode == "La":  # multiplied by its opacity already
        return values[..., 0]
    colours = np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
    if mode == "P" and not np.ptp(colours, axis=(0, 1)).any():  # the palette shows nothing
        return values
    return colours


def open_tiff(file: BinaryIO) -> Opened:
    """The first page of a TIFF; Pillow decodes the colours and compressions tifffile does not."""
    import tifffile

    pages = tifffile.TiffFile(file).pages
    page: Any = pages[0]
    samples, dtype, several = int(page.samplesperpixel), page.dtype, len(pages) > 1
    if dtype is None or dtype.kind not in "buif" or samples > 4:
        what = f"{samples} channels" if samples > 4 else f"{dtype} values"
        raise Undecodable(f"is a TIFF of {what}; save it as grey with 8 or 16 bits.")
    limit = min(MAX_PIXELS, 4 * MAX_PIXELS // (samples * dtype.itemsize))
    check_size(int(page.imagewidth), int(page.imagelength), limit)
    check_size(int(page.tilewidth), int(page.tilelength), limit)
    # tifffile itself decodes: uncompressed, PackBits, and three numbers for zlib.
    is_own = page.compression in (1, 32773, 8, 32946, 50013) and page.photometric in (0, 1, 2)
    if not is_own or page.bitspersample not in (1, 8, 16, 32, 64):
        if dtype not in (bool, np.uint8) and (dtype != np.uint16 or samples > 1):
            raise ValueError  # Pillow misreads these
        file.seek(0)
        return decode_picture(file)._replace(first_of_several=several)
    values = page.asarray()
    if page.planarconfig == 2 and values.ndim == 3:  # one plane after another
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3 and samples in (2, 4) and tuple(page.extrasamples) != (2,):
        values = values[..., :-1]  # of all extra samples only unassociated alpha is an opacity
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if page.photometric == WHITE_IS_ZERO:
        values = negative(values.astype(np.float64) if dtype.kind == "i" else values)
    orientation = page.tags.get(ORIENTATION)
    place = int(orientation.value) if orientation else 1
    values = values.swapaxes(0, 1) if place > 4 else values
    down, across = -1 if place in (3, 4, 7, 8) else 1, -1 if place in (2, 3, 6, 7) else 1
    return Opened(values[::down, ::across], first_of_several=several, kind=str(dtype))
