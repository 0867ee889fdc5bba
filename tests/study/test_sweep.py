"""The grid, its table and its paired tests, on phantoms."""

import csv
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from helpers import ROOT, SIDE, TINY

from multimix.apps.cli import main
from multimix.apps.options import parser
from multimix.config import SYSTEMS
from multimix.evaluation.evaluator import as_csv
from multimix.evaluation.metrics import placements
from multimix.study.paired_tests import RunResult, collect, comparisons
from multimix.study.report import (
    COLUMNS,
    budget_curves,
    by_cell,
    published,
    report,
    run_rows,
    table,
)
from multimix.study.sweep import Sources, grid, runs_at_once, sweep

PHANTOMS = Sources(
    ("phantom://20",), ("phantom://20",), ("phantom://20+1000",), ("phantom://20+1000",)
)
SMALL = {"side": SIDE, "steps": 2, "batch": 2, "validate_every": 1, "widths": TINY}


def small(systems=("unet", "multimix"), seeds=2, **changes):
    return grid(list(systems), [4], [2], seeds, "paper", PHANTOMS, **{**SMALL, **changes})


def test_a_grid_has_every_cell_once():
    jobs = grid(list(SYSTEMS), [100, 1000, None], [10, None], 2, "paper", PHANTOMS)
    names = [job.name for job in jobs]
    assert (
        len(names) == len(set(names)) == 2 * (2 + 2 * 3 + 5 * 6)
    )  # unet; enc, enc_ssl; the others
    assert {"unet-none-10-seed0", "enc-100-none-seed1", "multimix-all-all-seed0"} <= set(names)
    assert all(job.config.steps == jobs[0].config.steps for job in jobs)
    assert next(job for job in jobs if job.system == "enc").folders("test") == (
        ("phantom://20",),
        (),
    )


def test_what_is_done_is_skipped_and_what_was_cut_off_goes_on(tmp_path, capsys, monkeypatch):
    jobs = small()
    assert sweep(jobs, tmp_path, at_once=1) == []
    assert "4 runs, 0 of them done" in capsys.readouterr().out
    monkeypatch.setattr(
        "multimix.study.sweep.train", lambda *_, **__: pytest.fail("done, and yet trained")
    )
    assert sweep(jobs, tmp_path) == []
    assert "4 runs, 4 of them done" in capsys.readouterr().out
    monkeypatch.undo()
    before = (tmp_path / jobs[0].name / "test.json").read_text()
    (tmp_path / jobs[0].name / "test.json").write_text(
        before[:50]
    )  # cut off: measured again, not trained again
    steps = (tmp_path / jobs[0].name / "log.csv").read_text()
    assert sweep(jobs, tmp_path) == []
    assert "3 of them done" in capsys.readouterr().out
    assert (tmp_path / jobs[0].name / "test.json").read_text() == before
    assert (tmp_path / jobs[0].name / "log.csv").read_text() == steps


def test_a_run_is_what_its_command_says(tmp_path):
    job = small(["umtl"], 2, widths=(16, 32, 64, 128, 256))[1]
    sweep([job], tmp_path / "a")
    command = json.loads((tmp_path / "a" / job.name / "test.json").read_text())["command"]
    assert command == job.command(tmp_path / "a")
    words = shlex.split(command)[3:]
    assert main([*words[:-1], str(tmp_path / "b")]) == 0
    logs = [
        (path / "log.csv").read_text().splitlines()
        for path in (tmp_path / "a" / job.name, tmp_path / "b")
    ]
    assert [line.rpartition(",")[0] for line in logs[0]] == [
        line.rpartition(",")[0] for line in logs[1]
    ]  # less time


def test_one_failure_does_not_stop_the_others(tmp_path, monkeypatch):
    jobs = small()
    (tmp_path / jobs[0].name).mkdir()
    (tmp_path / jobs[0].name / "last.pth").write_bytes(b"no checkpoint")
    (fault,) = sweep(jobs, tmp_path, at_once=1)
    assert fault.startswith("unet-none-2-seed0: Nothing in") and "can be resumed" in fault
    assert all(job.done(tmp_path) for job in jobs[1:])
    monkeypatch.setattr("multimix.study.sweep.train", lambda *_, **__: 1 / 0)
    assert sweep(jobs[:1], tmp_path) == ["unet-none-2-seed0: ZeroDivisionError: division by zero"]


def test_faults_are_found_before_the_first_training(tmp_path):
    with pytest.raises(ValueError, match="99 labelled films are asked for, but there are 16"):
        sweep([*small(), *grid(["enc"], [99], [None], 1, "paper", PHANTOMS, **SMALL)], tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--systems", "unet,resnet"], "There is no system 'resnet'; choose one of unet, enc"),
        (["--seeds", "0"], "0 seeds are asked for; 1 or more are needed"),
        (["--class-labels", "100,many"], "'many' is no number of labels; write a number, or all"),
    ],
)
def test_bad_grids(tmp_path, capsys, options, message):
    command = ["sweep", "--quick", "--out", str(tmp_path), *options]
    try:
        assert main(command) == 2
    except SystemExit as refused:  # by argparse
        assert refused.code == 2
    assert message in capsys.readouterr().err and not any(tmp_path.iterdir())


def test_quick_does_it_all(tmp_path, capsys):
    command = [
        "sweep",
        "--quick",
        "--systems",
        "unet,enc,umtl,multimix",
        "--side",
        str(SIDE),
        "--steps",
        "2",
        "--batch",
        "2",
        "--validate-every",
        "1",
        "--jobs",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    text = (tmp_path / "table.md").read_text()
    assert text in printed and "8 runs, 0 of them done; 2 at once." in printed
    assert {path.name for path in tmp_path.glob("*.png")} == {
        f"{name}.png"
        for name in (
            "dice_test",
            "dice_cross",
            "scatter_test",
            "scatter_cross",
            "training_auc",
            "training_dice",
        )
    }
    with open(tmp_path / "runs.csv", newline="") as file:
        runs = list(csv.DictReader(file))
    dice = [float(run["test_dice"]) for run in runs if run["system"] == "unet"]
    mean = f"{np.mean(dice):.3f} ± {np.std(dice, ddof=1):.3f}"
    assert f"| unet | none | 5 | ours, 2 seeds |  |  |  |  |  | {mean} |" in text
    assert "| second task | unet | umtl | 20 / 5 | cross | dice |" in text


def start_a_sweep(tmp_path, seeds: int) -> subprocess.Popen:
    """Endless trainings, two at once, in a process group of their own; comes back when both have
    begun.
    """
    command = [
        sys.executable,
        "-m",
        "multimix",
        "sweep",
        "--quick",
        "--systems",
        "unet",
        "--seeds",
        str(seeds),
        "--side",
        str(SIDE),
        "--steps",
        "100000",
        "--validate-every",
        "100000",
        "--jobs",
        "2",
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not all(
        (tmp_path / f"unet-none-5-seed{seed}" / "manifest.csv").exists() for seed in (0, 1)
    ):
        assert process.poll() is None
        time.sleep(0.2)
    time.sleep(1)
    return process


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]


def test_ctrl_c_saves_and_starts_no_more(tmp_path):
    with start_a_sweep(tmp_path, seeds=3) as process:
        workers = workers_of(process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == "multimix: stopped; the same command goes on.\n"
    assert len(workers) == 2 and not any(worker.is_running() for worker in workers)
    assert sorted(path.parent.name for path in tmp_path.glob("*/last.pth")) == [
        "unet-none-5-seed0",
        "unet-none-5-seed1",
    ]
    assert not (tmp_path / "unet-none-5-seed2").exists()


def test_trainings_do_not_outlive_a_sweep_that_is_killed(tmp_path):
    with start_a_sweep(tmp_path, seeds=2) as process:
        workers = workers_of(process)
        process.kill()
        _, alive = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2 and not alive
    assert len(list(tmp_path.glob("*/last.pth"))) == 2


def test_as_many_runs_as_memory_allows(monkeypatch):
    config, gib = small()[0].config, 2**30
    for cores, free, held, expected in (
        (4, 100, 0, 4),
        (4, 2.5, 0, 2),
        (4, 0.1, 0, 1),
        (4, 8, 1, 2),
    ):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        monkeypatch.setattr(
            "psutil.virtual_memory", lambda free=free: SimpleNamespace(available=free * gib)
        )
        assert runs_at_once(torch.device("cpu"), config, held * gib) == expected


def fake(
    system: str,
    seed: int,
    values: list[float],
    column: str = "dice",
    budget=(100, 10),
    films_each=1,
) -> RunResult:
    """A run with these values of films; `films_each` of a patient."""
    job = grid([system], [budget[0]], [budget[1]], seed + 1, "paper", PHANTOMS)[seed]
    rows = [
        {"film": f"f{i}", "patient": f"p{i // films_each}", column: value}
        for i, value in enumerate(values)
    ]
    return RunResult(job, {"test": {column: float(np.mean(values))}}, {"test": rows})


def rows_of(runs: list[RunResult]) -> list[dict[str, str]]:
    """As `runs.csv` has them."""
    return list(csv.DictReader(io.StringIO(as_csv(run_rows(runs, Path("out"))))))


def test_paired_tests_by_hand():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.8, 0.95, 40)
    off = [fake("umtl_ssl_s", seed, base + rng.normal(0, 0.001, 40)) for seed in (0, 1)]
    on = [fake("multimix", seed, base + 0.01 + rng.normal(0, 0.001, 40)) for seed in (0, 1)]
    (found,) = comparisons(off + on)
    assert (found.part, found.off, found.on, found.class_labels, found.masks) == (
        "KL term",
        "umtl_ssl_s",
        "multimix",
        "100",
        "10",
    )
    assert found.low < found.difference < found.high
    assert found.difference == pytest.approx(0.01, abs=1e-3)
    assert found.p < 1e-6 and (found.agreeing, found.seeds, found.verdict) == (2, 2, "helped")
    assert comparisons(off[:1] + on[:1])[0].verdict == "one seed: open"
    worse = [fake("multimix", seed, base - 0.01) for seed in (0, 1)]
    assert comparisons(off + worse)[0].verdict == "harmed"
    noise = [fake("multimix", seed, base + rng.normal(0, 0.001, 40)) for seed in (0, 1)]
    assert comparisons(off + noise)[0].verdict == "not shown"
    split = [
        fake("multimix", 0, base + 0.05),
        fake("multimix", 1, base - 0.01),
    ]  # clear over films, not over seeds
    assert (
        comparisons(off + split)[0].p < 1e-6 and comparisons(off + split)[0].verdict == "not shown"
    )
    assert (
        comparisons([*off, *(fake("multimix", seed, base, budget=(1000, 10)) for seed in (0, 1))])
        == []
    )
    same = comparisons([fake("umtl", 0, base), fake("unet", 0, base)])
    assert same[0].part == "second task" and same[0].p == 1 and same[0].difference == 0


def test_ten_films_of_a_patient_are_not_ten_patients():
    rng = np.random.default_rng(1)
    base, change = (
        rng.uniform(0.8, 0.9, 60),
        np.repeat([0.02, 0.01, 0.015, -0.005, 0.03, -0.01], 10),
    )
    by_film, by_patient = (
        comparisons(
            [fake("umtl", s, base, films_each=each) for s in (0, 1)]
            + [fake("umtl_s", s, base + change, films_each=each) for s in (0, 1)]
        )[0]
        for each in (1, 10)
    )
    assert by_film.p < 1e-3 < 0.1 < by_patient.p
    assert by_patient.high - by_patient.low > 2 * (by_film.high - by_film.low)


def test_a_few_disasters_against_many_small_gains_are_no_verdict():
    base = np.linspace(0.8, 0.9, 40)
    change = np.full(40, 0.004)
    change[:2] = -0.8
    (found,) = comparisons(
        [fake("umtl", s, base) for s in (0, 1)] + [fake("umtl_s", s, base + change) for s in (0, 1)]
    )
    assert found.p < 1e-3 and found.difference < 0 and found.verdict == "not shown"


def test_p_values_are_adjusted_for_their_number():
    rng = np.random.default_rng(2)
    base = rng.uniform(0.8, 0.95, 12)
    off = [fake("umtl", s, base) for s in (0, 1)]
    on = [fake("umtl_s", s, base + rng.normal(0.004, 0.005, 12)) for s in (0, 1)]
    others = [fake("unet", s, base + rng.normal(0, 0.01, 12)) for s in (0, 1)]
    (alone,) = comparisons(off + on)
    among = next(c for c in comparisons(off + on + others) if c.on == "umtl_s")
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
            for row, name in zip(runs[-1].rows["test"], label):
                row["label"] = name
        (found,) = comparisons(runs)
        called += found.p < 0.05
        held += found.low <= 0 <= found.high
    assert called <= 8 and held >= 52


def test_budget_curves_need_two_budgets():
    runs = [fake("umtl", 0, [0.5, 0.7], budget=(100, masks)) for masks in (10, 50)]
    groups = by_cell(rows_of(runs))
    assert budget_curves(groups, "dice", "masks") == {"umtl": [("10", 0.6), ("50", 0.6)]}
    assert budget_curves(groups, "dice", "class_labels") == {}
    pairs = [
        fake("umtl", 0, [0.5, 0.7], budget=(labels, masks))
        for labels in (100, 1000)
        for masks in (10, 50)
    ]
    assert set(budget_curves(by_cell(rows_of(pairs)), "dice", "masks")) == {
        "umtl, 100 class labels",
        "umtl, 1000 class labels",
    }
    both = [fake("umtl", 0, [0.5, 0.7], budget=pair) for pair in ((100, 10), (1000, 50))]
    assert list(budget_curves(by_cell(rows_of(both)), "dice", "class_labels")) == ["umtl"]


def test_films_that_could_not_be_measured_are_refused_at_once(tmp_path, masked):
    (masked / "plain").mkdir()
    for path in (masked / "images").iterdir():
        path.rename(masked / "plain" / path.name)
    sources = replace(PHANTOMS, cross_segmentation=(str(masked / "plain"),))
    with pytest.raises(ValueError, match="no film of the split 'all' has a class or a mask"):
        sweep(grid(["unet"], [None], [2], 1, "paper", sources, **SMALL), tmp_path / "out")


def test_a_shorter_sweep_does_not_pass_off_a_longer_training(tmp_path):
    assert sweep(small(["unet"], 1, steps=4), tmp_path) == []
    (fault,) = sweep(small(["unet"], 1, steps=2), tmp_path)
    assert "steps (4 then, 2 now)" in fault
    assert sweep(small(["unet"], 1, steps=5), tmp_path) == []  # but it may be made longer


def test_a_folder_may_be_filled_by_several_commands(tmp_path):
    assert sweep(small(["umtl"]), tmp_path) == []
    improved = grid(["umtl"], [4], [2], 2, "improved", PHANTOMS, **SMALL)
    assert sweep(improved, tmp_path) == []
    assert sweep(small(["enc"], 1, steps=3), tmp_path) == []  # not as many steps: not comparable
    found = collect(improved, tmp_path)
    assert [run.job.name for run in found] == [
        "umtl-4-2-seed0",
        "umtl-4-2-seed1",
        "umtl-improved-4-2-seed0",
        "umtl-improved-4-2-seed1",
    ]
    assert found[2].job.spec() == improved[0].spec()
    assert {(c.part, c.off, c.on) for c in comparisons(found)} == {
        ("improved recipe", "umtl", "umtl, improved")
    }
    text = report(found, tmp_path)
    assert (
        "| umtl, improved | 4 | 2 | ours, 2 seeds |" in text
        and "# 4 runs: 32 px, 2 steps each" in text
    )
    with open(tmp_path / "films.csv", newline="") as file:
        films = list(csv.DictReader(file))
    with open(tmp_path / "runs.csv", newline="") as file:
        runs = {row["run"]: row for row in csv.DictReader(file)}
    for name, run in runs.items():  # the films' values give the runs' figures
        dice = [
            float(film[name])
            for film in films
            if (film["domain"], film["task"]) == ("test", "segmentation")
        ]
        assert np.mean(dice) == pytest.approx(float(run["test_dice"]), abs=1e-3)
        assert shlex.split(run["command"])[-1] == str(tmp_path / f"{name}-again")


def test_the_table_marks_what_was_published_and_is_impossible():
    text = table(rows_of([fake("umtl", 0, [0.5, 0.7])]))
    assert (
        "| umtl | 100 | 10 | ours, 1 seed | 0.600 |" in text
        and "|  |  |  | paper | 0.626 |" in text
    )
    runs = [fake("umtl", 0, [0.5, 0.7])]
    runs[0].metrics["test"]["jaccard"] = 0.45
    text = table(rows_of(runs))
    assert "0.871†" in text and "no masks can have a Jaccard above their Dice" in text
    paper = published()
    assert len(paper) == 11 and paper["multimix", "all", "all"]["cross", "asd"] == 0.417
    assert paper["enc", "100", "none"] == {
        ("test", "accuracy"): 0.732,
        ("test", "f1_normal"): 0.424,
        ("test", "f1_pneumonia"): 0.806,
        ("cross", "accuracy"): 0.352,
    }
    assert all(set(row) <= set(COLUMNS) for row in paper.values())


def test_the_help_names_the_systems(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["sweep", "--help"])
    assert "umtl_ssl_s" in capsys.readouterr().out
