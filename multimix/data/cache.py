"""Many pictures read at once, and the reduced ones kept from one run to the next."""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from multimix.data.found_films import Film
from multimix.runtime.files import atomic_write

BLOCK = 2**20  # bytes that are read at once
CHECKSUM = 4  # bytes, at a cache file's end
COMPARED = 2**19  # bytes from each end of a film's file that tell whether it is still the same


class Unreadable(str):
    """Why a film could not be read, in the place of its picture."""


def read_films(
    films: Sequence[Film],
    read: Callable[[Film], np.ndarray],
    what: str,
    progress: bool,
    cache_file: Path | None,
    skipped: list[str] | None,
) -> tuple[np.ndarray, list[Film]]:
    """What `read` makes of each film, stacked (N, side, side), and the films that could be read.

    Decoded by a pool of threads (Pillow leaves the interpreter free while it decodes), or mapped
    from the cache.

    Arguments:
        what: for the progress bar and sentences.
        cache_file: where the stack is kept, None for nowhere.
        skipped: takes the sentences of films that cannot be read; None lets the first one raise.
    """
    if cache_file and (stack := read_cache(cache_file, len(films))) is not None:
        return stack, list(films)

    def attempt(film: Film) -> np.ndarray | Unreadable:
        try:
            return read(film)
        except ValueError as error:
            if skipped is None:
                raise
            return Unreadable(error)

    with ThreadPoolExecutor() as pool:
        results = pool.map(attempt, films)
        bar = dict(desc=f"reading {what}", unit="film", disable=not progress, leave=False)
        pictures = list(tqdm(results, total=len(films), **bar))
    faults = [picture for picture in pictures if isinstance(picture, Unreadable)]
    if len(faults) == len(films) > 0:
        raise ValueError(
            f"None of the {len(films)} films of {what} can be read; the first one: {faults[0]}"
        )
    if faults and skipped is not None:
        skipped.extend(map(str, faults))
        readable = [not isinstance(picture, Unreadable) for picture in pictures]
        films = [film for film, good in zip(films, readable) if good]
        pictures = [picture for picture, good in zip(pictures, readable) if good]
    stack = np.stack(pictures) if pictures else np.zeros((0, 0, 0), dtype=bool)
    if cache_file and not faults:
        write_cache(cache_file, stack)
    return stack, list(films)


def write_cache(path: Path, stack: np.ndarray) -> None:
    """Keep a stack (N, side, side), with a checksum behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        header = np.lib.format.header_data_from_array_1_0(stack)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(stack.data)  # numpy's own writing does not say that a disk is full
        file.flush()
        file.write(checksum(Path(file.name), path.name, file.tell()))


def name_cache_file(cache: Path | None, films: Sequence[Film], kind: str) -> Path | None:
    """Where the stack of these films is kept; None without a cache, or where they are not files.

    The name has every file's path, size, time of change and content in it, of a large file the
    content at both ends: a changed film gives another name, so nothing goes stale.
    """
    if cache is None:
        return None
    paths = []
    for film in films:
        paths += [path for path in (film.source, *film.masks) if isinstance(path, Path)]
    if not paths or not all(path.is_file() for path in paths):
        return None
    try:
        facts = [facts_of(path) for path in paths]
    except OSError:  # reading the film will say what is wrong with it
        return None
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return cache / f"{kind.replace(' ', '-')}-{digest}.npy"


def facts_of(path: Path) -> tuple[bytes, int, int, int]:
    """What tells a film's file from what it was before: path, size, time of change, content."""
    status = path.stat()
    with open(path, "rb") as file:
        content = file.read(COMPARED)
        if status.st_size > COMPARED:
            file.seek(max(COMPARED, status.st_size - COMPARED))
            content += file.read(COMPARED)
    absolute = os.fsencode(path.absolute())
    return absolute, status.st_size, status.st_mtime_ns, zlib.crc32(content)


def read_cache(path: Path, count: int) -> np.ndarray | None:
    """The stack of `count` films, mapped into memory; None where there is none, or damaged."""
    if not path.is_file():
        return None
    try:
        end = path.stat().st_size - CHECKSUM
        with open(path, "rb") as file:
            file.seek(max(0, end))
            whole = file.read() == checksum(path, path.name, end)
        stack = np.load(path, mmap_mode="c") if whole else np.zeros(0)
    except (OSError, ValueError, EOFError):
        stack = np.zeros(0)
    fits = stack.ndim == 3 and len(stack) == count and stack.dtype in (np.uint8, np.bool_)
    if not fits:
        sentence = f"multimix: the cache {path} is damaged, so its films are read again."
        print(sentence, file=sys.stderr)
    return stack if fits else None


def checksum(path: Path, name: str, end: int) -> bytes:
    """Of a cache file's name and content up to `end`: half a second for a gigabyte."""
    found = zlib.crc32(os.fsencode(name))
    with open(path, "rb") as file:
        while end > 0 and (block := file.read(min(BLOCK, end))):
            found = zlib.crc32(block, found)
            end -= len(block)
    return found.to_bytes(CHECKSUM, "little")
