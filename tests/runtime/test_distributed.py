"""Two processes under torchrun against one: the same training."""

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from helpers import ROOT, read_log

from multimix.runtime.checkpoint import read_checkpoint
from multimix.runtime.distributed import World

SMALL = ("--side", "32", "--batch", "4", "--precision", "float32")


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(*arguments: str, processes: int, folder: Path) -> str:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    words = [sys.executable, *(torchrun if processes > 1 else []), "-m", "multimix", *arguments]
    done = subprocess.run(
        words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
    (first,), (second,) = (read_log(tmp_path / name) for name in "12")
    assert first.keys() == second.keys()
    for name in ("total", "classification", "pseudo_label", "kept", "dice", "mask_consistency"):
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-4)
