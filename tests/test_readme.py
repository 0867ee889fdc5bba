"""What the README says to type is typed, in a folder of small films with the names that it uses.

Trainings are reduced to a step.
"""

import re
import shlex
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers import ROOT, check_exported, dicom, save

import multimix
from multimix.apps.cli import RUN, main
from multimix.data import phantom

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
SCRIPTS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = []
for line in SHELL.splitlines():
    if line.startswith("python -m multimix "):
        COMMANDS.append(shlex.split(line, comments=True)[3:])
SMALL = ["--steps=1", "--validate-every=1", "--side=32", "--batch=2"]
ONE_RUN = ["--systems=unet", "--class-labels=100", "--masks=10", "--seeds=1", "--jobs=1"]
REDUCED = {"train": SMALL, "sweep": SMALL + ONE_RUN}
FEWER = {"phantom://400": "phantom://140"}  # that still have a hundred labels to train on


def many_films(count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Films of 64 x 64 pixels with masks: eight are drawn, which takes its time, then shifted."""
    drawn = [phantom.draw(seed + i, i % 2, 64) for i in range(8)]
    for i in range(count):
        film, mask = drawn[i % 8]
        shift = i // 8
        yield np.roll(film, shift, axis=1), np.roll(mask, shift, axis=1).astype(np.uint8) * 255


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with everything that the README takes for granted."""
    place = tmp_path_factory.mktemp("readme")
    for i, (film, _) in enumerate(many_films(240, seed=0)):
        split, kind = "test" if i % 6 == 0 else "train", ("NORMAL", "PNEUMONIA")[i // 6 % 2]
        save(place / "chest_xray" / split / kind / f"person{i}_a.png", film)
    for name, seed in (("jsrt", 1000), ("montgomery", 2000)):
        for i, (film, mask) in enumerate(many_films(40, seed)):
            save(place / name / "images" / f"film{i}.png", film)
            save(place / name / "masks" / f"film{i}.png", mask)
    save(place / "folder" / "of" / "films" / "film.png", phantom.draw(1, 1, 200)[0])
    uids = dict(SeriesInstanceUID="1.2.4", StudyInstanceUID="1.2.5")
    dicom(place / "film.dcm", phantom.draw(2, 0, 200)[0].astype("uint16") * 16, **uids)
    (place / "sample_data").symlink_to(ROOT / "sample_data")
    (place / "my").mkdir()
    (place / "my" / "films").symlink_to(place / "chest_xray")
    return place


def test_it_shows_every_command():
    assert {command[0] for command in COMMANDS} == set(RUN)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.filterwarnings("ignore")
def test_a_command(place, monkeypatch, capsys, command):
    if command[0] == "export" and torch.__version__ < "2.9":
        pytest.skip("this torch cannot export")
    monkeypatch.chdir(place)
    words = [FEWER.get(word, word) for word in command]
    assert main([*words, *REDUCED.get(command[0], [])]) == 0
    if command[0] == "export":
        check_exported(capsys.readouterr().out, place / command[1])


@pytest.mark.filterwarnings("ignore")
def test_the_scripts(place, monkeypatch):
    monkeypatch.chdir(place)
    preset = multimix.Config.preset
    monkeypatch.setattr(
        multimix.Config,
        "preset",
        lambda *names, **changes: preset(*names, steps=1, validate_every=1, batch=2, **changes),
    )
    names: dict = {}
    for script in SCRIPTS:
        exec(script, names)
    assert 0 <= names["results"]["dice"] <= 1
    assert (place / "predictions" / "real_adult_pa.png").exists()


def test_the_printed_table_is_the_real_one(tmp_path, capsys):
    out = str(tmp_path / "predictions")
    assert main(["predict", str(ROOT / "sample_data"), "--out", out, "--no-figures"]) == 0
    printed = capsys.readouterr().out.splitlines()
    shown = re.search(r"```\n(film  .*?)```", README, re.DOTALL).group(1).splitlines()
    without_seconds = [line.rsplit(None, 1)[0] for line in printed if ".png" in line]
    assert without_seconds == [line.rsplit(None, 1)[0] for line in shown if ".png" in line]
