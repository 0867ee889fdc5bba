"""The tables and figures of a sweep."""

import csv
import os
import shlex
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import SIDE
from study_helpers import PHANTOMS, SMALL, fake, run_here, small

from multimix.apps.cli import main
from multimix.recipes import SYSTEMS
from multimix.study.figures import budget_curves, draw_figures, mean_log, plot_verdicts
from multimix.study.jobs import QUICK, Measured, Sources, grid
from multimix.study.paired_tests import PER_FILM, comparisons, comparisons_table, film_values
from multimix.study.report import (
    HEADS,
    published_figures,
    results_table,
    write_report,
    write_tables,
)
from multimix.study.results import (
    SYSTEM_NAMES,
    RunResult,
    collect,
    films_table,
    read_results,
    read_table,
    readable,
    runs_table,
    write_table,
)


def test_quick_does_it_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(QUICK, "classification", ["phantom://30"])
    for task in ("segmentation", "cross_classification", "cross_segmentation"):
        monkeypatch.setitem(QUICK, task, ["phantom://20"])
    systems = ["unet", "enc", "umtl", "multimix"]
    tasks = ("classification", "segmentation", "cross_classification", "cross_segmentation")
    sources = Sources(*(tuple(QUICK[task]) for task in tasks))
    short = {"side": SIDE, "steps": 2, "batch": 2, "validate_every": 1}
    jobs = grid(systems, [20], [5], 2, "paper", sources, **short)
    assert run_here([job for job in jobs if job.system != "unet"], tmp_path) == []
    command = ["sweep", "--quick", "--systems", ",".join(systems), "--side", str(SIDE)]
    command += ["--steps", "2", "--batch", "2", "--validate-every", "1", "--jobs", "2"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    text = (tmp_path / "table.md").read_text()
    assert text in printed and "8 runs, 6 of them done; 2 at once." in printed
    drawn = {"dice_test", "dice_cross", "scatter_test", "scatter_cross"}
    drawn |= {"training_auc", "training_dice", "verdicts"}
    assert {path.stem for path in tmp_path.glob("*.png")} == drawn
    assert all(f"{name}.png" in printed for name in drawn)
    with open(tmp_path / "runs.csv", newline="") as file:
        runs = list(csv.DictReader(file))
    dice = [float(run["test_dice"]) for run in runs if run["system"] == "unet"]
    mean = f"{np.mean(dice):.3f} ± {np.std(dice, ddof=1):.3f}"
    row = f"| U-Net alone (unet) | none / 5 | ours, 2 seeds |  |  |  |  |  | {mean} |"
    assert row in text.replace("**", "")
    assert "| second task | unet | umtl | 20 / 5 | cross | dice |" in text


def test_a_folder_may_be_filled_by_several_commands(tmp_path):
    assert run_here(small(["umtl"]), tmp_path) == []
    improved = grid(["umtl"], [4], [2], 2, "improved", PHANTOMS, **SMALL)
    assert run_here(improved, tmp_path) == []
    assert run_here(small(["enc"], 1, steps=3), tmp_path) == []  # other steps: not comparable
    found = collect(improved, tmp_path)
    assert [run.job.name for run in found] == [
        "umtl-4-2-seed0",
        "umtl-4-2-seed1",
        "umtl-improved-4-2-seed0",
        "umtl-improved-4-2-seed1",
    ]
    assert found[2].job.spec() == improved[0].spec()
    compared = {(found.part, found.off, found.on) for found in comparisons(found)}
    assert compared == {("improved recipe", "umtl", "umtl, improved")}
    text, figures = write_report(improved, tmp_path)
    assert "| U-Net + classifier, improved (umtl) | 4 / 2 | ours, 2 seeds |" in text
    assert "# 4 runs: 32 px, 2 steps each" in text and all(path.is_file() for path in figures)
    with open(tmp_path / "films.csv", newline="") as file:
        films = list(csv.DictReader(file))
    with open(tmp_path / "runs.csv", newline="") as file:
        runs = {row["run"]: row for row in csv.DictReader(file)}
    lungs = [film for film in films if (film["domain"], film["task"]) == ("test", "segmentation")]
    for name, run in runs.items():  # the films' values give the runs' figures
        dice = [float(film[name]) for film in lungs]
        assert np.mean(dice) == pytest.approx(float(run["test_dice"]), abs=1e-3)
        assert shlex.split(run["command"])[-1] == str(tmp_path / f"{name}-again")


def test_a_sweep_in_which_all_failed_has_an_empty_report(tmp_path):
    text, figures = write_report(small(), tmp_path)
    assert text.startswith("# 0 runs") and figures == []
    names = {"runs.csv", "comparisons.csv", "films.csv", "table.md"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_damaged_results_and_tables_are_named(tmp_path, capsys):
    jobs = small(["unet"], 1)
    assert run_here(jobs, tmp_path) == []
    write_tables(collect(jobs, tmp_path), tmp_path)
    path = tmp_path / jobs[0].name / "test.json"
    whole = path.read_text()
    for damage in ('"patient": 3, "x": ', '"patient": null, "x": ', '"patience": '):
        path.write_text(whole.replace('"patient": ', damage, 1))
        assert collect(jobs, tmp_path) == []
        assert f"{path} is damaged, so its run is left out" in capsys.readouterr().err
    path.write_text(whole)
    assert len(collect(jobs, tmp_path)) == 1
    log = f"{jobs[0].name}/log.csv"
    show_log = partial(mean_log, tmp_path, pd.Series([jobs[0].name]), "val_dice")
    for name, show in (
        ("runs.csv", partial(draw_figures, tmp_path)),
        ("films.csv", partial(draw_figures, tmp_path)),
        (log, show_log),
    ):
        table = (tmp_path / name).read_bytes()
        for content in (b"", b"a,b\n1,2\n", table.replace(b"0.", b"x0."), b"\0" + table):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=r"csv is not as it was written.*again\.$"):
                show()
        (tmp_path / name).write_bytes(table)
    assert len(show_log()) == 2


def test_the_table_marks_what_was_published_and_is_impossible():
    runs = runs_table([fake("umtl", 0, [0.5, 0.7])], Path("out"))
    text = results_table(runs)
    assert "| U-Net + classifier (umtl) | 100 / 10 | ours, 1 seed | **0.600** |" in text
    assert "|  |  | paper | 0.626 |" in text and "†" not in text
    text = results_table(runs.assign(test_jaccard=0.45))
    assert "0.871†" in text and "no masks can have a Jaccard above their Dice" in text


def test_the_published_figures_are_those_of_the_paper():
    paper = published_figures()
    assert len(paper) == 11 and set(paper.columns) <= set(HEADS)
    assert paper.loc[("multimix", "all", "all"), "cross_asd"] == 0.417
    assert paper.loc[("enc", "100", "none")].dropna().to_dict() == {
        "test_accuracy": 0.732,
        "test_f1_normal": 0.424,
        "test_f1_pneumonia": 0.806,
        "cross_accuracy": 0.352,
    }


def test_tables_come_back_as_they_were_written(tmp_path):
    names = ["plain", "NA", 'comma, quote"', readable(os.fsdecode(b"caf\xe9"))]
    labels = ["20", "20", "20", "20"]
    dice = [0.1, np.nan, 1e-5, 1]
    table = pd.DataFrame({"film": names, "class_labels": labels, "dice": dice})
    write_table(table, tmp_path / "films.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "films.csv"), table, check_dtype=False)
    assert (tmp_path / "films.csv").read_bytes().startswith(b"film,class_labels,dice\r\n")
    (tmp_path / "films.csv").write_text("film,dice\na,0.5\nb,nan\n")
    assert read_table(tmp_path / "films.csv")["dice"].mean() == 0.5


def test_names_that_are_not_utf_8_stay_apart():
    names = [os.fsdecode(b"a%d\xff.png" % i) for i in range(5)]
    films = [{"task": "segmentation", "film": n, "patient": n, "dice": 0.5} for n in names]
    run = fake("umtl", 0, [0.5])
    measured = Measured(run.job, {"dice": 0.5}, films)
    table = films_table([RunResult.from_measured(run.job, {"test": measured})])
    assert table["film"].tolist() == [f"a{i}\\xff.png" for i in range(5)]
    assert table["patient"].nunique() == 5


def test_a_film_has_a_row_whichever_runs_measured_it():
    runs = [fake("umtl", 0, [0.5, 0.7]), fake("umtl", 1, [0.12347, 0.6, 0.9])]
    for run in runs:
        run.films["task"] = "segmentation"
    table = films_table(runs)
    assert table["film"].tolist() == ["f0", "f1", "f2"]
    assert table["umtl-100-10-seed1"].tolist() == [0.1235, 0.6, 0.9]
    assert table["umtl-100-10-seed0"].dropna().tolist() == [0.5, 0.7]


def points(runs, metric: str, budget: str) -> dict[str, list]:
    curves = budget_curves(runs_table(runs, Path("out")), metric, budget)
    return {name: list(line.items()) for name, line in curves.items()}


def test_budget_curves_need_two_budgets():
    runs = [fake("umtl", 0, [0.5, 0.7], budget=(100, masks)) for masks in (10, 50)]
    assert points(runs, "test_dice", "masks") == {"umtl": [("10", 0.6), ("50", 0.6)]}
    assert points(runs, "test_dice", "class_labels") == {}
    pairs = []
    for labels in (100, 1000):
        for masks in (10, 50):
            pairs.append(fake("umtl", 0, [0.5, 0.7], budget=(labels, masks)))
    assert set(points(pairs, "test_dice", "masks")) == {
        "umtl, 100 class labels",
        "umtl, 1000 class labels",
    }
    both = [fake("umtl", 0, [0.5, 0.7], budget=pair) for pair in ((100, 10), (1000, 50))]
    assert list(points(both, "test_dice", "class_labels")) == ["umtl"]


def test_budgets_are_drawn(tmp_path):
    runs = [fake("umtl", 0, [0.5, 0.7], budget=(100, masks)) for masks in (10, 50)]
    for run in runs:
        run.films["task"] = "segmentation"
    write_table(runs_table(runs, tmp_path), tmp_path / "runs.csv")
    write_table(films_table(runs), tmp_path / "films.csv")
    figures = draw_figures(tmp_path)
    plt.close("all")
    assert set(figures) == {"dice_test", "budget_dice"}
    (axis,) = figures["budget_dice"].axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["10", "50"]


def test_runs_of_before_raw_probabilities_had_a_name_are_read():
    run = fake("enc", 0, [0.5])
    names = {"task": "classification", "film": "a", "patient": "a", "label": "NORMAL"}
    old = {**names, "probability": 0.75, "correct": False}
    new = old | {"film": "b", "patient": "b", "raw_probability": 0.25, "raw_correct": True}
    measured = Measured(run.job, {"accuracy": 0.5}, [old, new])
    found = RunResult.from_measured(run.job, {"test": measured})
    assert films_table([found])[found.job.name].tolist() == [0.75, 0.25]
    assert film_values(found, "test", PER_FILM["accuracy"]).tolist() == [0, 1]


def test_results_come_back_from_their_tables(tmp_path):
    jobs = small(["enc", "unet"], 1)
    assert run_here(jobs, tmp_path) == []
    found = collect(jobs, tmp_path)
    write_tables(found, tmp_path)
    again = {run.job.name: run for run in read_results(tmp_path)}
    assert len(again) == len(found) == 2
    for run in found:
        back = again[run.job.name]
        assert (back.cell, back.job.config) == (run.cell, run.job.config)
        for domain, metrics in run.metrics.items():
            assert back.metrics[domain] == pytest.approx(metrics, abs=1e-5)
            for column in PER_FILM.values():
                values, expected = (film_values(each, domain, column) for each in (back, run))
                assert values.index.droplevel("label").equals(expected.index.droplevel("label"))
                assert values.to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-4)


def test_the_best_of_a_column_is_bold_and_a_machine_is_named():
    runs = runs_table([fake("umtl", 0, [0.5]), fake("multimix", 0, [0.7])], Path("out"))
    text = results_table(runs.assign(test_asd=[2.0, 3.0], machine="CPU"), {"test_dice": "Dice"})
    assert "| MultiMix (multimix) | 100 / 10 | ours, 1 seed, CPU | **0.700** |" in text
    assert "| ours, 1 seed, CPU | 0.500 |" in text and "ASD" not in text
    text = results_table(runs.assign(test_asd=[2.0, 3.0]))
    assert "| 0.500 | **2.000** |" in text and "| **0.700** | 3.000 |" in text


def test_every_comparison_is_drawn_with_its_verdict():
    runs = []
    for seed in (0, 1):
        runs += [fake("umtl", seed, [0.5, 0.6, 0.7]), fake("unet", seed, [0.8, 0.91, 1.0])]
        runs.append(fake("multimix", seed, [0.5, 0.6, 0.7 + 0.01 * seed]))
    figure = plot_verdicts(comparisons_table(runs))
    plt.close("all")
    (axis,) = figure.axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == [
        "second task, beside U-Net alone (100 / 10)",
        "all but the second task, beside U-Net + classifier (100 / 10)",
    ]
    assert axis.get_title() == "Dice" and len(axis.containers) == 2


def test_every_system_has_a_name():
    assert set(SYSTEM_NAMES) == set(SYSTEMS)
