"""The rule of words: how films lie in folders.

Every film below a folder is read. Words in its path may name a split, a class or a mask; the rest
of a mask's name is its film's. What no word says is not known.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from multimix.data.film_set import SPLITS, Film
from multimix.data.splits import patients_of_folders
from multimix.images.formats import stem_of
from multimix.model import CLASSES
from multimix.runtime.files import in_brief

SPLIT_WORDS = {
    **dict.fromkeys(["train", "training", "tr"], "train"),
    **dict.fromkeys(["val", "valid", "validation", "dev"], "val"),
    **dict.fromkeys(["test", "testing", "ts"], "test"),
}
MASK_WORD = re.compile(
    r".*mask.*|msks?|labels?|lbls?|lungs?|seg|segmentations?|gt|ground|truth|groundtruth|annotations"
)
FILM_WORD = re.compile(r"images?|imgs?|films?|cxrs?|xrays?|rays?|png|0000")  # 0000: of nnU-Net
LEFT_RIGHT = {"left", "right"}
NOT_LUNG = re.compile(r"heart|clavicle|infection", re.IGNORECASE)

Labels = Mapping[str, int]  # `normalised` names of classes: 0 NORMAL, 1 PNEUMONIA


def normalised(name: str) -> str:
    """A name for comparing: without case, and with accents as one letter."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def labels_of(classes: Mapping[str, str] | None) -> dict[str, int]:
    """The labels of NORMAL, PNEUMONIA, and the user's names for them."""
    labels = {normalised(name): label for label, name in enumerate(CLASSES)}
    for name, meaning in (classes or {}).items():
        label = dict(zip(CLASSES, range(2))).get(str(meaning).strip().upper())
        key = normalised(str(name))
        if not key or label is None or labels.setdefault(key, label) != label:
            raise ValueError(
                f"The class '{in_brief(name)}' cannot be '{in_brief(meaning)}'; it can be "
                f"{CLASSES[0]} or {CLASSES[1]}, and not both."
            )
    return labels


@lru_cache(maxsize=10_000)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a name: 'Train Set' is train, set; 'imagesTr' is images, tr."""
    name = re.sub(r"(?<=images|labels)(t[rs])$", r" \1", normalised(name))
    name = re.sub(r"^(masks?|images?|img)(?=\d)", r"\1 ", name)
    return tuple(word for word in re.split(r"[\s_.-]+", name) if word)


def split_of(name: str) -> str:
    """The split that the words of a name say; '' for none or several."""
    found = {SPLIT_WORDS[word] for word in words_of(name) if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else ""


@lru_cache(maxsize=10_000)
def says_masks(folder: str) -> bool:
    """Whether a folder's name says that its files are masks."""
    words = set(words_of(folder)) - LEFT_RIGHT - SPLIT_WORDS.keys()
    # Several words of which one is lung or label may name a class: Lung_Opacity.
    all_say = bool(words) and all(map(MASK_WORD.fullmatch, words))
    return all_say or any("mask" in word for word in words)


class NamedFile(NamedTuple):
    """A film's or a mask's file, and what its path below the root says."""

    path: Path
    is_mask: bool
    is_sure: bool  # a mask even if there is no film of its name
    keys: tuple[str, ...]  # a film's name without words such as image; such names for a mask
    split: str
    label: int | None
    words: frozenset[str]  # of the folders, without those that say film or mask
    unknown: tuple[str, ...]  # folders that say neither film, mask, class nor split


def read_path(root: Path, path: Path, labels: Labels) -> NamedFile:
    """What the words of a path say, from the root down."""
    split, label, in_masks, in_films = "", None, False, False
    around, unknown = set[str](), []
    for folder in path.relative_to(root).parts[:-1]:
        words = set(words_of(folder)) - LEFT_RIGHT
        is_film = any(map(FILM_WORD.fullmatch, words))
        if normalised(folder) in labels:
            label = labels[normalised(folder)]
        elif says_masks(folder):
            in_masks = True
        elif words and not is_film and not split_of(folder):
            unknown.append(folder)
        split, in_films = split or split_of(folder), in_films or is_film
        around |= {w for w in words if not (MASK_WORD.fullmatch(w) or FILM_WORD.fullmatch(w))}
    name = words_of(stem_of(Path(stem_of(path))))  # x.dcm.png is the mask of x.dcm
    is_mask = in_masks or (any(map(MASK_WORD.fullmatch, name)) and not in_films)
    is_sure = in_masks or (is_mask and any("mask" in word for word in name))
    whole = [word for word in name if not FILM_WORD.fullmatch(word)]
    key = [word for word in whole if not MASK_WORD.fullmatch(word)]
    # Of patient_1_mask_left.png: all words; 'patient 1 left'; 'patient 1'.
    without_side = key[: -1 if key and key[-1] in LEFT_RIGHT else None]
    keys = (whole, key, without_side) if is_mask else (whole,)
    said = (split, label, frozenset(around), tuple(unknown))
    return NamedFile(path, is_mask, is_sure, tuple(map(" ".join, keys)), *said)


def root_of(root: Path, paths: Sequence[Path], labels: Labels) -> Path:
    """The folder that a set starts from: below folders around all films whose names say nothing."""
    common = Path(os.path.commonpath([path.parent for path in paths] or [root]))
    for folder in common.relative_to(root).parts:
        below = {path.parent.relative_to(root / folder).parts for path in paths}
        # 'Lung Segmentation' with masks/ inside says nothing of its other films.
        only_masks = says_masks(folder) and not any(says_masks(f) for part in below for f in part)
        if split_of(folder) or normalised(folder) in labels or only_masks:
            break
        root = root / folder
    return root


def pair_masks(
    masks: Sequence[NamedFile], films: Sequence[NamedFile]
) -> tuple[dict[Path, list[Path]], list[NamedFile]]:
    """Each film's masks, in the folders most like its own; and the masks without a film."""
    by_key = defaultdict(list)
    for film in films:
        by_key[film.keys[0]].append(film)
    found: dict[Path, list[Path]] = defaultdict(list)
    strays = []
    for mask in masks:
        near = defaultdict(list)
        for film in next((by_key[key] for key in mask.keys if key in by_key), []):
            common, different = len(mask.words & film.words), len(mask.words ^ film.words)
            near[-common, different].append(film.path)
        if near and len(nearest := near[min(near)]) == 1:
            found[nearest[0]].append(mask.path)
        else:
            strays.append(mask)
    return found, strays


def films_of_paths(
    root: Path, paths: Sequence[Path], labels: Labels, masks_elsewhere: Sequence[NamedFile] = ()
) -> tuple[list[Film], list[NamedFile]]:
    """The films below a root, each with its masks of lungs; and the masks that have no film."""
    root = root_of(root, paths, labels)
    files = [read_path(root, path, labels) for path in paths]
    films = [file for file in files if not file.is_mask]
    masks = [f for f in files if f.is_mask and not NOT_LUNG.search(str(f.path.relative_to(root)))]
    lungs, strays = pair_masks([*masks, *masks_elsewhere], films)
    films += [file for file in strays if not file.is_sure]  # a film may be called lung_001.png
    films.sort(key=lambda f: ((*SPLITS, "").index(f.split), (0, 1, None).index(f.label), f.path))
    # Kaggle's lung segmentation has more films, without masks, in a folder `test`.
    splits = {f.split for f in films if f.label is not None or lungs.get(f.path)}
    has_labels = any(film.label is not None for film in films)
    names = [film.path.relative_to(root).as_posix() for film in films]
    patients = patients_of_folders([(name, f.unknown) for name, f in zip(names, films)])
    found = []
    for name, film in zip(names, films):
        own = tuple(lungs.get(film.path, ()))
        same = {normalised(str(mask)).replace("left", "right") for mask in own}
        if len(own) > 2 or len(same) > 1:
            raise ValueError(
                f"{film.path} has {len(own)} masks, first {own[0]}; one is needed, or two whose "
                "paths differ in left and right alone."
            )
        other = film.unknown[-1] if film.unknown and film.label is None and has_labels else ""
        split = film.split if film.split in splits or "" not in splits else ""
        found.append(Film(film.path, name, film.label, own, patients.get(name, ""), split, other))
    return found, [file for file in strays if file.is_sure]
