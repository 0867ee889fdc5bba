"""One film: from whatever a person holds to what the network takes. Training and prediction share every line."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif"])
Source = str | os.PathLike | Image.Image | np.ndarray


def film_paths(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in the order of their names; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir())


def read_film(source: Source) -> np.ndarray:
    """One film, grey, at its own size: (H, W) uint8.

    source: a picture file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
    Grey values: 8 bits stay as they are; floats within [0, 1] are multiplied by 255; all others (9 to 16 bits, other
    floats) are stretched from the film's own smallest value to its largest, so that 12 bits in a 16-bit file are not
    black. Colour is turned into luminance, transparency into black. ValueError says in one sentence what is wrong.
    """
    if isinstance(source, (str, os.PathLike)):
        source = open_picture(Path(source))
    grey = grey_picture(source) if isinstance(source, Image.Image) else grey_array(np.asarray(source))
    if min(grey.shape) < 2:
        raise ValueError(f"The film has {grey.shape[0]} x {grey.shape[1]} pixels; at least 2 x 2 are needed.")
    return to_8_bits(grey)


def open_picture(path: Path) -> Image.Image:
    """A picture file, fully decoded and upright."""
    if not path.is_file():
        raise ValueError(f"There is no film {path}; give the path of a picture file.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes); export or download the film again.")
    try:
        with Image.open(path) as picture:
            picture.load()
            return ImageOps.exif_transpose(picture)
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is not a picture that can be read; PNG, JPEG, BMP, TIFF or GIF is needed.") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{path} claims more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels; reduce the "
                         "film first.") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}); export or download the film again.") from None


def grey_picture(picture: Image.Image) -> np.ndarray:
    """(H, W) with the picture's own grey values, however many bits."""
    if picture.mode == "L" or picture.mode.startswith(("I", "F")):
        return np.asarray(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    return np.asarray(picture.convert("RGB").convert("L"))


def grey_array(array: np.ndarray) -> np.ndarray:
    """(H, W) from an array with or without a channel axis at the end."""
    if array.dtype.kind not in "buif" or array.shape[2:] not in ((), (1,), (3,), (4,)) or array.ndim < 2:
        raise ValueError(f"The film is an array of {array.dtype} with shape {array.shape}; numbers of shape (H, W), "
                         "(H, W, 1), (H, W, 3) or (H, W, 4) are needed.")
    if array.ndim == 2 or array.shape[2] == 1:
        return array.reshape(array.shape[:2])
    return grey_picture(Image.fromarray(to_8_bits(array)))


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """uint8 by the rule that `read_film` states."""
    if values.dtype == np.uint8:
        return values
    values = values.astype(np.float32) if values.dtype.kind in "fb" else values.astype(np.int64)
    low, high = values.min(initial=values.flat[0]), values.max(initial=values.flat[0])
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("The film has values that are not numbers (NaN or infinite); replace them first.")
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (values - low) * (255 / max(float(high) - float(low), 1e-12))
    return np.rint(scaled).astype(np.uint8)


def read_mask(source: Source, side: int) -> np.ndarray:
    """A lung mask reduced to (side, side) bool; whatever is above half of its largest value is lung."""
    grey = read_film(source)
    return resize(np.where(grey > grey.max() / 2, 255, 0).astype(np.uint8), side) > 127


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """(H, W) uint8 -> (side, side) uint8: the whole film, stretched, smoothed where it shrinks."""
    return np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.BILINEAR))


def network_input(films: Tensor) -> Tensor:
    """Films (N, 1, side, side), uint8 or floats in [0, 1], to the network's [-1, 1]."""
    return (films / 255 if films.dtype == torch.uint8 else films) * 2 - 1
