"""The notebooks' first cell, run as it stands in a notebook: alone, in a checkout, without network.

A small repository of files plays GitHub.
"""

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
def origin(tmp_path_factory) -> Path:
    origin = tmp_path_factory.mktemp("origin")
    for folder in ("multimix", "notebooks"):
        (origin / folder).mkdir(parents=True)
    for name in ("notebooks/start.py", "requirements.txt"):
        (origin / name).write_bytes((ROOT / name).read_bytes())
    git(origin, "init", "--initial-branch", "main")
    publish(origin, "1")
    return origin


def run(folder: Path, origin: Path, cell: str = FIRST_CELL + AFTER, **environment: str) -> str:
    """What the cell prints, run in a folder where the repository's address leads to `origin`."""
    config = {"COUNT": "1", "KEY_0": f"url.file://{origin}.insteadOf", "VALUE_0": ADDRESS}
    environment |= {f"GIT_CONFIG_{name}": value for name, value in config.items()}
    options = dict(cwd=folder, env=os.environ | environment, text=True, timeout=120)
    output = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return subprocess.run([sys.executable, "-c", cell], **options, **output).stdout


def test_alone_it_fetches_the_project_and_later_a_newer_one(origin, tmp_path):
    assert f"ran in {tmp_path / 'MultiMix'} with 1" in run(tmp_path, origin)
    publish(origin, "2")
    twice = run(tmp_path, origin, FIRST_CELL + AFTER + FIRST_CELL + AFTER)
    assert twice.count(f"ran in {tmp_path / 'MultiMix'} with 2") == 2
    assert twice.count("Looking for a newer version") == 1


def test_without_network_it_says_so_or_goes_on_with_what_is_there(origin, tmp_path):
    said = run(tmp_path, origin / "gone")
    assert "was not fetched" in said.splitlines()[-1] and "Traceback" not in said
    run(tmp_path, origin)
    said = run(tmp_path, origin / "gone")
    assert "None could be fetched" in said and f"ran in {tmp_path / 'MultiMix'} with 1" in said


@pytest.mark.parametrize("place", ["MultiMix", "MultiMix/notebooks", "."])
def test_a_checkout_is_used_and_left_alone(origin, tmp_path, place):
    git(tmp_path, "clone", f"file://{origin}", "MultiMix")
    publish(origin, "2")
    assert run(tmp_path / place, origin) == f"ran in {tmp_path / 'MultiMix'} with 1\n"


def test_what_is_missing_is_installed(origin, tmp_path):
    lines = (origin / "requirements.txt").read_text()
    (origin / "requirements.txt").write_text(f"# own\nnumpy>=1\nsmall-missing>=1\n\n{lines}")
    publish(origin, "1")
    about = "Metadata-Version: 2.1\nName: small-missing\nVersion: 1\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(tmp_path / "small_missing-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small_missing.py", "")
        for name, text in (("METADATA", about), ("WHEEL", tags), ("RECORD", "")):
            wheel.writestr(f"small_missing-1.dist-info/{name}", text)
    offline = {"PIP_NO_INDEX": "1", "PIP_TARGET": str(tmp_path / "packages")}
    *before, last = run(tmp_path, origin, **offline).splitlines()
    assert "small-missing>=1 could not be installed" in last and "Traceback" not in "".join(before)
    said = run(tmp_path, origin, PIP_FIND_LINKS=str(tmp_path), **offline)
    assert "Installing small-missing>=1 ..." in said and "with 1" in said
    assert (tmp_path / "packages" / "small_missing.py").is_file()
