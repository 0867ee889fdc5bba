import os

import pytest
import torch
from helpers import SIDE, TINY

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.films import load_films
from multimix.data.manifest import apply_manifest, manifest_of, trained_on
from multimix.data.tables import read_table

TASKS = ("classification", "segmentation")
CONFIG = Config(side=SIDE, widths=TINY, batch=2, steps=1, class_labels=6, masks=3)


def test_a_manifest_repeats_splits_and_labels(kaggle, masked, tmp_path):
    for kind in ("images", "masks"):  # names may be of any bytes
        os.rename(masked / kind / "film03.png", os.fsencode(masked / kind) + b"/film\xff03.png")
    films = load_films(kaggle, masked, SIDE, seed=1, progress=False)
    first, path = Loader(films, CONFIG).labelled_films(), tmp_path / "manifest.csv"
    path.write_text(manifest_of(films, first), errors="surrogateescape")
    table = read_table(path)
    used = table[(table["split"] == "train") & (table["use"] == "labelled")]["task"].tolist()
    assert used == ["classification"] * 6 + ["segmentation"] * 3
    other = load_films(kaggle, masked, SIDE, seed=2, progress=False)  # split otherwise
    assert other.classification.splits != films.classification.splits
    again = apply_manifest(other, path)
    for task in TASKS:
        then, now = getattr(films, task), getattr(again, task)
        assert then.splits == now.splits and then.names == now.names
        assert torch.equal(then.pixels[:], now.pixels[:])
    assert again.split_rules == (f"The splits are those of {path}.",)
    second = Loader(again, CONFIG).labelled_films()
    assert all(first[task].names == second[task].names for task in first)
    assert "lungs/images/film\udcff03.png" in again.segmentation.names


def test_films_without_their_label_are_not_used_as_labelled(films):
    part = films.classification
    kept = part[torch.tensor([0, 4])]
    path_text = manifest_of(films, {"classification": kept})
    uses = {line.split(",")[1]: line.strip().split(",")[-1] for line in path_text.splitlines()}
    for name, split in zip(part.names, part.splits):
        labelled = split != "train" or name in kept.names
        assert uses[name] == ("labelled" if labelled else "unlabelled")
    trained = {("classification", name) for name in part.split("train").names}
    assert trained_on(path_text) == trained
    assert trained_on("") == set()


def test_faults_are_named(masked, films, tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text(manifest_of(films, {"segmentation": films.segmentation}))
    other = load_films(segmentation=masked, side=SIDE, progress=False)
    words = (
        "names 40 films that are not there, segmentation/film00 first; give the same --segmentation"
    )
    with pytest.raises(ValueError, match=words):
        apply_manifest(other, path)
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows, rows[1]]))
    with pytest.raises(ValueError, match="names a film of segmentation twice"):
        apply_manifest(films, path)
    for text, words in (
        ("film,patient,split\na,b,train\n", "has no column task and no use"),
        ("task,film,patient,split,use\nsegmentation,a,a,foo,labelled\n", "line 2: split 'foo'; it"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            apply_manifest(films, path)
