"""What the README says to type is typed, in a folder of small films with the names that it uses.

Trainings are reduced to a step.
"""

import re
import shlex

import pytest
from drawn import draw, write_films
from helpers import ROOT, dicom, save

import multimix
from multimix.apps import options
from multimix.apps.cli import main
from multimix.images.formats import film_paths

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
SCRIPTS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINES = [shlex.split(line, comments=True) for line in SHELL.splitlines()]
COMMANDS = [words[3:] for words in LINES if words[:3] == ["python", "-m", "multimix"]]
SMALL = ["--steps=1", "--validate-every=1", "--side=32", "--batch=2"]
ONE_RUN = ["--systems=unet", "--class-labels=100", "--masks=10", "--seeds=1", "--jobs=1"]
REDUCED = {"train": SMALL, "sweep": SMALL + ONE_RUN}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with everything that the README takes for granted."""
    place = tmp_path_factory.mktemp("readme")
    for i in range(240):
        split, kind = "test" if i % 6 == 0 else "train", ("NORMAL", "PNEUMONIA")[i // 6 % 2]
        film, _ = draw(i, i // 6 % 2)
        save(place / "chest_xray" / split / kind / f"person{i}_a.png", film)
    write_films(place / "jsrt", 40, masks=True)
    save(place / "folder" / "of" / "films" / "film.png", draw(1, 1, 200)[0])
    uids = dict(SeriesInstanceUID="1.2.4", StudyInstanceUID="1.2.5")
    dicom(place / "film.dcm", draw(2, 0, 200)[0].astype("uint16") * 16, **uids)
    (place / "sample_data").symlink_to(ROOT / "sample_data")
    (place / "my").mkdir()
    (place / "my" / "films").symlink_to(place / "chest_xray")
    return place


# `export` takes half a minute: tests/apps/test_export.py runs it.
@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] != "export"], ids=" ".join)
@pytest.mark.filterwarnings("ignore")
def test_a_command(place, monkeypatch, command):
    samples = film_paths(ROOT / "sample_data")[:2]
    monkeypatch.setattr("multimix.apps.cli.film_paths", lambda folder: samples)
    monkeypatch.chdir(place)
    assert main([*command, *REDUCED.get(command[0], [])]) == 0


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
    assert (place / "predictions" / "child_viral.png").exists()


def test_the_printed_table_is_the_real_one(tmp_path, capsys):
    out = str(tmp_path / "predictions")
    assert main(["predict", str(ROOT / "sample_data"), "--out", out, "--no-figures"]) == 0
    printed = capsys.readouterr().out.splitlines()
    shown = re.search(r"```\n(film  .*?)```", README, re.DOTALL).group(1).splitlines()
    films = [line.rsplit(None, 1)[0] for line in printed if line.endswith(tuple("0123456789"))]
    assert len(films) == 9
    assert films == [line.rsplit(None, 1)[0] for line in shown[1:]]


def test_it_shows_every_command_is_short_and_fits_its_page():
    assert {command[0] for command in COMMANDS} == set(options.COMMANDS.choices)
    assert len(README.splitlines()) <= 150
    blocks = re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 88
