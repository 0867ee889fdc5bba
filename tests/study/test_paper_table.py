"""The committed results agree with themselves, film by film, and with what README and findings say
of them.
"""

import csv
import gzip
import json
import re
import statistics

import pytest
from helpers import ROOT

from multimix.config import SYSTEMS, Config
from multimix.study.report import by_cell, read_rows, spread, values

FOLDER = ROOT / "notebooks" / "paper_table"
RUNS = read_rows(FOLDER / "runs.csv")
FILMS = read_rows(FOLDER / "films.csv")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["run"])
def test_a_run_can_be_followed_to_its_films(run):
    config = Config(**json.loads(run["config"]))
    assert (
        run["system"] in SYSTEMS
        and config.seed == int(run["seed"])
        and config.steps == int(run["steps"])
    )
    assert run["command"].startswith(
        f"python -m multimix train --system {run['system']} --recipe {run['recipe']} "
    )
    log = read_rows(FOLDER / run["run"] / "log.csv")
    assert int(log[-1]["step"]) == config.steps
    for domain in ("test", "cross"):
        dice = [
            float(film[run["run"]])
            for film in FILMS
            if (film["domain"], film["task"]) == (domain, "segmentation") and film[run["run"]]
        ]
        assert bool(dice) == bool(run[f"{domain}_dice"]) == config.segment
        if dice:
            assert statistics.mean(dice) == pytest.approx(float(run[f"{domain}_dice"]), abs=1e-4)
    right = [
        (float(film[run["run"]]) > 0.5) == (film["label"] == "PNEUMONIA")
        for film in FILMS
        if film["task"] == "classification" and film[run["run"]]
    ]
    assert bool(right) == config.classify
    if right:
        assert statistics.mean(right) == pytest.approx(float(run["test_accuracy"]), abs=1e-4)


def test_the_manifests_name_as_many_labels_as_the_table():
    for path in (FOLDER / "manifests").glob("*.csv.gz"):
        budgets = re.fullmatch(r"(\w+)-(\w+)-seed\d", path.name.removesuffix(".csv.gz")).groups()
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for task, budget in zip(("classification", "segmentation"), budgets):
            training = [
                row["use"] for row in rows if (row["task"], row["split"]) == (task, "train")
            ]
            assert training.count("labelled") == (len(training) if budget == "all" else int(budget))


def test_the_readme_shows_these_figures():
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.splitlines()
        if re.match(r"\| .* \| (\d+|all|none) / (\d+|all|none) \|", line)
    ]
    cells = by_cell(RUNS)
    assert len(shown) == len(cells)
    columns = ("test_auc", "test_accuracy", "test_f1_normal", "test_dice", "cross_dice")
    for (cell, runs), (name, budget, *figures) in zip(cells.items(), shown):
        assert (name, budget) == (cell.label, f"{cell.class_labels} / {cell.masks}")
        for column, figure in zip(columns, figures):
            numbers = values(runs, column)
            assert figure.partition(" (")[0] == (spread(numbers) if numbers else "").replace(
                "0.", "."
            ), (name, column)
