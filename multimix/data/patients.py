"""The patient of each film, as far as names tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from multimix.data.found_films import Film
from multimix.images.formats import stem_of

# Kermany's (two editions), CheXpert's and ChestX-ray14's names. NORMAL2 is a series of its own: as
# patients of the other series, 94 of its numbers would be in two splits; by itself, none is.
KNOWN = re.compile(
    r"person\d+|(NORMAL2-)?IM-\d+|(NORMAL|BACTERIA|VIRUS)-\d{6,}|patient\d{5}|^\d{8}(?=_\d{3}$)"
)


def patient_of(stem: str) -> str:
    """The patient in a file name of a known form, as person12 in person12_virus_7; else ''."""
    known = KNOWN.search(stem)
    return known.group() if known else ""


def patients_of_folders(films: Sequence[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """The patients of films (name, folders around it whose names mean nothing), where these look
    like folders of patients: at most ten films each, and five folders or numbers in all names.
    """
    counts = Counter(folders[0] for _, folders in films if folders)
    numbered = all(re.search(r"\d", folder) for folder in counts)
    if counts.total() > 10 * len(counts) or not (numbered or len(counts) >= 5):
        return {}
    patients = {}
    for name, (folder, *_) in ((name, folders) for name, folders in films if folders):
        patients[name] = patient_of(folder) or folder
        if re.fullmatch(r"\d{1,4}", patients[name]):  # may be numbered afresh in each class
            patients[name] = f"{name.partition(f'/{folder}/')[0]}/{folder}"
    return patients


def with_patients(films: Sequence[Film]) -> list[Film]:
    """The films, each with a patient: the set's, its name's, or one of its own."""
    paths = [Path(film.name).with_name(stem_of(Path(film.name))) for film in films]
    times = Counter(path.name for path in set(paths))
    found = []
    for film, path in zip(films, paths):
        own = path.name if times[path.name] == 1 else path.as_posix()
        found.append(replace(film, patient=film.patient or patient_of(path.name) or own))
    return found
