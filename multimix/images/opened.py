"""What a decoder gives, and how it refuses what is no film."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image

from multimix.images.size import SizeCm

MAX_PIXELS = 50_000_000  # of a film; the largest detectors have some 20 million
MAX_COSTLY_PIXELS = MAX_PIXELS // 2  # where decoding takes twice the memory
MAX_BYTES = 500_000_000  # of a film's file
MAX_SCANS = 20  # of a JPEG with that many pixels; a progressive one has some ten
LIBRARIES = ("PIL", "pydicom", "tifffile")
for library in LIBRARIES:  # a logger without a handler prints
    logging.getLogger(library).addHandler(logging.NullHandler())


class Opened(NamedTuple):
    """A film's content as its file holds it."""

    content: Image.Image | np.ndarray  # upright, with air dark
    warnings: tuple[str, ...] = ()  # sentences about the film
    first_of_several: bool = False  # pages of a TIFF, frames of a GIF
    kind: str = ""  # of the file, where its content does not tell
    size_cm: SizeCm | None = None  # height and width, where the file tells them


class Undecodable(ValueError):
    """Why content is no film: a sentence without its subject, such as 'is empty.'"""


def check_size(width: int, height: int, limit: int = MAX_PIXELS) -> None:
    """Undecodable where decoding would take more memory than any film needs."""
    if width * height > limit:
        most = f"{limit // 1_000_000} million pixels"
        raise Undecodable(f"claims more than {most}; reduce the film first.")


def check_scans(content: bytes, width: int, height: int) -> None:
    """Undecodable where a JPEG goes over its pixels so often that decoding it takes minutes."""
    if content.count(b"\xff\xda") * width * height > MAX_SCANS * MAX_PIXELS:
        raise Undecodable("has more scans than any film; save it again, as PNG.")


class Hush:
    """How many threads are decoding, and what puts Python's warnings back after the last."""

    lock = threading.Lock()
    count = 0
    caught: warnings.catch_warnings | None = None


@contextmanager
def without_decoder_warnings() -> Iterator[None]:
    """Keep the decoders' own warnings off the screen: a film is read, or a sentence says why not.

    `warnings.catch_warnings` alone is not for threads that overlap.
    """
    with Hush.lock:
        Hush.count += 1
        if Hush.count == 1:
            Hush.caught = warnings.catch_warnings()
            Hush.caught.__enter__()
            warnings.filterwarnings("ignore", module="|".join(LIBRARIES))
    try:
        yield
    finally:
        with Hush.lock:
            Hush.count -= 1
            if Hush.count == 0 and Hush.caught:
                Hush.caught.__exit__(None, None, None)
