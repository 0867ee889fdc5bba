"""Find the films to predict: one film, several, a pattern, or a folder."""

import glob
import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from torch import Tensor

from multimix.images.formats import is_film, stem_of
from multimix.images.reading import Source, is_source
from multimix.runtime.files import in_brief

# What operating systems leave behind, hidden files aside.
SYSTEM_FILES = ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN")
TABLES = (".csv", ".tsv")
DOCUMENTS = """.html .json .log .md .pdf .txt .xml .py .docx .doc .rtf .bib .ipynb .yaml
license licence readme dicomdir"""  # by their ending or name


def is_one_film(films: object) -> bool:
    """Whether this is one film, and not a folder, a pattern, a batch or a list of films."""
    if isinstance(films, (str, os.PathLike)):
        path = os.path.expanduser(films)
        return os.path.isfile(path) or not (os.path.isdir(path) or set("*?[") & set(str(films)))
    is_batch = isinstance(films, (np.ndarray, Tensor)) and films.ndim == 4 and films.shape[1] == 1
    return is_source(films) and not is_batch


def sources_of(films: Source | Iterable[Source]) -> Iterable[Source]:
    """The films of a list, a folder, a pattern, or a batch (N, 1, H, W); one film as a list. Warns
    of files that may be films of a kind that is not read. ValueError where there are none.
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
            "them is needed."
        )
    return [cast(Source, films)] if is_one_film(films) else cast(Iterable[Source], films)


def expand(path: str | os.PathLike) -> list[Path]:
    """The files and folders that a path means: ~ is the home folder, * and ? make a pattern."""
    text = str(os.path.expanduser(path))
    if found := [text] if os.path.exists(text) else sorted(glob.glob(text)):
        return [Path(name) for name in found]
    raise ValueError(f"There is no film or folder {path} on this computer; correct the path.")


@dataclass
class FilmFolder:
    """The contents of a folder in the order of their paths, without hidden files and documents."""

    films: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)  # perhaps films, of kinds that are not read
    outputs: list[Path] = field(default_factory=list)  # that this program wrote
    folders: list[Path] = field(default_factory=list)  # not looked through
    unreadable: list[Path] = field(default_factory=list)  # folders without read permission

    def left_out(self) -> str:
        """What is not read, and why; '' for nothing."""
        parts = (
            (self.tables, "table", "not read, unless it is given instead of the folder"),
            (self.unknown, "file", "of kinds that are not read"),
            (self.outputs, "file", "that this program wrote"),
            (self.folders, "folder", "below it, which --recursive reads"),
            (self.unreadable, "folder", "without read permission"),
        )
        return "; ".join(f"{counted(paths, thing)} {why}" for paths, thing, why in parts if paths)


def look_through(folder: Path, recursive: bool = False, outputs: bool = False) -> FilmFolder:
    """What is in a folder, this program's `outputs` included or not; ValueError without a film."""
    found = list_folder(folder, recursive)
    written = set[Path]() if outputs else written_files(found)
    found.outputs = [path for path in found.films if path in written]
    found.films = [path for path in found.films if path not in written]
    if not found.films:
        there = found.left_out()
        raise ValueError(
            f"There are no films in {folder}; PNG, JPEG, TIFF, BMP, GIF, WebP, .npy or DICOM files "
            f"are needed, not in archives{f' (there: {there})' if there else ''}."
        )
    return found


def list_folder(folder: Path, recursive: bool = True) -> FilmFolder:
    """What is in a folder, perhaps no film; links to folders are followed, each once."""
    found, seen, errors = FilmFolder(), {os.path.realpath(folder)}, list[OSError]()
    for inner, folders, names in os.walk(folder, followlinks=True, onerror=errors.append):
        some = [n for n in (*names, *sorted(folders)) if n[0] != "." and n not in SYSTEM_FILES]
        below, folders[:] = set(folders), []
        for path in (Path(inner, name) for name in some):
            if path.name in below:
                place = os.path.realpath(path)
                if place not in seen and recursive:
                    folders.append(path.name)
                elif place not in seen:
                    found.folders.append(path)
                seen.add(place)
            elif path.suffix.lower() in TABLES:
                found.tables.append(path)
            elif not {path.suffix.lower(), path.stem.lower()} & set(DOCUMENTS.split()):
                (found.films if is_film(path) else found.unknown).append(path)
    found.unreadable = [Path(error.filename) for error in errors]
    for paths in vars(found).values():
        paths.sort()
    return found


def written_files(found: FilmFolder) -> set[Path]:
    """Files that this program writes for a folder's films, or that a predictions.csv lists."""
    outputs = {path.with_name(f"{stem_of(path)}_mask.png") for path in found.films}
    tables = [path for path in found.tables if path.name == "predictions.csv"]
    for path in filter(Path.is_file, tables):  # opening a pipe would wait for ever
        with suppress(ValueError, OSError):  # not this program's
            table = pd.read_csv(path, dtype=str, na_filter=False, encoding_errors="surrogateescape")
            for column, end in (("mask", ""), ("overlay", ""), ("name", "_seg.dcm")):
                outputs |= {path.parent / f"{name}{end}" for name in table.get(column, ()) if name}
    return outputs


def counted(paths: Sequence[Path], thing: str) -> str:
    """'4 files (a.png, b.png, c.png, ...)'; long names are cut."""
    names = [in_brief(path.name, 30) for path in paths[:3]] + ["..."] * (len(paths) > 3)
    return f"{len(paths)} {thing}{'s' if len(paths) > 1 else ''} ({', '.join(names)})"
