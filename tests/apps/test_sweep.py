"""The grid, when a run counts as done, faults of runs, Ctrl-C, and the tables."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from drawn import write_films
from helpers import ROOT, SIDE

from multimix.apps import sweep as module
from multimix.apps.cli import PARSER, main
from multimix.apps.sweep import grid, is_finished, write_tables

SMALL = ["--recipe=paper", f"--side={SIDE}", "--steps=2", "--batch=2", "--validate-every=1"]
SMALL += ["--widths=2,3,4,5,6", "--class-labels=4", "--masks=2", "--seeds=1", "--device=cpu"]


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> list[str]:
    """Words of the command line: drawn films of both tasks, to train on and from elsewhere."""
    root, words = tmp_path_factory.mktemp("films"), []
    for domain in ("", "cross-"):
        write_films(root / f"{domain}classes", 30, SIDE)
        write_films(root / f"{domain}lungs", 30, SIDE, masks=True)
        words += [f"--{domain}classification", str(root / f"{domain}classes")]
        words += [f"--{domain}segmentation", str(root / f"{domain}lungs")]
    return words


def words_for(out: Path, films: list[str], systems: str, *more: str) -> list[str]:
    return ["sweep", "--out", str(out), "--systems", systems, *films, *SMALL, *more]


def grid_of(out: Path, films: list[str], systems: str, *more: str) -> dict[Path, dict]:
    return grid(PARSER.parse_args(words_for(out, films, systems, *more)))


def test_names_and_folders_follow_from_the_system(tmp_path, films):
    runs = grid_of(tmp_path, films, "unet,enc,multimix", "--class-labels=4,6")
    names = "unet-none-2 enc-4-none enc-6-none multimix-4-2 multimix-6-2"
    assert [folder.name for folder in runs] == [f"{name}-seed0" for name in names.split()]
    spec = runs[tmp_path / "enc-4-none-seed0"]
    assert spec["films"] == {"test": [[films[1]], []], "cross": [[films[5]], []]}
    only_lungs = films[:4] + films[6:]
    (spec,) = grid_of(tmp_path, only_lungs, "enc").values()
    assert list(spec["films"]) == ["test"]
    (quick,) = grid_of(tmp_path, films, "unet", "--recipe=quick")
    assert quick.name == "unet-quick-none-2-seed0"


def in_this_process(command: list[str], **_: object) -> subprocess.CompletedProcess:
    """Run the command lines of a sweep without a new process, which takes seconds to start."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as said:
        code = int(any(main(words) for words in json.loads(command[-1])))
    return subprocess.CompletedProcess(command, code, stderr=said.getvalue().encode())


def test_runs_are_measured_listed_and_not_made_twice(tmp_path, films, capsys, monkeypatch):
    monkeypatch.setattr(module.subprocess, "run", in_this_process)
    command = words_for(tmp_path, films, "unet,enc", "--jobs=1")
    broken, whole = tmp_path / "unet-none-2-seed0", tmp_path / "enc-4-none-seed0"
    broken.mkdir()
    (broken / "last.pth").write_bytes(b"no checkpoint")
    assert main(command) == 2
    printed = capsys.readouterr()
    assert "2 runs, 0 done; 1 at once." in printed.out and f"{whole.name}: done\n" in printed.out
    assert f"multimix: {broken.name}: " in printed.err and "not a weights file" in printed.err

    (broken / "last.pth").unlink()
    results, log = (whole / "test.json").read_text(), (whole / "log.csv").read_text()
    (whole / "test.json").write_text(results[:50])  # its training is finished: it is measured again
    assert main(command) == 0
    assert (whole / "test.json").read_text() == results and (whole / "log.csv").read_text() == log

    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: pytest.fail("it was done"))
    assert main(command) == 0 and "2 runs, 2 done" in capsys.readouterr().out
    runs = pd.read_csv(tmp_path / "runs.csv", keep_default_na=False).set_index("run")
    assert list(runs.index) == [broken.name, whole.name]
    first = ["system", "recipe", "class_labels", "masks", "seed", "side", "steps"]
    assert list(runs.columns[:7]) == first and list(runs.columns[-2:]) == ["command", "config"]
    dice = json.loads((broken / "cross.json").read_text())["metrics"]["dice"]["value"]
    assert float(runs.loc[broken.name, "cross_dice"]) == pytest.approx(dice, abs=1e-5)
    table = pd.read_csv(tmp_path / "films.csv")
    cross = table[(table["domain"] == "cross") & (table["task"] == "segmentation")]
    assert len(cross) == 30 and cross[broken.name].mean() == pytest.approx(dice, abs=1e-4)
    assert table[whole.name].notna().sum() == (table["task"] == "classification").sum()

    again = shlex.split(runs.loc[broken.name, "command"])[3:]
    assert main([*again, "--device", "cpu"]) == 0  # the command in the table repeats the run
    logs = [pd.read_csv(tmp_path / name / "log.csv") for name in (broken.name, again[-1])]
    pd.testing.assert_frame_equal(*(log.drop(columns="time") for log in logs))

    longer = "--steps=3", "--learning-rate=1e-3", f"--segmentation={films[7]}"
    for change in longer:  # other settings or films are another run, with the same name
        (spec,) = grid_of(tmp_path, films, "unet", change).values()
        assert is_finished(broken, spec) is False
    (broken / "cross.json").write_text("{")
    (whole / "test.json").write_text("[]")
    assert write_tables(tmp_path) == "No run is finished."
    assert capsys.readouterr().err.count("it is left out") == 2


def test_the_fault_of_a_run_is_one_sentence(tmp_path, films, monkeypatch, capsys):
    for code, said, fault in (
        (-9, b"", "its process ended with code -9; try fewer at once (--jobs)"),
        (1, b"Traceback\nZeroDivisionError: zero\n", "ZeroDivisionError: zero"),
        (2, b"multimix: splits: drawn\nmultimix: No film.\n", "No film."),
    ):
        ended = subprocess.CompletedProcess([], code, stderr=said)
        monkeypatch.setattr(module.subprocess, "run", lambda *_, ended=ended, **__: ended)
        assert main(words_for(tmp_path, films, "unet")) == 2
        assert capsys.readouterr().err == f"multimix: unet-none-2-seed0: {fault}\n"


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGKILL))
def test_a_sweep_that_is_ended_saves_and_starts_no_more(tmp_path, films, number):
    endless = ["--steps=100000", "--validate-every=100000", "--jobs=1", "--seeds=2"]
    command = [sys.executable, "-m", "multimix", *words_for(tmp_path, films, "unet", *endless)]
    saved, options = tmp_path / "unet-none-2-seed0" / "last.pth", dict(start_new_session=True)
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, **options) as sweep:
        try:
            while not saved.with_name("manifest.csv").exists():
                assert sweep.poll() is None, sweep.stderr.read()
                time.sleep(0.1)
            os.killpg(sweep.pid, number)  # as a terminal does; its runs are not in this group
            _, errors = sweep.communicate(timeout=60)
            if number == signal.SIGINT:
                assert (sweep.returncode, errors) == (130, b"multimix: stopped.\n")
            until = time.monotonic() + 60
            while not saved.exists() and time.monotonic() < until:
                time.sleep(0.1)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(sweep.pid, signal.SIGKILL)
    assert saved.exists() and not (tmp_path / "unet-none-2-seed1").exists()
