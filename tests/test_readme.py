"""What the README says to type is typed, in a folder with small films of the names that it uses,
and reduced steps.
"""

import re
import shlex

import pytest
from helpers import ROOT, dicom, newer_torch, save

import multimix
from multimix.apps.cli import RUN, main
from multimix.data import phantom

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)[3:]
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("python -m multimix ")
]
SCRIPTS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SMALL = ["--steps", "1", "--validate-every", "1", "--side", "32", "--batch", "2"]
REDUCED = {
    "train": SMALL,
    "sweep": [
        *SMALL,
        "--systems",
        "unet",
        "--class-labels",
        "100",
        "--masks",
        "10",
        "--seeds",
        "1",
        "--jobs",
        "1",
    ],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with everything that the README takes for granted."""
    place = tmp_path_factory.mktemp("readme")
    for i in range(240):
        split, kind = "test" if i % 6 == 0 else "train", ("NORMAL", "PNEUMONIA")[i // 6 % 2]
        save(
            place / "chest_xray" / split / kind / f"person{i}_a.png",
            phantom.draw(i, i // 6 % 2, 64)[0],
        )
    for name in ("jsrt", "montgomery"):
        for i in range(40):
            film, mask = phantom.draw(1000 + i, 0, 64)
            save(place / name / "images" / f"film{i}.png", film)
            save(place / name / "masks" / f"film{i}.png", mask.astype("uint8") * 255)
    save(place / "folder" / "of" / "films" / "film.png", phantom.draw(1, 1, 200)[0])
    dicom(place / "film.dcm", phantom.draw(2, 0, 200)[0].astype("uint16") * 16)
    (place / "sample_data").symlink_to(ROOT / "sample_data")
    return place


def test_it_shows_every_command():
    assert {command[0] for command in COMMANDS} == set(RUN)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=newer_torch) if command[0] == "export" else command
        for command in COMMANDS
    ],
    ids=" ".join,
)
@pytest.mark.filterwarnings("ignore")
def test_a_command(place, monkeypatch, command):
    monkeypatch.chdir(place)
    assert main([*command, *REDUCED.get(command[0], [])]) == 0


@newer_torch
@pytest.mark.filterwarnings("ignore")
def test_the_scripts(place, monkeypatch):
    monkeypatch.chdir(place)
    assert main(["export", "multimix.onnx"]) == 0
    preset = multimix.Config.preset
    monkeypatch.setattr(
        multimix.Config,
        "preset",
        lambda *names, **changes: preset(*names, steps=1, validate_every=1, batch=2, **changes),
    )
    names: dict = {}
    for script in SCRIPTS:
        exec(script, names)
    assert 0 <= names["results"]["dice"] <= 1 and names["mask_logits"].shape == (1, 1, 256, 256)
    assert (place / "predictions" / "real_adult_pa.png").exists()


def test_the_printed_table_is_the_real_one(tmp_path, capsys):
    assert (
        main(
            [
                "predict",
                str(ROOT / "sample_data"),
                "--out",
                str(tmp_path / "predictions"),
                "--no-figures",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out.splitlines()
    shown = re.search(r"```\n(film  .*?)```", README, re.DOTALL).group(1).splitlines()
    without_seconds = [line.rsplit(None, 1)[0] for line in printed if ".png" in line]
    assert without_seconds == [line.rsplit(None, 1)[0] for line in shown if ".png" in line]
