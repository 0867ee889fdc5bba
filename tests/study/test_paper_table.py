"""The committed results agree with themselves, film by film, and with what the README says."""

import json
import re
import shlex
from itertools import product

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT

from multimix.apps.options import parser
from multimix.config import Config
from multimix.recipes import SYSTEMS
from multimix.runtime.config_options import changes_of
from multimix.study.paired_tests import (
    PER_FILM,
    comparisons_table,
    film_changes,
    mean_change,
    pairs,
)
from multimix.study.report import published_figures, spread
from multimix.study.results import by_cell, read_results, read_table

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
    options = parser().parse_args(shlex.split(run["command"])[3:])
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


def test_the_manifests_name_as_many_labels_as_the_table():
    paths = list((FOLDER / "manifests").glob("*.csv.gz"))
    assert paths
    for path in paths:
        budgets = re.fullmatch(r"(\w+)-(\w+)-seed\d", path.name.removesuffix(".csv.gz")).groups()
        manifest = pd.read_csv(path)
        for task, budget in zip(("classification", "segmentation"), budgets):
            training = manifest[(manifest["task"] == task) & (manifest["split"] == "train")]
            expected = len(training) if budget == "all" else int(budget)
            assert (training["use"] == "labelled").sum() == expected


def test_the_comparisons_follow_from_the_films():
    again = comparisons_table(read_results(FOLDER))
    committed = read_table(FOLDER / "comparisons.csv")
    pd.testing.assert_frame_equal(again, committed, check_dtype=False)


def test_with_swapped_names_of_systems_one_comparison_in_twenty_is_below_a_twentieth():
    cells: dict[str, list] = {}
    for result in read_results(FOLDER):
        if result.cell.recipe == "paper":
            cells.setdefault(result.cell, []).append(result)
    p_values = []
    for pair in pairs([cell for cell, results in cells.items() if len(results) == 5]):
        for domain, metric in product(("test", "cross"), PER_FILM):
            changes = film_changes(cells[pair.off], cells[pair.on], domain, metric)
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
