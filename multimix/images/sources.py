"""Whatever a person holds of a film (a path, a picture, an array, a file's bytes), opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multimix.images.formats import FilmError, decode, open_film
from multimix.images.opened import (
    MAX_BYTES,
    Opened,
    Undecodable,
    check_size,
    without_decoder_warnings,
)

if TYPE_CHECKING:
    from pydicom import Dataset

    Source = str | os.PathLike | Image.Image | np.ndarray | Tensor | bytes | BinaryIO | Dataset
else:
    Source = Any


def is_source(value: object) -> bool:
    """Whether a value is one film, and not a list of films."""
    kinds = (str, os.PathLike, Image.Image, np.ndarray, Tensor, bytes, bytearray, memoryview)
    return isinstance(value, kinds) or hasattr(value, "read") or is_dataset(value)


def is_dataset(value: object) -> bool:
    """Whether a value is pydicom's, which is not imported to find out."""
    pydicom = sys.modules.get("pydicom")
    return pydicom is not None and isinstance(value, pydicom.Dataset)


def open_source(source: Source, side: int | None = None) -> Opened:
    """Decode a film of any kind.

    Arguments:
        source, side: as for `read_film`.

    Errors: ValueError; FilmError where the source is a path.
    """
    if isinstance(source, (str, os.PathLike)):
        return open_film(Path(source), side)  # its errors name the file
    try:
        return open_held(source, side)
    except Undecodable as error:
        raise ValueError(f"The film {error}") from None


@contextmanager
def named(source: Source) -> Iterator[None]:
    """Within it, a ValueError about what a path holds becomes a FilmError."""
    try:
        yield
    except ValueError as error:
        if isinstance(source, (str, os.PathLike)):
            raise FilmError(Path(source), str(error), "{path}: {reason}") from None
        raise


def open_held(source: Source, side: int | None) -> Opened:
    """Decode a film that is no path. Undecodable where it is none."""
    if isinstance(source, Image.Image):
        return Opened(loaded(source), first_of_several=source.info.get("several", False))
    if isinstance(source, Tensor):
        return Opened(tensor_values(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return decode(BytesIO(source), "", side)
    if hasattr(source, "read"):
        return decode(BytesIO(file_content(source)), "", side)
    if is_dataset(source):
        from multimix.images.dicom import open_dataset

        with without_decoder_warnings():
            return open_dataset(source)  # type: ignore[arg-type]
    return Opened(list_values(source))


def loaded(picture: Image.Image) -> Image.Image:
    """A picture whose pixels have been read from its file."""
    check_size(*picture.size)
    try:
        with without_decoder_warnings():
            picture.load()
    except Exception:  # noqa: BLE001  (Pillow raises many kinds)
        raise Undecodable("is a picture that is damaged, or whose file is closed.") from None
    return picture


def tensor_values(tensor: Tensor) -> np.ndarray:
    """A tensor's values, on whatever device it is and whether or not it has gradients."""
    try:
        tensor = tensor.detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    except (RuntimeError, TypeError, NotImplementedError):
        raise Undecodable(
            f"is a tensor ({tensor.dtype}, {tensor.layout}) whose values cannot be read; numbers "
            "of shape (H, W) are needed."
        ) from None


def file_content(file: Any) -> bytes:
    """An open file's bytes, from its beginning."""
    try:
        if file.seekable():
            file.seek(0)
        content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, AttributeError):
        raise Undecodable(
            "is an open file that cannot be read, or is closed; open it again."
        ) from None
    if not isinstance(content, bytes):
        raise Undecodable("is a file opened as text; open it with mode 'rb'.")
    if len(content) > MAX_BYTES:
        raise Undecodable("is a file larger than any film's; reduce the film first.")
    return content


def list_values(rows: object) -> np.ndarray:
    """Nested lists, or what else numpy makes an array of."""
    try:
        return np.asarray(rows)
    except Exception:  # noqa: BLE001  (what a person holds may raise anything)
        raise Undecodable(
            f"is a {type(rows).__name__}; a path, a PIL image, an array or a tensor is needed."
        ) from None
