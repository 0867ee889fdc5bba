"""The committed results agree with themselves, film by film, and with what the README says."""

import json
import re
import shlex

import pandas as pd
import pytest
from helpers import ROOT

from multimix.apps.options import parser
from multimix.config import Config
from multimix.recipes import SYSTEMS
from multimix.runtime.config_options import changes_of
from multimix.study.report import spread
from multimix.study.results import by_cell, read_table

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
    if config.classify:
        right = (classes[name] > 0.5) == (classes["label"] == "PNEUMONIA")
        assert right.mean() == pytest.approx(run["test_accuracy"], abs=1e-4)


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


def test_the_readme_shows_these_figures():
    shown = []
    for line in README.splitlines():
        if re.match(r"\| .* \| (\d+|all|none) / (\d+|all|none) \|", line):
            shown.append([cell.strip() for cell in line.strip("|").split("|")])
    cells = by_cell(RUNS)
    assert len(shown) == len(cells)
    columns = ("test_auc", "test_accuracy", "test_f1_normal", "test_dice", "cross_dice")
    for (cell, runs), (name, budget, *figures) in zip(cells.items(), shown):
        assert (name, budget) == (cell.label, f"{cell.class_labels} / {cell.masks}")
        for column, figure in zip(columns, figures):
            ours = spread(runs[column]).replace("0.", ".")
            assert figure.partition(" (")[0] == ours, (name, column)
