"""The notebooks' first cell, run as it stands in a notebook: alone, in a checkout, without network.

A small repository of files plays GitHub.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT

FIRST_CELL = re.search(
    r'# %% .*tags=\["bootstrap"\]\n(.*?)# %%',
    (ROOT / "notebooks" / "01_inference.py").read_text(encoding="utf-8"),
    re.DOTALL,
).group(1)
AFTER = "\nimport os, multimix; print('ran in', os.getcwd(), 'with', multimix.__version__)\n"
ADDRESS = "https://github.com/aaz-imran/MultiMix"


def git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@y", *words]
    subprocess.run(command, check=True, capture_output=True)


def publish(origin: Path, version: str) -> None:
    (origin / "multimix" / "__init__.py").write_text(f"__version__ = '{version}'\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-m", version)


@pytest.fixture
def origin(tmp_path) -> Path:
    origin = tmp_path / "origin"
    for folder in ("multimix", "notebooks"):
        (origin / folder).mkdir(parents=True)
    for name in ("notebooks/start.py", "requirements.txt"):
        (origin / name).write_bytes((ROOT / name).read_bytes())
    git(origin, "init", "--initial-branch", "main")
    publish(origin, "1")
    return origin


@pytest.fixture
def alone(tmp_path) -> Path:
    (tmp_path / "alone").mkdir()
    return tmp_path / "alone"


def run(folder: Path, origin: Path, cell: str = FIRST_CELL + AFTER, **environment: str) -> str:
    """What the cell prints, run in a folder where the repository's address leads to `origin`."""
    config = {"COUNT": "1", "KEY_0": f"url.file://{origin}.insteadOf", "VALUE_0": ADDRESS}
    environment |= {f"GIT_CONFIG_{name}": value for name, value in config.items()}
    options = dict(cwd=folder, env=os.environ | environment, text=True, timeout=120)
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return subprocess.run([sys.executable, "-c", cell], **options, **output).stdout


def test_alone_it_fetches_the_project_and_later_a_newer_one(origin, alone):
    assert f"ran in {alone / 'MultiMix'} with 1" in run(alone, origin)
    publish(origin, "2")
    twice = run(alone, origin, FIRST_CELL + AFTER + FIRST_CELL + AFTER)
    assert twice.count(f"ran in {alone / 'MultiMix'} with 2") == 2
    assert twice.count("Looking for a newer version") == 1


def test_without_network_it_says_so_or_goes_on_with_what_is_there(origin, alone):
    said = run(alone, origin / "gone")
    assert "was not fetched" in said.splitlines()[-1] and "Traceback" not in said
    run(alone, origin)
    said = run(alone, origin / "gone")
    assert "None could be fetched" in said and f"ran in {alone / 'MultiMix'} with 1" in said


@pytest.mark.parametrize("place", ["MultiMix", "MultiMix/notebooks", "."])
def test_a_checkout_is_used_and_left_alone(origin, alone, place):
    git(alone, "clone", f"file://{origin}", "MultiMix")
    publish(origin, "2")
    assert run(alone / place, origin) == f"ran in {alone / 'MultiMix'} with 1\n"


def test_what_is_missing_is_installed(origin, alone):
    lines = (origin / "requirements.txt").read_text()
    (origin / "requirements.txt").write_text(f"# own\nnumpy>=1\nsmall-missing>=1\n\n{lines}")
    publish(origin, "1")
    about = "Metadata-Version: 2.1\nName: small-missing\nVersion: 1\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(alone / "small_missing-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small_missing.py", "")
        for name, text in (("METADATA", about), ("WHEEL", tags), ("RECORD", "")):
            wheel.writestr(f"small_missing-1.dist-info/{name}", text)
    offline = {"PIP_NO_INDEX": "1", "PIP_TARGET": str(alone / "packages")}
    *before, last = run(alone, origin, **offline).splitlines()
    assert "small-missing>=1 could not be installed" in last and "Traceback" not in "".join(before)
    said = run(alone, origin, PIP_FIND_LINKS=str(alone), **offline)
    assert "Installing small-missing>=1 ..." in said and "with 1" in said
    assert (alone / "packages" / "small_missing.py").is_file()


def test_every_notebook_begins_so():
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert "".join(cells[1]["source"]) == FIRST_CELL.strip()
        assert cells[1]["metadata"]["cellView"] == "form"
        assert cells[1]["outputs"] == []
