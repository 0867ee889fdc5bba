"""Which films train, validate and test: as a set says, else by patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multimix.data.found_films import Film

MIN_VALIDATION = 20  # films; a smaller validation folder (Kaggle's has 16) is filled up


def split_films(films: Sequence[Film], masks: bool, seed: int) -> tuple[str, ...]:
    """The split of each film of a set.

    Films of each class are shared out by themselves, and so are films with masks where `masks` are
    what they serve for, as are those without: no split is left without answers by chance.
    """
    strata = []
    for film in films:
        if masks:
            strata.append(int(bool(film.masks)))
        else:
            strata.append(0 if film.label is None else film.label + 1)
    patients = [film.patient for film in films]
    return split_by_patient(patients, [film.split for film in films], strata, seed)


def split_by_patient(
    patients: Sequence[str], splits: Sequence[str], strata: Sequence[int], seed: int
) -> tuple[str, ...]:
    """Fill in what a set does not say.

    Test films are a tenth of the patients where it names no split, validation films a tenth of the
    training patients where it has fewer than 20. The films of a patient stay together, but where
    the set itself parts them and needs no filling up.

    Arguments, one for each film:
        patients: whose it is.
        splits: 'train', 'val', 'test', or '' where the set does not say.
        strata: groups that are each to be split in the same shares, such as classes.
    """
    owners, groups, generator = np.array(patients), np.array(strata), np.random.default_rng(seed)
    given = np.array(splits, dtype=object)
    found = np.where(given == "", "train", given)
    # With their patient's other films.
    found[(given == "") & np.isin(owners, owners[given == "test"])] = "test"
    if not any(given):
        move_a_tenth(found, "test", owners, groups, generator)
    free = given == ""
    if (found == "val").sum() < MIN_VALIDATION:
        move_a_tenth(found, "val", owners, groups, generator)
        free = found == "train"
    found[free & (found == "train") & np.isin(owners, owners[found == "val"])] = "val"
    return tuple(found.tolist())


def move_a_tenth(
    splits: np.ndarray,
    target: str,
    patients: np.ndarray,
    strata: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Move a tenth of each stratum's training patients, with all their films, to another split."""
    for stratum in np.unique(strata):
        training = np.unique(patients[(splits == "train") & (strata == stratum)])
        if len(training) < 2:
            continue
        chosen = generator.permutation(training)[: max(1, len(training) // 10)]
        splits[(splits == "train") & np.isin(patients, chosen)] = target
