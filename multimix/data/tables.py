"""Tables of films, anyone's own or a published set's, as people and spreadsheets write them."""

import io
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from multimix.data.film_folder import counted, list_folder
from multimix.data.film_set import Film, FoundFilms
from multimix.data.paths import Labels, normalised, split_of
from multimix.data.splits import patient_of
from multimix.images.formats import stem_of
from multimix.model import CLASSES
from multimix.runtime.files import in_brief

SYNONYMS = {  # our columns and their other names, as `plain` writes them
    "path": "path filepath imagepath filename file image imagename imageid imageindex film "
    "xrayname name id patientid",
    "label": "label target class category findinglabels findings finding labels diagnosis "
    "classname",
    "normal": "normal nofinding",  # 1 or 0, as the next
    "pneumonia": "pneumonia",
    "patient": "patient patientid subject subjectid",
    "split": "split subset set datasettype",
    "view": "view viewposition projection frontallateral",
}
PUBLISHED = {  # columns that only these sets have together
    "nih": {"imageindex", "findinglabels", "patientid"},
    "rsna": {"patientid", "target"},
    "chexpert": {"nofinding", "pneumonia"},
}
NOT_FRONTAL = r"lat|ll?$|rl$|axial|coronal|sagittal"  # and other views that are not frontal


def plain(name: str) -> str:
    """A column's name in lower case, without spaces, underscores and the like."""
    return re.sub(r"[\W_]+", "", str(name)).lower()


def read_table(path: Path, rows: int | None = None) -> pd.DataFrame:
    """A table, or its first `rows` lines, as text, '' where empty; the index has line numbers."""
    if not path.is_file():  # opening a pipe would wait for ever
        raise ValueError(f"There is no table {path}; give the path of a CSV file.")
    content = path.read_bytes()
    options: dict = dict(dtype=str, header=None, skip_blank_lines=False, nrows=rows)
    options |= dict(na_values=["none", "na"], encoding_errors="surrogateescape")
    try:
        is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        whole = content.decode("utf-16" if is_utf16 else "utf-8-sig", "surrogateescape")
        text = re.sub(r"\A(\s*\n|sep=.*\n)*", "", whole, flags=re.IGNORECASE)  # Excel: sep=;
        separator = max(",;\t|", key=text.partition("\n")[0].count)
        table = pd.read_csv(io.StringIO(text), sep=separator, **options).fillna("").map(str.strip)
    except ValueError:
        raise ValueError(f"{path} is damaged, or not a table; give a CSV file.") from None
    table.columns = pd.Index(map(plain, table.iloc[0]))
    table.index += 1 + whole.count("\n") - text.count("\n")
    table = table.loc[:, table.columns != ""].iloc[1:]
    if twice := list(table.columns[table.columns.duplicated()]):
        raise ValueError(f"{path} has two columns {twice[0]}; rename or remove one of them.")
    return table[table.ne("").any(axis=1)]


class FileFinder:
    """The films and masks below a folder, by paths that may come from another computer."""

    def __init__(self, folder: Path):
        self.folder, self.folder_names = folder, set[str]()
        # By whether it is a mask and the last parts of its path; None where several fit.
        self.found: dict[tuple, Path | None] = {}
        for path in list_folder(folder).films:
            *around, name = map(normalised, path.relative_to(folder).parts)
            is_mask = any("mask" in part for part in (*around, name))
            self.folder_names.update(around)
            for last in {name, normalised(stem_of(path))}:
                for first in range(len(around) + 1):
                    key = (is_mask, *around[first:], last)
                    self.found[key] = None if key in self.found else path

    def find(self, text: str, is_mask: bool = False) -> Path | None:
        """The file with the most last parts of a path, with or without ending; None if unclear."""
        path = os.path.normpath(self.folder / text)
        if os.path.isfile(path):
            return Path(path)
        parts = [normalised(part) for part in re.split(r"[/\\]", os.path.normpath(text)) if part]
        for first in range(len(parts)):
            if (key := (is_mask, *parts[first:])) in self.found:
                # A folder that is here, but not around this file, is not another computer's.
                elsewhere = first and parts[first - 1] in self.folder_names
                return None if elsewhere else self.found[key]
        return None


def set_of_tables(paths: Sequence[Path], labels: Labels, beside: Sequence[Film] = ()) -> FoundFilms:
    """The films of one table, or of one for each split; `beside` are those that the folder has."""
    parents = {path.parent for path in paths}
    folder = parents.pop() if len(parents) == 1 else Path(os.path.commonpath(parents))
    names = [path.relative_to(folder) for path in paths]
    splits = [split_of(name.parent.name) or split_of(name.stem) for name in names]
    if len(paths) > 1 and not all(splits):
        some = ", ".join(map(str, names[:5]))
        raise ValueError(f"{folder} has {len(names)} tables of films; give one of them: {some}.")
    rows = pd.concat(map(read_rows, paths, splits if len(paths) > 1 else [""]), ignore_index=True)
    finder, tables = FileFinder(folder), " and ".join(path.name for path in paths)
    rows["source"] = [finder.find(cell) for cell in rows["path"]]
    rows["known"] = known_classes(rows, labels)
    here, lateral = rows["source"].notna(), rows["view"].str.match(NOT_FRONTAL, case=False)
    first, layout = in_brief(rows["path"].iloc[0]), rows["layout"].iloc[0]
    listed, rows = set(rows["source"]), rows[here & ~lateral]
    films = films_of_rows(rows, finder)
    if not films:
        raise ValueError(f"None of the films in {paths[0]} is on disk; the first one is {first}.")
    known = rows[rows["known"] != ""].groupby("source", sort=False)["known"].nunique()
    counts = {
        "are not on disk and are left out": (~here).sum(),
        "are not frontal and are left out": (here & lateral).sum(),
        "have uncertain pneumonia (-1) and are unlabelled": (rows["pneumonia"] == "-1").sum(),
        "have several classes: PNEUMONIA counts, else the last one": (known > 1).sum(),
    }
    notes = [f"{count} films of {tables} {what}." for what, count in counts.items() if count]
    if layout == "rsna":
        notes.append("RSNA's Target 0, read as NORMAL, means no pneumonia: other disease may be.")
    unlisted = [film for film in beside if film.source not in listed]
    masks = {film.source: film.masks for film in beside}
    if any(masks.values()) and not any(film.masks for film in films):
        films = [replace(film, masks=masks.get(film.source, ())) for film in films] + unlisted
    elif unlisted:
        left_out = counted([Path(film.name) for film in unlisted], "film")
        notes.append(f"{left_out} that no table lists are left out.")
    return FoundFilms(layout, films, tuple(notes), f"{tables} or its folders say the splits.")


def read_rows(path: Path, split: str) -> pd.DataFrame:
    """A table's cells by SYNONYMS and mask, '' where there is none; `split` is for all rows."""
    frame = read_table(path)
    names = {ours: [n for n in c.split() if n in frame] for ours, c in SYNONYMS.items()}
    if not names["path"] or frame.empty:
        raise ValueError(
            f"{path} has no column path, or no rows; it needs path (or file, filename, image), and "
            "any of label, mask, patient, split."
        )
    cells = {ours: frame[found[0]] if found else "" for ours, found in names.items()}
    rows = pd.DataFrame(cells, frame.index)
    rows["mask"] = ["|".join([*own, ""]) for own in frame.filter(like="mask").to_numpy()]
    rows["layout"] = next((name for name, own in PUBLISHED.items() if own <= set(frame)), "csv")
    given, rows["split"] = rows["split"], rows["split"].map(split_of)
    for line in rows.index[(rows["path"] == "") | ((given != "") & (rows["split"] == ""))]:
        raise ValueError(
            f"{path}, line {line}: the path is '{in_brief(rows['path'][line])}' and the split "
            f"'{in_brief(given[line])}'; a path is needed, and train, val, test or no split."
        )
    rows["split"] = rows["split"].where(rows["split"] != "", split)
    rows["patient"] = rows["patient"].where(rows["patient"] != "", rows["path"].map(patient_of))
    rows["pneumonia"] = rows["pneumonia"].map(whole_number)
    return rows


def films_of_rows(rows: pd.DataFrame, finder: FileFinder) -> list[Film]:
    """Each film once. Where no column says a split, ChestX-ray14's lists beside the table do, or
    the films' folders where these are of several splits.
    """
    films = rows.replace("", None).groupby("source", sort=False)
    for column in ("split", "patient"):
        counts = films[column].nunique()
        for film in counts.index[counts > 1]:
            raise ValueError(f"The table has more than one {column} for {in_brief(film.name)}.")
    cells = films.agg({"patient": "first", "split": "first", "known": "last"}).fillna("")
    # Of several classes PNEUMONIA counts, else the last.
    cells.loc[rows["source"][rows["known"] == CLASSES[1]], "known"] = CLASSES[1]
    masks = rows.groupby("source", sort=False)["mask"].sum()
    folder, lists = finder.folder, dict[str, str]()
    for name, split in (("train_val_list.txt", "train"), ("test_list.txt", "test")):
        if (folder / name).is_file():
            lists |= dict.fromkeys((folder / name).read_text(errors="replace").split(), split)
    found = []
    for path, patient, split, known in cells.itertuples(name=None):
        texts = dict.fromkeys(filter(None, map(str.strip, masks[path].split("|"))))
        # A mask that is not on disk stays, for reading to name it.
        own = tuple(finder.find(t, True) or finder.find(t) or folder / t for t in texts)
        label = CLASSES.index(known) if known in CLASSES else None
        name = path.relative_to(folder) if folder in path.parents else path
        other_class, split = known if label is None else "", split or lists.get(name.name, "")
        found.append(Film(path, name.as_posix(), label, own, patient, split, other_class))
    around = [next(filter(None, map(split_of, Path(f.name).parts[:-1])), "") for f in found]
    if lists or len(set(around)) < 2:
        return found
    return [replace(film, split=film.split or split) for film, split in zip(found, around)]


def known_classes(rows: pd.DataFrame, labels: Labels) -> Iterable[str]:
    """Each row's class, one of CLASSES or another one; '' where it has none."""
    if any(rows["label"]):
        return rows["label"].map({cell: class_of(cell, labels) for cell in set(rows["label"])})
    other = "other findings" if any(rows["normal"]) else ""
    normal, pneumonia = rows["normal"].map(whole_number), rows["pneumonia"]
    is_normal = (normal == "1") | ((pneumonia == "0") & (not other))
    tests = [pneumonia == "1", pneumonia == "-1", is_normal]
    return np.select(tests, [CLASSES[1], "", CLASSES[0]], other)


def class_of(cell: str, labels: Labels) -> str:
    """The class in a cell with a word, 0 or 1, or a list of findings; else the cell itself."""
    known = {"0": 0, "1": 1, "no finding": 0, **labels}
    whole = known.get(normalised(cell), known.get(whole_number(cell)))
    parts = [normalised(part) for part in re.split(r"[|/,;\[\]'\"]+", cell) if part.strip()]
    found = {known.get(part) for part in parts} if whole is None else {whole}
    return CLASSES[1] if 1 in found else CLASSES[0] if found == {0} else cell


def whole_number(cell: str) -> str:
    """The number in a cell such as 1.0, True or yes, as '1'; other cells as they are."""
    words = {"false": "0", "true": "1", "no": "0", "yes": "1"}
    return words.get(normalised(cell), re.sub(r"\.0*$", "", cell))


def tables_of_films(paths: Iterable[Path]) -> list[Path]:
    """The tables of films, of a published set if there is one, with fewest folders around them."""
    columns: dict[Path, set[str]] = {}
    for path in paths:
        with suppress(ValueError, OSError):
            columns[path] = set(read_table(path, rows=2))
    ours = ("label", "normal", "pneumonia", "patient", "split")
    useful = {"mask", *" ".join(SYNONYMS[column] for column in ours).split()}
    sets = [[p for p in columns if needed <= columns[p]] for needed in PUBLISHED.values()]
    found = next(filter(None, sets), [path for path in columns if useful & columns[path]])
    depth = min((len(path.parts) for path in found), default=0)
    return [path for path in found if len(path.parts) == depth]
