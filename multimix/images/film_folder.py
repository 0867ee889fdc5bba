"""What somebody gives to be predicted: one film, several, or a folder and what in it is a film."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from multimix.images.answers import marked_film
from multimix.images.formats import is_film
from multimix.images.sources import Source, is_source

NEVER_MEANT = frozenset(  # what systems leave behind
    ["__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "System Volume Information"]
)
TEXTS = frozenset([".csv", ".html", ".json", ".log", ".md", ".pdf", ".txt", ".xml", ".yaml"])
NAMED = 3  # of several files, how many a sentence names
NAME_LENGTH = 30  # of which it shows so much


def is_one_film(films: object) -> bool:
    """Whether this is one film, and not a folder or a list of them."""
    if isinstance(films, (str, os.PathLike)):
        return not os.path.isdir(films)  # False also for a name that is too long
    return is_source(films)


def sources_of(films: Source | Iterable[Source]) -> Iterable[Source]:
    """The films of a list or a folder; of one film, itself.

    Files of a folder that might be films of kinds that are not read are warned of.

    Errors: ValueError where there are none, or this is nothing of that kind.
    """
    if is_one_film(films):
        return [cast(Source, films)]
    if isinstance(films, (str, os.PathLike)):
        found = look_through(Path(films))
        if found.pictures_perhaps:
            left_out = counted(found.pictures_perhaps, "file")
            warnings.warn(f"{films}: {left_out} of kinds that are not read.", stacklevel=4)
        return found.films
    if not isinstance(films, Iterable):
        raise ValueError(
            f"A {type(films).__name__} is no film; a path, a PIL image, an array, or a list of "
            "them is needed."
        )
    return cast(Iterable[Source], films)


@dataclass
class FilmFolder:
    """What a folder holds, each in the order of the names; hidden files are nowhere."""

    films: list[Path] = field(default_factory=list)
    pictures_perhaps: list[Path] = field(default_factory=list)  # of kinds that are not read
    texts: list[Path] = field(default_factory=list)
    answers: list[Path] = field(default_factory=list)  # what this program wrote for films
    folders: list[Path] = field(default_factory=list)  # that were not looked through

    def left_out(self) -> str:
        """What is not predicted, and why; '' where that is nothing."""
        parts = []
        if unread := [*self.pictures_perhaps, *self.texts]:
            parts.append(f"{counted(unread, 'file')} of kinds that are not read")
        if self.answers:
            parts.append(f"{counted(self.answers, 'file')} that this program wrote")
        if self.folders:
            parts.append(f"{counted(self.folders, 'folder')} below it, which --recursive reads")
        return "; ".join(parts)


def look_through(folder: Path, recursive: bool = False) -> FilmFolder:
    """Tell the films of a folder from what else is there.

    Arguments:
        folder: links to folders are followed, each once.
        recursive: go into the folders below it.

    Errors: ValueError where there is no film; OSError where the folder may not be read.
    """
    found = FilmFolder()
    waiting, seen = [folder], {os.path.realpath(folder)}
    while waiting:
        for path in waiting.pop().iterdir():
            if path.name.startswith(".") or path.name in NEVER_MEANT:
                continue
            if not path.is_dir():
                sort_in(path, found)
            elif not recursive:
                found.folders.append(path)
            elif os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                waiting.append(path)
    for paths in vars(found).values():
        paths.sort()
    if not found.films:
        below = f"; {counted(found.folders, 'folder')} below it can be read with --recursive"
        raise ValueError(
            f"There are no films in {folder}; PNG, JPEG, TIFF, BMP, GIF, WebP, .npy or DICOM files "
            f"are needed{below if found.folders else ''}."
        )
    return found


def sort_in(path: Path, found: FilmFolder) -> None:
    """Put a file where it belongs."""
    if marked_film(path):
        kind = found.answers
    elif is_film(path):
        kind = found.films
    else:
        kind = found.texts if path.suffix.lower() in TEXTS else found.pictures_perhaps
    kind.append(path)


def counted(paths: Sequence[Path], thing: str) -> str:
    """'3 files (a.png, b.png, ...)'."""
    names = [path.name for path in paths[:NAMED]]
    shown = [name if len(name) <= NAME_LENGTH else f"{name[:NAME_LENGTH]}..." for name in names]
    if len(paths) > NAMED:
        shown.append("...")
    return f"{len(paths)} {thing}{'s' if len(paths) > 1 else ''} ({', '.join(shown)})"
