"""Films with masks of the lungs: in folders beside each other, or in one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from multimix.data.class_names import Labels
from multimix.data.film_set import SPLITS
from multimix.data.folders import (
    films_below,
    films_in,
    folded,
    holds_films,
    name_below,
    split_folders,
    split_of,
    split_within,
    subfolders,
    without_split,
)
from multimix.data.found_films import Film, Reading
from multimix.data.jsrt import with_jsrt_split
from multimix.images.formats import stem_of

FILM_FOLDERS = frozenset(["image", "images", "img", "imgs", "film", "films", "cxr", "cxrs"])
FILM_FOLDERS |= {"cxr png", "xray", "xrays", "x ray", "x rays"}
MASK_FOLDERS = frozenset(
    ["label", "labels", "lbl", "lbls", "msk", "msks", "seg", "gt", "ground truth"]
)
MASK_FOLDERS |= {"segmentation", "segmentations", "annotations", "groundtruth"}
MASK_FOLDERS |= {"lung", "lungs", "left lung", "right lung"}
ONE_MASK = r"(masks?|lungs?|lungmasks?|seg|segmentation|labels?)"
MARKED = re.compile(rf"(^|[ _.-]){ONE_MASK}([ _.-]|\d|$)")
MASK_ENDING = re.compile(rf"[ _.-]+({ONE_MASK}|left|right)$")
MASK_BEGINNING = re.compile(rf"^{ONE_MASK}([ _-]+|(?=\d)|$)")
FILM_MARK = re.compile(r"^(images?|img|films?|cxr)([ _-]+|(?=\d)|$)|[ _-]+(images?|img|cxr|0000)$")
SIDES = ("left", "right")
NO_LUNGS = ("heart", "clavicle", "infection")


class Pair(NamedTuple):
    """Where films lie, and their masks."""

    films: Path  # looked through at any depth, unless it is the folder that the masks are in
    masks: list[Path]


def images_and_masks(root: Path, labels: Labels) -> Reading:
    """Films and masks of the same names, in folders beside each other, in each split, or in one."""
    films: list[Film] = []
    pairs, alone = split_pairs(root), find_pair(root)
    if pairs:
        for split, pair in pairs.items():
            films += [replace(f, split=split) for f in films_of_pair(root, pair, labels)]
    elif alone:
        films = films_of_pair(root, alone, labels)
    else:
        for folder in split_folders(root):
            for film in films_with_masks(root, folder, labels):
                films.append(replace(film, split=split_of(folder.name)))
        if not has_masks(films):
            films = films_beside_masks(root, root)
        if not films:
            films = folder_for_each_film(root, labels)
    return with_jsrt_split(Reading(films if has_masks(films) else []))


def has_masks(films: list[Film]) -> bool:
    """Whether any film has a mask."""
    return any(film.masks for film in films)


def folder_for_each_film(root: Path, labels: Labels) -> list[Film]:
    """Films in folders of their own, with their masks; none where that is not so."""
    films: list[Film] = []
    inner = subfolders(root)
    for folder in inner if len(inner) > 1 else ():
        own = films_with_masks(root, folder, labels)
        if len(own) != 1:
            return []
        films.append(replace(own[0], patient=name_below(root, folder)))
    return films


def split_pairs(root: Path) -> dict[str, Pair]:
    """By split, pairs of folders that have it in their names, as train_images and train_masks."""
    pairs = {}
    for split in SPLITS:
        inner = [folder for folder in subfolders(root) if split_within(folder.name) == split]
        films = [folder for folder in inner if is_for_films(folder)]
        masks = [folder for folder in inner if is_for_masks(folder)]
        if len(films) == 1:
            pairs[split] = Pair(films[0], of_lungs(masks))
    masked = any(pair.masks for pair in pairs.values())
    return pairs if masked and len(pairs) > 1 else {}


def montgomery(root: Path, labels: Labels) -> Reading:
    """The Montgomery County set, a mask for each lung."""
    return published_pair(root, "manualmask", labels)


def shenzhen(root: Path, labels: Labels) -> Reading:
    """The Shenzhen set; a hundred of its films have no mask."""
    return published_pair(root, "mask", labels)


def published_pair(root: Path, masks: str, labels: Labels) -> Reading:
    """The films of CXR_png, with masks in a folder whose name begins so."""
    pair = find_pair(root)
    if not pair or folded(pair.films.name) != "cxr_png":
        return Reading()
    if not folded(pair.masks[0].name).startswith(masks):
        return Reading()
    return Reading(films_of_pair(root, pair, labels))


def films_with_masks(root: Path, folder: Path, labels: Labels) -> list[Film]:
    """The films of one folder, with the masks beside it, beside them, or none."""
    if pair := find_pair(folder):
        return films_of_pair(root, pair, labels)
    named = [inner for inner in subfolders(folder) if is_for_films(inner)]
    return films_beside_masks(root, named[0] if named else folder)


def find_pair(folder: Path) -> Pair | None:
    """The folders of films and of masks in a folder; None where it has not both."""
    masks: list[Path] = []
    others: list[Path] = []
    for inner in subfolders(folder):
        (masks if is_for_masks(inner) else others).append(inner)
    masks = [inner for inner in masks if holds_films(inner)]
    if not masks:
        return None
    named = [inner for inner in others if is_for_films(inner)]
    unnamed = []
    for inner in others:
        if not split_of(inner.name) and holds_films(inner) and not find_pair(inner):
            unnamed.append(inner)
    if named:
        return Pair(named[0], of_lungs(masks))
    if films_in(folder):
        return Pair(folder, of_lungs(masks))
    return Pair(unnamed[0], of_lungs(masks)) if len(unnamed) == 1 else None


def is_for_masks(folder: Path) -> bool:
    """Whether a folder has the name of one of masks."""
    return "mask" in folded(folder.name) or without_split(folder.name) in MASK_FOLDERS


def is_for_films(folder: Path) -> bool:
    """Whether a folder has the name of one of films."""
    return without_split(folder.name) in FILM_FOLDERS


def of_lungs(masks: list[Path]) -> list[Path]:
    """Of several folders of masks, those that are of lungs by their names, else the first."""
    for words in (("lung",), SIDES):
        named = [folder for folder in masks if any(word in folded(folder.name) for word in words)]
        if named:
            return named
    return masks[:1]


def films_of_pair(root: Path, pair: Pair, labels: Labels) -> list[Film]:
    """The films of a pair, with split and class where folders among them have such names.

    Errors: ValueError where a mask has no film, or a film several masks that are not sides.
    """
    alone = any(folder.parent == pair.films for folder in pair.masks)
    paths = films_in(pair.films) if alone else films_below(pair.films)
    masks = masks_by_film(paths, pair)
    films = []
    for path in paths:
        split, label = "", None
        for folder in path.relative_to(pair.films).parts[:-1]:
            split = split or split_of(folder)
            label = labels.get(folded(folder), label)
        lungs = sides_of(path, masks.get(path, []))
        films.append(Film(path, name_below(root, path), label, lungs, "", split))
    return films


def masks_by_film(paths: Sequence[Path], pair: Pair) -> dict[Path, list[Path]]:
    """Each film's masks. ValueError where a mask has no film."""
    named = films_by_name(paths)
    found: dict[Path, list[Path]] = {}
    strays = []
    for folder in pair.masks:
        for mask in films_below(folder):
            inner = mask.parent.relative_to(folder)
            if any(word in folded(str(inner)) for word in NO_LUNGS):
                continue
            owners = films_of_mask(mask, pair.films / inner, named)
            for film in owners:
                found.setdefault(film, []).append(mask)
            if not owners:
                strays.append(mask)
    check_strays(strays, pair.films)
    return found


def check_strays(masks: Sequence[Path], films: Path) -> None:
    """ValueError where there are masks without films."""
    if masks:
        more = f" (and {len(masks) - 1} more have none)" if len(masks) > 1 else ""
        raise ValueError(
            f"{masks[0]} has no film in {films}{more}; each mask needs a film with the same "
            "file name, or that name with _mask."
        )


def films_by_name(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Films by their names, and by what is left of those without what says that they are films."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        named.setdefault(folded(stem_of(path)), []).append(path)
    bare: dict[str, list[Path]] = {}
    for path in paths:
        bare.setdefault(FILM_MARK.sub("", folded(stem_of(path))), []).append(path)
    return bare | named


def films_of_mask(mask: Path, folder: Path, named: Mapping[str, list[Path]]) -> list[Path]:
    """The film of a mask, of several with its name that in `folder`.

    Several where only their endings differ; none where it has none, or that cannot be told.
    """
    for name in mask_names(mask):
        films = named.get(name, [])
        # In several folders, or of names that differ in case alone.
        films = [film for film in films if film.parent == folder] or films
        films = [film for film in films if stem_of(film) == stem_of(mask)] or films
        if len({(film.parent, stem_of(film)) for film in films}) == 1:
            return films
    return []


def mask_names(mask: Path) -> list[str]:
    """A mask's name, then what is left of it without what says that it is a mask.

    x of x_mask, mask_x, x_left_mask and x.png.png.
    """
    stem = stem_of(Path(stem_of(mask)))
    names = [folded(stem_of(mask)), folded(stem)]
    while MASK_ENDING.search(names[-1]):
        names.append(MASK_ENDING.sub("", names[-1]))
    return [*names, MASK_BEGINNING.sub("", names[-1])]


def sides_of(film: Path, masks: list[Path]) -> tuple[Path, ...]:
    """A film's masks; of several, those of the lungs. ValueError where that cannot be told."""
    if len(masks) < 2:
        return tuple(masks)
    for words in (SIDES, ("lung",)):
        named = [mask for mask in masks if any(word in folded(str(mask)) for word in words)]
        if len(named) == len(words):
            return tuple(named)
    raise ValueError(
        f"{film} has {len(masks)} masks, first {masks[0]}; one is needed, or two with left and "
        "right in their names."
    )


def films_beside_masks(root: Path, folder: Path) -> list[Film]:
    """The films directly in a folder; x_mask is the mask of x where both are there.

    Errors: ValueError where another mask has no film, or a film several that are not sides.
    """
    paths = films_in(folder)
    marked = [path for path in paths if MARKED.search(folded(stem_of(path)))]
    named = films_by_name([path for path in paths if path not in marked])
    masks: dict[Path, list[Path]] = {}
    strays = []
    for path in marked:
        owners = films_of_mask(path, folder, named)
        for film in owners:
            masks.setdefault(film, []).append(path)
        if not owners and re.search("masks?$", stem_of(path).lower()):
            strays.append(path)
    if masks:
        check_strays(strays, folder)
    lungs = {mask for both in masks.values() for mask in both}
    films = []
    for path in paths:
        if path not in lungs:
            both = sides_of(path, masks.get(path, []))
            films.append(Film(path, name_below(root, path), None, both))
    return films
