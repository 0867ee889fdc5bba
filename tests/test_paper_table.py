"""The analysis behind notebook 05, and its committed results."""

import json
import shlex
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy
from helpers import ROOT

from multimix.apps.cli import PARSER
from multimix.config import Config
from multimix.evaluation.metrics import placements
from multimix.recipes import SYSTEMS
from multimix.runtime.config_options import changes_of
from notebooks.paper_table.paired_tests import (
    METRICS,
    SAME_FILM,
    by_seed,
    comparisons,
    film_changes,
    mean_change,
    pairs,
)
from notebooks.paper_table.report import main
from notebooks.paper_table.tables import (
    HEADS,
    SYSTEM_NAMES,
    by_cell,
    published_figures,
    read_table,
    results_table,
    spread,
)

FOLDER = ROOT / "notebooks" / "paper_table"
RUNS = read_table(FOLDER / "runs.csv")
FILMS = read_table(FOLDER / "films.csv")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", RUNS["run"])
def test_a_run_can_be_followed_to_its_films(name):
    run = RUNS.set_index("run").loc[name]
    config = Config.from_dict(json.loads(run["config"]))
    assert run["system"] in SYSTEMS
    assert (config.seed, config.steps) == (run["seed"], run["steps"])
    options = PARSER.parse_args(shlex.split(run["command"])[3:])
    assert (options.system, options.recipe) == (run["system"], run["recipe"])
    assert Config.preset(run["system"], run["recipe"], **changes_of(options)) == config
    log = read_table(FOLDER / name / "log.csv")
    assert log["step"].iloc[-1] == config.steps
    lungs = FILMS[FILMS["task"] == "segmentation"]
    for domain in ("test", "cross"):
        dice = lungs.loc[lungs["domain"] == domain, name].dropna()
        assert bool(len(dice)) == pd.notna(run[f"{domain}_dice"]) == config.segment
        if config.segment:
            assert dice.mean() == pytest.approx(run[f"{domain}_dice"], abs=1e-4)
    classes = FILMS[(FILMS["task"] == "classification") & FILMS[name].notna()]
    assert bool(len(classes)) == config.classify
    for domain, films in classes.groupby("domain"):
        right = (films[name] > 0.5) == (films["label"] == "PNEUMONIA")
        assert right.mean() == pytest.approx(run[f"{domain}_accuracy"], abs=1e-4)


def test_the_comparisons_follow_from_the_films():
    committed = read_table(FOLDER / "comparisons.csv")
    pd.testing.assert_frame_equal(comparisons(RUNS, FILMS), committed, check_dtype=False)


def test_with_swapped_names_of_systems_one_comparison_in_twenty_is_below_a_twentieth():
    cells = {cell: by_seed(rows) for cell, rows in by_cell(RUNS).items() if len(rows) == 5}
    p_values = []
    for pair in pairs([cell for cell in cells if cell.recipe == "paper"]):
        for domain, metric in product(("test", "cross"), METRICS):
            changes = film_changes(FILMS, cells[pair.off], cells[pair.on], domain, metric)
            if changes.empty:
                continue
            # Seed 0 stays: swapped in all seeds it would be the same test.
            for swapped in product((1, -1), repeat=len(changes.columns) - 1):
                turned = changes * np.array([1, *swapped])
                p_values.append(mean_change(turned, by_class=metric == "auc").p)
    assert len(p_values) >= 800 and 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.07


def test_the_readme_shows_these_figures():
    shown = {}
    for line in README.splitlines():
        name, *figures = (cell.strip(" *") for cell in line.strip("|").split("|"))
        shown[name] = figures
    columns = ("test_auc", "test_accuracy", "test_dice", "cross_dice", "cross_auc")
    paper, checked = published_figures(), 0
    for cell, runs in by_cell(RUNS).items():
        fewest = cell.class_labels in ("100", "none") and cell.masks in ("10", "none")
        if not fewest or cell.title not in shown:
            continue
        checked += 1
        published = (cell.system, cell.class_labels, cell.masks)
        for column, figure in zip(columns, shown[cell.title], strict=True):
            expected = spread(runs[column])
            if cell.recipe == "paper" and published in paper.index and column in paper:
                theirs = paper.loc[published, column]
                expected += f" ({theirs:.3f})" if pd.notna(theirs) else ""
            assert figure.replace("*", "") == expected.replace("0.", "."), (cell, column)
    assert checked == 5


class Sweep:
    """runs.csv and films.csv of runs with chosen Dices, which no training made."""

    def __init__(self, films_each: int = 1):
        self.films_each, self.rows, self.columns = films_each, [], {}

    def add(self, system: str, seed: int, dice, budget=("100", "10"), steps: int = 4) -> None:
        """One run; `films_each` films are of one patient."""
        cell = {"system": system, "recipe": "paper", "class_labels": budget[0], "masks": budget[1]}
        row = {"run": f"{system}-{'-'.join(budget)}-seed{seed}", **cell, "seed": seed, "side": 32}
        self.rows.append({**row, "steps": steps, "test_dice": np.mean(dice)})
        names = [("test", "segmentation", f"f{i}", f"p{i // self.films_each}", None)
                 for i in range(len(dice))]  # fmt: skip
        index = pd.MultiIndex.from_tuples(
            names, names=["domain", "task", "film", "patient", "label"]
        )
        self.columns[row["run"]] = pd.Series(dice, index)

    @property
    def runs(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows)

    def compare(self) -> pd.DataFrame:
        return comparisons(self.runs, pd.DataFrame(self.columns).reset_index())


RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.8, 0.95, 40)


def noise(scale: float = 0.001) -> np.ndarray:
    return RNG.normal(0, scale, 40)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    (
        ((0.01, 0.01), "helped"),
        ((-0.01, -0.01), "harmed"),
        ((0, 0), "not shown"),
        ((0.05, -0.01), "not shown"),  # clear over films, not over seeds
        ((0.01,), "one seed: open"),
    ),
)
def test_verdicts(changes, verdict):
    sweep = Sweep()
    for seed, change in enumerate(changes):
        sweep.add("umtl_ssl_s", seed, BASE + noise())
        sweep.add("multimix", seed, BASE + change + noise())
    (found,) = sweep.compare().to_dict("records")
    assert (found["part"], found["off"], found["on"]) == ("KL term", "umtl_ssl_s", "multimix")
    assert (found["class_labels"], found["masks"], found["seeds"]) == ("100", "10", len(changes))
    assert found["low"] < found["difference"] < found["high"] and found["verdict"] == verdict
    assert found["difference"] == pytest.approx(np.mean(changes), abs=1e-3)


def test_only_films_seeds_budgets_and_lengths_that_both_have_are_compared():
    sweep = Sweep()
    for seed in (0, 1, 2):
        sweep.add("umtl", seed, BASE)
    sweep.add("umtl_s", 0, BASE[:30] + 0.02)
    sweep.add("umtl_s", 1, BASE + 0.01)
    sweep.add("umtl_ssl", 0, BASE, budget=("1000", "10"))
    sweep.add("unet", 0, BASE, budget=("none", "10"), steps=5)
    (found,) = sweep.compare().itertuples()
    assert (found.on, found.seeds, found.agreeing) == ("umtl_s", 2, 2)
    assert found.difference == pytest.approx((0.02 + 0.01) / 2)


def test_ten_films_of_a_patient_are_not_ten_patients():
    change = np.repeat([0.02, 0.01, 0.015, -0.005], 10)
    found = []
    for each in (1, 10):
        sweep = Sweep(films_each=each)
        for seed in (0, 1):
            sweep.add("umtl", seed, BASE)
            sweep.add("umtl_s", seed, BASE + change)
        found += list(sweep.compare().itertuples())
    by_film, by_patient = found
    assert by_film.p < 1e-3 < 0.05 < by_patient.p
    assert by_patient.high - by_patient.low > 2 * (by_film.high - by_film.low)


def test_p_values_are_adjusted_for_their_number():
    sweep = Sweep()
    for seed in (0, 1):
        sweep.add("umtl", seed, BASE)
        sweep.add("umtl_s", seed, BASE + RNG.normal(0.002, 0.005, 40))
    (alone,) = sweep.compare().itertuples()
    for seed in (0, 1):
        sweep.add("unet", seed, BASE + noise(0.01), budget=("none", "10"))
    among = sweep.compare().set_index("on").loc["umtl_s"]
    assert among.adjusted_p > among.p == alone.p == alone.adjusted_p > 0


def scored(rng: np.random.Generator, label: np.ndarray, seeds: int) -> np.ndarray:
    """Scores of one system's trainings, (films, seeds), that share the properties of the films."""
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


def test_the_table_has_the_published_figures_and_marks_impossible_ones():
    sweep = Sweep()
    sweep.add("umtl", 0, [0.5, 0.7])
    text = results_table(sweep.runs)
    assert "| U-Net + classifier (umtl) | 100 / 10 | ours, 1 seed | **0.600** |" in text
    assert "|  |  | paper | 0.626 |" in text and "†" not in text
    sweep.add("multimix", 0, [0.4, 0.6])
    text = results_table(sweep.runs.assign(test_jaccard=0.45, test_asd=[3.0, 2.0], machine="CPU"))
    assert "0.871†" in text and "no masks can have a Jaccard above their Dice" in text
    assert "| ours, 1 seed, CPU | 0.500 | **0.450** | **2.000** |" in text
    paper = published_figures()
    assert len(paper) == 11 and set(paper.columns) <= set(HEADS)
    assert paper.loc[("multimix", "all", "all"), "cross_asd"] == 0.417
    assert set(SYSTEM_NAMES) == set(SYSTEMS)


def test_a_report_of_a_folder(tmp_path: Path):
    sweep = Sweep()
    for seed in (0, 1):
        sweep.add("umtl", seed, BASE)
        sweep.add("multimix", seed, BASE + 0.01 + noise())
    sweep.runs.to_csv(tmp_path / "runs.csv", index=False)
    pd.DataFrame(sweep.columns).reset_index().to_csv(tmp_path / "films.csv", index=False)
    main(tmp_path)
    plt.close("all")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("runs.csv", "films.csv", "comparisons.csv", "table.md", "dice_test.png", "verdicts.png")
    }
    assert "| **helped** |" in (tmp_path / "table.md").read_text(encoding="utf-8")
