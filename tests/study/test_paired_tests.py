"""Whether a part of the method helped, on results whose answer is known."""

import numpy as np
import pytest
from study_helpers import fake

from multimix.evaluation.metrics import placements
from multimix.study.paired_tests import comparisons, comparisons_table


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
    assert found.p < 1e-6 and (found.agreeing, found.seeds, found.verdict) == (2, 2, "helped")
    assert comparisons(off[:1] + on[:1])[0].verdict == "one seed: open"
    worse = [fake("multimix", seed, base - 0.01) for seed in (0, 1)]
    assert comparisons(off + worse)[0].verdict == "harmed"
    noise = [fake("multimix", seed, base + rng.normal(0, 0.001, 40)) for seed in (0, 1)]
    assert comparisons(off + noise)[0].verdict == "not shown"
    # Clear over films, not over seeds.
    split = [fake("multimix", 0, base + 0.05), fake("multimix", 1, base - 0.01)]
    (found,) = comparisons(off + split)
    assert found.p < 1e-6 and found.verdict == "not shown"
    other_budget = [fake("multimix", seed, base, budget=(1000, 10)) for seed in (0, 1)]
    assert comparisons(off + other_budget) == []
    (same,) = comparisons([fake("umtl", 0, base), fake("unet", 0, base)])
    assert same.part == "second task" and same.p == 1 and same.difference == 0


def test_only_films_and_seeds_that_both_have_are_compared():
    base = np.linspace(0.8, 0.9, 12)
    off = [fake("umtl", 0, base), fake("umtl", 1, base), fake("umtl", 2, base)]
    on = [fake("umtl_s", 0, base[:10] + 0.02), fake("umtl_s", 1, base + 0.01)]
    (found,) = comparisons(off + on)
    assert found.seeds == found.agreeing == 2
    # Ten films have both seeds, two the second alone.
    assert found.difference == pytest.approx((10 * 0.015 + 2 * 0.01) / 12)
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
    assert found.p < 1e-3 and found.difference < 0 and found.verdict == "not shown"


def test_p_values_are_adjusted_for_their_number():
    rng = np.random.default_rng(2)
    base = rng.uniform(0.8, 0.95, 12)
    off = [fake("umtl", seed, base) for seed in (0, 1)]
    on = [fake("umtl_s", seed, base + rng.normal(0.004, 0.005, 12)) for seed in (0, 1)]
    others = [fake("unet", seed, base + rng.normal(0, 0.01, 12)) for seed in (0, 1)]
    (alone,) = comparisons(off + on)
    among = next(found for found in comparisons(off + on + others) if found.on == "umtl_s")
    assert among.p > alone.p > 0


def test_aucs_that_do_not_differ_are_seldom_told_apart():
    # Two systems of equal true AUC on the same films: at most one in ten comparisons may call them
    # different, and nine intervals in ten hold 0.
    rng, called, held = np.random.default_rng(3), 0, 0
    label = np.repeat(["NORMAL", "PNEUMONIA"], (50, 150))
    for _ in range(60):
        runs = []
        for system in ("umtl", "umtl_s"):
            score = rng.normal(size=200) + 1.5 * (label == "PNEUMONIA")
            values = placements(score, (label == "PNEUMONIA").astype(int))
            runs.append(fake(system, 0, values, "placement"))
            runs[-1].films["label"] = label
        (found,) = comparisons(runs)
        assert found.metric == "auc"
        called += found.p < 0.05
        held += found.low <= 0 <= found.high
    assert called <= 8 and held >= 52
