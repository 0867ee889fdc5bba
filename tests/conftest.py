"""Tiny networks and tiny films, so that every test is quick."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import write_films
from helpers import SIDE, TINY, drawn, film_set, save

from multimix.data.film_set import Films
from multimix.model import MultiMix
from multimix.runtime.checkpoint import save_checkpoint

# Several processes share the processors: one thread for each, and for what it starts.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)

LONGEST = ("03_training.ipynb", "04_your_own_data.ipynb", "test_readme.py", "02_saliency.ipynb")
LONGEST += ("test_evaluator.py", "test_browser.py", "test_cli.py", "test_run_folder.py")


def pytest_collection_modifyitems(items):
    """The files that take longest first, so that the processes end together."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def drawn_films_are_films(monkeypatch):
    """Let the drawn films of the tests count as chest films."""
    monkeypatch.setattr("multimix.inference.is_frontal_chest", lambda film: True)


@pytest.fixture
def model() -> MultiMix:
    torch.manual_seed(0)
    network = MultiMix(TINY).eval()
    network.info.side = SIDE
    return network


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> str:
    """The file of a tiny untrained network, so that the command line is quick."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.manual_seed(0)
    tensors = MultiMix(TINY).state_dict()
    save_checkpoint(path, {"weights": tensors, "config": {"side": SIDE, "widths": TINY}})
    return str(path)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="session")
def films() -> Films:
    """Forty drawn films for each task: 32 train, 4 val, 4 test."""
    return Films(film_set("classification"), film_set("segmentation"))


@pytest.fixture(scope="session")
def sets(tmp_path_factory) -> list[str]:
    """Words of the command line: a folder of films with classes, and one of films with masks."""
    root = tmp_path_factory.mktemp("sets")
    for split, count in (("train", 16), ("val", 4), ("test", 4)):
        write_films(root / "classes" / split, count, SIDE)
    write_films(root / "lungs", 20, SIDE, masks=True)
    return ["--classification", str(root / "classes"), "--segmentation", str(root / "lungs")]


@pytest.fixture
def kaggle(tmp_path) -> Path:
    """Kaggle's layout: 24 + 24 training films of 24 patients, 4 + 4 test films, no validation."""
    root = tmp_path / "chest_xray"
    for split, count in (("train", 24), ("test", 4)):
        for i in range(count):
            sick = root / split / "PNEUMONIA" / f"person{i // 2}_virus_{i}.jpeg"
            save(root / split / "NORMAL" / f"IM-{i // 2:04d}-{i:04d}.jpeg", drawn(i, 0, SIDE)[0])
            save(sick, drawn(100 + i, 1, SIDE)[0])
    return root


@pytest.fixture
def masked(tmp_path) -> Path:
    """A folder of 20 films in images/ with masks/."""
    root = tmp_path / "lungs"
    for i in range(20):
        film, mask = drawn(i, 0, SIDE)
        save(root / "images" / f"film{i:02d}.png", film)
        save(root / "masks" / f"film{i:02d}.png", mask.astype(np.uint8) * 255)
    return root


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real films, if this machine has one."""
    if not os.environ.get("MULTIMIX_DATA"):
        pytest.skip("MULTIMIX_DATA names no folder of real films")
    return Path(os.environ["MULTIMIX_DATA"])
