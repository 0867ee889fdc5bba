"""Whose film it is, as far as names tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from multimix.data.folders import films_below, name_below
from multimix.data.found_films import Film
from multimix.images.formats import stem_of

# Kermany's (two editions), CheXpert's and ChestX-ray14's. NORMAL2 counts afresh: taken for the
# patients of the other series, 94 of its numbers would be in two splits, and taken for themselves,
# none is.
KNOWN = re.compile(
    r"person\d+|(NORMAL2-)?IM-\d+|(NORMAL|BACTERIA|VIRUS)-\d{6,}|patient\d{5}|^\d{8}(?=_\d{3}$)"
)
MOST_OF_PATIENT = 10  # films, in the middle
MANY = 5  # folders that need no number in their names to be of patients
SHORT_NUMBER = 4  # digits of a patient's folder that may mean another patient in each class


def patient_of(stem: str) -> str:
    """The patient in a file name of a known form; '' where it has none.

    person12_virus_7 is of person12, NORMAL2-IM-0115-0001 of NORMAL2-IM-0115.
    """
    known = KNOWN.search(stem)
    return known.group() if known else ""


def films_of_patients(root: Path, folders: Sequence[Path]) -> list[Film]:
    """The films of several folders, one for each patient where they look like it.

    Otherwise they are of several kinds, hospitals or views.
    """
    below = {folder: films_below(folder) for folder in folders}
    count = sum(map(len, below.values()))
    like_patients = count <= MOST_OF_PATIENT * len(below) and (
        len(below) >= MANY or all(re.search(r"\d", folder.name) for folder in below)
    )
    films = []
    for folder, paths in below.items():
        patient = ""
        if like_patients:
            patient = patient_of(folder.name) or folder.name
            if patient.isdecimal() and len(patient) <= SHORT_NUMBER:
                patient = name_below(root, folder)
        for path in paths:
            films.append(Film(path, name_below(root, path), patient=patient))
    return films


def with_patients(films: Sequence[Film]) -> list[Film]:
    """The films, each with a patient.

    Where neither the set nor its name tells whose a film is, it counts as a patient of its own,
    called by its name; films of one name in several folders, which are often numbered afresh in
    each, by their paths.
    """
    stems = [stem_of(Path(film.name)) for film in films]
    folders = {(stem, Path(film.name).parent) for stem, film in zip(stems, films)}
    times = Counter(stem for stem, _ in folders)
    found = []
    for film, stem in zip(films, stems):
        own = stem if times[stem] == 1 else (Path(film.name).parent / stem).as_posix()
        found.append(replace(film, patient=film.patient or patient_of(stem) or own))
    return found
