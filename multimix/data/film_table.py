"""Tables of films, anyone's own or a published set's, by one dictionary of column names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from multimix.data.film_folder import counted
from multimix.data.found_films import Film, FoundFilms
from multimix.data.paths import Labels, normalised, read_folders, split_of
from multimix.data.patients import patient_of
from multimix.data.tables import FileFinder, read_table
from multimix.runtime.files import in_brief

COLUMNS = {  # our columns and their other names, without case, spaces and the like
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
RSNA_NOTE = (
    "In RSNA's challenge Target 0, read as NORMAL, means no pneumonia: many of these films are not "
    "normal otherwise."
)
TABLES = (".csv", ".tsv", ".txt")
SPLIT_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}  # ChestX-ray14's
OTHER = "other findings"


class FilmTable:
    """A table with films in its rows: our columns, and `masks`, columns with mask in their name."""

    def __init__(self, path: Path):
        frame = read_table(path)
        self.path, self.columns, self.notes = path, set(frame), list[str]()
        names = {o: next((n for n in c.split() if n in frame), "") for o, c in COLUMNS.items()}
        self.names = {ours: name for ours, name in names.items() if name}
        self.masks = frame[[name for name in frame if "mask" in name]]
        cells = {ours: frame[name] if name else "" for ours, name in names.items()}
        self.rows = pd.DataFrame(cells, frame.index)
        self.listed: set[Path] = set()

    def films(self, finder: FileFinder, labels: Labels) -> dict[Path, Film]:
        """Each film once; the notes say which are left out. ValueError names a wrong line."""
        rows = self.rows
        self.check(rows["path"] == "", "the path is empty; name a film, or remove the line.")
        split = rows["split"].map(split_of)
        words = "the split is '{split}'; it may be train, val, test or empty."
        self.check((rows["split"] != "") & (split == ""), words)
        rows["split"], rows["source"] = split, [finder.find(path) for path in rows["path"]]
        rows["known"] = pd.Series(self.classes(labels), rows.index, dtype=object)
        rows["patient"] = rows["patient"].mask(rows["patient"] == "", rows["path"].map(patient_of))
        here, lateral = rows["source"].notna(), r"lat|ll?$|rl$|axial|coronal|sagittal"
        side = here & rows["view"].str.match(lateral, case=False)
        self.note((~here).sum(), "that are not on disk are left out")
        self.note(side.sum(), "that are not frontal are left out")
        self.listed = set(rows["source"][here])
        self.rows = rows = rows[here & ~side].copy()
        uncertain = rows["pneumonia"].map(whole_number) == -1
        self.note(uncertain.sum(), "of uncertain pneumonia (-1) are unlabelled")
        for name in ("split", "patient"):  # '' is no other one
            first = rows[rows[name] != ""].drop_duplicates("source").set_index("source")[name]
            known = rows["source"].map(first).fillna("")
            words = f"{{path}} has another {name} than in a line before; remove one of them."
            self.check((rows[name] != "") & (rows[name] != known), words)
            rows[name] = known
        several = rows.groupby("source", sort=False)["known"].nunique() > 1
        self.note(several.sum(), "have several classes: PNEUMONIA counts, else the last one")
        masks = self.masks_by_film(finder)
        order = rows["source"].drop_duplicates()
        rank = rows["known"].notna() + (rows["known"] == 1).astype(int)
        rows = rows.iloc[rank.argsort(kind="stable")].drop_duplicates("source", keep="last")
        columns = rows.set_index("source").loc[order, ["path", "known", "patient", "split"]]
        films = {}
        for source, path, known, patient, split in columns.itertuples(name=None):
            label, other_class = (None, known) if isinstance(known, str) else (known, "")
            own = tuple(masks.get(source, ()))
            films[source] = Film(source, path, label, own, patient, split, other_class)
        return films

    def classes(self, labels: Labels) -> list[int | str | None]:
        """Each row's label, or the name of another class, or None."""
        if "label" in self.names:
            cells = {cell: label_of(cell, labels) for cell in set(self.rows["label"])}
            known = {cell: cell or None if n is None else n for cell, n in cells.items()}
            return [known[cell] for cell in self.rows["label"]]
        other = OTHER if "normal" in self.names else None
        found: list[int | str | None] = []
        for row in zip(self.rows["normal"], self.rows["pneumonia"]):
            normal, pneumonia = map(whole_number, row)
            is_normal = normal == 1 or (pneumonia == 0 and "normal" not in self.names)
            certain = 1 if pneumonia == 1 else 0 if is_normal else other
            found.append(None if pneumonia == -1 else certain)
        return found

    def masks_by_film(self, finder: FileFinder) -> dict[Path, dict[Path, None]]:
        """The masks of each film; also those that are not on disk, which reading reports."""
        found: dict[Path, dict[Path, None]] = {}
        for column in self.masks:
            cells = self.masks[column].loc[self.rows.index]
            for source, cell in zip(self.rows["source"], cells):
                for text in filter(None, map(str.strip, cell.split("|"))):
                    mask = finder.find(text, True) or finder.find(text) or self.path.parent / text
                    found.setdefault(source, {})[mask] = None
        return found

    def check(self, wrong: pd.Series, words: str) -> None:
        """ValueError for the first line that is wrong."""
        for line in wrong.index[wrong]:
            row = {name: in_brief(cell, 80) for name, cell in self.rows.loc[line].items()}
            raise ValueError(f"{self.path}, line {line}: {words.format(**row)}")

    def note(self, count: int, what: str) -> None:
        """A sentence about some of the films."""
        self.notes += [f"{count} films of {self.path.name} {what}."] * bool(count)


def label_of(text: str, labels: Labels) -> int | None:
    """The label of a cell with a word, 0 or 1, or a list of findings; None for other classes."""
    number = whole_number(text)
    if normalised(text) in labels:
        return labels[normalised(text)]
    if number is not None:
        return labels.get(str(number), number if number in (0, 1) else None)
    known = {"no finding": 0, **labels}
    parts = re.split(r"[|/,;\[\]'\"]+", text)
    found = {known.get(normalised(part)) for part in parts if part.strip()}
    return 1 if 1 in found else 0 if found == {0} else None


def whole_number(cell: str) -> int | None:
    """A cell's whole number, as 1.0, True or yes; None for others."""
    words = {"false": 0, "true": 1, "no": 0, "yes": 1}
    try:
        number = float(words.get(normalised(cell), cell))
        return int(number) if number.is_integer() else None
    except ValueError:
        return None


def tables_of_films(paths: Iterable[Path]) -> list[Path]:
    """The tables among these that may be of films: of a published set if there is one, else those
    with the fewest folders around them.
    """
    columns: dict[Path, set[str]] = {}
    for path in paths:
        if path.suffix.lower() in TABLES[:2]:
            try:
                columns[path] = set(read_table(path, rows=2))
            except ValueError:
                continue
    ours = ("label", "normal", "pneumonia", "patient", "split")
    says = {"mask", *" ".join(COLUMNS[column] for column in ours).split()}
    tests: list[Callable[[set[str]], object]] = [
        *(needed.issubset for needed in PUBLISHED.values()),
        says.intersection,
    ]
    for fits in tests:
        found = [path for path, names in columns.items() if fits(names)]
        if found:
            depth = min(len(path.parts) for path in found)
            return [path for path in found if len(path.parts) == depth]
    return []


def set_of_tables(
    folder: Path, paths: Sequence[Path], labels: Labels, beside: Sequence[Film] = ()
) -> FoundFilms:
    """The films of one table, or of one for each split."""
    tables = [FilmTable(path) for path in paths]
    tables = [table for table in tables if "path" in table.names and not table.rows.empty]
    if not tables:
        raise ValueError(
            f"{paths[0]} has no column path, or no rows; it needs path (or file, filename, image), "
            "and any of label, mask, patient, split."
        )
    names = [table.path.relative_to(folder) for table in tables]
    splits = [split_of(path.parent.name) or split_of(path.stem) for path in names]
    if len(tables) > 1 and not all(splits):
        names_of = ", ".join(map(str, names[:5]))
        raise ValueError(
            f"{folder} has {len(tables)} tables of films; give one of them: {names_of}."
        )
    finder, films = FileFinder(folder), dict[Path, Film]()
    first = in_brief(tables[0].rows["path"].iloc[0])
    for table, split in zip(tables, splits):
        for source, film in table.films(finder, labels).items():
            films[source] = replace(film, split=film.split or split * (len(tables) > 1))
    if not films:
        raise ValueError(
            f"None of the films in {paths[0]} is on disk, below {folder}; the first one is {first}."
        )
    found = with_splits_of_folders(folder, films, tables[0].path)
    kinds = [kind for kind, needed in PUBLISHED.items() if needed <= tables[0].columns]
    notes = [note for table in tables for note in table.notes] + [RSNA_NOTE] * (kinds == ["rsna"])
    unlisted = [f for f in beside if not any(f.source in table.listed for table in tables)]
    if all(table.masks.empty for table in tables):
        masks = {film.source: film.masks for film in beside}
        found = [replace(film, masks=masks.get(film.source, ())) for film in found]
        if any(masks.values()):
            found, unlisted = found + unlisted, []
        elif unlisted:
            names = [Path(film.name) for film in unlisted]
            notes.append(f"{counted(names, 'film')} that no table lists are left out.")
    rule = f"{' and '.join(t.path.name for t in tables)} or its folders say the splits."
    return FoundFilms([*kinds, "csv"][0], found, tuple(notes), rule)


def with_splits_of_folders(folder: Path, films: dict[Path, Film], table: Path) -> list[Film]:
    """The films, named by their paths below a folder, in the splits of lists beside the table, or
    of their folders where these are several.
    """
    lists: dict[str, str] = {}
    for name, split in SPLIT_LISTS.items():
        if table.with_name(name).is_file():
            names = table.with_name(name).read_text(errors="replace").split()
            lists |= dict.fromkeys(names, split)
    below = [path.relative_to(folder) if path.is_relative_to(folder) else path for path in films]
    splits = [
        lists.get(p.name, "") if lists else read_folders(p.parts[:-1], {}).split for p in below
    ]
    useful = lists or len(set(splits)) > 1
    return [
        replace(film, name=path.as_posix(), split=film.split or split * bool(useful))
        for film, path, split in zip(films.values(), below, splits)
    ]
