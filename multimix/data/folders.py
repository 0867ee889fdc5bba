"""Looking through the folders of a set."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from multimix.data.film_set import SPLITS
from multimix.images.film_folder import NEVER_MEANT
from multimix.images.formats import is_film

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tr": "train",  # nnU-Net's
    "ts": "test",
}
BESIDE_SPLIT = frozenset(["set", "data", "dataset", "split", "folder"])  # as in 'Train Set'


def folded(name: str) -> str:
    """A name for comparing: without regard to case, and to how a Mac writes accents."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def words_of(name: str) -> list[str]:
    """The words of a name, of nnU-Net's imagesTr 'images' and 'tr'."""
    name = re.sub(r"(?<=s)(t[rs])$", r" \1", folded(name))
    return [word for word in re.split(r"[\s_.-]+", name) if word]


def split_of(name: str) -> str:
    """The split that a folder or a table means by a name; '' where it is none."""
    words = [word for word in words_of(name) if word not in BESIDE_SPLIT]
    return SPLIT_NAMES.get(words[0], "") if len(words) == 1 else ""


def split_within(name: str) -> str:
    """The one split among the words of a name, as in train_images; '' where there is none."""
    found = {SPLIT_NAMES[word] for word in words_of(name) if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else ""


def without_split(name: str) -> str:
    """The words of a name but those of a split: 'images' of train_images."""
    beside = [word for word in words_of(name) if word not in SPLIT_NAMES]
    return " ".join(word for word in beside if word not in BESIDE_SPLIT)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, by name, but what is hidden; nothing where it cannot be opened."""
    try:
        with os.scandir(folder) as found:
            shown = [entry for entry in found if not entry.name.startswith(".")]
    except OSError:  # `left_out_below` names it
        return []
    return sorted(
        (entry for entry in shown if entry.name not in NEVER_MEANT), key=lambda entry: entry.name
    )


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether this is a folder or a link to one; a link that circles is none."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def visible(folder: Path) -> list[Path]:
    """The paths of what a folder holds, but what is hidden."""
    return [Path(entry.path) for entry in entries(folder)]


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in a folder."""
    return [Path(entry.path) for entry in entries(folder) if is_folder(entry)]


def split_folders(folder: Path) -> list[Path]:
    """The folders in a folder that are named as splits: train first, then val, then test."""
    splits = [inner for inner in subfolders(folder) if split_of(inner.name)]
    return sorted(splits, key=lambda inner: SPLITS.index(split_of(inner.name)))


def films_in(folder: Path) -> list[Path]:
    """The films directly in a folder."""
    return [path for path in visible(folder) if is_film(path)]


def walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Every folder from `root` down with its files, each once.

    Links are followed, but to no folder that `root` lies in.
    """
    waiting, seen = [root], {str(folder) for folder in root.resolve().parents}
    while waiting:
        folder = waiting.pop()
        if (real := os.path.realpath(folder)) in seen:
            continue
        seen.add(real)
        files: list[Path] = []
        for entry in entries(folder):
            (waiting if is_folder(entry) else files).append(Path(entry.path))
        yield folder, files


def films_below(root: Path) -> list[Path]:
    """The films of a folder at any depth, in the order of their paths."""
    films: list[Path] = []
    for _, files in walk(root):
        films += filter(is_film, files)
    return sorted(films)


def holds_films(root: Path) -> bool:
    """Whether there is a film in a folder at any depth."""
    return any(any(map(is_film, files)) for _, files in walk(root))


def name_below(root: Path, path: Path) -> str:
    """A film's name: its path below the set's folder."""
    return path.relative_to(root).as_posix()
