"""Looking through the folders of a set."""

from __future__ import annotations

import os
from pathlib import Path

from multimix.images.formats import film_paths


def subfolder(root: Path, *names: str) -> Path | None:
    """Go down from a folder, without regard to the case of letters.

    Returns: the folder of these names below `root`; None where there is none.
    """
    folder = root
    for name in names:
        matching = []
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name.lower() == name.lower() and path.is_dir():
                matching.append(path)
        if not matching:
            return None
        folder = min(matching)
    return folder


def films_in(root: Path | None, name: str) -> list[Path]:
    """The films of a subfolder; none where there is no such folder."""
    folder = subfolder(root, name) if root else None
    return film_paths(folder) if folder else []


def files_below(root: Path, ending: str) -> list[Path]:
    """Every file of one ending at any depth; links to folders, which may circle, are left out."""
    paths = []
    for folder, _, names in os.walk(root):
        for name in names:
            if name.lower().endswith(ending) and not name.startswith("."):
                paths.append(Path(folder) / name)
    return sorted(paths)


def name_below(root: Path, path: Path) -> str:
    """A film's name: its path below the set's folder."""
    return path.relative_to(root).as_posix()
