"""What lies below a set's folder and is not read, in sentences for a person."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from multimix.data.class_names import Labels, option_for
from multimix.data.folders import folded, split_of, subfolders, walk
from multimix.data.tables import SHEETS, TABLE_SUFFIXES
from multimix.images.film_folder import TEXTS
from multimix.images.formats import is_film

DOCUMENTS = (TEXTS - {*TABLE_SUFFIXES}) | {".docx", ".doc", ".rtf", ".bib", ".py", ".ipynb"}
SHOWN = 3  # names in a sentence
NAME_LENGTH = 40  # of which it shows so much


def left_out_below(root: Path, used: Iterable[Path], labels: Labels) -> list[str]:
    """What is not read below a folder; licences, read-me files and the like are not worth a word.

    Arguments:
        used: the files that are read, or spoken of elsewhere.
        labels: the classes that are known.
    """
    real = RealPaths()
    known = {real.of(path) for path in used}
    folders = {os.path.dirname(path) for path in known}
    busy = {str(folder) for name in folders for folder in (Path(name), *Path(name).parents)}
    films: Counter[Path] = Counter()  # by the topmost folder in which nothing is read
    loose, tables, sheets, unknown, closed = [], [], [], [], []
    for folder, files in walk(root):
        top = idle_folder(root, folder, busy, real)
        if not os.access(folder, os.R_OK | os.X_OK):
            closed.append(name_of(root, folder))
        for path in files:
            suffix = path.suffix.lower()
            is_document = suffix in DOCUMENTS or folded(path.stem) in (
                "license",
                "readme",
                "dicomdir",
            )
            if is_document or real.of(path) in known:
                continue
            if suffix in TABLE_SUFFIXES:
                tables.append(name_of(root, path))
            elif suffix in SHEETS:
                sheets.append(name_of(root, path))
            elif not is_film(path):
                unknown.append(name_of(root, path))
            elif top:
                films[top] += 1
            else:
                loose.append(name_of(root, path))
    return [
        *sentences_of_folders(root, films, labels),
        *sentence("Films beside those that are read are left out: {}.", loose),
        *sentence(
            "Tables that are not read: {}; to use one, give it instead of the folder.", tables
        ),
        *sentence("Files of kinds that are not read: {}.", unknown),
        *sentence("Sheets that are not read: {}; save them as CSV.", sheets),
        *sentence("Folders that cannot be opened: {}; change who may read them.", closed),
    ]


class RealPaths:
    """Files without links on the way to them; each folder is looked up once."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}

    def of(self, path: Path) -> str:
        """The path without links."""
        if path.is_symlink():
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        return os.path.join(self.folders[folder], name)


def idle_folder(root: Path, folder: Path, busy: set[str], real: RealPaths) -> Path | None:
    """The topmost folder from `root` to `folder` in which no film is read; None where all are."""
    way = [folder, *folder.parents]
    for step in reversed(way[: way.index(root)]):
        if real.of(step) not in busy:
            return step
    return None


def sentences_of_folders(root: Path, films: Mapping[Path, int], labels: Labels) -> list[str]:
    """What is not read of whole folders, and what to do."""
    classes, splits, others = [], [], []
    class_names = set()
    for folder, count in films.items():
        beside = [other.name for other in subfolders(folder.parent) if other != folder]
        text = f"{name_of(root, folder)} ({count})"
        if any(folded(name) in labels for name in beside):
            classes.append(text)
            class_names.add(folder.name)
        elif any(split_of(name) for name in beside) and not split_of(folder.name):
            splits.append(text)
        else:
            others.append(text)
    option = option_for(class_names, pneumonia_alone=True)
    to_use = "name one train, val or test to use it"
    return [
        *sentence("Films of other classes are left out: {}; to use one: " + option, classes),
        *sentence("Folders beside the splits are left out: {}; " + to_use + ".", splits),
        *sentence("Films in other folders are not read: {}; give a folder by itself.", others),
    ]


def sentence(form: str, names: list[str]) -> list[str]:
    """`form` with the first names in it and how many more; nothing where there are none."""
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [form.format(", ".join(sorted(names)[:SHOWN]) + more)]


def name_of(root: Path, path: Path) -> str:
    """A path below the root, its end where it is long."""
    name = path.relative_to(root).as_posix()
    return name if len(name) <= NAME_LENGTH else f"...{name[-NAME_LENGTH:]}"
