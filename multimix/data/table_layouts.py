"""Sets that have their films in tables: anyone's own, ChestX-ray14, RSNA's challenge, CheXpert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from multimix.data.class_names import Labels
from multimix.data.film_table import COLUMNS, SAYING, FilmTable
from multimix.data.folders import name_below, split_folders, split_of, split_within
from multimix.data.found_films import Film, Reading
from multimix.data.mask_folders import films_of_pair, find_pair
from multimix.data.tables import PERHAPS_TABLES, read_table, tables_at

NIH = {"imageindex", "findinglabels", "patientid"}  # columns by their plain names
NIH_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
RSNA_NOTE = (
    "In RSNA's challenge Target 0, taken as NORMAL, is no pneumonia: many of these films are not "
    "normal otherwise."
)
RSNA = {"patientid", "target"}
CHEXPERT = {"nofinding", "pneumonia"}


def nih(root: Path, labels: Labels) -> Reading:
    """ChestX-ray14, with the split of its lists."""
    reading = published(root, labels, NIH)
    if not reading.films:
        return reading
    splits, lists = {}, []
    for name, split in NIH_LISTS.items():
        path = reading.accounted_for[0].with_name(name)
        if path.is_file():
            splits.update(dict.fromkeys(path.read_text(errors="replace").split(), split))
            lists.append(path)
    if lists:
        films = [replace(f, split=splits.get(Path(f.name).name, "")) for f in reading.films]
        names = " and ".join(path.name for path in lists)
        rule = f"{names} {'say' if len(lists) > 1 else 'says'} the splits."
        return Reading(films, reading.notes, rule, reading.accounted_for + lists)
    return reading


def rsna(root: Path, labels: Labels) -> Reading:
    """RSNA's pneumonia challenge: a row for each opacity, or one where there is none."""
    reading = published(root, labels, RSNA)
    return replace(reading, notes=[*reading.notes, RSNA_NOTE]) if reading.films else reading


def chexpert(root: Path, labels: Labels) -> Reading:
    """CheXpert, and VinDr's sets; where pneumonia is uncertain films have no class."""
    return published(root, labels, CHEXPERT)


def published(root: Path, labels: Labels, columns: set[str]) -> Reading:
    """The tables with these columns, frontal films alone."""
    paths = tables_at(root, columns.issubset)
    return films_of_tables(root, [FilmTable(read_table(path), labels, True) for path in paths])


def csv_table(root: Path, labels: Labels) -> Reading:
    """Films that a table lists: the table itself, or a folder with one, or with one for a split.

    Errors: ValueError where it is not clear which table is meant, or one names no films.
    """
    if root.is_file():
        paths = [root] if root.suffix.lower() in PERHAPS_TABLES else []
        tables = [FilmTable(read_table(path), labels) for path in paths]
        if tables and not tables[0].column["path"]:
            raise ValueError(
                f"{root} has no column path, or no rows; it needs path (or file, filename, image), "
                "and any of label, mask, patient, split."
            )
        return films_of_tables(root, tables)
    paths = tables_at(root, says_something)
    for folder in [] if paths else split_folders(root):
        paths += tables_at(folder, says_something)
    tables = [FilmTable(read_table(path), labels) for path in paths]
    tables = [table for table in tables if table.says_something()]
    masked = {}
    if tables and not any(table.column["mask"] for table in tables) and (pair := find_pair(root)):
        masked = {film.source: film for film in films_of_pair(root, pair, labels)}
        for table in tables:
            table.published = True
    reading = films_of_tables(root, tables)
    films = []
    for film in reading.films:
        beside = masked.pop(film.source, film)
        films.append(replace(film, masks=beside.masks))
    return replace(reading, films=[*films, *masked.values()])


def says_something(columns: set[str]) -> bool:
    """Whether a table with these columns may say something of films."""
    return any(columns.intersection(COLUMNS[ours]) for ours in SAYING)


def films_of_tables(root: Path, tables: Sequence[FilmTable]) -> Reading:
    """The films of one table, or of one for each split."""
    folder = root if root.is_dir() else root.parent
    names = [name_below(folder, table.table.path) for table in tables]
    if len(tables) > 1:
        for table in tables:
            path = table.table.path
            table.split = split_of(path.parent.name) if path.parent != folder else ""
            table.split = table.split or split_within(path.stem)
        if not all(table.split for table in tables):
            raise ValueError(
                f"{root} holds {len(tables)} tables of films; give one of them: "
                f"{', '.join(names[:5])}."
            )
    reading = Reading()
    for table in tables:
        for source, film in table.films().items():
            inside = source.is_relative_to(folder)
            name = name_below(folder, source) if inside else str(source)
            reading.films.append(replace(film, name=name))
        reading.notes += table.notes()
        reading.accounted_for += [table.table.path, *table.lateral]
    if len(tables) > 1:
        reading.split_rule = f"{' and '.join(names)} are the splits."
    elif tables and tables[0].column["split"]:
        reading.split_rule = (
            f"The column {tables[0].column['split']} of {names[0]} says the splits."
        )
    else:
        reading.films = with_splits_of_folders(reading.films)
    return reading


def with_splits_of_folders(films: list[Film]) -> list[Film]:
    """The films, in the splits that folders on the way to them are named as, if several are."""
    splits = []
    for film in films:
        found = [split_of(part) for part in Path(film.name).parts[:-1] if split_of(part)]
        splits.append(found[0] if found else "")
    if len(set(splits)) < 2:
        return films
    return [replace(film, split=split) for film, split in zip(films, splits)]
