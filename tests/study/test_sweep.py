"""Runs in processes of their own: faults, Ctrl-C, a killed sweep."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
import torch
from helpers import ROOT, SIDE
from study_helpers import PHANTOMS, SMALL, run_here, small

from multimix.study.jobs import grid
from multimix.study.sweep import runs_at_once, sweep

# python -m multimix, that ends with its standard input: when the test that started it has ended.
WATCHED = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
runpy.run_module("multimix", run_name="__main__", alter_sys=True)
"""


def test_failures_stop_nobody_and_what_is_not_done_goes_on(tmp_path, capsys, monkeypatch):
    jobs = small(["unet"])
    broken, whole = (tmp_path / job.name for job in jobs)
    broken.mkdir()
    (broken / "last.pth").write_bytes(b"no checkpoint")
    (fault,) = sweep(jobs, tmp_path, at_once=2)
    assert fault.startswith("unet-none-2-seed0: Nothing in") and "can be resumed" in fault
    printed = capsys.readouterr().out
    assert "2 runs, 0 of them done; 2 at once." in printed and f"] {fault}\n" in printed
    assert not jobs[0].done(tmp_path) and jobs[1].done(tmp_path)

    shutil.rmtree(broken)
    before, log = (whole / "test.json").read_text(), (whole / "log.csv").read_text()
    (whole / "test.json").write_text(before[:50])  # cut off: measured again, not trained again
    assert sweep(jobs, tmp_path) == []
    assert "2 runs, 0 of them done" in capsys.readouterr().out
    assert (whole / "test.json").read_text() == before
    assert (whole / "log.csv").read_text() == log

    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("done, and yet begun"))
    assert sweep(jobs, tmp_path) == []
    assert "2 runs, 2 of them done" in capsys.readouterr().out


def test_any_fault_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("multimix.study.run.train", lambda *_, **__: 1 / 0)
    assert run_here(small(["unet"], 1), tmp_path) == ["ZeroDivisionError: division by zero"]


def test_a_process_that_was_ended_from_outside_is_told_of(tmp_path, monkeypatch):
    ended = SimpleNamespace(returncode=-9, stdout=b"")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: ended)
    assert sweep(small(["unet"], 1), tmp_path) == [
        "unet-none-2-seed0: its process was ended from outside (exit code -9), perhaps for want of "
        "memory; the same command goes on, with fewer at once (--jobs)"
    ]


def test_faults_are_found_before_the_first_training(tmp_path):
    with pytest.raises(ValueError, match="99 labelled films are asked for, but there are 16"):
        sweep(
            [*small(seeds=1), *grid(["enc"], [99], [None], 1, "paper", PHANTOMS, **SMALL)], tmp_path
        )
    assert not any(tmp_path.iterdir())


def test_films_that_could_not_be_measured_are_refused_at_once(tmp_path, masked):
    (masked / "plain").mkdir()
    for path in (masked / "images").iterdir():
        path.rename(masked / "plain" / path.name)
    sources = replace(PHANTOMS, cross_segmentation=(str(masked / "plain"),))
    with pytest.raises(ValueError, match="no film of the split 'all' has a class or a mask"):
        sweep(grid(["unet"], [None], [2], 1, "paper", sources, **SMALL), tmp_path / "out")


@contextmanager
def endless_sweep(out, seeds: int) -> Iterator[tuple[subprocess.Popen, list[psutil.Process]]]:
    """A sweep in a process group of its own, and its runs, two at once, that have begun."""
    command = [sys.executable, "-c", WATCHED, "sweep", "--quick", "--systems", "unet"]
    command += ["--segmentation", "phantom://20", "--cross-segmentation", "phantom://20"]
    command += ["--seeds", str(seeds), "--side", str(SIDE), "--steps", "100000"]
    command += ["--validate-every", "100000", "--jobs", "2", "--out", str(out)]
    standard_input, held_open = os.pipe()
    pipe = subprocess.PIPE
    begun = [out / f"unet-none-5-seed{seed}" / "manifest.csv" for seed in (0, 1)]
    runs = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=standard_input,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            while not all(path.exists() for path in begun):
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.1)
            runs = psutil.Process(process.pid).children()
            assert all("multimix.study.run" in run.cmdline() for run in runs)
            yield process, runs
        finally:
            process.kill()
            os.close(held_open)
            os.close(standard_input)
            for run in psutil.wait_procs(runs, timeout=60)[1]:
                run.kill()


def test_ctrl_c_saves_and_starts_no_more(tmp_path):
    with endless_sweep(tmp_path, seeds=3) as (process, runs):
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert len(runs) == 2 and not any(run.is_running() for run in runs)
    assert process.returncode == 130 and errors == "multimix: stopped; the same command goes on.\n"
    saved = sorted(path.parent.name for path in tmp_path.glob("*/last.pth"))
    assert saved == ["unet-none-5-seed0", "unet-none-5-seed1"]
    assert not (tmp_path / "unet-none-5-seed2").exists()


def test_runs_do_not_outlive_a_sweep_that_is_killed(tmp_path):
    with endless_sweep(tmp_path, seeds=2) as (process, runs):
        process.kill()
        _, alive = psutil.wait_procs(runs, timeout=60)
        assert len(runs) == 2 and not alive
    assert len(list(tmp_path.glob("*/last.pth"))) == 2


def test_a_sweep_that_fails_itself_stops_its_runs(tmp_path, monkeypatch):
    begun = []
    start = subprocess.Popen

    def begin(*arguments, **options):
        begun.append(start(*arguments, **options))
        return begun[-1]

    def fail(*_):
        while not begun:
            time.sleep(0.01)
        raise BrokenPipeError

    monkeypatch.setattr("subprocess.Popen", begin)
    monkeypatch.setattr("multimix.study.sweep.wait", fail)
    with pytest.raises(BrokenPipeError):
        sweep(small(["unet"], 1, steps=100_000, validate_every=100_000), tmp_path)
    assert len(begun) == 1 and begun[0].poll() is not None


def test_as_many_runs_as_memory_allows(monkeypatch):
    config, gib = small()[0].config, 2**30
    for cores, free, held, expected in (
        (4, 100, 0, 4),
        (4, 2.5, 0, 2),
        (4, 0.1, 0, 1),
        (4, 8, 1, 2),
    ):
        memory = SimpleNamespace(available=free * gib)
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        monkeypatch.setattr("psutil.virtual_memory", lambda memory=memory: memory)
        assert runs_at_once(torch.device("cpu"), config, held * gib) == expected
