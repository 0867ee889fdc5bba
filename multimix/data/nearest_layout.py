"""What to say of a folder that no layout fits: what it lacks, and what to rename."""

from __future__ import annotations

from pathlib import Path

from multimix.data.class_names import option_for
from multimix.data.folders import films_in, holds_films, split_folders, subfolders, visible
from multimix.data.mask_folders import is_for_films, is_for_masks
from multimix.data.tables import SHEETS, TABLE_SUFFIXES
from multimix.images.formats import is_film
from multimix.model import CLASSES

SHOWN = 3  # names in a sentence
NAME_LENGTH = 20  # of which it shows so much
FORMS = "a folder for each class, images/ with masks/, a table, or films alone"
PACKED = (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z", ".bz2", ".xz")


def refusal(root: Path, layout: str, needed: str) -> str:
    """The sentence for a folder, or file, without films; `needed` describes a layout by name."""
    if not root.is_dir():
        return f"{root} is no set of films; {instead_of_file(root)}."
    if layout != "auto":
        return f"{root} has no films as {layout} has; it needs {needed}."
    return f"{root} has no films of a layout that is known{lacking(root)}."


def instead_of_file(path: Path) -> str:
    """What to give in the place of a file that is no table."""
    if path.suffix.lower() in PACKED:
        return "unpack it, and give the folder"
    if path.suffix.lower() in SHEETS:
        return "save the sheet as CSV, and give that"
    if is_film(path):
        return "give the folder that the film lies in"
    return "give a folder, a .csv table with the column path, or jsrt.mat"


def lacking(root: Path) -> str:
    """What a folder lacks of the layout that it is nearest to."""
    inner = [folder for folder in subfolders(root) if holds_films(folder)]
    splits = [folder for folder in split_folders(root) if folder in inner]
    for folder in splits:
        if films_in(folder) or any(map(is_for_films, subfolders(folder))):
            return (
                f": {folder.name}/ needs folders {CLASSES[0]} and {CLASSES[1]}, or images "
                "and masks, inside"
            )
    masks = [folder for folder in inner if is_for_masks(folder)]
    if masks:
        return f": beside {masks[0].name}/ it needs images/ with films of the same names"
    tables = [path for path in visible(root) if path.suffix.lower() in TABLE_SUFFIXES]
    if tables and inner:
        return (
            f": {tables[0].name[-NAME_LENGTH:]} needs a column path with names of the films below, "
            "and any of label, mask, patient, split"
        )
    classes = sorted({f.name for split in splits for f in subfolders(split) if holds_films(f)})
    classes = classes or [folder.name for folder in inner]
    if classes:
        names = ", ".join(name[:NAME_LENGTH] for name in classes[:SHOWN])
        return (
            f": {names} {'are no known classes' if len(classes) > 1 else 'is no known class'}; say "
            f"which is which, for example with {option_for(classes)}, or read all as unlabelled in "
            "the layout flat"
        )
    held = [path.name[:NAME_LENGTH] for path in visible(root)]
    packed = [name for name in held if name.lower().endswith(PACKED)]
    needs = "it needs " + FORMS if not packed else f"unpack {packed[0]} first"
    return f" (it holds {', '.join(held[:SHOWN]) or 'nothing'}); {needs}"
