"""The patient of each film, and which films train, validate and test."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from multimix.data.film_set import Film
from multimix.images.formats import RAW_SUFFIX, stem_of

MIN_VALIDATION = 20  # films; a smaller validation folder (Kaggle's has 16) is filled up

# Names of Kermany (two editions), CheXpert, ChestX-ray14. NORMAL2-IM-12 is not the patient IM-12:
# if they were the same, 94 patients would be in two splits of the set.
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


def split_films(films: Sequence[Film], seed: int) -> tuple[str, ...]:
    """The split of each film of a set, the same for both tasks. Where the set names none, a tenth
    of the patients go to test; where val has fewer than 20 films, a tenth of the training patients.
    A patient's films stay together, unless the set parts them and needs no filling up. Each class,
    with and without masks, is split in the same shares, so that no split lacks one by chance.
    """
    strata = np.array([2 * (-1 if f.label is None else f.label) + bool(f.masks) for f in films])
    patients = np.array([film.patient for film in films])
    given = np.array([film.split for film in films], dtype=object)
    generator = np.random.default_rng(seed)
    found = np.where(given == "", "train", given)
    # With their patient's other films.
    found[(given == "") & np.isin(patients, patients[given == "test"])] = "test"

    def move_a_tenth(target: str) -> None:
        """Move a tenth of each stratum's training patients, with all their films."""
        for stratum in np.unique(strata):
            training = np.unique(patients[(found == "train") & (strata == stratum)])
            if len(training) > 1:
                chosen = generator.permutation(training)[: max(1, len(training) // 10)]
                found[(found == "train") & np.isin(patients, chosen)] = target

    if not any(given):
        move_a_tenth("test")
    free = given == ""
    if (found == "val").sum() < MIN_VALIDATION:
        move_a_tenth("val")
        free = found == "train"
    found[free & (found == "train") & np.isin(patients, patients[found == "val"])] = "val"
    return tuple(found.tolist())


def with_splits(films: list[Film], rule: str) -> tuple[list[Film], str]:
    """The films, with JSRT's split if they are JSRT, and `rule` or a sentence about the splits."""
    numbers = [re.fullmatch(r"JPC[LN]N(\d{3})", stem_of(Path(f.name)).upper()) for f in films]
    jsrt = [film for film, number in zip(films, numbers) if number]
    raw = any(film.name.lower().endswith(RAW_SUFFIX) for film in jsrt)
    scr = any(re.search(r"left[ _]lung\W", str(film.masks).lower()) for film in jsrt)
    if (raw or scr or len(jsrt) >= 200) and not any(film.split for film in films):
        splits = [("test", "train")[int(n[1]) % 2] if n else "" for n in numbers]
        films = [replace(film, split=split) for film, split in zip(films, splits)]
        rule = "JSRT's split: odd numbers train, even numbers test, as in SCR's two folds."
    given = [film.split for film in films]
    if not any(given):
        rule = (
            "No split is given: a tenth of the patients go to test, a tenth of the others to val."
        )
        return films, rule
    rule = rule or "The folders' names say the splits."
    if unnamed := given.count(""):
        rule += f" {unnamed} films are in no split and train, unless their patient is in another."
    if (count := given.count("val")) < MIN_VALIDATION and set(given) != {"test"}:
        rule += f" Only {count} films are in val: a tenth of the training patients join them."
    return films, rule
