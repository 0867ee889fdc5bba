"""The grid, when a run counts as done, its processes, Ctrl-C, a killed sweep, the tables."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
import torch
from drawn import write_films
from helpers import ROOT, SIDE, TINY

import multimix.apps.sweep
from multimix.apps.cli import main
from multimix.apps.sweep import Job, make_job, most_at_once, run, sweep, write_tables
from multimix.config import Config

SMALL = {"side": SIDE, "steps": 2, "batch": 2, "validate_every": 1, "widths": TINY}
BUDGET = {"class_labels": [4], "masks": [2]}
# python -m multimix, that ends with its standard input: when the test that started it has ended.
WATCHED = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
runpy.run_module("multimix", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, tuple[list[str], list[str]]]:
    """Drawn films of both tasks to train and test on, and from elsewhere."""
    root = tmp_path_factory.mktemp("films")
    found = {}
    for domain in ("test", "cross"):
        write_films(root / domain / "classes", 60, SIDE)
        write_films(root / domain / "lungs", 60, SIDE, masks=True)
        found[domain] = ([str(root / domain / "classes")], [str(root / domain / "lungs")])
    return found


def job_of(films, system: str, seed: int = 0, **changes) -> Job:
    config = Config.preset(system, seed=seed, **{**SMALL, **changes})
    return make_job(films, config, system, "paper", 4, 2)


def sweep_small(out: Path, films, systems, seeds: int = 1, **changes) -> list[str]:
    options = {**SMALL, **BUDGET, **changes}
    return sweep(out, films, systems=systems, seeds=seeds, device="cpu", **options)


def test_names_and_folders_follow_from_the_system(folders):
    names = {job_of(folders, system).name for system in ("unet", "enc", "multimix")}
    assert names == {"unet-none-2-seed0", "enc-4-none-seed0", "multimix-4-2-seed0"}
    assert job_of(folders, "enc").films["test"] == (folders["test"][0], ())
    only_lungs = {**folders, "cross": ((), folders["cross"][1])}
    assert list(job_of(only_lungs, "enc").films) == ["test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--systems", "unet,resnet"], "There is no system 'resnet'; choose one of unet, enc"),
        (["--seeds", "0"], "The number of seeds is 0; 1 or more are needed"),
        (["--class-labels", "100,many"], "'many' is not a number of labels; write a number"),
    ],
)
def test_bad_grids(tmp_path, capsys, options, message):
    try:
        assert main(["sweep", "--quick", "--out", str(tmp_path), *options]) == 2
    except SystemExit as refused:  # by argparse
        assert refused.code == 2
    assert message in capsys.readouterr().err and not any(tmp_path.iterdir())


def test_runs_are_measured_listed_and_not_made_twice(tmp_path, folders, capsys, monkeypatch):
    broken = tmp_path / "unet-none-2-seed0"
    broken.mkdir()
    (broken / "last.pth").write_bytes(b"no checkpoint")
    (fault,) = sweep_small(tmp_path, folders, ["unet", "enc"], at_once=2)
    assert fault.startswith("unet-none-2-seed0: ") and "last.pth is not a weights file" in fault
    printed = capsys.readouterr().out
    assert "2 runs, 0 of them done; 2 at once." in printed and f"] {fault}\n" in printed

    (broken / "last.pth").unlink()
    damaged = tmp_path / "enc-4-none-seed0" / "test.json"
    whole = damaged.read_text()
    damaged.write_text(whole[:50])
    log = damaged.with_name("log.csv").read_text()
    assert sweep_small(tmp_path, folders, ["unet", "enc"]) == []
    assert damaged.read_text() == whole and damaged.with_name("log.csv").read_text() == log
    assert "runs.csv" in capsys.readouterr().out

    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("done, and yet begun"))
    assert sweep_small(tmp_path, folders, ["unet", "enc"]) == []
    assert "2 runs, 2 of them done" in capsys.readouterr().out
    runs = pd.read_csv(tmp_path / "runs.csv", keep_default_na=False).set_index("run")
    assert list(runs.index) == ["unet-none-2-seed0", "enc-4-none-seed0"]
    assert list(runs.columns[-2:]) == ["command", "config"]
    measured = json.loads((broken / "cross.json").read_text())
    dice = measured["metrics"]["dice"]["value"]
    assert float(runs.loc["unet-none-2-seed0", "cross_dice"]) == pytest.approx(dice, abs=1e-5)
    films = pd.read_csv(tmp_path / "films.csv")
    cross = films[(films["domain"] == "cross") & (films["task"] == "segmentation")]
    assert len(cross) == 60 and cross["unet-none-2-seed0"].mean() == pytest.approx(dice, abs=1e-4)
    assert films["enc-4-none-seed0"].notna().sum() == (films["task"] == "classification").sum()


def test_a_run_is_repeated_by_its_command(tmp_path, folders):
    job = job_of(folders, "umtl", seed=1, widths=(16, 32, 64, 128, 256))
    run(job, tmp_path, None, "cpu")
    row = json.loads((tmp_path / job.name / "test.json").read_text())["run"]
    words = shlex.split(row["command"])[3:]
    assert main([*words[:-1], str(tmp_path / "again")]) == 0
    logs = [pd.read_csv(tmp_path / name / "log.csv") for name in (job.name, "again")]
    pd.testing.assert_frame_equal(*(log.drop(columns="time") for log in logs))


def test_other_settings_are_another_run(tmp_path, folders):
    run(job_of(folders, "unet", steps=4), tmp_path, None, "cpu")
    assert job_of(folders, "unet", steps=4).done(tmp_path)
    for job in (
        job_of(folders, "unet", steps=4, learning_rate=1e-3),
        job_of({"test": folders["cross"]}, "unet", steps=4),
        job_of(folders, "unet", steps=2),
    ):
        assert job.name == "unet-none-2-seed0" and not job.done(tmp_path)
    with pytest.raises(ValueError, match=r"steps \(4 then, 2 now\)"):
        run(job_of(folders, "unet", steps=2), tmp_path, None, "cpu")
    path = tmp_path / "unet-none-2-seed0" / "test.json"
    for content in ("[]", "{}", '{"spec": 3}', "3", "{"):
        path.write_text(content)
        assert not job_of(folders, "unet", steps=4).done(tmp_path)
        assert write_tables(tmp_path) == "No run is finished."


def test_any_fault_is_one_sentence(tmp_path, folders, monkeypatch, capsys):
    monkeypatch.setattr(multimix.apps.sweep, "train", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(multimix.apps.sweep, "stop_with_sweep", lambda: None)
    order = {"out": str(tmp_path), "cache": None, "device": "cpu", "threads": 1}
    order |= job_of(folders, "unet").spec()
    monkeypatch.setattr(sys, "argv", ["", json.dumps(order)])
    assert multimix.apps.sweep.main() == 0
    assert capsys.readouterr().out == "ZeroDivisionError: division by zero\n"

    ended = SimpleNamespace(returncode=-9, stdout=b"")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: ended)
    (fault,) = sweep_small(tmp_path / "out", folders, ["unet"])
    assert "unet-none-2-seed0: its process was ended from outside (exit code -9)" in fault


def test_faults_are_found_before_the_first_training(tmp_path, folders):
    with pytest.raises(ValueError, match="999 labelled films are needed, but there are"):
        sweep_small(tmp_path, folders, ["enc"], class_labels=[4, 999])
    without = {**folders, "cross": ([], [f"{folders['cross'][1][0]}/images"])}
    with pytest.raises(ValueError, match="no labelled films in the split 'all'"):
        sweep_small(tmp_path, without, ["unet"])
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


@contextmanager
def endless_sweep(
    out, folders, seeds: int
) -> Iterator[tuple[subprocess.Popen, list[psutil.Process]]]:
    """A sweep in a process group of its own, and its runs, two at once, that have begun."""
    command = [sys.executable, "-c", WATCHED, "sweep", "--systems", "unet", "--masks", "5"]
    command += ["--segmentation", *folders["test"][1], "--side", str(SIDE), "--steps", "100000"]
    command += ["--recipe", "paper"]
    command += ["--validate-every", "100000", "--jobs", "2", "--seeds", str(seeds)]
    standard_input, write_end = os.pipe()
    begun = [out / f"unet-none-5-seed{seed}" / "manifest.csv" for seed in (0, 1)]
    runs = []
    with subprocess.Popen(
        [*command, "--out", str(out)],
        cwd=ROOT,
        stdin=standard_input,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            while not all(path.exists() for path in begun):
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.1)
            runs = psutil.Process(process.pid).children()
            assert all("multimix.apps.sweep" in run.cmdline() for run in runs)
            yield process, runs
        finally:
            process.kill()
            os.close(write_end)
            os.close(standard_input)
            for run in psutil.wait_procs(runs, timeout=60)[1]:
                run.kill()


def test_ctrl_c_saves_and_starts_no_more(tmp_path, folders):
    with endless_sweep(tmp_path, folders, seeds=3) as (process, runs):
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert len(runs) == 2 and not any(run.is_running() for run in runs)
    assert process.returncode == 130
    assert errors == "multimix: stopped; the same command continues.\n"
    saved = sorted(path.parent.name for path in tmp_path.glob("*/last.pth"))
    assert saved == ["unet-none-5-seed0", "unet-none-5-seed1"]
    assert not (tmp_path / "unet-none-5-seed2").exists()


def test_runs_do_not_outlive_a_sweep_that_is_killed(tmp_path, folders):
    with endless_sweep(tmp_path, folders, seeds=2) as (process, runs):
        process.kill()
        _, alive = psutil.wait_procs(runs, timeout=60)
        assert len(runs) == 2 and not alive
    assert len(list(tmp_path.glob("*/last.pth"))) == 2


@pytest.mark.parametrize(("free", "expected"), ((100, 4), (5, 2), (0.1, 1)))
def test_as_many_runs_as_memory_allows(monkeypatch, free, expected):
    memory = SimpleNamespace(available=int(free * 2**30))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    assert most_at_once(torch.device("cpu")) == expected
