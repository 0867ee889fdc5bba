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
from helpers import ROOT, save

from multimix.data import phantom
from multimix.runtime.checkpoint import read_checkpoint, save_checkpoint
from multimix.runtime.distributed import World

FILMS = ("--classification", "phantom://20", "--segmentation", "phantom://40")
FILMS += ("--side", "32", "--batch", "4")


def command(*arguments: str, processes: int, restarts: int = 0) -> list[str]:
    program = ["-m", "multimix", *arguments]
    if processes == 1:
        return [sys.executable, *program]
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        f"--max-restarts={restarts}",
        *program,
    ]


def run(*arguments: str, processes: int, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command(*arguments, processes=processes),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
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


def test_two_processes_train_what_one_trains(tmp_path):
    # Slices of one film, so that dropout, too, is drawn film by film. One step: Adam magnifies what
    # rounding does.
    options = ("train", *FILMS, "--recipe", "improved", "--steps", "1", "--validate-every", "1")
    options += ("--films-at-once", "1", "--unlabelled-from", "0")
    options += ("--side", "48", "--sides", "32,48", "--class-sides", "32,48")
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


def test_two_processes_share_a_folder_of_films(tmp_path, model):
    save_checkpoint(tmp_path / "tiny.pth", {"weights": model.state_dict(), "config": {"side": 32}})
    for i in range(7):
        save(tmp_path / "films" / f"film{i}.png", phantom.draw(i, 0, 40)[0])
    tables = []
    for processes in (1, 2):
        options = ("--weights", "tiny.pth", "--out", f"out{processes}", "--no-figures")
        printed = run("predict", "films", *options, processes=processes, folder=tmp_path)
        assert printed.count("film3.png") == 1
        rows = rows_of(tmp_path / f"out{processes}" / "predictions.csv")
        tables.append(sorted((row["file"], row["label"], row["lung_share"]) for row in rows))
    assert len(tables[0]) == 7 and tables[0] == tables[1]


def test_a_lost_process_is_started_anew_and_goes_on(tmp_path):
    options = ["--steps", "40", "--validate-every", "10", "--films-at-once", "4", "--out", "run"]
    log = tmp_path / "run" / "log.csv"
    training = subprocess.Popen(
        command("train", *FILMS, *options, processes=2, restarts=3),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
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
