"""One film: from whatever a person holds to what the network takes, everywhere in the same way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multimix.images.formats import FilmError, open_film, picture_size

Source = str | os.PathLike | Image.Image | np.ndarray


class LoadedImage(NamedTuple):
    """A film as it was read, and what its picture was."""

    grey: np.ndarray  # (H, W) uint8
    coloured: bool
    first_of_several: bool  # pages of a TIFF, frames of a GIF
    kind: str  # Pillow's mode or the array's type


def read_film(source: Source, side: int | None = None) -> np.ndarray:
    """Read one film, grey, at its own size.

    Grey values of 8 bits stay as they are; floats within [0, 1] are multiplied by 255; all others
    (9 to 16 bits, other floats) are stretched from the film's own smallest value to its largest, so
    that 12 bits in a 16-bit file are not black. A DICOM's window, where it has one, replaces that
    stretch; MONOCHROME1 and raw JSRT are inverted, so that air is dark. Colour becomes luminance,
    transparency black.

    Arguments:
        source: a picture file, a DICOM file, a raw JSRT file (.IMG), a PIL image, or an array
            (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        side: pixels that the film will be reduced to: a JPEG is then decoded at 1/2, 1/4 or 1/8 of
            its size, as far as that leaves `side` or more.

    Returns: (H, W) uint8.

    Errors: ValueError says in one sentence what is wrong; FilmError where the source is a file.
    """
    return load_image(source, side).grey


def load_image(source: Source, side: int | None = None) -> LoadedImage:
    """Read one film, and tell what its picture was.

    Arguments, errors: as for `read_film`.
    """
    if not isinstance(source, (str, os.PathLike)):
        return image_from_memory(source)
    path = Path(source)
    opened = open_film(path, side)  # its errors name the file
    try:
        return image_from_memory(opened)
    except ValueError as error:
        raise FilmError(path, str(error), "{path}: {reason}") from None


def image_from_memory(source: Image.Image | np.ndarray) -> LoadedImage:
    """A picture or an array to a film. ValueError where its values or its shape are of none."""
    content = source if isinstance(source, Image.Image) else array_or_picture(np.asarray(source))
    grey = grey_picture(content) if isinstance(content, Image.Image) else content
    if min(grey.shape) < 2:
        raise ValueError(
            f"The film has {grey.shape[0]} x {grey.shape[1]} pixels; at least 2 x 2 are needed."
        )
    grey = to_8_bits(grey)
    if isinstance(content, Image.Image):
        several = content.info.get("several", False)
        return LoadedImage(grey, is_coloured(content), several, content.mode)
    return LoadedImage(grey, False, False, str(content.dtype))


def grey_picture(picture: Image.Image) -> np.ndarray:
    """(H, W) with the picture's own grey values, however many bits."""
    if picture.mode == "L" or picture.mode.startswith(("I", "F")):
        return np.asarray(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    return np.asarray(picture.convert("RGB").convert("L"))


def array_or_picture(array: np.ndarray) -> np.ndarray | Image.Image:
    """(H, W) where there is one channel, a picture where there are several."""
    holds_numbers = array.dtype.kind in "buif"
    if not holds_numbers or array.ndim < 2 or array.shape[2:] not in ((), (1,), (3,), (4,)):
        raise ValueError(
            f"The film is an array of {array.dtype} with shape {array.shape}; numbers of shape (H, "
            "W), (H, W, 1), (H, W, 3) or (H, W, 4) are needed."
        )
    if array.ndim == 2 or array.shape[2] == 1:
        return array.reshape(array.shape[:2])
    return Image.fromarray(to_8_bits(array)) if array.size else array[..., 0]


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """uint8 by the rule that `read_film` states."""
    if values.dtype == np.uint8:
        return values
    values = values.astype(np.float32) if values.dtype.kind in "fb" else values.astype(np.int64)
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            "The film has values that are not numbers (NaN or infinite); replace them first."
        )
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (values - low) * (255 / max(float(high) - float(low), 1e-12))
    return np.rint(scaled).astype(np.uint8)


def read_mask(sources: Sequence[Source], side: int) -> np.ndarray:
    """Read the masks of one film, such as one for each lung, and reduce them.

    Arguments:
        sources: files, pictures or arrays, as for `read_film`. Whatever is above half of a mask's
            largest value is lung.
        side: px of the result.

    Returns: the union of the masks, (side, side) bool.

    Errors: ValueError where one cannot be read.
    """
    lungs = np.zeros((side, side), dtype=bool)
    for source in sources:
        grey = read_film(source)
        white_lungs = np.where(grey > grey.max() / 2, 255, 0).astype(np.uint8)
        lungs |= resize(white_lungs, side) > 127
    return lungs


def check_mask_shapes(film: Source, masks: Sequence[Source]) -> None:
    """Compare the proportions of a film and its masks; their sizes may differ.

    Errors: ValueError where a mask cannot have been drawn on the film.
    """
    width, height = size_of(film)
    for mask in masks:
        mask_width, mask_height = size_of(mask)
        if not width or not mask_height:  # not known
            continue
        if abs(width * mask_height / (height * mask_width) - 1) > 0.05:
            what = f"The mask {mask}" if isinstance(mask, (str, os.PathLike)) else "A mask"
            raise ValueError(
                f"{what} has {mask_width} x {mask_height} pixels and its film {width} x {height}; "
                "a mask of the whole film is needed, in the same proportions."
            )


def size_of(source: Source) -> tuple[int, int]:
    """Width and height; 0 where they are not known without decoding."""
    if isinstance(source, np.ndarray):
        return source.shape[1], source.shape[0]
    return source.size if isinstance(source, Image.Image) else picture_size(Path(source))


def picture_for_network(source: Source, side: int) -> np.ndarray:
    """Read one film as a training holds it.

    Returns: (side, side) uint8.

    Errors: ValueError, as `read_film`.
    """
    return resize(read_film(source, side), side)


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """Stretch a whole film (H, W) uint8 to (side, side) uint8, smoothed where it shrinks."""
    picture = Image.fromarray(grey)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3))


def is_coloured(picture: Image.Image) -> bool:
    """Whether more than a hundredth of a picture's pixels have a colour that one can see."""
    if picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith(("I", "F")):
        return False
    small = picture.convert("RGB")
    small.thumbnail((128, 128))
    values = np.asarray(small).astype(int)
    return bool(((values.max(2) - values.min(2)) > 40).mean() > 0.01)


def network_input(films: Tensor) -> Tensor:
    """Films (N, 1, side, side), uint8 or floats in [0, 1], to the network's [-1, 1]."""
    return (films / 255 if films.dtype == torch.uint8 else films) * 2 - 1
