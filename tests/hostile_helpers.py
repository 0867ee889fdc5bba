"""Limits on time and memory, and PNG files with false headers."""

import contextlib
import resource
import struct
import threading
import zlib
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import psutil
from drawn import draw

from multimix.images.reading import read_film

SECONDS = 60
DRAWN = draw(5, 1)[0]


def refusal(path: Path) -> str:
    """'' where the film is read, else the sentence that refuses it."""
    try:
        film = read_film(path)
    except ValueError as error:
        sentence = str(error)
        assert str(path) in sentence and sentence.endswith(".") and "\n" not in sentence, sentence
        return sentence
    assert film.dtype == np.uint8 and film.ndim == 2 and min(film.shape) >= 2
    return ""


def quickly(work, *arguments):
    """What `work` returns or raises; TimeoutError if it does not end in time."""
    future: Future = Future()

    def attempt():
        try:
            future.set_result(work(*arguments))
        except BaseException as error:  # noqa: BLE001  (handed on)
            future.set_exception(error)

    threading.Thread(target=attempt, daemon=True).start()
    return future.result(SECONDS)


@contextlib.contextmanager
def bounded_memory():
    """At most 2 GiB more of address space than now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = psutil.Process().memory_info().vms + 2**31
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG: its length, name, content and check."""
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def png(width: int, height: int, *, body=b"", bits=8, kind=0, interlaced=False) -> bytes:
    """A PNG with any size, bits and kind of colour in its header."""
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    chunks = [png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(body, 1))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")
