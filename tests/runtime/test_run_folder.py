"""Nothing lost: trainings that are killed, stopped, cut short on disk, and go on as if nothing had
been.
"""

import errno
import io
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from helpers import CONFIG, ROOT, quietly, read_log
from killing import kills

from multimix.batches import Loader
from multimix.runtime import files
from multimix.runtime.checkpoint import read_checkpoint
from multimix.trainer import Trainer
from multimix.training import train


def test_killed_trainings_end_in_the_same_bits(films, tmp_path):
    assert kills(films, tmp_path, 4, random.Random(0)) >= 1


@pytest.mark.parametrize(
    "number, every", ((signal.SIGINT, "500"), (signal.SIGTERM, "500"), (signal.SIGTERM, "1"))
)
def test_a_signal_finishes_the_step_and_saves(tmp_path, number, every):
    command = [
        sys.executable,
        "-m",
        "multimix",
        "train",
        "--classification",
        "phantom://20",
        "--segmentation",
        "phantom://20",
        "--side",
        "32",
        "--batch",
        "2",
        "--steps",
        "100000",
        "--validate-every",
        every,
        "--out",
        str(tmp_path / "run"),
    ]
    training = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "run" / "manifest.csv").exists():
        assert training.poll() is None
        time.sleep(0.1)
    time.sleep(1)
    training.send_signal(number)
    _, printed = training.communicate(timeout=120)
    step = read_checkpoint(tmp_path / "run" / "last.pth")["step"]
    assert training.returncode == 130 and step >= 1
    assert f"multimix: stopped after step {step} of 100000; --resume goes on from there" in printed
    assert "Traceback" not in printed


def test_a_damaged_checkpoint_falls_back_to_the_one_before(films, tmp_path, capsys):
    quietly(CONFIG, films, tmp_path / "whole")
    expected = read_checkpoint(tmp_path / "whole" / "last.pth")
    for number, damage in enumerate((lambda b: b[: len(b) // 2], lambda b: b"", flip_a_bit)):
        out = tmp_path / str(number)
        quietly(replace(CONFIG, steps=4), films, out)
        (out / "last.pth").write_bytes(damage((out / "last.pth").read_bytes()))
        quietly(CONFIG, films, out, resume=True)
        printed = capsys.readouterr().out
        assert (
            "last.pth is not a weights file, or it is damaged" in printed
            and "Trying the one before" in printed
        )
        last = read_checkpoint(out / "last.pth")
        assert all(
            torch.equal(value, last["training"]["model"][name])
            for name, value in expected["training"]["model"].items()
        )
    for name in ("last", "previous"):
        (tmp_path / "0" / f"{name}.pth").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"Nothing in .* can be resumed: .*previous.pth is not a weights file"
    ):
        quietly(CONFIG, films, tmp_path / "0", resume=True)


def flip_a_bit(content: bytes) -> bytes:
    """In the middle of the largest tensor, where torch itself would not notice."""
    weights = torch.load(io.BytesIO(content), weights_only=True)["training"]["model"].values()
    largest = bytes(max(weights, key=torch.Tensor.numel).untyped_storage())
    middle = content.index(largest) + len(largest) // 2
    return content[:middle] + bytes([content[middle] ^ 64]) + content[middle + 1 :]


def test_a_full_disk_is_a_sentence_and_the_last_checkpoint_stays(films, tmp_path, monkeypatch):
    written = []

    def full(number):
        written.append(number)
        if len(written) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(
        ValueError, match=r"No space left on device.*last.pth \(step 4\) is whole: make room"
    ):
        quietly(CONFIG, films, tmp_path / "cut")
    monkeypatch.undo()
    assert not list((tmp_path / "cut").glob("*.part"))
    quietly(CONFIG, films, tmp_path / "cut", resume=True)
    quietly(CONFIG, films, tmp_path / "whole")
    assert (
        read_checkpoint(tmp_path / "cut" / "last.pth")["validation"]
        == read_checkpoint(tmp_path / "whole" / "last.pth")["validation"]
    )


class SmallDisk(io.FileIO):
    """A file on a disk with little room."""

    room = 0

    def write(self, content):
        SmallDisk.room -= len(content)
        if SmallDisk.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


@pytest.mark.parametrize("room", (0, 500, 5_000, 10_000, 20_000, 40_000, 80_000))
def test_a_disk_that_fills_up_anywhere_is_a_sentence(films, tmp_path, monkeypatch, room):
    monkeypatch.setattr(SmallDisk, "room", room)
    fill = lambda path, mode: io.BufferedWriter(SmallDisk(path, mode))  # noqa: E731
    monkeypatch.setattr(files, "open", fill, raising=False)
    with pytest.raises(ValueError, match="No space left on device") as caught:
        quietly(replace(CONFIG, steps=20), films, tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.part"))
    if (tmp_path / "last.pth").exists():
        step = read_checkpoint(tmp_path / "last.pth")["step"]
        assert f"last.pth (step {step}) is whole: make room, then resume" in str(caught.value)
    else:
        assert "nothing was saved yet: make room, then start again." in str(caught.value)


@pytest.mark.parametrize(
    "error",
    (
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ),
)
def test_want_of_memory_is_a_sentence(films, tmp_path, monkeypatch, error):
    monkeypatch.setattr(Trainer, "optimise", raising(error))
    with pytest.raises(ValueError, match=r"memory of cpu does not suffice; .*--micro-batch 1"):
        quietly(CONFIG, films, tmp_path)


def test_other_faults_of_torch_stay_what_they_are(films, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "optimise", raising(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        quietly(CONFIG, films, tmp_path)


def raising(error: Exception):
    def fail(*_):
        raise error

    return fail


def test_the_files_of_other_programs_stay(films, tmp_path):
    for name in ("movie.part", "123-456.part", ".multimix-123-456.part"):
        (tmp_path / name).write_text("half")
    quietly(replace(CONFIG, steps=2), films, tmp_path)
    assert {path.name for path in tmp_path.glob("*.part")} == {"movie.part", "123-456.part"}


def test_resuming_what_is_finished_says_so(films, tmp_path, capsys):
    done = quietly(CONFIG, films, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = train(CONFIG, films, tmp_path, device="cpu", resume=True)
    said = capsys.readouterr()
    assert said.out == "this training is finished (6 of 6 steps), and nothing is left to do\n"
    assert said.err == "" and before == {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert torch.equal(done.encoder.fc.weight, again.encoder.fc.weight)


def test_films_are_called_unlabelled_where_some_are(films):
    whole, part = Loader(films, CONFIG), Loader(films, replace(CONFIG, masks=3))
    assert (
        whole.describe() == "training on 32 of 32 classes (16 NORMAL, 16 PNEUMONIA), 32 of 32 masks"
    )
    assert part.describe().endswith("3 of 32 masks; the other films are unlabelled")


def test_a_loss_that_is_no_number_before_anything_was_saved(films, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "optimise", raising(FloatingPointError("The dice became nan")))
    with pytest.raises(
        ValueError, match=r"nan; nothing was saved before\. Lower .* and start anew\.$"
    ):
        quietly(CONFIG, films, tmp_path)


def test_a_loss_that_is_no_number_stops_with_its_name(films, tmp_path, monkeypatch):
    config = replace(CONFIG, validate_every=1)
    quietly(replace(config, steps=2), films, tmp_path)
    optimise = Trainer.optimise

    def poisoned(run, batch, stop):
        return optimise(run, batch._replace(masks=batch.masks * float("nan")), stop)

    monkeypatch.setattr(Trainer, "optimise", poisoned)
    with pytest.raises(
        ValueError, match=r"The dice became nan in step 3; the last good checkpoint is .*\(step 2\)"
    ):
        quietly(config, films, tmp_path, resume=True)
    assert read_checkpoint(tmp_path / "last.pth")["step"] == 2


def test_a_log_that_was_cut_anywhere_is_written_again(films, tmp_path):
    quietly(CONFIG, films, tmp_path / "whole")
    whole = [{**row, "time": ""} for row in read_log(tmp_path / "whole")]
    quietly(replace(CONFIG, steps=4), films, tmp_path / "cut")
    log = tmp_path / "cut" / "log.csv"
    header, first, second = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(header + first + second + b"1")  # of a row that would have begun with step 10
    quietly(CONFIG, films, tmp_path / "cut", resume=True)
    assert [{**row, "time": ""} for row in read_log(tmp_path / "cut")] == whole
    for number, left in enumerate((b"", header[:7])):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "log.csv").write_bytes(
            left
        )  # killed in its first log, before a checkpoint
        quietly(CONFIG, films, tmp_path / str(number), resume=True)
        assert [{**row, "time": ""} for row in read_log(tmp_path / str(number))] == whole


def test_other_films_are_refused(films, tmp_path):
    quietly(replace(CONFIG, steps=2), films, tmp_path)
    names = ("other", *films.classification.names[1:])
    with pytest.raises(ValueError, match="the films, their splits or labels"):
        quietly(
            CONFIG,
            replace(films, classification=replace(films.classification, names=names)),
            tmp_path,
            resume=True,
        )


def test_what_does_not_matter_may_change(films, tmp_path):
    quietly(replace(CONFIG, steps=2), films, tmp_path)
    quietly(
        replace(CONFIG, steps=5, validate_every=1, patience=9, micro_batch=1),
        films,
        tmp_path,
        resume=True,
    )
    assert [int(row["step"]) for row in read_log(tmp_path)] == [2, 3, 4, 5]


def test_training_ends_early_when_nothing_gets_better(films, tmp_path, monkeypatch):
    aucs = iter([0.6, 0.9, 0.7, 0.8, 0.95])
    monkeypatch.setattr("multimix.trainer.validate", lambda *_: ({"auc": next(aucs)}, {}))
    quietly(replace(CONFIG, steps=20, validate_every=1, patience=2), films, tmp_path)
    assert [float(row["val_auc"]) for row in read_log(tmp_path)] == [0.6, 0.9, 0.7, 0.8]
    assert read_checkpoint(tmp_path / "best.pth")["step"] == 2


def test_a_clipped_gradient_is_short(films, tmp_path):
    run = Trainer(replace(CONFIG, gradient_clip=1e-3), films, torch.device("cpu"))
    run.optimise(Loader(films, CONFIG)(0))
    length = torch.cat([p.grad.flatten() for p in run.model.parameters()]).norm()
    assert length == pytest.approx(1e-3, rel=1e-3)
