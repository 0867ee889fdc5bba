"""Find the films to predict: one film, several, a pattern, or a folder."""

from __future__ import annotations

import difflib
import glob
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from torch import Tensor

from multimix.data.tables import read_table
from multimix.images.formats import is_film, stem_of
from multimix.images.reading import Source, is_source
from multimix.runtime.files import in_brief

# What operating systems leave behind, hidden files aside.
SYSTEM_FILES = "__MACOSX Thumbs.db desktop.ini @eaDir $RECYCLE.BIN"
TEXTS = ".csv .tsv .html .json .log .md .pdf .txt .xml .py .docx .doc .rtf .bib .ipynb .yaml"
DOCUMENTS = ("license", "licence", "readme", "dicomdir")  # also without an ending


def is_one_film(films: object) -> bool:
    """Whether this is one film, and not a folder, a pattern, a batch or a list of films."""
    if isinstance(films, (str, os.PathLike)):
        return not os.path.isdir(os.path.expanduser(films)) and not is_pattern(str(films))
    return is_source(films) and not is_batch(films)


def is_batch(films: object) -> bool:
    """Whether this is an array or tensor (N, 1, H, W): N films."""
    return isinstance(films, (np.ndarray, Tensor)) and films.ndim == 4 and films.shape[1] == 1


def is_pattern(path: str) -> bool:
    """Whether a path has *, ? or [, and is not the name of a file."""
    return bool(set("*?[") & set(path)) and not os.path.exists(path)


def sources_of(films: Source | Iterable[Source]) -> Iterable[Source]:
    """The films of a list, a folder, a pattern, or a batch (N, 1, H, W); one film as a list.

    Warns of files that may be films of a kind that is not read. ValueError where there are none.
    """
    if isinstance(films, (str, os.PathLike)):
        found: list[Source] = []
        for path in expand(films):
            folder = look_through(path) if path.is_dir() else FilmFolder([path])
            found += folder.films
            if folder.unknown:
                left_out = counted(folder.unknown, "file")
                warnings.warn(f"{path}: {left_out} of kinds that are not read.", stacklevel=4)
        return found
    if isinstance(films, dict) or not (is_source(films) or isinstance(films, Iterable)):
        raise ValueError(
            f"A {type(films).__name__} is not a film; a path, a PIL image, an array, or a list of "
            "them is needed; of a dict give one value, as d['image']."
        )
    if is_one_film(films):
        return [cast(Source, films)]
    several = cast(Iterable[Source], films)
    return list(several) if is_batch(films) else several


def expand(path: str | os.PathLike) -> list[Path]:
    """The files and folders that a path means: ~ is the home folder, * and ? make a pattern."""
    text = str(os.path.expanduser(path))
    if text.lower().startswith(("http:", "https:", "ftp:", "s3:", "gs:", "file:")):
        raise ValueError(f"{path} is an address; download the film and give its path.")
    for pattern in (text, text.replace("\\", "/")):
        if found := [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern)):
            return [Path(name) for name in found]
    if is_pattern(text):
        raise ValueError(f"No file fits the pattern {path}.")
    missing = Path(text).absolute()
    while not missing.parent.is_dir():
        missing = missing.parent
    near = difflib.get_close_matches(missing.name, map(str, os.listdir(missing.parent)), 1)
    nearest = f"; the nearest name in {missing.parent} is {near[0]}" if near else ""
    raise ValueError(f"There is no film or folder {path}{nearest}.")


@dataclass
class FilmFolder:
    """The contents of a folder in the order of their paths, without hidden files."""

    films: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)  # perhaps films, of kinds that are not read
    texts: list[Path] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)  # that this program wrote
    folders: list[Path] = field(default_factory=list)  # not looked through
    unreadable: list[Path] = field(default_factory=list)  # folders without read permission

    def left_out(self) -> str:
        """What is not predicted, and why; '' for nothing."""
        parts = (
            (self.unknown + self.texts, "file", "of kinds that are not read"),
            (self.outputs, "file", "that this program wrote"),
            (self.folders, "folder", "below it, which --recursive reads"),
            (self.unreadable, "folder", "without read permission"),
        )
        return "; ".join(f"{counted(paths, thing)} {why}" for paths, thing, why in parts if paths)


def look_through(folder: Path, recursive: bool = False) -> FilmFolder:
    """The films of a folder without this program's outputs, and what else is there.

    Links to folders are followed, each once. ValueError where there is no film.
    """
    found = list_folder(folder, recursive)
    names = {path.with_name(stem_of(path)) for path in found.films}
    outputs = {name.with_name(f"{name.name}_mask.png") for name in names}
    for path in (path for path in found.texts if path.name == "predictions.csv"):
        try:
            table = read_table(path)
        except (ValueError, OSError):  # not this program's
            continue
        for column, ending in (("mask", ""), ("overlay", ""), ("name", "_seg.dcm")):
            outputs |= {path.parent / f"{name}{ending}" for name in table.get(column, ()) if name}
    found.outputs = [path for path in found.films if path in outputs]
    found.films = [path for path in found.films if path not in outputs]
    if not found.films:
        there = found.left_out()
        raise ValueError(
            f"There are no films in {folder}; PNG, JPEG, TIFF, BMP, GIF, WebP, .npy or DICOM files "
            f"are needed{f' (there: {there})' if there else ''}."
        )
    return found


def list_folder(folder: Path, recursive: bool = True) -> FilmFolder:
    """What is in a folder, also where there is no film; outputs count as films."""
    found, seen = FilmFolder(), {os.path.realpath(folder)}

    def note(error: OSError) -> None:
        found.unreadable.append(Path(error.filename))

    for inner, folders, names in os.walk(folder, followlinks=True, onerror=note):
        names, below = (
            [name for name in some if name[0] != "." and name not in SYSTEM_FILES.split()]
            for some in (names, folders)
        )
        # Of two links to one folder the first by name counts.
        new = {os.path.realpath(Path(inner, name)): name for name in sorted(below, reverse=True)}
        below = sorted(name for path, name in new.items() if path not in seen)
        folders[:] = below if recursive else []
        found.folders += [] if recursive else [Path(inner, name) for name in below]
        seen.update(new)
        for path in (Path(inner, name) for name in names):
            is_text = path.suffix.lower() in TEXTS.split() or path.stem.lower() in DOCUMENTS
            kind = found.texts if is_text else found.films if is_film(path) else found.unknown
            kind.append(path)
    for paths in vars(found).values():
        paths.sort()
    return found


def counted(paths: Sequence[Path], thing: str) -> str:
    """'4 files (a.png, b.png, c.png, ...)'; long names are cut."""
    names = [in_brief(path.name, 30) for path in paths[:3]] + ["..."] * (len(paths) > 3)
    return f"{len(paths)} {thing}{'s' if len(paths) > 1 else ''} ({', '.join(names)})"
