"""How the published sets, and anyone's own films, lie on disk: a folder to a list of films.

Nothing is decoded. A layout is recognised by what only it has, in the order of `LAYOUTS`; its name
skips the guessing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multimix.data.film_set import SPLITS
from multimix.data.folders import files_below, films_in, name_below, subfolder
from multimix.images.formats import film_paths
from multimix.images.reading import Source
from multimix.model import CLASSES
from multimix.runtime.files import read_csv


@dataclass(frozen=True)
class Film:
    """One film as its set describes it; what the set does not say is None or empty."""

    source: Source  # a path, or pixels where the set is one file
    name: str  # the path below the set's folder
    label: int | None = None  # 0 NORMAL, 1 PNEUMONIA
    masks: tuple[Source, ...] = ()  # their union is the lungs
    patient: str = ""
    split: str = ""


@dataclass(frozen=True)
class DatasetLayout:
    """One way in which films lie on disk."""

    description: str  # what it looks like, for a person whose folder fits none
    read: Callable[[Path], list[Film]]  # none where a folder is of another layout


def read_layout(folder: str | os.PathLike, layout: str = "auto") -> tuple[str, list[Film]]:
    """List the films of a set.

    Arguments:
        folder: the set's folder, or its .csv or .mat file.
        layout: one of `LAYOUTS`; 'auto' takes the first that fits.

    Returns: the layout's name and the films, in the order in which the layout lists them.

    Errors: ValueError says what does not fit.
    """
    root = Path(folder)
    if not root.exists():
        raise ValueError(
            f"There is no folder {folder}; give one with films in it, or phantom://400 for "
            "synthetic ones."
        )
    if layout not in ("auto", *LAYOUTS):
        raise ValueError(
            f"There is no layout '{layout}'; choose auto or one of {', '.join(LAYOUTS)}."
        )
    for name in LAYOUTS if layout == "auto" else (layout,):
        films = LAYOUTS[name].read(root)
        if films:
            return name, films
    held = sorted(path.name for path in root.iterdir())[:5] if root.is_dir() else []
    lacking = "of a layout that is known" if layout == "auto" else f"as {layout} has"
    needed = [f"{name}: {known.description}" for name, known in LAYOUTS.items()]
    raise ValueError(
        f"{root} has no films {lacking} (it holds {', '.join(held) or 'nothing'}); it needs one of "
        f"these: {'; '.join(needed)}"
    )


def csv_table(root: Path) -> list[Film]:
    """Films that a CSV file lists, one a row."""
    if root.suffix.lower() != ".csv" or not root.is_file():
        return []
    films = []
    for line, row in enumerate(read_csv(root, "path"), start=2):
        label = (row.get("label") or "").strip().upper()
        split = (row.get("split") or "").strip().lower()
        if label not in ("", "0", "1", *CLASSES) or split not in ("", *SPLITS):
            raise ValueError(
                f"{root}, line {line}: label '{label}', split '{split}'; the label may be "
                f"{CLASSES[0]}, {CLASSES[1]}, 0, 1 or empty, the split train, val, test or empty."
            )
        path = root.parent / row["path"]
        masks = filter(None, (row.get("mask") or "").split("|"))
        film = Film(
            path,
            row["path"],
            int(label in ("1", CLASSES[1])) if label else None,
            tuple(root.parent / mask for mask in masks),
            row.get("patient") or patient_of(path.stem),
            split,
        )
        films.append(film)
    return films


def authors_mat(root: Path) -> list[Film]:
    """JSRT in one MATLAB file, as the authors of MultiMix have it."""
    path = root / "jsrt.mat" if root.is_dir() else root
    if path.suffix.lower() != ".mat" or not path.is_file():
        return []
    import scipy.io  # only for this

    films = []
    try:
        content = scipy.io.loadmat(path)
        for split in SPLITS:
            if f"x_{split}" in content:
                films += films_of_arrays(content[f"x_{split}"], content[f"y_{split}"], split)
    except Exception as error:  # noqa: BLE001  (scipy raises many kinds)
        raise ValueError(
            f"{path} is damaged, or not a MATLAB file up to version 7 ({error})."
        ) from None
    return films


def films_of_arrays(pixels: np.ndarray, masks: np.ndarray, split: str) -> list[Film]:
    """Films (N, H, W, ...) and their masks, which may have a channel for each lung."""
    for array in (pixels, masks):
        if array.dtype.kind not in "buif" or array.ndim < 3 or 0 in array.shape:
            raise ValueError("x_ and y_ must be films and masks, (N, H, W) numbers")
    films = []
    for i, (film, mask) in enumerate(zip(pixels, masks)):
        lungs = mask if mask.ndim == 2 else mask.max(np.argmin(mask.shape))
        patient = f"{split}-{i}"
        films.append(Film(film.squeeze(), f"{split}/{i}", None, (lungs,), patient, split))
    return films


def kaggle_folders(root: Path) -> list[Film]:
    """Kaggle's chest_xray: class folders in split folders."""
    inner = subfolder(root, "chest_xray")  # the archive has a folder of its own name
    root = inner if inner and subfolder(inner, "train") else root
    films = []
    for split in SPLITS:
        films += films_in_classes(root, subfolder(root, split), split)
    return films


def class_folders(root: Path) -> list[Film]:
    """Films in a folder for each class."""
    return films_in_classes(root, root, "")


def films_in_classes(root: Path, folder: Path | None, split: str) -> list[Film]:
    """The films of the class folders in `folder`, none where there is no such folder."""
    films = []
    for label, name in enumerate(CLASSES):
        for path in films_in(folder, name):
            patient = patient_of(path.stem)
            films.append(Film(path, name_below(root, path), label, (), patient, split))
    return films


def jsrt(root: Path) -> list[Film]:
    """JSRT's raw files with the masks of SCR."""
    paths = []
    for path in files_below(root, ".img"):
        if re.fullmatch(r"JPC[LN]N\d{3}", path.stem):
            paths.append(path)
    masks: dict[str, list[Path]] = {}
    for path in files_below(root, ".gif") if paths else ():
        if path.parent.name in ("left lung", "right lung"):
            masks.setdefault(path.stem, []).append(path)
    return films_with_masks(root, paths, masks, jsrt_names=True)


def montgomery(root: Path) -> list[Film]:
    """The Montgomery County set, a mask for each lung."""
    left = subfolder(root, "ManualMask", "leftMask")
    right = subfolder(root, "ManualMask", "rightMask")
    if not left or not right:
        inner = subfolder(root, "MontgomerySet")
        return montgomery(inner) if inner else []
    films = []
    for path in films_in(root, "CXR_png"):
        sides = (left / path.name, right / path.name)
        lungs = tuple(mask for mask in sides if mask.exists())
        films.append(Film(path, name_below(root, path), None, lungs, path.stem))
    return films


def shenzhen(root: Path) -> list[Film]:
    """The Shenzhen set; a hundred of its films have no mask."""
    masks = {path.stem.removesuffix("_mask"): [path] for path in films_in(root, "mask")}
    return films_with_masks(root, films_in(root, "CXR_png"), masks)


def images_and_masks(root: Path) -> list[Film]:
    """Films and masks of the same names in two folders."""
    paths = films_in(root, "images")
    if not paths or not subfolder(root, "masks"):
        return []
    masks = {path.stem: [path] for path in films_in(root, "masks")}
    strays = sorted(masks.keys() - {path.stem for path in paths})
    if strays:
        raise ValueError(
            f"{masks[strays[0]][0]} has no film in {paths[0].parent} (and {len(strays) - 1} more "
            "have none); each mask needs a film with the same file name."
        )
    return films_with_masks(root, paths, masks, jsrt_names=True)


def films_with_masks(
    root: Path, paths: list[Path], masks: dict[str, list[Path]], jsrt_names: bool = False
) -> list[Film]:
    """Films of one patient each, with the masks of the same stem, split as JSRT's where asked."""
    films = []
    for path in paths:
        stem = path.stem
        lungs = tuple(masks.get(stem, ()))
        split = jsrt_split(stem) if jsrt_names else ""
        films.append(Film(path, name_below(root, path), None, lungs, stem, split))
    return films


def jsrt_split(stem: str) -> str:
    """Odd numbers train, even numbers test, as SCR's two folds; '' where the name is not JSRT's."""
    number = re.fullmatch(r"JPC[LN]N(\d{3})", stem)
    if not number:
        return ""
    return "train" if int(number[1]) % 2 else "test"


def nih(root: Path) -> list[Film]:
    """ChestX-ray14; films that are neither normal nor of pneumonia are left out."""
    entries = sorted(root.glob("Data_Entry_2017*.csv")) if root.is_dir() else []
    if not entries:
        return []
    images = {}
    for folder in sorted(root.glob("images*")):
        for path in files_below(folder, ".png"):
            images[path.name] = path
    films = []
    for row in read_csv(entries[0], "Image Index", "Finding Labels", "Patient ID"):
        image = images.get(row["Image Index"])
        findings = row["Finding Labels"].split("|")
        if image and ("Pneumonia" in findings or findings == ["No Finding"]):
            label = int("Pneumonia" in findings)
            name = name_below(root, image)
            films.append(Film(image, name, label, (), row["Patient ID"], "test"))
    return films


def flat(root: Path) -> list[Film]:
    """Films alone, without class or mask."""
    return [Film(path, path.name, patient=patient_of(path.stem)) for path in film_paths(root)]


def patient_of(stem: str) -> str:
    """The patient in one of Kermany's file names; of other names, themselves.

    person12_virus_7 is of person12, NORMAL2-IM-0115-0001 of NORMAL2-IM-0115. NORMAL2 counts afresh:
    taken for the patients of the other series, 94 of its numbers would be in two splits, and taken
    for themselves, none is.
    """
    known = re.search(r"person\d+|(NORMAL2-)?IM-\d+", stem)
    return known.group() if known else stem


LAYOUTS = {
    "csv": DatasetLayout(
        "a .csv file with the column path, and any of label, mask, patient, split; paths are "
        "relative to it",
        csv_table,
    ),
    "mat": DatasetLayout(
        "jsrt.mat with x_train, y_train, x_val, y_val, x_test, y_test", authors_mat
    ),
    "chex": DatasetLayout(
        "{train,val,test}/{NORMAL,PNEUMONIA}/* (Kaggle's chest_xray)", kaggle_folders
    ),
    "classes": DatasetLayout("{NORMAL,PNEUMONIA}/*", class_folders),
    "jsrt": DatasetLayout(
        "JPCLN*.IMG, JPCNN*.IMG anywhere, SCR's fold1|fold2/masks/{left,right} lung/*.gif", jsrt
    ),
    "montgomery": DatasetLayout("CXR_png/*.png, ManualMask/{leftMask,rightMask}/*.png", montgomery),
    "shenzhen": DatasetLayout("CXR_png/*.png, mask/*_mask.png", shenzhen),
    "nih": DatasetLayout(
        "Data_Entry_2017*.csv, images*/**/*.png (ChestX-ray14; films neither normal nor of "
        "pneumonia are left out)",
        nih,
    ),
    "images_and_masks": DatasetLayout("images/*, masks/* with the same names", images_and_masks),
    "flat": DatasetLayout("films and nothing else: all unlabelled", flat),
}
