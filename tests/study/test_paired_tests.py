"""Whether a part of the method helped, on results whose answer is known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy
from study_helpers import fake

from multimix.evaluation.metrics import placements
from multimix.study.paired_tests import (
    SAME_FILM,
    comparisons,
    comparisons_table,
    mean_change,
)


def test_paired_tests_by_hand():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.8, 0.95, 40)
    off = [fake("umtl_ssl_s", seed, base + rng.normal(0, 0.001, 40)) for seed in (0, 1)]
    on = [fake("multimix", seed, base + 0.01 + rng.normal(0, 0.001, 40)) for seed in (0, 1)]
    (found,) = comparisons(off + on)
    assert (found.part, found.off, found.on) == ("KL term", "umtl_ssl_s", "multimix")
    assert (found.class_labels, found.masks) == ("100", "10")
    assert found.low < found.difference < found.high
    assert found.difference == pytest.approx(0.01, abs=1e-3)
    assert found.p < 0.05 and (found.agreeing, found.seeds, found.verdict) == (2, 2, "helped")
    assert comparisons(off[:1] + on[:1])[0].verdict == "one seed: open"
    worse = [fake("multimix", seed, base - 0.01) for seed in (0, 1)]
    assert comparisons(off + worse)[0].verdict == "harmed"
    noise = [fake("multimix", seed, base + rng.normal(0, 0.001, 40)) for seed in (0, 1)]
    assert comparisons(off + noise)[0].verdict == "not shown"
    other_budget = [fake("multimix", seed, base, budget=(1000, 10)) for seed in (0, 1)]
    assert comparisons(off + other_budget) == []
    (same,) = comparisons([fake("umtl", 0, base), fake("unet", 0, base)])
    assert same.part == "second task" and same.p == 1 and same.difference == 0


def test_a_change_clear_over_films_and_not_over_seeds_is_not_shown():
    base = np.random.default_rng(0).uniform(0.8, 0.95, 40)
    off = [fake("umtl_ssl_s", seed, base) for seed in (0, 1)]
    on = [fake("multimix", 0, base + 0.05), fake("multimix", 1, base - 0.01)]
    (found,) = comparisons(off + on)
    assert found.p > 0.5 and found.verdict == "not shown" and found.agreeing == 1
    assert comparisons(off[:1] + on[:1])[0].p < 1e-6


def test_only_films_and_seeds_that_both_have_are_compared():
    base = np.linspace(0.8, 0.9, 12)
    off = [fake("umtl", 0, base), fake("umtl", 1, base), fake("umtl", 2, base)]
    on = [fake("umtl_s", 0, base[:10] + 0.02), fake("umtl_s", 1, base + 0.01)]
    (found,) = comparisons(off + on)
    assert found.seeds == found.agreeing == 2
    assert found.difference == pytest.approx((0.02 + 0.01) / 2)
    assert comparisons([off[2], on[0]]) == []
    table = comparisons_table(off + on)
    assert table.loc[0, "verdict"] == found.verdict and table.loc[0, "p"] == found.p
    assert list(comparisons_table([]).columns) == list(table.columns)


def test_ten_films_of_a_patient_are_not_ten_patients():
    rng = np.random.default_rng(1)
    base = rng.uniform(0.8, 0.9, 60)
    change = np.repeat([0.02, 0.01, 0.015, -0.005, 0.03, -0.01], 10)
    found = []
    for each in (1, 10):
        off = [fake("umtl", seed, base, films_each=each) for seed in (0, 1)]
        on = [fake("umtl_s", seed, base + change, films_each=each) for seed in (0, 1)]
        found += comparisons(off + on)
    by_film, by_patient = found
    assert by_film.p < 1e-3 < 0.1 < by_patient.p
    assert by_patient.high - by_patient.low > 2 * (by_film.high - by_film.low)


def test_a_few_disasters_against_many_small_gains_are_no_verdict():
    base = np.linspace(0.8, 0.9, 40)
    change = np.full(40, 0.004)
    change[:2] = -0.8
    off = [fake("umtl", seed, base) for seed in (0, 1)]
    on = [fake("umtl_s", seed, base + change) for seed in (0, 1)]
    (found,) = comparisons(off + on)
    assert found.difference < 0 and found.p > 0.05 and found.verdict == "not shown"


def test_p_values_are_adjusted_for_their_number():
    rng = np.random.default_rng(2)
    base = rng.uniform(0.8, 0.95, 12)
    off = [fake("umtl", seed, base) for seed in (0, 1)]
    on = [fake("umtl_s", seed, base + rng.normal(0.004, 0.005, 12)) for seed in (0, 1)]
    others = [fake("unet", seed, base + rng.normal(0, 0.01, 12)) for seed in (0, 1)]
    (alone,) = comparisons(off + on)
    among = next(found for found in comparisons(off + on + others) if found.on == "umtl_s")
    assert among.adjusted_p > among.p == alone.p == alone.adjusted_p > 0


def scored(rng: np.random.Generator, label: np.ndarray, seeds: int) -> np.ndarray:
    """Scores of one system's trainings, (films, seeds), that share what the films are like."""
    trainings = rng.normal(0, 0.3, (2, seeds))  # each orders the two classes better or worse
    films = rng.normal(size=(len(label), 1))
    return films + rng.normal(0, 0.5, (len(label), seeds)) + label[:, None] + trainings[label]


def placed(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    return np.stack([placements(score, label) for score in scores.T], axis=1)


def frame(changes: np.ndarray, label: np.ndarray, patient: np.ndarray) -> pd.DataFrame:
    index = [patient, np.arange(len(label)), label]
    return pd.DataFrame(changes, index=pd.MultiIndex.from_arrays(index, names=SAME_FILM))


def test_one_seed_is_the_paired_test_of_delong():
    rng, label = np.random.default_rng(3), np.repeat([0, 1], (20, 35))
    off, on = scored(rng, label, 1)[:, 0], scored(rng, label, 1)[:, 0] + 0.4 * label
    wins = np.empty((2, 35, 20))  # of each system, for each pair of a positive and a negative film
    for i, score in enumerate((off, on)):
        for j, k in product(range(35), range(20)):
            positive, negative = score[label == 1][j], score[label == 0][k]
            wins[i, j, k] = (positive > negative) + (positive == negative) / 2
    change = wins[1] - wins[0]
    variance = np.var(change.mean(1), ddof=1) / 35 + np.var(change.mean(0), ddof=1) / 20
    z = change.mean() / np.sqrt(variance)

    placement = [placed(score[:, None], label) for score in (off, on)]
    found = mean_change(frame(placement[1] - placement[0], label, np.arange(55)), by_class=True)
    assert found.difference == pytest.approx(change.mean())
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(abs(z)))
    assert found.high - found.low == pytest.approx(2 * 1.959964 * np.sqrt(variance))


def test_several_seeds_are_the_analysis_of_obuchowski_and_rockette():
    seeds, rng = 4, np.random.default_rng(4)
    label = np.repeat([0, 1], (30, 50))
    systems = [placed(scored(rng, label, seeds) + 0.3 * i * label[:, None], label) for i in (0, 1)]
    auc = np.array([system[label == 1].mean(0) for system in systems])  # (systems, seeds)
    every = np.hstack(systems)
    covariance = sum(np.cov(every[label == i], rowvar=False) / (label == i).sum() for i in (0, 1))
    covariance = covariance.reshape(2, seeds, 2, seeds)
    others = ~np.eye(seeds, dtype=bool)
    same_system = np.mean([covariance[i, :, i][others].mean() for i in (0, 1)])
    other_system = covariance[0, :, 1][others].mean()
    mean_square = seeds * np.var(auc.mean(1), ddof=1)
    rest = auc - auc.mean(0) - auc.mean(1)[:, None] + auc.mean()
    interaction = (rest**2).sum() / (seeds - 1)
    error = interaction + max(seeds * (same_system - other_system), 0)
    freedom = error**2 / (interaction**2 / (seeds - 1))
    expected = scipy.stats.f.sf(mean_square / error, 1, freedom)

    found = mean_change(frame(systems[1] - systems[0], label, np.arange(80)), by_class=True)
    assert found.difference == pytest.approx(auc[1].mean() - auc[0].mean())
    assert found.p == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["auc", "accuracy", "dice"])
@pytest.mark.parametrize("films_each", [1, 3])
def test_among_alike_systems_with_swapped_names_one_in_twenty_has_p_below_a_twentieth(
    metric, films_each
):
    rng, draws, below = np.random.default_rng(5), 200, 0
    label = np.repeat([0, 1], (45, 75))
    patient = np.arange(120) // films_each
    for _ in range(draws):
        systems = []
        for _ in range(2):
            scores = scored(rng, label, 5)
            scores += rng.normal(size=120)[patient][:, None]  # what a patient's films share
            systems.append(scores)
        swapped = rng.integers(2, size=5)  # in half of the trainings, as chance has it
        off, on = (np.where(swapped == i, *systems) for i in (0, 1))
        if metric == "auc":
            off, on = placed(off, label), placed(on, label)
        elif metric == "accuracy":
            off, on = ((scores > 0.5) == label[:, None] for scores in (off, on))
        changes = frame(on.astype(float) - off, label, patient)
        below += mean_change(changes, by_class=metric == "auc").p < 0.05
    assert 0.02 <= below / draws <= 0.085
