"""Two processes under torchrun against one: the same training, the same predictions, and a lost
process.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest
import torch
from helpers import ROOT

from multimix.runtime.checkpoint import read_checkpoint
from multimix.runtime.distributed import World

SMALL = ("--side", "32", "--batch", "4", "--precision", "float32")


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(*arguments: str, processes: int, restarts: int = 0) -> list[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone"]
    torchrun += [f"--nproc-per-node={processes}", f"--max-restarts={restarts}"]
    started = torchrun if processes > 1 else []
    return [sys.executable, *started, "-m", "multimix", *arguments]


def run(*arguments: str, processes: int, folder: Path) -> str:
    words = command(*arguments, processes=processes)
    done = subprocess.run(
        words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_shares_are_whole():
    for count in (1, 2, 3, 7):
        for total in (0, 1, 5, 10, 23):
            parts = [list(World(rank, count).share(total)) for rank in range(count)]
            assert list(chain(*parts)) == list(range(total))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_two_processes_train_what_one_trains(tmp_path, sets):
    # Slices of one film, so that dropout, too, is drawn film by film. One step: Adam magnifies what
    # rounding does.
    options = ["train", *sets, *SMALL, "--recipe", "improved", "--steps", "1"]
    options += ["--validate-every", "1", "--films-at-once", "1", "--unlabelled-from", "0"]
    options += ["--side", "48", "--sides", "32,48", "--class-sides", "32,48"]
    for processes in (1, 2):
        printed = run(*options, "--out", str(processes), processes=processes, folder=tmp_path)
        assert printed.count("training on") == 1  # one speaks
    one, two = (read_checkpoint(tmp_path / name / "last.pth") for name in "12")
    states = (content["training"]["optimizer"]["state"].values() for content in (one, two))
    for first, second in zip(*states):  # exp_avg is a tenth of the gradient
        assert torch.allclose(first["exp_avg"], second["exp_avg"], rtol=1e-3, atol=1e-6)
    assert one["validation"] == pytest.approx(two["validation"], abs=1e-3)
    (first,), (second,) = (rows_of(tmp_path / name / "log.csv") for name in "12")
    assert first.keys() == second.keys()
    for name in ("total", "classification", "pseudo_label", "kept", "dice", "mask_consistency"):
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-4)


def test_a_lost_process_is_started_anew_and_goes_on(tmp_path, sets):
    options = ["--steps", "40", "--validate-every", "10", "--films-at-once", "4", "--out", "run"]
    log = tmp_path / "run" / "log.csv"
    training = subprocess.Popen(
        command("train", *sets, *SMALL, *options, processes=2, restarts=3),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while not log.exists():
            assert training.poll() is None
            time.sleep(0.1)
        children = ["pgrep", "-P", str(training.pid)]
        workers = subprocess.run(children, capture_output=True, text=True, check=True)
        os.kill(int(workers.stdout.split()[-1]), signal.SIGKILL)
        printed, _ = training.communicate(timeout=300)
    finally:
        training.terminate()  # takes its workers with it
        training.wait(60)
    assert training.returncode == 0, printed
    assert printed.count("training on") >= 2  # it began again
    assert [int(row["step"]) for row in rows_of(log)] == [10, 20, 30, 40]
    assert read_checkpoint(tmp_path / "run" / "last.pth")["step"] == 40
