"""What is installed is what is needed: one list for the checkout, the package's own for a wheel."""

import ast
import re
import subprocess
import sys

import pytest
from helpers import ROOT

import multimix

tomllib = pytest.importorskip("tomllib")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
IMPORT_NAMES = {"pillow": "PIL", "ipython": "IPython", "scikit-image": "skimage"}
NOT_IMPORTED = {"pylibjpeg"}  # pydicom finds it by itself


def module_of(requirement: str) -> str:
    name = re.match(r"[\w-]+", requirement).group()
    return IMPORT_NAMES.get(name, name)


def imported_modules() -> set[str]:
    """What the files of the package import, at any depth."""
    found = set()
    for path in (ROOT / "multimix").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"multimix"}


def test_requirements_are_those_of_the_project():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert listed == [
        *PROJECT["dependencies"],
        *EXTRAS["export"],
        *EXTRAS["dicom-seg"],
        *EXTRAS["dev"],
    ]


def test_every_import_is_declared_and_every_dependency_imported():
    declared = {module_of(line) for line in PROJECT["dependencies"]}
    extras = {module_of(line) for name in ("export", "dicom-seg") for line in EXTRAS[name]}
    assert imported_modules() == (declared - NOT_IMPORTED) | extras


def test_every_room_is_packaged():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = tomllib.loads(text)["tool"]["setuptools"]["packages"]
    rooms = [path.parent.name for path in (ROOT / "multimix").glob("*/__init__.py")]
    assert {f"multimix.{room}" for room in rooms} <= set(packages)


def test_the_package_itself_imports_nothing_heavy():
    """Torch comes with the first name that needs it, so that a Ctrl-C before can be seen to."""
    code = """
import sys, multimix
assert not {"torch", "numpy", "PIL"} & set(sys.modules), sys.modules
assert set(multimix.__all__) <= set(dir(multimix)) and not hasattr(multimix, "nothing")
assert multimix.inference.predict is multimix.predict
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)


def test_it_has_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", multimix.__version__)
