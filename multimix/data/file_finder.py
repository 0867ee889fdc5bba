"""The files that a table names, also where it was written on another machine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath

from multimix.data.folders import folded, subfolders, visible, walk
from multimix.images.formats import is_film, stem_of

MOST_FOLDERS = 20  # that are looked through for a table's paths


class FileFinder:
    """The files of the folder that a table lies in."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.listings: dict[Path, dict[str, Path]] = {}

    def find(self, text: str, mask: bool = False) -> Path | None:
        """The file of a path, or of a bare name at any depth; None where there is none."""
        path = Path(os.path.normpath(self.folder / text))
        with suppress(OSError):  # a name that is too long for a file
            if path.is_file():
                return path
        if not text.isprintable():  # no UTF-8, so that Excel may have written it
            text = text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
        parts = PurePosixPath(text.replace("\\", "/")).parts
        absolute = parts[:1] == ("/",) or bool(re.match(r"[A-Za-z]:", text))
        # Without the folders around it where they are of another machine, or the set's own name.
        ways = [parts[start:] for start in range(len(parts) if absolute else min(2, len(parts)))]
        for way in ways:
            if found := self.go_down(self.folder, way):
                return found
        if len(parts) == 1:
            return self.by_name[mask].get(folded(text))
        below = {self.go_down(inner, way) for inner in self.inner for way in ways[:2]} - {None}
        return below.pop() if len(below) == 1 else None

    def go_down(self, path: Path, parts: Sequence[str]) -> Path | None:
        """The file of these names below a folder, without regard to case and accents' form."""
        for name in parts:
            if path not in self.listings:
                self.listings[path] = {folded(inner.name): inner for inner in visible(path)}
            if folded(name) not in self.listings[path]:
                return None
            path = self.listings[path][folded(name)]
        return path if path.is_file() else None

    @cached_property
    def inner(self) -> list[Path]:
        """The folders in the folder; none where they are many."""
        inner = subfolders(self.folder)
        return inner if len(inner) <= MOST_FOLDERS else []

    @cached_property
    def by_name(self) -> dict[bool, dict[str, Path]]:
        """Films, and masks, at any depth by names, with and without ending, that no other has."""
        paths: dict[bool, dict[str, list[Path]]] = {False: {}, True: {}}
        for folder, files in walk(self.folder):
            mask = "mask" in folded(folder.relative_to(self.folder).as_posix())
            for path in filter(is_film, files):
                for name in {folded(path.name), folded(stem_of(path))}:
                    paths[mask].setdefault(name, []).append(path)
        found: dict[bool, dict[str, Path]] = {}
        for mask, named in paths.items():
            found[mask] = {name: same[0] for name, same in named.items() if len(same) == 1}
        return found
