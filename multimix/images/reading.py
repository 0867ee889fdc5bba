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

from multimix.images.grey import array_or_picture, is_coloured, picture_values, to_8_bits
from multimix.images.masks import lungs_of
from multimix.images.pictures import picture_size
from multimix.images.size import SizeCm
from multimix.images.sources import Source, named, open_source


class LoadedImage(NamedTuple):
    """A film as it was read, and what its picture was."""

    grey: np.ndarray  # (H, W) uint8
    coloured: bool
    first_of_several: bool  # pages of a TIFF, frames of a GIF
    kind: str  # Pillow's mode, the array's type, or DICOM
    warnings: tuple[str, ...] = ()  # plain sentences about what was found while reading
    size_cm: SizeCm | None = None  # height and width, where the file tells them


def read_film(source: Source, side: int | None = None) -> np.ndarray:
    """Read one film, grey, at its own size.

    Grey values of 8 bits stay as they are; floats within [0, 1] are multiplied by 255; all others
    (9 to 16 bits, other floats) are stretched from the film's own smallest value to its largest, so
    that 12 bits in a 16-bit file are not black. A DICOM's window or lookup table replaces that
    stretch, unless it leaves the film flat; padding is left out of it, and black. MONOCHROME1 and
    raw JSRT are inverted, so that air is dark. Colour becomes luminance, transparency black, unless
    all is transparent.

    Arguments:
        source: a picture file, a DICOM file, a raw JSRT file (.IMG) or a NumPy file (.npy), by its
            path, open, or as bytes; a PIL image, a pydicom data set, or an array or tensor (H, W),
            with 1, 3 or 4 channels before or behind.
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
    opened = open_source(source, side)
    content = opened.content
    with named(source):
        if isinstance(content, np.ndarray):
            content = array_or_picture(content)
        values = picture_values(content) if isinstance(content, Image.Image) else content
        if min(values.shape) < 2:
            size = f"{values.shape[0]} x {values.shape[1]} pixels"
            raise ValueError(f"The film has {size}; at least 2 x 2 are needed.")
        grey = to_8_bits(values)
    coloured = isinstance(content, Image.Image) and is_coloured(content)
    kind = content.mode if isinstance(content, Image.Image) else str(content.dtype)
    return LoadedImage(
        grey,
        coloured,
        opened.first_of_several,
        opened.kind or kind,
        opened.warnings,
        opened.size_cm,
    )


def read_mask(sources: Sequence[Source], side: int) -> np.ndarray:
    """Read the masks of one film, such as one for each lung, and reduce them.

    Arguments:
        sources: files, pictures or arrays, as for `read_film`. Of label numbers up to 5 and of
            colours on black, all but the background is lung; else whatever is above half of a
            mask's largest value.
        side: px of the result.

    Returns: the union of the masks, (side, side) bool.

    Errors: ValueError where one cannot be read, or does not say which of its values are lung.
    """
    lungs = np.zeros((side, side), dtype=bool)
    for source in sources:
        opened = open_source(source)
        with named(source):
            if opened.first_of_several:
                raise ValueError("The mask has several pages or frames; give each as a file.")
            white_lungs = np.where(lungs_of(opened.content), 255, 0).astype(np.uint8)
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
    if isinstance(source, (np.ndarray, Tensor)) and len(source.shape) == 2:
        return source.shape[1], source.shape[0]
    if isinstance(source, Image.Image):
        return source.size
    return picture_size(Path(source)) if isinstance(source, (str, os.PathLike)) else (0, 0)


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


def network_input(films: Tensor) -> Tensor:
    """Films (N, 1, side, side), uint8 or floats in [0, 1], to the network's [-1, 1]."""
    return (films / 255 if films.dtype == torch.uint8 else films) * 2 - 1
