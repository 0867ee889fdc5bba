"""Checkpoints, tables and caches with something odd in them: used, or refused in a sentence.

    PYTHONPATH=.:tests python tests/fuzz/tables.py [NUMBER] [SEED]

Makes so many of each (300), and prints what every sentence begins with.
"""

import contextlib
import copy
import io
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from helpers import CONFIG, SIDE, harmed, quietly, save
from study.study_helpers import run_here, small

from multimix.apps.predict_folder import PredictionFolder, films_to_predict
from multimix.data.cache import read_films
from multimix.data.films import load_films
from multimix.data.found_films import Film
from multimix.data.manifest import apply_manifest
from multimix.images.answers import AnswerFiles
from multimix.images.reading import read_film
from multimix.inference import PredictOptions, load_model
from multimix.runtime.checkpoint import read_checkpoint
from multimix.study.figures import draw_figures
from multimix.study.report import write_tables
from multimix.study.results import collect

MOST = 300  # characters of a sentence, the path in it left out
ODD_VALUES = (
    None,
    True,
    -1,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "x" * 1000,
    b"bytes",
    [],
    [1, "a"],
    {},
    {"a": 1},
    {1: 2},
    torch.tensor(1.0),
    torch.tensor([1, 2]),
    torch.zeros(0),
    torch.zeros(3, 3).to_sparse(),
    torch.tensor(float("nan")),
)
ODD_CELLS = (
    "",
    " ",
    "nan",
    "inf",
    "-1",
    "1e999",
    "9" * 400,
    "x" * 1000,
    "None",
    "a,b",
    '"',
    "\0",
    "é",
    "../..",
    "a|b",
    "[]",
)


class Pool:
    """One whole thing of each kind, and how to use one that was harmed."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.films = load_films("phantom://20", "phantom://20", SIDE, progress=False)
        self.config = replace(CONFIG, steps=2, batch=2)
        quietly(self.config, self.films, folder / "run")
        self.checkpoint = read_checkpoint(folder / "run" / "last.pth")
        (folder / "tables").mkdir()
        self.jobs = small(["unet"], 1)
        assert run_here(self.jobs, folder / "sweep") == []
        write_tables(collect(self.jobs, folder / "sweep"), folder / "sweep")
        self.sources = []
        for i in range(6):
            film = Film(folder / "set" / f"{i}.png", f"{i}.png")
            save(film.source, np.full((SIDE, SIDE), 30 * i, dtype=np.uint8))
            self.sources.append(film)
        rows = [f"{i}.png,{i % 2},{'train' if i < 4 else 'val'},p{i}" for i in range(6)]
        self.set_table = "\n".join(["path,label,split,patient", *rows])
        with contextlib.redirect_stdout(io.StringIO()):
            self.predictions()

    def predictions(self) -> None:
        """Films predicted into a folder, or the rest of them."""
        model, masks = (
            load_model(self.folder / "run" / "best.pth", "cpu"),
            AnswerFiles(figure=False),
        )
        folder = PredictionFolder(self.folder / "out", model, PredictOptions(), "how", masks)
        films = films_to_predict([self.folder / "set"], recursive=False)[0]
        folder.predict(films, resume=True)

    def load(self, content: dict) -> None:
        """A network of this checkpoint."""
        torch.save(content, self.folder / "a.pth")
        load_model(self.folder / "a.pth", "cpu")

    def resume(self, content: dict) -> None:
        """A training that goes on from this checkpoint."""
        run = self.folder / "run"
        (run / "previous.pth").unlink(missing_ok=True)
        torch.save(content, run / "last.pth")
        quietly(replace(self.config, steps=3, validate_every=3), self.films, run, resume=True)

    def resume_log(self, table: bytes) -> None:
        """A training that goes on with this log."""
        (self.folder / "run" / "log.csv").write_bytes(table)
        self.resume(self.checkpoint)

    def report(self, content: bytes) -> None:
        """The tables of a sweep in which a run has these results."""
        path = self.folder / "sweep" / self.jobs[0].name / "test.json"
        with restored(path):
            path.write_bytes(content)
            write_tables(collect(self.jobs, self.folder / "sweep"), self.folder / "tables")

    def draw(self, name: str, content: bytes) -> None:
        """The figures of a sweep that has this table."""
        path = self.folder / "sweep" / name
        with restored(path):
            path.write_bytes(content)
            draw_figures(self.folder / "sweep")

    def predict(self, content: bytes) -> None:
        """Films predicted on, after this table."""
        path = self.folder / "out" / "predictions.csv"
        with restored(path):
            path.write_bytes(content)
            self.predictions()

    def load_table(self, content: bytes) -> None:
        """The films of this table."""
        (self.folder / "set" / "films.csv").write_bytes(content)
        load_films(self.folder / "set" / "films.csv", side=SIDE, progress=False)

    def manifest(self, content: bytes) -> None:
        """The films that this manifest names."""
        (self.folder / "a.csv").write_bytes(content)
        apply_manifest(self.films, self.folder / "a.csv")

    def cache(self, content: bytes) -> None:
        """Films whose cache has this content: they come out right all the same."""
        read_films(self.sources, read, "films", False, self.cache_file, None)
        self.cache_file.write_bytes(content)
        stack = read_films(self.sources, read, "films", False, self.cache_file, None)[0]
        assert stack[:, 0, 0].tolist() == [0, 30, 60, 90, 120, 150]

    @property
    def cache_file(self) -> Path:
        return self.folder / "cache" / "films.npy"

    def whole_cache(self) -> bytes:
        """The content of a cache that is whole."""
        read_films(self.sources, read, "films", False, self.cache_file, None)
        return self.cache_file.read_bytes()

    def kinds(self) -> dict[str, tuple[Callable[[np.random.Generator], object], Callable]]:
        """By name: how to make one that is harmed, and how to use it."""
        run, sweep = self.folder / "run", self.folder / "sweep"
        job = sweep / self.jobs[0].name
        tables = {
            "set": (self.set_table.encode(), self.load_table),
            "manifest": ((run / "manifest.csv").read_bytes(), self.manifest),
            "predictions": ((self.folder / "out" / "predictions.csv").read_bytes(), self.predict),
            "log": ((run / "log.csv").read_bytes(), self.resume_log),
        }
        for name in ("runs.csv", "films.csv"):
            tables[name] = ((sweep / name).read_bytes(), lambda t, n=name: self.draw(n, t))
        log = (job / "log.csv").read_bytes()
        tables["a run's log"] = (log, lambda t: self.draw(f"{self.jobs[0].name}/log.csv", t))
        found: dict = {}
        for name, (table, use) in tables.items():
            found[name] = (lambda chance, table=table: odd_table(table, chance), use)
        results = json.loads((job / "test.json").read_bytes())
        found["test.json"] = (
            lambda chance: json.dumps(odd_values(results, chance), default=str).encode(),
            self.report,
        )
        cache = self.whole_cache()
        found["cache"] = (lambda chance: harmed(cache, int(chance.integers(2**30))), self.cache)
        found["checkpoint"] = (lambda chance: odd_values(self.checkpoint, chance), self.load)
        found["resumed"] = (lambda chance: odd_values(self.checkpoint, chance), self.resume)
        return found


def read(film: Film) -> np.ndarray:
    return read_film(film.source)


@contextlib.contextmanager
def restored(path: Path) -> Iterator[None]:
    """A file that comes back as it was."""
    before = path.read_bytes()
    try:
        yield
    finally:
        path.write_bytes(before)


def odd_values(content: dict, chance: np.random.Generator) -> dict:
    """A copy in which one or two values, at any depth, are odd, missing, or called otherwise."""
    content = copy.deepcopy(content)
    for _ in range(chance.integers(1, 3)):
        inner: dict | list = content
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = keys[chance.integers(len(keys))]
            if isinstance(inner[key], (dict, list)) and inner[key] and chance.random() < 0.8:
                inner = inner[key]
                continue
            harm = chance.integers(4)
            if harm == 0:
                del inner[key]
            elif harm == 1 and isinstance(inner, dict):
                inner["x" * int(chance.integers(1, 1000))] = inner.pop(key)
            else:
                inner[key] = copy.deepcopy(ODD_VALUES[chance.integers(len(ODD_VALUES))])
            break
    return content


def odd_table(table: bytes, chance: np.random.Generator) -> bytes:
    """A table with harmed bytes, or with a cell, a row or a column that is odd or missing."""
    harm = chance.integers(4)
    if harm == 0:
        return harmed(table, int(chance.integers(2**30)))
    lines = [line.split(",") for line in table.decode().splitlines()]
    row = int(chance.integers(len(lines)))
    column = int(chance.integers(len(lines[row])))
    if harm == 1:
        lines[row][column] = ODD_CELLS[chance.integers(len(ODD_CELLS))]
    elif harm == 2:
        for line in lines:
            del line[column : column + 1]
    else:
        lines[row : row + 1] = [lines[row]] * int(chance.choice([0, 2]))
    return "\n".join(",".join(line) for line in lines).encode("utf-8", "surrogateescape")


def sentence_of(use: Callable, content: object, folder: Path) -> str:
    """'' where what was harmed is used; else the sentence. Whatever else happens is raised."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            use(content)
    except ValueError as error:
        sentence = str(error).replace(str(folder), "")
        assert sentence.endswith(".") and "\n" not in sentence, sentence
        without_paths = re.sub(r"/\S+", "", sentence)
        assert len(without_paths) <= MOST, f"{len(sentence)} characters: {sentence}"
        return sentence
    finally:
        plt.close("all")
    return ""


def main(number: int, seed: int) -> None:
    """Try so many of each kind; print the sentences that came, and every other end."""
    said: Counter[str] = Counter()
    faults = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, (harm, use) in Pool(folder).kinds().items():
            for i in range(number):
                content = harm(np.random.default_rng([seed, i]))
                try:
                    said[f"{kind}: {sentence_of(use, content, folder)[:60] or 'used'}"] += 1
                except Exception as error:  # noqa: BLE001  (that is what is looked for)
                    faults += 1
                    print(f"{kind} {seed} {i}: {type(error).__name__}: {str(error)[:300]}")
    for sentence, count in said.most_common():
        print(f"{count:6} {sentence}")
    print(f"{faults} faults")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(*(arguments + [300, 0][len(arguments) :]))
