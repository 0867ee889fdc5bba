"""One film: from whatever a person holds to what the network takes. Training and prediction share every line."""

from __future__ import annotations

import functools
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from multimix import phantom

DICOM, RAW = frozenset([".dcm", ".dicom"]), ".img"
SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", RAW]) | DICOM
JSRT_SIDE, JSRT_WHITE = 2048, 4095  # the raw files of JSRT: pixels a side, largest value of 12 bits
Source = str | os.PathLike | Image.Image | np.ndarray


def film_paths(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in the order of their names; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir())


def read_film(source: Source, side: int | None = None) -> np.ndarray:
    """One film, grey, at its own size: (H, W) uint8.

    source: a picture file, a DICOM file, a raw JSRT file (.IMG), a PIL image, or an array (H, W), (H, W, 1),
    (H, W, 3) or (H, W, 4).
    Grey values: 8 bits stay as they are; floats within [0, 1] are multiplied by 255; all others (9 to 16 bits, other
    floats) are stretched from the film's own smallest value to its largest, so that 12 bits in a 16-bit file are not
    black. A DICOM's window, where it has one, takes the place of that stretch; MONOCHROME1 and raw JSRT are inverted,
    so that air is dark. Colour is turned into luminance, transparency into black. ValueError says in one sentence what
    is wrong. `side` says that the film will be reduced to so many pixels anyway: a JPEG is then decoded at 1/2, 1/4 or
    1/8 of its size, as far as that leaves `side` or more.
    """
    return look_at(source, side).grey


class Look(NamedTuple):
    """A film as it was read, and whether it had colours."""

    grey: np.ndarray  # (H, W) uint8
    coloured: bool


def look_at(source: Source, side: int | None = None) -> Look:
    """`read_film`, and whether the picture is a coloured one."""
    if isinstance(source, (str, os.PathLike)):
        source = open_film(Path(source), side)
    if not isinstance(source, Image.Image):
        source = array_or_picture(np.asarray(source))
    coloured = isinstance(source, Image.Image) and is_coloured(source)
    grey = grey_picture(source) if isinstance(source, Image.Image) else source
    if min(grey.shape) < 2:
        raise ValueError(f"The film has {grey.shape[0]} x {grey.shape[1]} pixels; at least 2 x 2 are needed.")
    return Look(to_8_bits(grey), coloured)


def open_film(path: Path, side: int | None) -> Image.Image | np.ndarray:
    """A file of any kind that `read_film` takes, decoded."""
    if not path.is_file():
        raise ValueError(f"There is no film {path}; give the path of a picture file.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes); export or download the film again.")
    if path.suffix.lower() == RAW:
        return open_raw(path)
    return open_dicom(path) if is_dicom(path) else open_picture(path, side)


def open_raw(path: Path) -> np.ndarray:
    """JSRT as it is distributed: 2048 x 2048 big-endian 16-bit values, 12 bits used, lung bright, no header."""
    size, expected = path.stat().st_size, 2 * JSRT_SIDE**2
    if size != expected:
        raise ValueError(f"{path} has {size} bytes and a raw JSRT film has {expected}; copy or download it again.")
    return JSRT_WHITE - np.fromfile(path, dtype=">u2").astype(np.int32).reshape(JSRT_SIDE, JSRT_SIDE)


def is_dicom(path: Path) -> bool:
    """By its ending, or, as files from a hospital's archive often have none, by the mark after the preamble."""
    with open(path, "rb") as file:
        return path.suffix.lower() in DICOM or file.read(132)[128:] == b"DICM"


def open_dicom(path: Path) -> np.ndarray:
    """The picture of a DICOM file with air dark: floats in [0, 1] through its window, else its own values."""
    import pydicom  # slow to import, and most films are pictures
    from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

    try:
        dataset = pydicom.dcmread(path)
        frames = int(dataset.get("NumberOfFrames") or 1)
        pixels = dataset.pixel_array if frames == 1 and "PixelData" in dataset else None
        if pixels is not None and pixels.ndim == 2:
            pixels = apply_modality_lut(pixels, dataset)
            if dataset.get("WindowCenter") is not None and "VOILUTSequence" not in dataset:
                low, high = apply_windowing(np.array([-1e9, 1e9]), dataset)
                pixels, white = (apply_windowing(pixels, dataset) - low) / (high - low), 1
            else:
                pixels = apply_voi_lut(pixels, dataset)
                white = pixels.max()
            if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
                pixels = white - pixels
    except Exception as error:  # noqa: BLE001  (pydicom and its decoders raise many kinds)
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is a damaged DICOM file, or of a kind that cannot be decoded ({reason}); export it "
                         "again, uncompressed or as PNG.") from None
    if pixels is None:
        what = f"{frames} pictures" if frames > 1 else "no picture"
        raise ValueError(f"{path} is a DICOM file with {what}; one film with one picture is needed.")
    return pixels


def open_picture(path: Path, side: int | None) -> Image.Image:
    """A picture file, fully decoded and upright."""
    try:
        with Image.open(path) as picture:
            if side:
                picture.draft(None, (side, side))
            picture.load()
            return ImageOps.exif_transpose(picture)
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is not a picture that can be read; PNG, JPEG, BMP, TIFF, GIF or DICOM is "
                         "needed.") from None
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


def array_or_picture(array: np.ndarray) -> np.ndarray | Image.Image:
    """(H, W) where there is one channel, a picture where there are several."""
    if array.dtype.kind not in "buif" or array.shape[2:] not in ((), (1,), (3,), (4,)) or array.ndim < 2:
        raise ValueError(f"The film is an array of {array.dtype} with shape {array.shape}; numbers of shape (H, W), "
                         "(H, W, 1), (H, W, 3) or (H, W, 4) are needed.")
    if array.ndim == 2 or array.shape[2] == 1:
        return array.reshape(array.shape[:2])
    return Image.fromarray(to_8_bits(array))


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


def read_mask(sources: Sequence[Source], side: int) -> np.ndarray:
    """The union of masks, reduced to (side, side) bool; whatever is above half of a mask's largest value is lung."""
    lungs = np.zeros((side, side), dtype=bool)
    for grey in map(read_film, sources):
        lungs |= resize(np.where(grey > grey.max() / 2, 255, 0).astype(np.uint8), side) > 127
    return lungs


def check_mask_shapes(film: Source, masks: Sequence[Source]) -> None:
    """ValueError where a mask cannot have been drawn on the film, by its proportions; their sizes may differ."""
    width, height = picture_size(film) or (0, 0)
    for mask in masks:
        across, down = picture_size(mask) or (0, 0)
        if width * down and abs(width * down / (height * across) - 1) > 0.05:
            raise ValueError(f"The mask {mask} has {across} x {down} pixels and its film {width} x {height}; a mask of "
                             "the whole film is needed, in the same proportions.")


def picture_size(source: Source) -> tuple[int, int] | None:
    """Width and height of a picture file as its header says; None of anything else, or where it cannot be read."""
    if not isinstance(source, (str, os.PathLike)):
        return None
    try:
        with Image.open(source) as picture:
            turned = picture.getexif().get(0x0112, 1) > 4  # by a quarter, when it is read
            return picture.size[::-1] if turned else picture.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def picture_for_network(source: Source, side: int) -> np.ndarray:
    """(side, side) uint8: what a training holds of a film."""
    return resize(read_film(source, side), side)


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """(H, W) uint8 -> (side, side) uint8: the whole film, stretched, smoothed where it shrinks."""
    return np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3))


CENTRE = slice(7, 25)  # of 32 pixels: what lies around it may be black, white or collimated


@functools.cache
def typical_film() -> np.ndarray:
    """(18, 18) float: the centre of the mean of a few phantoms, centred, of length 1."""
    mean = np.mean([resize(phantom.draw(seed)[0], 32) for seed in range(12)], axis=0)[CENTRE, CENTRE]
    return (mean - mean.mean()) / np.linalg.norm(mean - mean.mean())


def looks_inverted(film: np.ndarray) -> bool:
    """Whether a film (H, W) uint8 is more like the negative of a typical frontal film than like the film itself."""
    small = resize(film, 32)[CENTRE, CENTRE].astype(np.float32)
    small -= small.mean()
    return bool((small * typical_film()).sum() < -0.1 * np.linalg.norm(small))  # a correlation


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
