"""Picture files, as Pillow decodes them."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from multimix.images.formats import Decoded, FilmError, check_size

# Pillow tries no other decoder: some of them start programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")
MISREAD_TIFFS = ((8, 2), (32, 1))  # bits and format of a value: signed, and unsigned


def open_picture(file: BinaryIO, side: int | None) -> Decoded:
    """A picture file, decoded and upright; `side` as for `read_film`. Errors: FilmError."""
    try:
        picture = Image.open(file, formats=FORMATS)
        check_header(picture)
        if side:
            picture.draft(None, (side, side))
        several = getattr(picture, "is_animated", False)
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        return decoded_picture(picture)._replace(several=several)
    except FilmError:
        raise
    except Image.UnidentifiedImageError:
        raise FilmError(
            "is not a picture that can be read; PNG, JPEG, BMP, TIFF (8 or 16 bits), GIF, WebP, "
            ".npy or DICOM is needed."
        ) from None
    except Image.DecompressionBombError:
        check_size(2**16, 2**16)
    except Exception:  # noqa: BLE001  (decoders raise many kinds)
        pass
    raise FilmError("is damaged or cut short; export or download the film again.")


def check_header(picture: Image.Image) -> None:
    """FilmError where a picture is too large to decode, or Pillow misreads its values."""
    check_size(*picture.size)
    tags: Any = getattr(picture, "tag_v2", {})  # of a TIFF
    check_size(tags.get(Base.TileWidth, 0), tags.get(Base.TileLength, 0))
    value = tags.get(Base.BitsPerSample, (1,))[0], tags.get(Base.SampleFormat, (1,))[0]
    is_deep = ";16" in str(getattr(picture, "tile", "")) and not picture.mode.startswith("I")
    if is_deep or value in MISREAD_TIFFS:
        raise FilmError(
            "has values of a kind that cannot be read; save it as grey with 8 or 16 bits, or in "
            "colour with 8 bits a channel."
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
    return Decoded(values, kind=mode, inverted=inverted)
