"""Trainings that are killed, stopped or cut short on disk, and resumed as if nothing had been."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from benchmarks.kill import kills, rows_without_time
from helpers import CONFIG, ROOT, quietly, read_log

from multimix.runtime.checkpoint import read_checkpoint
from multimix.runtime.run_folder import RunFolder
from multimix.trainer import Trainer
from multimix.training import train


def test_killed_trainings_end_in_the_same_bits(films, tmp_path):
    assert kills(films, tmp_path, 3, random.Random(0)) >= 1


def test_a_signal_finishes_the_step_and_saves(tmp_path, sets):
    command = [sys.executable, "-m", "multimix", "train", *sets, f"--out={tmp_path}/run"]
    command += ["--recipe=paper", "--side=32", "--batch=2", "--steps=100000"]
    options = dict(env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **options) as training:
        while not (tmp_path / "run" / "manifest.csv").exists():
            assert training.poll() is None
            time.sleep(0.1)
        training.send_signal(signal.SIGINT)
        _, printed = training.communicate(timeout=120)
    step = read_checkpoint(tmp_path / "run" / "last.pth")["step"]
    assert training.returncode == 130 and step >= 1 and "Traceback" not in printed
    assert f"multimix: stopped after step {step} of 100000; --resume continues" in printed


def test_a_damaged_checkpoint_is_one_sentence(films, tmp_path):
    quietly(replace(CONFIG, steps=2), films, tmp_path)
    last = tmp_path / "last.pth"
    whole = last.read_bytes()
    largest = max(read_checkpoint(last)["training"]["model"].values(), key=torch.Tensor.numel)
    middle = whole.index(bytes(largest.untyped_storage())) + largest.nbytes // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 64]) + whole[middle + 1 :]  # torch reads it
    for content in (whole[: len(whole) // 2], b"", flipped):
        last.write_bytes(content)
        with pytest.raises(ValueError, match=r"last\.pth is not a weights file .* it is damaged"):
            quietly(CONFIG, films, tmp_path, resume=True)
    last.unlink()
    with pytest.raises(ValueError, match=r"best\.pth has no training state"):
        quietly(CONFIG, films, tmp_path, resume=True)
    (tmp_path / "previous.pth").write_bytes(whole)  # of a version that renamed before it wrote
    quietly(CONFIG, films, tmp_path, resume=True)
    assert read_checkpoint(last)["step"] == CONFIG.steps


@pytest.mark.parametrize("writes", (0, 3))
def test_a_disk_that_fills_up_leaves_whole_files(films, tmp_path, monkeypatch, writes):
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", Mock(side_effect=[None] * writes + [full]))
    with pytest.raises(OSError, match="No space left on device") as caught:
        quietly(replace(CONFIG, steps=20), films, tmp_path)
    monkeypatch.undo()
    assert str(tmp_path) in caught.value.filename and not list(tmp_path.glob("*.part"))
    saved = tmp_path / "last.pth"
    before = read_checkpoint(saved)["step"] if saved.exists() else 0
    quietly(replace(CONFIG, steps=20), films, tmp_path, resume=True)
    assert [int(row["step"]) for row in read_log(tmp_path)] == [*range(2, 21, 2)] and before < 20


def test_resuming_what_is_finished_says_so(films, tmp_path, capsys):
    for name in ("movie.part", ".multimix-999999999-456.part"):  # the second of a killed training
        (tmp_path / name).write_text("half")
    done = quietly(CONFIG, films, tmp_path)
    assert [path.name for path in tmp_path.glob("*.part")] == ["movie.part"]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = train(CONFIG, films, tmp_path, device="cpu", resume=True)
    said = capsys.readouterr()
    assert said.out == "this training is finished (6 of 6 steps), and nothing is left to do\n"
    assert said.err == "" and before == {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert torch.equal(done.encoder.fc.weight, again.encoder.fc.weight)


def test_a_loss_that_is_no_number_stops_with_its_name(films, tmp_path, monkeypatch):
    config = replace(CONFIG, validate_every=1)
    quietly(replace(config, steps=2), films, tmp_path)
    optimise = Trainer.optimise

    def poisoned(trainer, batch, stop):
        return optimise(trainer, batch._replace(masks=batch.masks * float("nan")), stop)

    monkeypatch.setattr(Trainer, "optimise", poisoned)
    with pytest.raises(ValueError, match=r"The dice became nan in step 3; train in a new folder"):
        quietly(config, films, tmp_path, resume=True)
    assert read_checkpoint(tmp_path / "last.pth")["step"] == 2


def test_a_log_that_was_cut_anywhere_is_written_again(films, tmp_path, monkeypatch):
    quietly(CONFIG, films, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="after step 2 of"):
        patch.setattr("multimix.trainer.validate", lambda *_: None)  # stopped in a validation
        quietly(CONFIG, films, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "log.csv").exists()
    quietly(replace(CONFIG, steps=4), films, tmp_path / "long")
    header, row, _ = (tmp_path / "whole" / "log.csv").read_bytes().split(b"\n", 2)
    for log in (b"", header[:7], header + b"\n\xff,1\n", row):  # before the first checkpoint
        (tmp_path / "log.csv").write_bytes(log)
        RunFolder(tmp_path, CONFIG, "", writes=True).open(resume=True)
        assert not (tmp_path / "log.csv").exists()
    for name, log in (("stopped", b""), ("long", b"1")):  # its row would begin with step 10
        with open(tmp_path / name / "log.csv", "ab") as file:
            file.write(log)
        quietly(CONFIG, films, tmp_path / name, resume=True)
        assert rows_without_time(tmp_path / name) == rows_without_time(tmp_path / "whole")


def test_other_films_are_refused_and_some_settings_may_change(films, tmp_path):
    quietly(replace(CONFIG, steps=2), films, tmp_path)
    names = ("other", *films.classification.names[1:])
    others = replace(films, classification=replace(films.classification, names=names))
    with pytest.raises(ValueError, match="the films, their splits or labels"):
        quietly(CONFIG, others, tmp_path, resume=True)
    changed = replace(CONFIG, steps=5, validate_every=1, patience=9, micro_batch=1)
    quietly(changed, films, tmp_path, resume=True)
    assert [int(row["step"]) for row in read_log(tmp_path)] == [2, 3, 4, 5]


def test_training_ends_early_when_nothing_gets_better(films, tmp_path, monkeypatch):
    aucs = iter([0.6, 0.9, 0.7, 0.8, 0.95])
    monkeypatch.setattr("multimix.trainer.validate", lambda *_: ({"auc": next(aucs)}, {}))
    quietly(replace(CONFIG, steps=20, validate_every=1, patience=2), films, tmp_path)
    assert [float(row["val_auc"]) for row in read_log(tmp_path)] == [0.6, 0.9, 0.7, 0.8]
    assert read_checkpoint(tmp_path / "best.pth")["step"] == 2
