"""One film: from any source to what the network takes, everywhere in the same way."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multimix.images.dicom import open_dataset, open_dicom
from multimix.images.formats import (
    ARRAY_SUFFIX,
    DICOM_SUFFIXES,
    MAX_BYTES,
    RAW_SUFFIX,
    FilmError,
    Opened,
    SizeCm,
    Undecodable,
    check_size,
    is_dicom,
    stem_of,
    without_decoder_warnings,
)
from multimix.images.grey import to_grey
from multimix.images.masks import lungs_of
from multimix.images.pictures import open_picture, picture_values
from multimix.images.preparation import WHOLE, Box, film_box

if TYPE_CHECKING:
    from pydicom import Dataset

    Source = str | os.PathLike | Image.Image | np.ndarray | Tensor | bytes | BinaryIO | Dataset
else:
    Source = Any


class LoadedImage(NamedTuple):
    """A film as it was read."""

    grey: np.ndarray  # (H, W) uint8, the whole picture
    coloured: bool
    first_of_several: bool  # pages of a TIFF, frames of a GIF
    kind: str  # Pillow's mode, the array's type, or DICOM
    warnings: tuple[str, ...] = ()  # plain sentences
    size_cm: SizeCm | None = None  # of the whole picture, if the file has it
    box: Box = WHOLE  # the part of the picture that is film; the network sees only this
    name: str = ""  # the file's name without its suffix; '' if the source is not a path
    source: Path | None = None  # the file


def is_source(value: object) -> bool:
    """Whether a value is one film, and not several: a list, or a batch (N, ...) of N > 1 films."""
    if isinstance(value, (np.ndarray, Tensor)):
        return len(value.shape) < 4 or value.shape[0] == 1
    kinds = (str, os.PathLike, Image.Image, bytes, bytearray, memoryview, Mapping)
    return (
        isinstance(value, kinds)
        or hasattr(value, "read")
        or type(value).__module__.startswith("pydicom.")
    )


def read_film(source: Source, side: int | None = None) -> np.ndarray:
    """Read one film, grey, at its own size.

    Grey values of 8 bits stay as they are; floats within [0, 1] are multiplied by 255; all others
    (9 to 16 bits, other floats) are stretched from the film's own smallest value to its largest,
    without outliers such as hot pixels. A DICOM's window or lookup table replaces that stretch,
    unless it leaves the film flat; its padding becomes black. MONOCHROME1 and raw JSRT are
    inverted, so that air is dark. Colour becomes luminance, transparency black.

    Arguments:
        source: a picture, DICOM, raw JSRT (.IMG) or NumPy file (.npy), by its path, open, or as
            bytes; a PIL image, a pydicom data set, or an array or tensor (H, W), with 1, 3 or 4
            channels before or behind.
        side: px to which the film will be reduced: a JPEG is then decoded at 1/2, 1/4 or 1/8 of its
            size, which is at least `side`.

    Returns: (H, W) uint8.

    Errors: ValueError, one sentence; a FilmError where the source is a path.
    """
    return load_image(source, side).grey


def load_image(source: Source, side: int | None = None) -> LoadedImage:
    """Read one film, and describe its picture. Arguments and errors: as for `read_film`."""
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    opened = open_source(source, side)
    values = opened.content
    try:
        if min(values.shape[:2]) < 2:
            size = f"{values.shape[0]} x {values.shape[1]} pixels"
            raise ValueError(f"The film has {size}; at least 2 x 2 are needed.")
        grey, coloured = to_grey(values)
    except ValueError as error:
        raise (FilmError(path, str(error), "{path}: {reason}") if path else error) from None
    return LoadedImage(
        grey,
        coloured,
        opened.first_of_several,
        opened.kind or str(values.dtype),
        opened.warnings,
        opened.size_cm,
        film_box(grey),
        stem_of(path) if path else "",
        path,
    )


def open_source(source: Source, side: int | None = None) -> Opened:
    """Decode a film of any kind. Arguments and errors: as for `read_film`."""
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    try:
        with without_decoder_warnings():
            if path is None:
                return open_object(source, side)
            if not path.is_file():
                sentence = "There is no film {path}; {reason}"
                raise FilmError(path, "give the path of a picture file.", sentence)
            with open(path, "rb") as file:
                return decode(file, path.suffix.lower(), side)
    except Undecodable as error:
        if path is None:
            raise ValueError(f"The film {error}") from None
        raise FilmError(path, str(error)) from None
    except OSError as error:
        reason = f"cannot be read ({error.strerror or 'disk error'})."
        raise (FilmError(path, reason) if path else ValueError(f"The film {reason}")) from None


def open_object(source: Any, side: int | None) -> Opened:
    """Decode a film that is not a path. Errors: Undecodable."""
    if type(source).__module__.startswith("pydicom."):
        return open_dataset(source)
    if isinstance(source, Mapping):
        raise Undecodable("is in a dict; give the value that is the film, such as batch['image'].")
    if isinstance(source, Image.Image):
        check_size(*source.size)
    try:
        if isinstance(source, Image.Image):
            source.load()
            return Opened(picture_values(source), kind=source.mode)
        if isinstance(source, Tensor):
            source = source.detach().cpu()
            source = (source.float() if source.dtype == torch.bfloat16 else source).numpy()
        if hasattr(source, "read"):
            if source.seekable():
                source.seek(0)
            source = source.read(MAX_BYTES + 1)
        is_content = isinstance(source, (bytes, bytearray, memoryview))
        array = np.empty(0) if is_content else np.asarray(source)
    except Exception:  # noqa: BLE001  (closed and damaged files, odd tensors and objects)
        raise Undecodable(
            f"is a {type(source).__name__} that cannot be read; give a path, a PIL image, a file "
            "open in mode 'rb', or an array or tensor (H, W) of numbers."
        ) from None
    if isinstance(source, str):
        raise Undecodable("is a file opened as text; open it with mode 'rb'.")
    if not is_content:
        return Opened(with_channels_last(array))
    return decode(BytesIO(source), "", side)


def decode(file: BinaryIO, suffix: str, side: int | None) -> Opened:
    """The film in an open file, with this suffix if it is known. Errors: Undecodable."""
    mark = file.read(6)
    size = file.seek(0, 2)
    file.seek(0)
    if not mark:
        raise Undecodable("is empty (0 bytes); export or download the film again.")
    if size > MAX_BYTES:
        raise Undecodable("is a file larger than any film's; reduce the film first.")
    if suffix == RAW_SUFFIX:  # JSRT's raw film has no header: 12 bits, lung bright, 0.175 mm
        needed = 2 * 2048**2
        if size != needed:
            raise Undecodable(
                f"has {size} bytes and a raw JSRT film has {needed}; copy or download it again."
            )
        values = np.frombuffer(file.read(), dtype=">u2").astype(np.int32)
        return Opened(4095 - values.reshape(2048, 2048), size_cm=(35.84, 35.84))
    if suffix == ARRAY_SUFFIX or mark == b"\x93NUMPY":
        try:
            array = np.load(file, allow_pickle=False)  # objects would run their code
        except Exception:  # noqa: BLE001  (NumPy's, many kinds)
            raise Undecodable(
                "is a damaged NumPy file, or holds no numbers; save the film with numpy.save."
            ) from None
        return Opened(with_channels_last(array))
    if suffix in DICOM_SUFFIXES or is_dicom(file):
        return open_dicom(file)
    return open_picture(file, side)


def with_channels_last(array: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4). Undecodable where an array has another shape or kind."""
    values = array
    while values.ndim > 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 3 and values.shape[2] not in (1, 3, 4) and values.shape[0] in (1, 3, 4):
        values = np.moveaxis(values, 0, -1)
    if (
        values.dtype.kind not in "buif"
        or values.ndim < 2
        or values.shape[2:] not in ((), (1,), (3,), (4,))
    ):
        raise Undecodable(
            f"is an array of {array.dtype} with shape {array.shape}; numbers of shape (H, W), or "
            "with 1, 3 or 4 channels before or behind, are needed."
        )
    return values[..., 0] if values.shape[2:] == (1,) else values


def read_mask(
    sources: Sequence[Source], side: int, box: Box = WHOLE, shape: tuple[int, ...] = ()
) -> np.ndarray:
    """Read the masks of one film, such as one for each lung, and reduce them.

    Arguments:
        sources: as for `read_film`. Of label numbers up to 5 and of colours on black, all but the
            background is lung; else all that is above half of a mask's largest value.
        side: px of the result.
        box: the part of the film that is used, from `film_box`.
        shape: (H, W) of the film, of which the masks need the proportions; their sizes may differ.

    Returns: the union of the masks, (side, side) bool.

    Errors: ValueError where one cannot be read, does not fit its film, or it is unclear which of
        its values are lung.
    """
    union = np.zeros((side, side), dtype=bool)
    for source in sources:
        opened = open_source(source)
        try:
            if opened.first_of_several:
                raise ValueError("The mask has several pages or frames; give each as a file.")
            lungs = lungs_of(opened.content)
            (height, width), (film_height, film_width) = lungs.shape, shape or lungs.shape
            if abs(film_width * height / (film_height * width) - 1) > 0.05:
                raise ValueError(
                    f"The mask has {width} x {height} pixels and its film {film_width} x "
                    f"{film_height}; a mask of the whole film is needed, in the same proportions."
                )
        except ValueError as error:
            if isinstance(source, (str, os.PathLike)):
                raise FilmError(Path(source), str(error), "{path}: {reason}") from None
            raise
        union |= resize(box.of(np.where(lungs, np.uint8(255), np.uint8(0))), side) > 127
    return union


def picture_for_network(source: Source, side: int) -> np.ndarray:
    """Read one film, cut its plain borders, and reduce it. Errors: as for `read_film`.

    Returns: (side, side) uint8.
    """
    image = load_image(source, 2 * side)  # the box may be a part of the picture
    return resize(image.box.of(image.grey), side)


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """Stretch a whole film (H, W) uint8 to (side, side) uint8, smoothed where it shrinks."""
    picture = Image.fromarray(grey)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3))


def network_input(films: Tensor) -> Tensor:
    """Films (N, 1, side, side), uint8 or floats in [0, 1], to the network's [-1, 1]."""
    return (films / 255 if films.dtype == torch.uint8 else films) * 2 - 1
