from helpers import ROOT, SIDE, TINY
import os
import subprocess
import sys

import pytest
import torch

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.dataset_layouts import read_table
from multimix.data.films import load_films
from multimix.data.manifest import apply_manifest
from multimix.training import train

CONFIG = Config(side=SIDE, widths=TINY, batch=2, steps=1, class_labels=6, masks=3)


def test_a_manifest_repeats_splits_and_labels(kaggle, masked, tmp_path):
    films = load_films(kaggle, masked, SIDE, seed=1, progress=False)
    train(CONFIG, films, tmp_path / "run", device="cpu", progress=False)
    path = tmp_path / "run" / "manifest.csv"
    rows = list(read_table(path))
    assert [
        sum(
            row["task"] == task and row["split"] == "train" and row["use"] == "labelled"
            for row in rows
        )
        for task in ("classification", "segmentation")
    ] == [6, 3]
    other = load_films(kaggle, masked, SIDE, seed=2, progress=False)  # split otherwise
    assert other.classification.splits != films.classification.splits
    again = apply_manifest(other, path)
    for task in ("classification", "segmentation"):
        then, now = getattr(films, task), getattr(again, task)
        assert (
            then.splits == now.splits
            and then.names == now.names
            and torch.equal(then.pixels, now.pixels)
        )
    first, second = Loader(films, CONFIG).kept(), Loader(again, CONFIG).kept()
    assert all(first[task].names == second[task].names for task in first)


def test_file_names_of_any_bytes(masked, tmp_path):
    for kind in ("images", "masks"):
        os.rename(masked / kind / "film03.png", os.fsencode(masked / kind) + b"/film\xff03.png")
    films = load_films(segmentation=masked, side=SIDE, progress=False)
    config = Config.preset("unet", side=SIDE, widths=TINY, batch=2, steps=1)
    train(config, films, tmp_path / "run", device="cpu", progress=False)
    again = apply_manifest(films, tmp_path / "run" / "manifest.csv").segmentation
    assert (
        set(again.names) == set(films.segmentation.names)
        and "lungs/images/film\udcff03.png" in again.names
    )
    command = [sys.executable, "-m", "multimix", "doctor", str(masked)]
    (masked / "masks" / "film04.png").write_text("broken")
    os.remove(os.fsencode(masked / "masks") + b"/film\xff03.png")
    run = subprocess.run(
        command, capture_output=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert run.returncode == 2 and b"images/film\\udcff03.png" in run.stdout


def test_faults_are_named(kaggle, films, tmp_path):
    train(CONFIG, films, tmp_path / "run", device="cpu", progress=False)
    other = load_films(kaggle, side=SIDE, progress=False)
    with pytest.raises(ValueError, match="names 40 films that are not there, phantom-0 first"):
        apply_manifest(other, tmp_path / "run" / "manifest.csv")
    with pytest.raises(ValueError, match="has no column task and no use"):
        (tmp_path / "other.csv").write_text("film,patient,split\na,b,train\n")
        apply_manifest(films, tmp_path / "other.csv")


def test_unknown_splits_and_tasks_are_refused(films, tmp_path):
    for column, value in (("split", "foo"), ("task", "xxx")):
        row = {
            "task": "classification",
            "film": "phantom-0",
            "patient": "a",
            "split": "train",
            "use": "labelled",
        }
        (tmp_path / "manifest.csv").write_text(
            ",".join(row) + "\n" + ",".join((row | {column: value}).values()) + "\n"
        )
        with pytest.raises(ValueError, match=f"{column} '{value}'"):
            apply_manifest(films, tmp_path / "manifest.csv")
