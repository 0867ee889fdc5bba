"""The analysis behind notebook 05, and its committed results."""

import json
import shlex
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy
from helpers import ROOT

from multimix.apps.cli import PARSER
from multimix.apps.options import changes_of
from multimix.config import Config
from multimix.evaluation.metrics import placements
from multimix.recipes import SYSTEMS
from notebooks.paper_table import paired_tests as paired
from notebooks.paper_table import tables
from notebooks.paper_table.report import main

FOLDER = ROOT / "notebooks" / "paper_table"
RUNS = tables.read_table(FOLDER / "runs.csv")
FILMS = tables.read_table(FOLDER / "films.csv")
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
    log = tables.read_table(FOLDER / name / "log.csv")
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
    committed = tables.read_table(FOLDER / "comparisons.csv")
    pd.testing.assert_frame_equal(paired.comparisons(RUNS, FILMS), committed, check_dtype=False)


def test_with_swapped_names_of_systems_one_comparison_in_twenty_is_below_a_twentieth():
    cells = {c: paired.by_seed(runs) for c, runs in tables.by_cell(RUNS).items() if len(runs) == 5}
    p_values = []
    for pair in paired.pairs([cell for cell in cells if cell.recipe == "paper"]):
        for domain, metric in product(("test", "cross"), paired.METRICS):
            changes = paired.film_changes(FILMS, cells[pair.off], cells[pair.on], domain, metric)
            if changes.empty:
                continue
            # Seed 0 stays (all swapped is the same test), and the last one, for time.
            for swapped in product((1, -1), repeat=len(changes.columns) - 2):
                turned = changes * np.array([1, *swapped, 1])
                p_values.append(paired.mean_change(turned, by_class=metric == "auc").p)
    assert len(p_values) >= 400 and 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.07


def test_the_readme_shows_these_figures():
    shown = {}
    for line in README.splitlines():
        name, *figures = (cell.strip(" *") for cell in line.strip("|").split("|"))
        shown[name.removesuffix(", shortened")] = figures
    columns = ("test_auc", "test_accuracy", "test_dice", "cross_dice", "cross_auc")
    paper, checked = tables.published_figures(), 0
    for cell, runs in tables.by_cell(RUNS).items():
        fewest = cell.class_labels in ("100", "none") and cell.masks in ("10", "none")
        if not fewest or cell.title not in shown:
            continue
        checked += 1
        published = (cell.system, cell.class_labels, cell.masks)
        for column, figure in zip(columns, shown[cell.title], strict=True):
            expected = tables.spread(runs[column])
            if cell.recipe == "paper" and published in paper.index and column in paper:
                theirs = paper.loc[published, column]
                expected += f" ({theirs:.3f})" if pd.notna(theirs) else ""
            assert figure.replace("*", "") == expected.replace("0.", "."), (cell, column)
    assert checked == 5


def sweep(runs, films_each: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """runs.csv and films.csv of runs (system, seed, class labels, Dices) that no training made.

    `films_each` films are of one patient.
    """
    rows, columns = [], {}
    names = ["domain", "task", "film", "patient", "label"]
    for system, seed, labels, dice in runs:
        row = {"system": system, "recipe": "paper", "class_labels": labels, "masks": "10"}
        row |= {"run": f"{system}-{labels}-10-seed{seed}", "seed": seed, "side": 32, "steps": 4}
        rows.append({**row, "test_dice": np.mean(dice)})
        patients = [f"p{i // films_each}" for i in range(len(dice))]
        films = [("test", "segmentation", f"f{i}", p, None) for i, p in enumerate(patients)]
        columns[row["run"]] = pd.Series(dice, pd.MultiIndex.from_tuples(films, names=names))
    return pd.DataFrame(rows), pd.DataFrame(columns).reset_index()


RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.8, 0.95, 40)
NOISES = RNG.normal(0, 0.001, (5, 40))


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
    runs = [("umtl_ssl_s", seed, "100", BASE + NOISES[seed]) for seed in range(len(changes))]
    for seed, change in enumerate(changes):
        runs.append(("multimix", seed, "100", BASE + change + NOISES[seed + 2]))
    runs.append(("umtl_s", 9, "100", BASE[:30]))  # no other run has this seed
    runs.append(("multimix", 0, "1000", BASE))  # nor these labels
    (found,) = paired.comparisons(*sweep(runs)).to_dict("records")
    assert (found["part"], found["off"], found["on"]) == ("KL term", "umtl_ssl_s", "multimix")
    assert (found["class_labels"], found["masks"], found["seeds"]) == ("100", "10", len(changes))
    assert found["low"] < found["difference"] < found["high"] and found["verdict"] == verdict
    assert found["difference"] == pytest.approx(np.mean(changes), abs=1e-3)


def test_ten_films_of_a_patient_are_not_ten_patients_and_p_values_are_adjusted():
    change = np.repeat([0.02, 0.01, 0.015, -0.005], 10)
    runs = [("umtl", seed, "100", BASE) for seed in (0, 1)]
    runs += [("umtl_s", seed, "100", BASE + change) for seed in (0, 1)]
    by_film, by_patient = (
        next(paired.comparisons(*sweep(runs, each)).itertuples()) for each in (1, 10)
    )
    assert by_film.p < 1e-3 < 0.05 < by_patient.p == by_patient.adjusted_p
    runs += [("unet", seed, "none", BASE + 10 * NOISES[seed]) for seed in (0, 1)]
    among = paired.comparisons(*sweep(runs, 10)).set_index("on").loc["umtl_s"]
    assert among.adjusted_p > among.p == by_patient.p


def test_one_seed_is_the_paired_test_of_delong():
    rng, label = np.random.default_rng(3), np.repeat([0, 1], (20, 35))
    off = rng.normal(size=55) + label
    on = off + rng.normal(0, 0.5, 55) + 0.4 * label
    wins = [s[label == 1][:, None] > s[label == 0] for s in (off, on)]  # each (35, 20)
    change = wins[1].astype(float) - wins[0]
    variance = np.var(change.mean(1), ddof=1) / 35 + np.var(change.mean(0), ddof=1) / 20
    z = change.mean() / np.sqrt(variance)
    moved = placements(on, label) - placements(off, label)
    index = pd.MultiIndex.from_arrays([np.arange(55), np.arange(55), label], names=paired.SAME_FILM)
    found = paired.mean_change(pd.DataFrame(moved[:, None], index), by_class=True)
    assert found.difference == pytest.approx(change.mean())
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(abs(z)))
    assert found.high - found.low == pytest.approx(2 * 1.959964 * np.sqrt(variance))


def test_the_report_of_a_folder_has_the_published_figures_and_marks_impossible_ones(tmp_path):
    made = [("umtl", seed, "100", BASE) for seed in (0, 1)]
    made += [("multimix", seed, "100", BASE + 0.01 + NOISES[seed]) for seed in (0, 1)]
    runs, films = sweep(made)
    runs.assign(test_jaccard=0.45).to_csv(tmp_path / "runs.csv", index=False)
    films.to_csv(tmp_path / "films.csv", index=False)
    main(tmp_path)
    plt.close("all")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("runs.csv", "films.csv", "comparisons.csv", "table.md", "dice_test.png", "verdicts.png")
    }
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| **helped** |" in text and "| U-Net + classifier (umtl) | 100 / 10 | ours, 2" in text
    assert "0.871†" in text and "no masks can have a Jaccard above their Dice" in text
    paper = tables.published_figures()
    assert len(paper) == 11 and set(paper.columns) <= {*tables.HEADS, "test_hd", "cross_hd"}
    assert paper.loc[("multimix", "all", "all"), "cross_hd"] == 0.417
    assert set(tables.SYSTEM_NAMES) == set(SYSTEMS)
