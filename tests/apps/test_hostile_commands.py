"""Odd names, pipes, full disks, readers that go away: a command ends in one clear sentence."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from drawn import draw
from helpers import ROOT, save
from hostile_helpers import DRAWN, quickly
from PIL import Image

from multimix.apps.cli import main
from multimix.runtime.files import lock_folder

FULL = "No space left on device"
NAMES = ["with spaces.png", "a\nmultimix: forged.png", "tab\t.png", "ünïcödé.png", "-dash.png"]
NAMES += ["'quote\".png", "<b>.png", "%s{0}.png", "$(touch x).png", "a" * 251 + ".png"]
NAMES += [b"\xff\xfe.png", "..png", "...png", "..%2f..png", "\x1b[2J.png"]


@pytest.fixture
def command(weights):
    """Words of the command line: films to predictions without figures."""

    def words(out: Path, *films: Path) -> list[str]:
        paths = [str(film) for film in films]
        return ["predict", *paths, "--weights", weights, "--out", str(out), "--no-figures"]

    return words


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> Path:
    """Twenty films, drawn once."""
    folder = tmp_path_factory.mktemp("drawn") / "films"
    for i in range(20):
        save(folder / f"film{i:02d}.png", draw(i, 0, 200)[0])
    return folder


def test_names_of_films(tmp_path, command, capsys):
    folder, out = tmp_path / "films", tmp_path / "a" / "out"
    folder.mkdir()
    for name in NAMES:
        with open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb") as file:
            Image.fromarray(DRAWN).save(file, "PNG")
    (folder / "b\nmultimix: evil.png").write_bytes(b"")
    assert main(command(out, *folder.iterdir())) == 2
    assert len(list(out.glob("*_mask.png"))) == len(NAMES)
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["out"]  # nothing beside it
    assert {item.name for item in tmp_path.iterdir()} == {"films", "a"}
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if not line.lstrip().startswith("! ")]
    assert len(said.err.splitlines()) == 1 and "\x1b" not in said.out
    assert len(lines) == 1 + len(NAMES) + 2  # a head, an empty line, and where the files are


def test_paths_that_are_no_files(tmp_path, command, capsys):
    folder = tmp_path / "films"
    (folder / "folder.png").mkdir(parents=True)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "broken.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    save(folder / "good.png", DRAWN)
    assert quickly(main, command(tmp_path / "out", folder)) == 2
    printed = capsys.readouterr()
    assert "good.png" in printed.out and printed.err.count("multimix: ") == printed.err.count("\n")
    for name in ("loop", "broken", "pipe"):
        assert f"{name}.png" in printed.err


def test_pipes_and_links_stay_what_they_are(masked, sets, weights, monkeypatch, capsys):
    """Opening a pipe waits for who writes to it, for ever."""
    monkeypatch.chdir(masked)
    evaluate = ["evaluate", "--weights", weights]
    for pipe, command in (
        ("masks/film03.png", ["doctor", "."]),
        ("masks/film03.png", [*evaluate, "--segmentation", "."]),
        ("a.csv", [*evaluate, *sets[:2], "--manifest", "a.csv"]),
        ("b.csv", ["doctor", "b.csv"]),
        ("c.json", [*evaluate, *sets[:2], "--json", "c.json"]),
    ):
        Path(pipe).unlink(missing_ok=True)
        os.mkfifo(pipe)
        assert quickly(main, command) == 2
        printed = capsys.readouterr()
        assert Path(pipe).name in printed.out + printed.err and "Traceback" not in printed.err
    Path("link.json").symlink_to("target.json")
    assert main([*evaluate, *sets[:2], "--json", "link.json"]) == 0
    assert Path("c.json").is_fifo() and Path("link.json").is_symlink()
    assert Path("target.json").stat().st_size > 100


def test_a_full_disk_ends_predicting_and_resume_goes_on(tmp_path, films, command, capsys):
    disk, larger = tmp_path / "disk", tmp_path / "larger"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    out = disk / "out"
    try:
        assert main(command(out, films)[:-1]) == 2
        shutil.copytree(out, larger)
    finally:
        subprocess.run(["umount", disk], check=True)
    (said,) = capsys.readouterr().err.splitlines()
    assert FULL in said and str(out) in said
    names = pd.read_csv(larger / "predictions.csv")["name"]
    assert len(names) and not list(larger.glob("*.part"))
    for path in (larger / f"{name}{end}" for name in names for end in (".png", "_mask.png")):
        Image.open(path).load()  # whole
    assert main([*command(larger, films), "--resume"]) == 0
    assert len(list(larger.glob("*_mask.png"))) == 20


def test_readers_that_go_away(tmp_path, films, command, monkeypatch, capsys):
    """`| head`, and a full standard output."""
    words = command(tmp_path / "out", films)
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    options["env"] = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-m", "multimix", *words], **options) as process:
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


def test_two_runs_do_not_share_a_folder(tmp_path, films, command, capsys):
    out = tmp_path / "out"
    with lock_folder(out):
        assert main(command(out, films / "film00.png")) == 2
    assert f"Another process is writing to {out}" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == [".lock"]
