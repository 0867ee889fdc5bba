"""Tables and checkpoints with something odd in them: used, or refused in a sentence."""

import contextlib
import copy
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import write_films
from helpers import CONFIG, SIDE, harmed, quietly

from multimix.apps.predict_folder import predict_folder
from multimix.data.dataset_layouts import read_layout
from multimix.data.films import load_films
from multimix.data.training_films import apply_manifest
from multimix.inference import load_model
from multimix.runtime.checkpoint import read_checkpoint

MOST = 300  # characters of a sentence, the path in it left out
ODD_VALUES = (None, True, -1, 10**30, float("nan"), "", "x" * 1000, b"bytes", [], [1, "a"], {})
ODD_VALUES += ({"a": 1}, {1: 2}, torch.tensor([1, 2]), torch.zeros(3, 3).to_sparse())
ODD_CELLS = ("", " ", "nan", "inf", "-1", "1e999", "9" * 400, "x" * 1000, "None", "a,b", '"')
ODD_CELLS += ("\0", "é", "../..", "a|b", "[]")


class Pool:
    """One whole thing of each kind, and how to use one that was harmed."""

    def __init__(self, folder: Path):
        self.folder, self.run = folder, folder / "run"
        write_films(folder / "classes", 60, SIDE)
        write_films(folder / "lungs", 30, SIDE, masks=True)
        self.films = load_films(folder / "classes", folder / "lungs", SIDE, progress=False)
        quietly(replace(CONFIG, steps=2, batch=2), self.films, self.run)
        self.checkpoint = read_checkpoint(self.run / "last.pth")
        rows = [f"images/film{i:03}.png,{i % 2},{'train' if i < 4 else 'val'}" for i in range(6)]
        (folder / "lungs" / "films.csv").write_text("\n".join(["path,label,split", *rows]))
        self.predict()

    def predict(self) -> None:
        model = load_model(self.run / "best.pth", "cpu")
        films = [self.folder / "lungs" / "images" / f"film00{i}.png" for i in range(2)]
        predict_folder(model, films, self.folder / "out", resume=True, figures=False)

    def kinds(self) -> dict[str, tuple[Path, Callable, Callable]]:
        """By name: a file, how to harm its content, and how to use it."""
        last, table, lungs = self.run / "last.pth", self.run / "manifest.csv", self.folder / "lungs"
        return {
            "set": (lungs / "films.csv", odd_table, lambda: read_layout(lungs)),
            "manifest": (table, odd_table, lambda: apply_manifest(self.films, table)),
            "predictions": (self.folder / "out" / "predictions.csv", odd_table, self.predict),
            "checkpoint": (last, self.odd_checkpoint, lambda: load_model(last, "cpu")),
        }

    def odd_checkpoint(self, _: bytes, rng: np.random.Generator) -> bytes:
        """One value, at any depth, is odd or missing."""
        inner = content = copy.deepcopy(self.checkpoint)
        while True:
            key = rng.choice(list(inner))
            if not (isinstance(inner[key], dict) and inner[key] and rng.random() < 0.8):
                break
            inner = inner[key]
        inner[key] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
        if rng.random() < 0.3:
            del inner[key]
        file = io.BytesIO()
        torch.save(content, file)
        return file.getvalue()


def odd_table(table: bytes, rng: np.random.Generator) -> bytes:
    """A table with harmed bytes, or with a cell, a row or a column that is odd or missing."""
    harm = rng.integers(4)
    if harm == 0:
        return harmed(table, int(rng.integers(2**30)))
    lines = [line.split(",") for line in table.decode().splitlines()]
    row = int(rng.integers(len(lines)))
    column = int(rng.integers(len(lines[row])))
    if harm == 1:
        lines[row][column] = ODD_CELLS[rng.integers(len(ODD_CELLS))]
    elif harm == 2:
        lines = [line[:column] + line[column + 1 :] for line in lines]
    else:
        lines[row : row + 1] = [lines[row]] * int(rng.choice([0, 2]))
    return "\n".join(",".join(line) for line in lines).encode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ("set", "manifest", "predictions", "checkpoint"))
def test_what_is_odd_is_used_or_refused_in_a_sentence(pool, kind, seed):
    path, harm, use = pool.kinds()[kind]
    whole = {path: path.read_bytes() for path in path.parent.iterdir() if path.is_file()}
    path.write_bytes(harm(whole[path], np.random.default_rng(seed)))
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            use()
    except ValueError as error:
        sentence = re.sub(r"/\S+", "", str(error).replace(str(pool.folder), ""))
        assert sentence.endswith(".") and "\n" not in sentence, sentence
        assert len(sentence) <= MOST, sentence
    finally:
        for each, content in whole.items():
            each.write_bytes(content)
