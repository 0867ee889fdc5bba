"""The rule of words: how films lie in folders.

Every film below a folder is read. Words in its path may name a split, a class or a mask; the rest
of a mask's name is its film's. What no word says is not known.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from multimix.data.found_films import Film
from multimix.data.patients import patients_of_folders
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
SIDES = {"left", "right"}
NOT_LUNG = re.compile(r"heart|clavicle|infection")

Labels = Mapping[str, int]  # `normalised` names of classes: 0 NORMAL, 1 PNEUMONIA


def normalised(name: str) -> str:
    """A name for comparing: without case, and with accents as one letter."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def labels_of(classes: Mapping[str, str] | None) -> dict[str, int]:
    """The labels of NORMAL, PNEUMONIA, and the user's names for them."""
    example = f"{{'Healthy': '{CLASSES[0]}', 'Viral': '{CLASSES[1]}'}}"
    if not isinstance(classes, Mapping | None):
        raise ValueError(f"The classes are {in_brief(classes)}; a dict is needed: {example}.")
    ours = {normalised(name): label for label, name in enumerate(CLASSES)}
    labels = dict(ours)
    for name, meaning in (classes or {}).items():
        label = ours.get(normalised(str(meaning)))
        if label is None or labels.setdefault(normalised(str(name)), label) != label:
            raise ValueError(
                f"The class '{in_brief(name)}' cannot be '{in_brief(meaning)}'; it can be "
                f"{CLASSES[0]} or {CLASSES[1]}, and not both: {example}."
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


@dataclass(frozen=True)
class FolderWords:
    """What the folders around a file say."""

    split: str
    label: int | None
    in_masks: bool
    in_films: bool
    words: frozenset[str]  # without those that say film or mask
    unknown: tuple[str, ...]  # folders that say neither film, mask, class nor split


@dataclass(frozen=True)
class NamedFile:
    """A film's or a mask's file, and what its path says."""

    path: Path
    name: str  # the path below the root
    is_mask: bool
    key: str  # the rest of the file's name: the same for a film and its mask
    whole: str  # the same with the words that say mask
    around: FolderWords


def read_folders(folders: Sequence[str], labels: Labels) -> FolderWords:
    """What the folders from the root down to a file say."""
    split, label, in_masks, in_films = "", None, False, False
    kept: set[str] = set()
    unknown = []
    for folder in folders:
        words, is_class = set(words_of(folder)), normalised(folder) in labels
        label, split = labels.get(normalised(folder), label), split or split_of(folder)
        rest = words - SIDES - SPLIT_WORDS.keys()
        # Several words of which one is lung or label may name a class: Lung_Opacity.
        says_mask = bool(rest) and all(map(MASK_WORD.fullmatch, rest))
        says_mask |= any("mask" in word for word in words)
        says_film = any(map(FILM_WORD.fullmatch, words))
        in_masks |= says_mask and not is_class
        in_films |= says_film
        kept |= {w for w in words - SIDES if not (MASK_WORD.fullmatch(w) or FILM_WORD.fullmatch(w))}
        if not (is_class or says_mask or says_film or split_of(folder) or words <= SIDES):
            unknown.append(folder)
    return FolderWords(split, label, in_masks, in_films, frozenset(kept), tuple(unknown))


def read_paths(root: Path, paths: Sequence[Path], labels: Labels) -> list[NamedFile]:
    """What each path says, below the root."""
    folders = {path.parent: path.relative_to(root).parts[:-1] for path in paths}
    around = {folder: read_folders(parts, labels) for folder, parts in folders.items()}
    found = []
    for path in paths:
        said = around[path.parent]
        words = words_of(stem_of(Path(stem_of(path))))  # x.dcm.png is the mask of x.dcm
        by_name = any(map(MASK_WORD.fullmatch, words)) and not said.in_films
        is_mask = said.in_masks or by_name
        rest = [word for word in words if not FILM_WORD.fullmatch(word)]
        key = " ".join(word for word in rest if not (is_mask and MASK_WORD.fullmatch(word)))
        name = path.relative_to(root).as_posix()
        found.append(NamedFile(path, name, is_mask, key, " ".join(rest), said))
    return found


def root_of(root: Path, paths: Sequence[Path]) -> Path:
    """The folder that a set starts from: a folder around all films that says nothing is passed."""
    if not paths:
        return root
    common = os.path.commonpath([path.parent for path in paths])
    for folder in Path(common).relative_to(root).parts:
        said = read_folders([folder], labels_of(None))
        # 'Lung Segmentation' with masks/ inside says nothing of its other films.
        inner = (path.relative_to(root / folder).parts[:-1] for path in paths)
        only_masks = said.in_masks and not any(read_folders(part, {}).in_masks for part in inner)
        if said.split or only_masks or said.label is not None:
            break
        root = root / folder
    return root


def pair_masks(
    masks: Sequence[NamedFile], films: Sequence[NamedFile]
) -> tuple[dict[Path, list[Path]], list[NamedFile]]:
    """The masks of each film, and masks without a film."""
    by_key = defaultdict(list)
    for film in films:
        by_key[film.key].append(film)
    found: dict[Path, list[Path]] = defaultdict(list)
    strays = []
    for mask in masks:
        first, _, last = mask.key.rpartition(" ")
        keys = [mask.whole, mask.key, *([first] if last in SIDES else [])]
        by_distance = defaultdict(list)
        for film in next((by_key[key] for key in keys if key in by_key), []):
            ours, theirs = mask.around.words, film.around.words
            other_case = stem_of(film.path) not in stem_of(mask.path)
            by_distance[-len(ours & theirs), len(ours ^ theirs), other_case].append(film)
        nearest = by_distance[min(by_distance)] if by_distance else []
        if len({film.path.with_name(stem_of(film.path)) for film in nearest}) != 1:
            strays.append(mask)
            continue
        for film in nearest:
            found[film.path].append(mask.path)
    return found, strays


def films_of_paths(
    root: Path, paths: Sequence[Path], labels: Labels, masks_elsewhere: Sequence[NamedFile] = ()
) -> tuple[list[Film], list[NamedFile], list[Path]]:
    """The films among the files below a root, each with its masks.

    Arguments:
        labels: the classes that are known.
        masks_elsewhere: masks in other folders that may be of these films.

    Returns: films, masks without a film, and masks of something else than lungs.

    Errors: ValueError where a film has several masks that are not one for each lung.
    """
    files = read_paths(root, paths, labels)
    films = [file for file in files if not file.is_mask]
    masks, others = list[NamedFile](), list[NamedFile]()
    for file in files:
        if file.is_mask:
            (others if NOT_LUNG.search(normalised(file.name)) else masks).append(file)
    lungs, strays = pair_masks([*masks, *masks_elsewhere], films)
    # A film's own name may have such a word: lung_001.png.
    alone = {f for f in strays if not f.around.in_masks and "mask" not in f.whole} & set(masks)
    films += alone
    order = "train", "val", "test", ""
    films.sort(
        key=lambda f: (order.index(f.around.split), (0, 1, None).index(f.around.label), f.path)
    )
    # Kaggle's lung segmentation has more films, without masks, in a folder `test`.
    useful = [film for film in films if film.around.label is not None or lungs.get(film.path)]
    splits = {film.around.split for film in useful}
    has_labels = any(film.around.label is not None for film in films)
    patients = patients_of_folders([(film.name, film.around.unknown) for film in films])
    found = []
    for film in films:
        said = film.around
        other = said.unknown[-1] if said.unknown and said.label is None and has_labels else ""
        split = said.split if said.split in splits or "" not in splits else ""
        own = check_sides(film.path, lungs.get(film.path, []))
        patient = patients.get(film.name, "")
        found.append(Film(film.path, film.name, said.label, own, patient, split, other))
    return found, [file for file in strays if file not in alone], [file.path for file in others]


def check_sides(film: Path, masks: list[Path]) -> tuple[Path, ...]:
    """A film's masks. ValueError for several that are not one for each lung."""
    same = {normalised(str(mask)).replace("left", "right") for mask in masks}
    if len(masks) > 2 or len(same) > 1:
        raise ValueError(
            f"{film} has {len(masks)} masks, first {masks[0]}; one is needed, or two that have "
            "the same path except for left and right."
        )
    return tuple(masks)
