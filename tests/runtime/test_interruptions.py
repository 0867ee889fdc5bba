"""Where results go, and how processes end: full disks, forbidden folders, closed pipes, signals,
two at once.
"""

import csv
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from drawn import draw
from helpers import ROOT, SIDE, TINY, newer_torch, save
from PIL import Image

from multimix.apps.cli import main
from multimix.runtime.files import lock_folder

SETS = ["--classification", "{classes}", "--segmentation", "{lungs}"]
SMALL = ["--side", str(SIDE), "--widths", ",".join(map(str, TINY)), "--batch", "2"]
SMALL += ["--steps", "2", "--validate-every", "1"]
TRAINING = ["train", *SETS, *SMALL]
FULL = "No space left on device"


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> Path:
    """Twenty films, drawn once."""
    folder = tmp_path_factory.mktemp("drawn") / "films"
    for i in range(20):
        save(folder / f"film{i:02d}.png", draw(i, 0, 200)[0])
    return folder


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 2 MiB, where this process may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def sentences(printed: str) -> list[str]:
    """What was said to the user on standard error."""
    lines = [line for line in printed.splitlines() if line.startswith("multimix: ")]
    return [line for line in lines if not line.startswith("multimix: splits: ")]


def whole_pictures(folder: Path) -> int:
    """How many pictures lie there; all of them can be read to their end."""
    return len([Image.open(path).load() for path in folder.glob("*.png")])


def test_a_full_disk_ends_predicting_and_resume_goes_on(
    tmp_path, tiny_disk, films, weights, capsys
):
    command = ["predict", str(films), "--weights", weights, "--out", str(tiny_disk / "out")]
    assert main(command) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and FULL in said[0] and str(tiny_disk / "out") in said[0]
    with open(tiny_disk / "out" / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    out = tiny_disk / "out"
    assert all((out / row[name]).exists() for row in rows for name in ("mask", "overlay"))
    assert whole_pictures(tiny_disk / "out") > 0 and not list(tiny_disk.rglob("*.part"))
    shutil.copytree(tiny_disk / "out", tmp_path / "larger")
    assert main([*command[:-1], str(tmp_path / "larger"), "--resume", "--no-figures"]) == 0
    assert len(list((tmp_path / "larger").glob("*_mask.png"))) == 20


EVALUATE = ["evaluate", *SETS, "--weights", "{weights}"]


@pytest.mark.parametrize(
    "command",
    (
        [*TRAINING, "--out", "{disk}/run"],
        [*EVALUATE, "--json", "{disk}/a.json", "--figures", "{disk}/figures"],
    ),
)
def test_a_full_disk_is_one_sentence(tiny_disk, sets, weights, capsys, command):
    with open(tiny_disk / "filled", "wb", buffering=0) as file:
        while file.write(bytes(1000)) == 1000:
            pass
    named = {"disk": tiny_disk, "weights": weights, "classes": sets[1], "lungs": sets[3]}
    assert main([part.format(**named) for part in command]) == 2
    said = sentences(capsys.readouterr().err)
    assert len(said) == 1 and FULL in said[0]
    left = {path.name for path in tiny_disk.rglob("*") if path.is_file()}
    assert left <= {"filled", ".lock"}


@pytest.mark.parametrize(
    "command",
    (
        ["predict", "{films}", "--weights", "{weights}", "--out", "{file}"],
        [*TRAINING, "--out", "{file}"],
        [*EVALUATE, "--figures", "{file}"],
        pytest.param(["export", "{file}/a.onnx", "--weights", "{weights}"], marks=newer_torch),
    ),
)
def test_a_file_in_the_way_of_a_folder(tmp_path, films, sets, weights, capsys, command):
    (tmp_path / "file").write_text("precious")
    named = {"films": films / "film00.png", "weights": weights, "file": tmp_path / "file"}
    named |= {"classes": sets[1], "lungs": sets[3]}
    assert main([part.format(**named) for part in command]) == 2
    said = sentences(capsys.readouterr().err)
    assert len(said) == 1 and str(tmp_path / "file") in said[0]
    assert (tmp_path / "file").read_text() == "precious"


def test_readers_that_go_away(tmp_path, films, weights, monkeypatch, capsys):
    """`| head`, and a full standard output."""
    words = ["predict", films, "--weights", weights, "--no-figures", "--out", tmp_path / "out"]
    words = [str(word) for word in words]
    command, environment = [sys.executable, "-m", "multimix", *words], {"PYTHONPATH": str(ROOT)}
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment)
    with subprocess.Popen(command, **options) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(60) == 141
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert main([*words, "--resume"]) == 2
        patch.setattr(sys, "stdout", None)  # a file that cannot be written cannot be closed either
        with suppress(OSError):
            full.close()
    (said,) = capsys.readouterr().err.splitlines()
    assert FULL in said


def test_two_runs_do_not_share_a_folder(tmp_path, films, weights, capsys):
    out = tmp_path / "out"
    command = ["predict", str(films / "film00.png"), "--weights", weights, "--out", str(out)]
    with lock_folder(out):
        assert main(command) == 2
    assert f"Another process is writing to {out}" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == [".lock"] and main(command) == 0


def test_devices_and_links_stay_what_they_are(tmp_path, sets, weights, capsys):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    command = ["evaluate", *sets[:2], "--weights", weights, "--json"]
    assert main([*command, str(tmp_path / "pipe.json")]) == 2
    assert (
        "pipe.json is not the output of an evaluation; give another name" in capsys.readouterr().err
    )
    assert main([*command, str(tmp_path / "link.json")]) == 0
    assert (tmp_path / "pipe.json").is_fifo() and (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "target.json").stat().st_size > 100
