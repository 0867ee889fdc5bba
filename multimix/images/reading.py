"""One film: from any source to what the network takes, everywhere in the same way."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multimix.images.dicom import open_dataset, open_dicom
from multimix.images.formats import (
    RAW_SUFFIX,
    Decoded,
    FilmError,
    SizeCm,
    decoded_picture,
    errors_as,
    is_dicom,
    open_picture,
    stem_of,
    without_decoder_warnings,
)
from multimix.images.grey import to_grey
from multimix.images.masks import lungs_of
from multimix.images.preparation import WHOLE, Box, film_box

if TYPE_CHECKING:
    from pydicom import Dataset

    Source = str | os.PathLike | Image.Image | np.ndarray | Tensor | bytes | BinaryIO | Dataset
else:
    Source = Any

MAX_BYTES = 500_000_000  # of a film's file


class LoadedImage(NamedTuple):
    """A film as it was read."""

    grey: np.ndarray  # (H, W) uint8, the whole picture, with air dark
    warnings: tuple[str, ...] = ()  # plain sentences
    size_cm: SizeCm | None = None  # of the whole picture, if the file has it
    box: Box = WHOLE  # the part of the picture that is film; the network sees only this
    name: str = ""  # the file's name without its suffix; '' if the source is not a path
    source: Path | None = None  # the file


def is_source(value: object) -> bool:
    """Whether a value is one film, and not several: a list, or a batch (N, ...) of N > 1 films."""
    if isinstance(value, (np.ndarray, Tensor)):
        return value.ndim < 4 or len(value) == 1
    kinds = (str, os.PathLike, Image.Image, bytes, bytearray, memoryview, Mapping)
    is_dataset = type(value).__module__.startswith("pydicom.")
    return isinstance(value, kinds) or hasattr(value, "read") or is_dataset


def read_film(source: Source, side: int | None = None) -> np.ndarray:
    """Read one film, (H, W) uint8 at its own size. Errors: FilmError, a ValueError of one sentence.

    Grey values of 8 bits stay as they are; floats within [0, 1] are multiplied by 255; all others
    (9 to 16 bits, other floats) are stretched from the film's own smallest value to its largest,
    without outliers such as hot pixels. A DICOM's window or lookup table replaces that stretch,
    unless it leaves the film flat; its padding becomes black. MONOCHROME1 and raw JSRT are
    inverted, so that air is dark. Colour becomes luminance, transparency black.

    Arguments:
        source: a picture, DICOM, raw JSRT (.IMG) or NumPy file (.npy): its path, open, or bytes; a
            PIL image, pydicom data set, array or tensor (H, W), or 1, 3 or 4 channels (before too).
        side: px to which the film will be reduced: a JPEG is then decoded at 1/2, 1/4 or 1/8 of its
            size, which is at least `side`.
    """
    return load_image(source, side).grey


def load_image(source: Source, side: int | None = None) -> LoadedImage:
    """Read one film, and describe its picture. Arguments and errors: as for `read_film`."""
    path = path_of(source)
    with errors_named(path):
        film = decode(source, side)
        height, width = film.values.shape[:2]
        if min(height, width) < 2:
            raise FilmError(f"has {height} x {width} pixels; at least 2 x 2 are needed.")
        grey, coloured = to_grey(film.values)
    grey = 255 - grey if film.inverted else grey
    warnings = [*film.warnings]
    if film.several:
        warnings.append("The file has several pages or frames: the first was taken.")
    if coloured:
        warnings.append("The picture is in colour, which a film is not: it was made grey.")
    name = stem_of(path) if path else ""
    return LoadedImage(grey, tuple(warnings), film.size_cm, film_box(grey), name, path)


def path_of(source: Source) -> Path | None:
    """The path of a film's file, if the film is given by it."""
    return Path(source) if isinstance(source, (str, os.PathLike)) else None


@contextmanager
def errors_named(path: Path | None, what: str = "The film") -> Iterator[None]:
    """Begin the sentence of an error with the film's path, or `what` it is."""
    film = str(path).replace("\n", "\\n").replace("\r", "\\r") if path else what
    if path and not os.path.isfile(path):  # also for a name that is too long
        raise FilmError(f"There is no film {film}; give the path of a picture file.")
    try:
        yield
    except FilmError as error:
        raise FilmError(f"{film} {error}") from None
    except OSError as error:
        raise FilmError(f"{film} cannot be read ({error.strerror or 'disk error'}).") from None


def decode(source: Any, side: int | None = None) -> Decoded:
    """Decode a film of any kind. Errors: FilmError without its subject, OSError."""
    with without_decoder_warnings():
        if path := path_of(source):
            with open(path, "rb") as file:
                return decode_file(file, path.suffix.lower(), side)
        if type(source).__module__.startswith("pydicom."):  # which is slow to import
            return open_dataset(source)
        with errors_as(
            f"is a {type(source).__name__} that cannot be read; give a path, a PIL image, a file "
            "open in mode 'rb', or an array or tensor (H, W) of numbers."
        ):
            if isinstance(source, Image.Image):
                source.load()
                return decoded_picture(source)
            if hasattr(source, "read"):
                if source.seekable():
                    source.seek(0)
                source = source.read(MAX_BYTES + 1)
            if isinstance(source, (bytes, bytearray, memoryview)):
                return decode_file(BytesIO(source), "", side)
            if isinstance(source, Tensor):
                source = source.float() if source.dtype == torch.bfloat16 else source
                source = source.numpy(force=True)
            return decoded_array(np.array(source))  # a copy: its owner may change it


def decode_file(file: BinaryIO, suffix: str, side: int | None) -> Decoded:
    """The film in an open file, with this suffix if it is known. Errors: FilmError, OSError."""
    mark = file.read(6)
    size = file.seek(0, 2)
    file.seek(0)
    if not mark:
        raise FilmError("is empty (0 bytes); export or download the film again.")
    if size > MAX_BYTES:
        raise FilmError("is a file larger than any film's; reduce the film first.")
    if suffix == RAW_SUFFIX:  # JSRT's raw film has no header: 12 bits, lung bright, 0.175 mm
        if size != 2 * 2048**2:
            raise FilmError(f"has {size} bytes and a raw JSRT film has 8388608; copy it again.")
        values = np.frombuffer(file.read(), dtype=">u2").astype(np.int32)
        return Decoded(4095 - values.reshape(2048, 2048), size_cm=(35.84, 35.84))
    if is_dicom(file):
        return open_dicom(file)
    if suffix != ".npy" and mark != b"\x93NUMPY":
        return open_picture(file, side)
    with errors_as("is a damaged NumPy file, or holds no numbers; save the film with numpy.save."):
        return decoded_array(np.load(file, allow_pickle=False))  # objects would run their code


def decoded_array(array: np.ndarray) -> Decoded:
    """An array as a film (H, W), (H, W, 3) or (H, W, 4). FilmError for other shapes and kinds."""
    values = array
    while values.ndim > 3 and len(values) == 1:
        values = values[0]
    if values.ndim == 3 and values.shape[2] not in (1, 3, 4):
        values = np.moveaxis(values, 0, -1)
    channels = values.shape[2] if values.ndim == 3 else 1
    if array.dtype.kind not in "buif" or values.ndim not in (2, 3) or channels not in (1, 3, 4):
        kind = f"is an array of {array.dtype} with shape {array.shape}"
        raise FilmError(f"{kind}; numbers (H, W), or with 1, 3 or 4 channels too, are needed.")
    return Decoded(values[..., 0] if values.ndim == 3 and channels == 1 else values)


def read_mask(
    sources: Sequence[Source], side: int, box: Box = WHOLE, shape: tuple[int, ...] = ()
) -> np.ndarray:
    """The union of one film's masks, such as one for each lung, (side, side) bool.

    Arguments:
        sources: as for `read_film`. Of label numbers up to 5 and of colours on black, all but the
            background is lung; else all that is above half of a mask's largest value.
        box: the part of the film that is used, from `film_box`.
        shape: (H, W) of the film, of which the masks need the proportions; their sizes may differ.

    Errors: FilmError where one cannot be read, or does not fit its film, or is unclear.
    """
    union = np.zeros((side, side), dtype=bool)
    for source in sources:
        with errors_named(path_of(source), "The mask"):
            mask = decode(source)
            if mask.several:
                raise FilmError("has several pages or frames; give each mask as a file.")
            lungs = lungs_of(mask.values.max() - mask.values if mask.inverted else mask.values)
            (height, width), (film_height, film_width) = lungs.shape, shape or lungs.shape
            if abs(film_width * height / (film_height * width) - 1) > 0.05:
                sizes = f"{width} x {height} pixels and its film {film_width} x {film_height}"
                raise FilmError(f"has {sizes}; give a mask of the whole film, in its proportions.")
        union |= resize(box.of(lungs * np.uint8(255)), side) > 127
    return union


def picture_for_network(source: Source, side: int) -> np.ndarray:
    """One film, without plain borders, as (side, side) uint8. Errors: as for `read_film`."""
    image = load_image(source, 2 * side)  # the box may be a part of the picture
    return resize(image.box.of(image.grey), side)


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """Stretch a whole film (H, W) uint8 to (side, side) uint8, smoothed where it shrinks."""
    picture = Image.fromarray(grey)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3))


def network_input(films: Tensor) -> Tensor:
    """Films (N, 1, side, side), uint8 or floats in [0, 1], to the network's [-1, 1]."""
    return (films / 255 if films.dtype == torch.uint8 else films) * 2 - 1


def rescale(films: Tensor, side: int) -> Tensor:
    """Films or masks as floats, (N, C, S, S), to (N, C, side, side), smoothed where they shrink.

    It is Pillow's bilinear filter, as two products of matrices: alike on every device and in ONNX.
    """
    if films.shape[-1] == side:
        return films
    weights = filter_weights(films.shape[-1], side).to(films)
    return weights @ films @ weights.T


@lru_cache(maxsize=32)
def filter_weights(size: int, side: int) -> Tensor:
    """What each of `size` pixels adds to each of `side`: (side, size), each row's sum 1."""
    scale = size / side
    centres = (torch.arange(side, dtype=torch.float64)[:, None] + 0.5) * scale
    distance = (torch.arange(size, dtype=torch.float64) + 0.5 - centres).abs()
    weights = (1 - distance / max(scale, 1.0)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
