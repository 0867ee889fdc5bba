"""Tables and checkpoints with something odd in them: used, or refused in a sentence."""

import contextlib
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

ODD_VALUES = (None, True, -1, 10**30, float("nan"), "", "x" * 1000, b"bytes", [], [1, "a"], {})
ODD_VALUES += ({"a": 1}, {1: 2}, torch.tensor([1, 2]), torch.zeros(3, 3).to_sparse())
ODD_CELLS = ("", " ", "nan", "inf", "-1", "1e999", "9" * 400, "x" * 1000, "None", "a,b", '"')
ODD_CELLS += ("\0", "é", "../..", "a|b", "[]")


def odd_checkpoint(checkpoint: bytes, rng: np.random.Generator) -> bytes:
    """One value, at any depth, is odd or missing."""
    inner = content = torch.load(io.BytesIO(checkpoint), weights_only=True)
    while True:
        key = rng.choice(list(inner))
        if not (isinstance(inner[key], dict) and inner[key] and rng.random() < 0.8):
            break
        inner = inner[key]
    inner[key] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
    if rng.random() < 0.3:
        del inner[key]
    torch.save(content, file := io.BytesIO())
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
def kinds(tmp_path_factory) -> dict[str, tuple[Path, Callable, Callable]]:
    """By name: a whole file, how to harm its content, and how to use it."""
    folder = tmp_path_factory.mktemp("whole")
    run, lungs, out = folder / "run", folder / "lungs", folder / "out"
    write_films(folder / "classes", 60, SIDE)
    write_films(lungs, 30, SIDE, masks=True)
    films = load_films(folder / "classes", lungs, SIDE, progress=False)
    quietly(replace(CONFIG, steps=2, batch=2), films, run)
    rows = [f"images/film{i:03}.png,{i % 2},{'train' if i < 4 else 'val'}" for i in range(6)]
    (lungs / "films.csv").write_text("\n".join(["path,label,split", *rows]))
    paths = [lungs / "images" / f"film00{i}.png" for i in range(2)]

    def predict() -> None:
        predict_folder(load_model(run / "best.pth", "cpu"), paths, out, resume=True, figures=False)

    predict()
    last, table = run / "last.pth", run / "manifest.csv"
    return {
        "set": (lungs / "films.csv", odd_table, lambda: read_layout(lungs)),
        "manifest": (table, odd_table, lambda: apply_manifest(films, table)),
        "predictions": (out / "predictions.csv", odd_table, predict),
        "checkpoint": (last, odd_checkpoint, lambda: load_model(last, "cpu")),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ("set", "manifest", "predictions", "checkpoint"))
def test_what_is_odd_is_used_or_refused_in_a_sentence(kinds, kind, seed):
    path, harm, use = kinds[kind]
    whole = {path: path.read_bytes() for path in path.parent.iterdir() if path.is_file()}
    path.write_bytes(harm(whole[path], np.random.default_rng(seed)))
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            use()
    except ValueError as error:
        sentence = re.sub(r"/\S+", "", str(error))
        assert sentence.endswith(".") and "\n" not in sentence, sentence
        assert len(sentence) <= 300, sentence
    finally:
        for each, content in whole.items():
            each.write_bytes(content)
