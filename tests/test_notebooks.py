"""The pairs in notebooks/: same text on both sides, outputs kept, one address. nbval runs them
beside this file.
"""

import re
from pathlib import Path

import nbformat
import pytest
from helpers import ROOT
from jupytext.cli import jupytext

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LINKS = (
    "(https://colab.research.google.com/github/{owner}/blob/main/notebooks/{name})",
    "(https://kaggle.com/kernels/welcome?src=https://github.com/{owner}/blob/main/notebooks/{name})",
    "(https://mybinder.org/v2/gh/{owner}/main?labpath=notebooks/{name})",
)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def test_every_notebook_has_its_twin():
    twins = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
    assert len(twins) == 5 and [path.with_suffix(".py") for path in NOTEBOOKS] == twins


def test_the_pair_is_in_sync(path, capsys):
    jupytext(["--quiet", "--to", "py:percent", "--output", "-", str(path)])
    assert capsys.readouterr().out == path.with_suffix(".py").read_text(encoding="utf-8")


def test_outputs_are_kept_small_and_clean(path):
    assert path.stat().st_size < 500_000
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert all(cell.execution_count for cell in code)
    assert sum(bool(cell.outputs) for cell in code) >= 5
    assert "widgets" not in notebook.metadata  # GitHub shows no notebook with their state
    assert "error" not in {output.output_type for output in outputs}
    printed = "".join(output.get("text", "") for output in outputs)
    assert not re.search(r"\d%\|", printed)  # a progress bar
    own_places = r"[\"' ](/root|/home|/tmp|/work|/Users|[A-Z]:\\\\)"
    assert not re.search(own_places, path.read_text(encoding="utf-8"))
    checked = [cell for cell in code if "nbval-check-output" in cell.metadata.get("tags", ())]
    assert len(checked) >= 1 and all(cell.outputs for cell in checked)


def test_it_reads_well(path):
    cells = nbformat.read(path, as_version=4).cells
    most = 30 if path.stem == "03_training" else 20
    assert 12 <= len(cells) <= most and cells[0].source.startswith("# ")
    prose = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert len(re.sub(r"\(http\S+\)", "", prose).split()) <= 900
    assert not re.search(r"^class ", "\n".join(cell.source for cell in cells), re.MULTILINE)
    assert all(len(cell.source.splitlines()) <= 15 for cell in cells if cell.cell_type == "code")


def test_one_address_and_one_first_cell(path):
    project = (ROOT / "pyproject.toml").read_text()
    address = re.search(r'Repository = "(https://github.com/([^"]+))"', project).groups()
    cells = nbformat.read(path, as_version=4).cells
    for link in LINKS:
        assert link.format(owner=address[1], name=path.name) in cells[0].source
    bootstrap = cells[1]
    assert (bootstrap.outputs, bootstrap.metadata["cellView"]) == ([], "form")
    assert bootstrap.source == nbformat.read(NOTEBOOKS[0], as_version=4).cells[1].source
    assert f"git clone --depth 1 -c multimix.clone=1 {address[0]} MultiMix" in bootstrap.source
    assert set(re.findall(r"github(?:\.com)?/([\w-]+/[\w.-]+)", path.read_text())) == {address[1]}
