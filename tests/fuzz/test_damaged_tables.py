"""Checkpoints, tables and caches with something odd in them: used, or refused in a sentence.

    PYTHONPATH=.:tests python -m fuzz.test_damaged_tables [NUMBER]

tries so many of each kind (300).
"""

import contextlib
import copy
import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import write_films
from helpers import CONFIG, SIDE, harmed, quietly

from multimix.apps.predict_folder import predict_folder
from multimix.data.films import load_films
from multimix.data.manifest import apply_manifest
from multimix.inference import load_model
from multimix.runtime.checkpoint import read_checkpoint

MOST = 300  # characters of a sentence, the path in it left out
ODD_VALUES = (None, True, -1, 10**30, float("nan"), float("inf"), "", "x" * 1000, b"bytes")
ODD_VALUES += ([], [1, "a"], {}, {"a": 1}, {1: 2}, torch.tensor(1.0), torch.tensor([1, 2]))
ODD_VALUES += (torch.zeros(0), torch.zeros(3, 3).to_sparse(), torch.tensor(float("nan")))
ODD_CELLS = ("", " ", "nan", "inf", "-1", "1e999", "9" * 400, "x" * 1000, "None", "a,b", '"')
ODD_CELLS += ("\0", "é", "../..", "a|b", "[]")


class Pool:
    """One whole thing of each kind, and how to use one that was harmed."""

    def __init__(self, folder: Path):
        self.folder, self.run, self.cache_folder = folder, folder / "run", folder / "cache"
        write_films(folder / "classes", 60, SIDE)
        write_films(folder / "lungs", 30, SIDE, masks=True)
        self.films = load_films(folder / "classes", folder / "lungs", SIDE, progress=False)
        self.config = replace(CONFIG, steps=2, batch=2)
        quietly(self.config, self.films, self.run)
        self.checkpoint = read_checkpoint(self.run / "last.pth")
        rows = [f"images/film{i:03}.png,{i % 2},{'train' if i < 4 else 'val'}" for i in range(6)]
        (folder / "lungs" / "films.csv").write_text("\n".join(["path,label,split", *rows]))
        self.predict()
        self.pixels = self.load("lungs/images", cache=self.cache_folder).pixels[:]

    def load(self, name: str, **options):
        films = load_films(self.folder / name, side=SIDE, progress=False, **options)
        return films.classification

    def manifest(self) -> None:
        apply_manifest(self.films, self.run / "manifest.csv")

    def cache(self) -> None:
        assert torch.equal(
            self.load("lungs/images", cache=self.cache_folder).pixels[:], self.pixels
        )

    def predict(self) -> None:
        model = load_model(self.run / "best.pth", "cpu")
        films = [self.folder / "lungs" / "images" / f"film00{i}.png" for i in range(2)]
        with contextlib.redirect_stderr(io.StringIO()):
            predict_folder(model, films, self.folder / "out", resume=True, figures=False)

    def resume(self) -> None:
        (self.run / "previous.pth").unlink(missing_ok=True)
        config = replace(self.config, steps=3, validate_every=3)
        quietly(config, self.films, self.run, resume=True)

    def kinds(self) -> dict[str, tuple[Path, Callable, Callable]]:
        """By name: a file, how to harm its content, and how to use it."""
        (cache,) = self.cache_folder.iterdir()
        last = self.run / "last.pth"
        return {
            "set": (self.folder / "lungs" / "films.csv", odd_table, lambda: self.load("lungs")),
            "manifest": (self.run / "manifest.csv", odd_table, self.manifest),
            "predictions": (self.folder / "out" / "predictions.csv", odd_table, self.predict),
            "cache": (cache, lambda content, rng: harmed(content, rng.integers(2**30)), self.cache),
            "checkpoint": (last, self.odd_checkpoint, lambda: load_model(last, "cpu")),
            "log": (self.run / "log.csv", odd_table, self.resume),
            "resumed": (last, self.odd_checkpoint, self.resume),
        }

    def odd_checkpoint(self, _: bytes, rng: np.random.Generator) -> bytes:
        file = io.BytesIO()
        torch.save(odd_values(self.checkpoint, rng), file)
        return file.getvalue()


@contextlib.contextmanager
def restored(folder: Path) -> Iterator[None]:
    """The files of a folder come back as they were."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def odd_values(content: dict, rng: np.random.Generator) -> dict:
    """A copy in which one value, at any depth, is odd, missing, or has another name."""
    inner = content = copy.deepcopy(content)
    while True:
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        key = keys[rng.integers(len(keys))]
        if not (isinstance(inner[key], (dict, list)) and inner[key] and rng.random() < 0.8):
            break
        inner = inner[key]
    value, harm = inner.pop(key), rng.integers(4)
    if harm == 1 and isinstance(inner, dict):
        inner["x" * int(rng.integers(1, 1000))] = value
    elif harm > 1:
        odd = copy.deepcopy(ODD_VALUES[rng.integers(len(ODD_VALUES))])
        inner.insert(key, odd) if isinstance(inner, list) else inner.update({key: odd})
    return content


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


def try_kind(pool: Pool, kind: str, number: int) -> None:
    """Harm and use a file so many times; whatever else than one sentence happens is raised."""
    path, harm, use = pool.kinds()[kind]
    whole = path.read_bytes()
    for seed in range(number):
        with restored(path.parent):
            path.write_bytes(harm(whole, np.random.default_rng(seed)))
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    use()
            except ValueError as error:
                sentence = re.sub(r"/\S+", "", str(error).replace(str(pool.folder), ""))
                assert sentence.endswith(".") and "\n" not in sentence, sentence
                assert len(sentence) <= MOST, sentence


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind, number",
    (
        *((kind, 6) for kind in ("set", "manifest", "predictions", "cache", "checkpoint")),
        *((kind, 2) for kind in ("log", "resumed")),  # they train
    ),
)
def test_what_is_odd_is_used_or_refused_in_a_sentence(pool, kind, number):
    try_kind(pool, kind, number)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        everything = Pool(Path(name))
        for each in everything.kinds():
            try_kind(everything, each, int((*sys.argv[1:], 300)[0]))
