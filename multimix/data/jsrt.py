"""JSRT: as it was published, with the masks of SCR; and as the authors of MultiMix have it."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from multimix.data.class_names import Labels
from multimix.data.film_set import SPLITS
from multimix.data.folders import films_below, folded, name_below
from multimix.data.found_films import Film, Reading
from multimix.images.formats import RAW_SUFFIX, stem_of
from multimix.runtime.checkpoint import MOST_BYTES

JSRT_RULE = "JSRT's split: odd numbers train, even numbers test, as in SCR's two folds."
MOST_OF_JSRT = 200  # of its 247 films: so many of its names can only be JSRT
SCR_LUNGS = ("left lung", "right lung")
SCR_OTHERS = ("heart", "left clavicle", "right clavicle")
MAT_HEADER = 128  # bytes
MAT_COMPRESSED = 15  # the type of an element that is packed
BLOCK = 2**16  # packed bytes that are read at once


def jsrt(root: Path, labels: Labels) -> Reading:
    """JSRT's films, raw or as pictures, with the masks of SCR, at any depth."""
    paths: list[Path] = []
    masks: dict[str, list[Path]] = {}
    for path in films_below(root):
        folder, stem = folded(path.parent.name).replace("_", " "), stem_of(path).upper()
        if folder in SCR_LUNGS:
            masks.setdefault(stem, []).append(path)
        elif folder not in SCR_OTHERS and jsrt_split(stem):
            paths.append(path)
    raw = [path for path in paths if path.suffix.lower() == RAW_SUFFIX]
    if not raw and not masks:
        return Reading()
    films = []
    for path in raw or paths:
        stem = stem_of(path).upper()
        lungs = tuple(masks.get(stem, ()))
        films.append(Film(path, name_below(root, path), None, lungs, "", jsrt_split(stem)))
    return Reading(films, split_rule=JSRT_RULE)


def jsrt_split(stem: str) -> str:
    """Odd numbers train, even numbers test, as SCR's two folds; '' where the name is not JSRT's."""
    number = re.fullmatch(r"JPC[LN]N(\d{3})", stem.upper())
    if not number:
        return ""
    return "train" if int(number[1]) % 2 else "test"


def with_jsrt_split(reading: Reading) -> Reading:
    """JSRT's split for its films, where so many have its names that the set can only be JSRT."""
    splits = [jsrt_split(stem_of(Path(film.name))) for film in reading.films]
    if len(list(filter(None, splits))) < MOST_OF_JSRT or any(film.split for film in reading.films):
        return reading
    films = [replace(film, split=split) for film, split in zip(reading.films, splits)]
    return Reading(films, reading.notes, JSRT_RULE)


def authors_mat(root: Path, labels: Labels) -> Reading:
    """JSRT in one MATLAB file, as the authors of MultiMix have it."""
    path = root / "jsrt.mat" if root.is_dir() else root
    if path.suffix.lower() != ".mat" or not path.is_file():
        return Reading()
    import scipy.io  # only for this

    films = []
    if unpacked_bytes(path) > MOST_BYTES:
        raise ValueError(
            f"{path} unpacks to more than {MOST_BYTES // 2**30} GB; save the films as uint8, or as "
            "picture files in images/ and masks/."
        )
    try:
        content = scipy.io.loadmat(path)
        for split in SPLITS:
            if f"x_{split}" in content:
                films += films_of_arrays(content[f"x_{split}"], content[f"y_{split}"], split)
    except Exception:  # noqa: BLE001  (scipy raises many kinds)
        films = []
    if not films:
        raise ValueError(
            f"{path} is damaged, or not a MATLAB file up to version 7 with films x_train, x_val, "
            "x_test (N, H, W) and masks y_train, y_val, y_test; save it again with -v7."
        )
    return Reading(films, accounted_for=[path])


def unpacked_bytes(path: Path) -> int:
    """What the elements of a MATLAB file come to, or `MOST_BYTES` and more; nothing is kept."""
    total = 0
    with open(path, "rb") as file:
        order = "<" if file.read(MAT_HEADER)[-2:] == b"IM" else ">"
        while total <= MOST_BYTES and len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind != MAT_COMPRESSED:
                total += size
                file.seek(size, 1)
                continue
            unpacker = zlib.decompressobj()
            while size > 0 and total <= MOST_BYTES:
                packed = file.read(min(size, BLOCK))
                size -= BLOCK
                total += unpacked_length(unpacker, packed)
    return total


def unpacked_length(unpacker: zlib._Decompress, packed: bytes) -> int:
    """How long a part of packed bytes is when unpacked; 0 where they are damaged."""
    length = 0
    try:
        while packed and not unpacker.eof:
            length += len(unpacker.decompress(packed, 16 * BLOCK))
            packed = unpacker.unconsumed_tail
    except zlib.error:  # reading the file says that it is damaged
        return 0
    return length


def films_of_arrays(pixels: np.ndarray, masks: np.ndarray, split: str) -> list[Film]:
    """Films (N, H, W, ...) and their masks, which may have a channel for each lung."""
    for array in (pixels, masks):
        if array.dtype.kind not in "buif" or array.ndim < 3 or 0 in array.shape:
            raise ValueError("x_ and y_ must be films and masks, (N, H, W) numbers")
    if len(pixels) != len(masks):
        raise ValueError("x_ and y_ must be of the same length")
    films = []
    for i, (film, mask) in enumerate(zip(pixels, masks)):
        lungs = mask if mask.ndim == 2 else mask.max(np.argmin(mask.shape))
        patient = f"{split}-{i}"
        films.append(Film(film.squeeze(), f"{split}/{i}", None, (lungs,), patient, split))
    return films
