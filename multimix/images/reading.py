"""One film: from whatever a person holds to what the network takes, in training and prediction
alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multimix.images.formats import open_film, picture_size

Source = str | os.PathLike | Image.Image | np.ndarray


def read_film(source: Source, side: int | None = None) -> np.ndarray:
    """One film, grey, at its own size: (H, W) uint8.

    source: a picture file, a DICOM file, a raw JSRT file (.IMG), a PIL image, or an array (H, W),
    (H, W, 1), (H, W, 3) or (H, W, 4). Grey values: 8 bits stay as they are; floats within [0, 1]
    are multiplied by 255; all others (9 to 16 bits, other floats) are stretched from the film's own
    smallest value to its largest, so that 12 bits in a 16-bit file are not black. A DICOM's window,
    where it has one, takes the place of that stretch; MONOCHROME1 and raw JSRT are inverted, so
    that air is dark. Colour is turned into luminance, transparency into black. ValueError says in
    one sentence what is wrong. `side` says that the film will be reduced to so many pixels anyway:
    a JPEG is then decoded at 1/2, 1/4 or 1/8 of its size, as far as that leaves `side` or more.
    """
    return load_image(source, side).grey


class LoadedImage(NamedTuple):
    """A film as it was read, and what its picture was."""

    grey: np.ndarray  # (H, W) uint8
    coloured: bool
    first_of_several: bool  # pages of a TIFF, frames of a GIF
    kind: str  # Pillow's mode or the array's type


def load_image(source: Source, side: int | None = None) -> LoadedImage:
    """`read_film`, and what else is to be known of the picture."""
    if isinstance(source, (str, os.PathLike)):
        try:
            return load_image(open_film(Path(source), side))
        except ValueError as error:
            named = str(source) in str(error)  # where the fault is in its values it is not
            raise ValueError(str(error) if named else f"{source}: {error}") from None
    if not isinstance(source, Image.Image):
        source = array_or_picture(np.asarray(source))
    picture = isinstance(source, Image.Image)
    grey = grey_picture(source) if picture else source
    if min(grey.shape) < 2:
        raise ValueError(
            f"The film has {grey.shape[0]} x {grey.shape[1]} pixels; at least 2 x 2 are needed."
        )
    return LoadedImage(
        to_8_bits(grey),
        picture and is_coloured(source),
        picture and source.info.get("several", False),
        source.mode if picture else str(source.dtype),
    )


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
    if (
        array.dtype.kind not in "buif"
        or array.shape[2:] not in ((), (1,), (3,), (4,))
        or array.ndim < 2
    ):
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
    low, high = values.min(initial=values.flat[0]), values.max(initial=values.flat[0])
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            "The film has values that are not numbers (NaN or infinite); replace them first."
        )
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (values - low) * (255 / max(float(high) - float(low), 1e-12))
    return np.rint(scaled).astype(np.uint8)


def read_mask(sources: Sequence[Source], side: int) -> np.ndarray:
    """The union of masks, reduced to (side, side) bool; whatever is above half of a mask's largest
    value is lung.
    """
    lungs = np.zeros((side, side), dtype=bool)
    for grey in map(read_film, sources):
        lungs |= resize(np.where(grey > grey.max() / 2, 255, 0).astype(np.uint8), side) > 127
    return lungs


def check_mask_shapes(film: Source, masks: Sequence[Source]) -> None:
    """ValueError where a mask cannot have been drawn on the film, by its proportions; their sizes
    may differ.
    """
    width, height = size_of(film)
    for mask in masks:
        across, down = size_of(mask)
        if width * down and abs(width * down / (height * across) - 1) > 0.05:
            what = f"The mask {mask}" if isinstance(mask, (str, os.PathLike)) else "A mask"
            raise ValueError(
                f"{what} has {across} x {down} pixels and its film {width} x {height}; a mask of "
                "the whole film is needed, in the same proportions."
            )


def size_of(source: Source) -> tuple[int, int]:
    """Width and height; 0 where they cannot be told."""
    if isinstance(source, np.ndarray):
        return source.shape[1], source.shape[0]
    return source.size if isinstance(source, Image.Image) else picture_size(Path(source))


def picture_for_network(source: Source, side: int) -> np.ndarray:
    """(side, side) uint8: what a training holds of a film."""
    return resize(read_film(source, side), side)


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """(H, W) uint8 -> (side, side) uint8: the whole film, stretched, smoothed where it shrinks."""
    return np.asarray(
        Image.fromarray(grey).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3)
    )


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
