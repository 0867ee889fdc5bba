"""How the published sets, and anyone's own films, lie on disk: a folder (or file) to a list of
films, nothing decoded.

A layout is recognised by what only it has, in the order of `LAYOUTS`; a name from there skips the
guessing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multimix.data.film_set import SPLITS
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


def read_layout(folder: str | os.PathLike, layout: str = "auto") -> tuple[str, list[Film]]:
    """The layout's name and its films, in the order of their names. ValueError says what does not
    fit.
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
        films = LAYOUTS[name](root)
        if films:
            return name, films
    held = sorted(path.name for path in root.iterdir())[:5] if root.is_dir() else []
    raise ValueError(
        f"{root} has no films "
        f"{'of a layout that is known' if layout == 'auto' else f'as {layout} has'} (it holds "
        f"{', '.join(held) or 'nothing'}); it needs one of these: "
        f"{'; '.join(f'{n}: {f.__doc__}' for n, f in LAYOUTS.items())}"
    )


def subfolder(root: Path, *names: str) -> Path | None:
    """The folder below `root`, found without regard to the case of its letters."""
    for name in names:
        if root is None or not root.is_dir():
            return None
        root = next(
            (p for p in sorted(root.iterdir()) if p.name.lower() == name.lower() and p.is_dir()),
            None,
        )
    return root


def pictures(root: Path | None) -> list[Path]:
    return film_paths(root) if root else []


def below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def chex(root: Path) -> list[Film]:
    """{train,val,test}/{NORMAL,PNEUMONIA}/* (Kaggle's chest_xray)"""
    inner = subfolder(root, "chest_xray")  # the archive has a folder of its own name
    root = inner if inner and subfolder(inner, "train") else root
    return [film for split in SPLITS for film in in_classes(root, subfolder(root, split), split)]


def classes(root: Path) -> list[Film]:
    """{NORMAL,PNEUMONIA}/*"""
    return in_classes(root, root, "")


def in_classes(root: Path, folder: Path | None, split: str) -> list[Film]:
    return [
        Film(path, below(root, path), label, patient=patient_of(path.stem), split=split)
        for label, name in enumerate(CLASSES)
        for path in pictures(folder and subfolder(folder, name))
    ]


def jsrt(root: Path) -> list[Film]:
    """JPCLN*.IMG, JPCNN*.IMG anywhere, SCR's fold1|fold2/masks/{left,right} lung/*.gif"""
    films = [
        path for path in files_below(root, ".img") if re.fullmatch(r"JPC[LN]N\d{3}", path.stem)
    ]
    masks: dict[str, list[Path]] = {}
    for path in files_below(root, ".gif") if films else ():
        if path.parent.name in ("left lung", "right lung"):
            masks.setdefault(path.stem, []).append(path)
    return [
        Film(
            path,
            below(root, path),
            masks=tuple(masks.get(path.stem, ())),
            patient=path.stem,
            split=jsrt_split(path.stem),
        )
        for path in films
    ]


def jsrt_split(stem: str) -> str:
    """Odd numbers train, even numbers test, as SCR's two folds; '' where the name is not JSRT's."""
    number = re.fullmatch(r"JPC[LN]N(\d{3})", stem)
    return "" if not number else "train" if int(number[1]) % 2 else "test"


def mat(root: Path) -> list[Film]:
    """jsrt.mat with x_train, y_train, x_val, y_val, x_test, y_test"""
    path = root / "jsrt.mat" if root.is_dir() else root
    if path.suffix.lower() != ".mat" or not path.is_file():
        return []
    import scipy.io  # only for this

    try:
        content = scipy.io.loadmat(path)
        pairs = {
            split: (content[f"x_{split}"], content[f"y_{split}"])
            for split in SPLITS
            if f"x_{split}" in content
        }
        for arrays in pairs.values():
            if any(
                array.dtype.kind not in "buif" or array.ndim < 3 or 0 in array.shape
                for array in arrays
            ):
                raise ValueError("x_ and y_ are to be films and masks, (N, H, W) numbers")
    except Exception as error:  # noqa: BLE001  (scipy raises many kinds)
        raise ValueError(
            f"{path} is damaged, or not a MATLAB file up to version 7 ({error})."
        ) from None
    return [
        Film(
            film.squeeze(),
            f"{split}/{i}",
            masks=(mask if mask.ndim == 2 else mask.max(np.argmin(mask.shape)),),
            patient=f"{split}-{i}",
            split=split,
        )
        for split, (films, masks) in pairs.items()
        for i, (film, mask) in enumerate(zip(films, masks))
    ]


def montgomery(root: Path) -> list[Film]:
    """CXR_png/*.png, ManualMask/{leftMask,rightMask}/*.png"""
    sides = [subfolder(root, "ManualMask", side) for side in ("leftMask", "rightMask")]
    if not all(sides):
        inner = subfolder(root, "MontgomerySet")
        return montgomery(inner) if inner else []
    return [
        Film(
            path,
            below(root, path),
            patient=path.stem,
            masks=tuple(side / path.name for side in sides if (side / path.name).exists()),
        )
        for path in pictures(subfolder(root, "CXR_png"))
    ]


def shenzhen(root: Path) -> list[Film]:
    """CXR_png/*.png, mask/*_mask.png"""
    masks = {path.stem.removesuffix("_mask"): path for path in pictures(subfolder(root, "mask"))}
    return [
        Film(
            path,
            below(root, path),
            masks=(masks[path.stem],) if path.stem in masks else (),
            patient=path.stem,
        )
        for path in pictures(subfolder(root, "CXR_png"))
    ]


def nih(root: Path) -> list[Film]:
    """Data_Entry_2017*.csv, images*/**/*.png (ChestX-ray14; films neither normal nor of pneumonia are left out)"""
    tables = sorted(root.glob("Data_Entry_2017*.csv")) if root.is_dir() else []
    if not tables:
        return []
    paths = {
        path.name: path
        for folder in sorted(root.glob("images*"))
        for path in files_below(folder, ".png")
    }
    films = []
    for row in read_csv(tables[0], "Image Index", "Finding Labels", "Patient ID"):
        findings, path = row["Finding Labels"].split("|"), paths.get(row["Image Index"])
        label = 1 if "Pneumonia" in findings else 0 if findings == ["No Finding"] else None
        if path and label is not None:
            films.append(
                Film(path, below(root, path), label, patient=row["Patient ID"], split="test")
            )
    return films


def images_and_masks(root: Path) -> list[Film]:
    """images/*, masks/* with the same names"""
    films, masks = (pictures(subfolder(root, kind)) for kind in ("images", "masks"))
    if not films or not subfolder(root, "masks"):
        return []
    by_stem = {path.stem: path for path in masks}
    strays = sorted(by_stem.keys() - {path.stem for path in films})
    if strays:
        raise ValueError(
            f"{by_stem[strays[0]]} has no film in {films[0].parent} (and {len(strays) - 1} more "
            "have none); each mask needs a film with the same file name."
        )
    return [
        Film(
            path,
            below(root, path),
            masks=(by_stem[path.stem],) if path.stem in by_stem else (),
            patient=path.stem,
            split=jsrt_split(path.stem),
        )
        for path in films
    ]


def table(root: Path) -> list[Film]:
    """a .csv file with the column path, and any of label, mask, patient, split; paths are relative to it"""
    if root.suffix.lower() != ".csv" or not root.is_file():
        return []
    films = []
    for line, row in enumerate(read_csv(root, "path"), start=2):
        label, split = (
            (row.get("label") or "").strip().upper(),
            (row.get("split") or "").strip().lower(),
        )
        if label not in ("", "0", "1", *CLASSES) or split not in ("", *SPLITS):
            raise ValueError(
                f"{root}, line {line}: label '{label}', split '{split}'; the label may be "
                f"{CLASSES[0]}, {CLASSES[1]}, 0, 1 or empty, the split train, val, test or empty."
            )
        path = root.parent / row["path"]
        films.append(
            Film(
                path,
                row["path"],
                None if not label else int(label in ("1", CLASSES[1])),
                masks=tuple(
                    root.parent / mask for mask in (row.get("mask") or "").split("|") if mask
                ),
                patient=row.get("patient") or patient_of(path.stem),
                split=split,
            )
        )
    return films


def flat(root: Path) -> list[Film]:
    """films and nothing else: all unlabelled"""
    return [Film(path, path.name, patient=patient_of(path.stem)) for path in pictures(root)]


def files_below(root: Path, ending: str) -> list[Path]:
    """Every file of one ending at any depth; links to folders are not followed, so that none leads
    in a circle.
    """
    return sorted(
        Path(folder) / name
        for folder, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(ending) and not name.startswith(".")
    )


def patient_of(stem: str) -> str:
    """Kermany's file names tell the patient: person12_virus_7 -> person12, NORMAL2-IM-0115-0001 ->
    NORMAL2-IM-0115.

    NORMAL2 counts afresh: taken for the patients of the other series, 94 of its numbers would be in
    two splits, and taken for themselves, none is.
    """
    known = re.search(r"person\d+|(NORMAL2-)?IM-\d+", stem)
    return known.group() if known else stem


LAYOUTS: dict[str, Callable[[Path], list[Film]]] = {
    "csv": table,
    "mat": mat,
    "chex": chex,
    "classes": classes,
    "jsrt": jsrt,
    "montgomery": montgomery,
    "shenzhen": shenzhen,
    "nih": nih,
    "images_and_masks": images_and_masks,
    "flat": flat,
}
