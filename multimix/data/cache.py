"""Reduced films that are kept on disk from one run to the next."""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from multimix.data.film_set import Film
from multimix.runtime.files import atomic_write


def name_cache_file(cache: Path | None, films: Sequence[Film], kind: str) -> Path | None:
    """The file that keeps these films; None without a cache, or for films in memory. The path, size
    and time of change of every file make its name. No film is opened.
    """
    files = [path for film in films for path in (film.source, *film.masks)]
    if cache is None or not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        if not isinstance(path, Path) or not path.is_file():  # reading says what is wrong with it
            return None
        status = path.stat()
        facts = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
        digest.update(repr(facts).encode("utf-8", "surrogateescape"))
    return cache / f"{kind}-{digest.hexdigest()[:16]}.npy"


def write_cache(path: Path | None, stack: np.ndarray) -> None:
    """Keep a stack (N, side, side) in a NumPy file with a checksum of 4 bytes at its end."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(stack))
        file.write(stack.data)  # numpy.save does not notice a full disk
        file.flush()
        file.write(checksum(np.memmap(file.name, dtype=np.uint8, mode="r"), path.name))


def read_cache(path: Path | None, count: int) -> np.ndarray | None:
    """The stack of `count` films, mapped into memory; None where it is missing or damaged."""
    if path is None or not path.is_file():
        return None
    try:
        content = np.memmap(path, dtype=np.uint8, mode="r")
        if content[-4:].tobytes() == checksum(content[:-4], path.name):
            stack = np.load(path, mmap_mode="c")
            if len(stack) == count:
                return stack
    except (OSError, ValueError, EOFError):
        pass
    sentence = f"multimix: the cache {path} is damaged, so its films are read again."
    print(sentence, file=sys.stderr)
    return None


def checksum(content: np.ndarray, name: str) -> bytes:
    """The checksum of a cache file's name and content; half a second for a gigabyte."""
    return zlib.crc32(content.data, zlib.crc32(os.fsencode(name))).to_bytes(4, "little")
