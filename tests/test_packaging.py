"""What is installed is what is needed: one list for the checkout, the package's own for a wheel."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile

import pandas as pd
import pytest
from helpers import ROOT

import multimix

tomllib = pytest.importorskip("tomllib")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
IMPORT_NAMES = {"pillow": "PIL", "ipython": "IPython", "scikit-image": "skimage"}
NOT_IMPORTED = {"pylibjpeg", "onnxscript"}  # pydicom and torch find them by themselves


def test_requirements_are_those_of_the_project():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^[^#\n].*", text, re.MULTILINE)
    extras = [line for name in ("export", "dicom-seg", "panel", "dev") for line in EXTRAS[name]]
    assert listed == [*PROJECT["dependencies"], *extras]


def test_every_import_is_declared_and_every_dependency_imported():
    found = set()
    for path in (ROOT / "multimix").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
    found -= set(sys.stdlib_module_names) | {"multimix"}
    extras = [line for name in ("export", "dicom-seg", "panel") for line in EXTRAS[name]]
    names = [re.match(r"[\w-]+", line).group() for line in [*PROJECT["dependencies"], *extras]]
    assert found == {IMPORT_NAMES.get(name, name) for name in names} - NOT_IMPORTED


def test_the_wheel_carries_the_sample_films(tmp_path):
    """What `predict` and `train` need without a checkout, and the licences of the films."""
    pytest.importorskip("setuptools", minversion="77")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    place = tmp_path / "checkout"
    for name in ("multimix", "weights", "sample_data"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    subprocess.run([*command, "-w", str(tmp_path), str(place)], check=True, timeout=300)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = wheel.read(metadata).decode()
    samples = ROOT / "sample_data"
    paths = [*samples.glob("*.*")]
    paths += [path for name in ("masks", "small") for path in (samples / name).rglob("*.*")]
    needed = {f"multimix/{path.relative_to(ROOT)}" for path in paths if path.suffix != ".zip"}
    assert len(needed) > 1500 and needed <= names
    code = (ROOT / "multimix").rglob("*.py")
    assert {str(path.relative_to(ROOT)) for path in code} <= names
    assert re.fullmatch(r"\d+\.\d+\.\d+", multimix.__version__)
    assert "License-Expression: MIT AND CC-BY-4.0 AND CC-BY-3.0" in text


def test_the_samples_are_small_and_their_tables_complete():
    samples = ROOT / "sample_data"
    sizes = {path.name: path.stat().st_size for path in samples.glob("*.zip")}
    films = [path for path in samples.rglob("*") if path.is_file() and path.suffix != ".zip"]
    assert sum(path.stat().st_size for path in films) < 9_000_000
    assert sizes.keys() == {"chest_xray_lungs.zip"} and sum(sizes.values()) < 3_000_000
    for table in samples.rglob("films.csv"):
        names = pd.read_csv(table).filter(["path", "mask"]).stack().dropna()
        assert len(names) and all((table.parent / name).is_file() for name in names)
    listed = set(pd.read_csv(samples / "films.csv")["path"])
    assert listed == {path.name for path in samples.glob("*") if path.suffix in (".jpg", ".png")}


def test_the_package_itself_imports_nothing_heavy():
    """Torch comes with the first name that needs it, so that a Ctrl-C before can be seen to."""
    code = """
import sys, multimix
assert not {"torch", "numpy", "PIL"} & set(sys.modules), sys.modules
assert set(multimix.__all__) <= set(dir(multimix)) and not hasattr(multimix, "nothing")
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)
