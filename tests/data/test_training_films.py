"""What training needs is asked before it begins, by `doctor` too; a manifest repeats its films."""

import os
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import draw
from helpers import SIDE, TINY, save

from multimix.apps.check_data import examine
from multimix.batches import Loader
from multimix.config import Config
from multimix.data.films import load_films
from multimix.data.training_films import (
    apply_manifest,
    check_training_films,
    manifest_of,
    trained_on,
)
from multimix.model import TASKS

CLASSES_ALONE = Config.preset("enc", side=SIDE)
MASKS_ALONE = Config.preset("unet", side=SIDE)
CONFIG = Config(side=SIDE, widths=TINY, batch=2, steps=1, class_labels=6, masks=3)


@pytest.mark.parametrize(
    "splits, patients, words",  # the labels of the films in each split; - is unlabelled
    (
        ({"": "010101"}, 6, ""),
        ({"": "01010101"}, 2, "no NORMAL film and no PNEUMONIA film; give folders"),
        ({"train": "010101", "val": "1" * 20}, 20, "validation films there is no NORMAL film;"),
        ({"train": "0" * 30, "val": "01" * 10}, 30, "training films there is no PNEUMONIA film;"),
        ({"train": "010101", "val": "-" * 20}, 20, "Among the validation films there is no NORM"),
        ({"test": "010101"}, 6, "Among the training films there is no NORMAL"),
    ),
)
def test_a_table_is_fit_where_it_can_be_trained_on(tmp_path, splits, patients, words):
    lines, table = ["path,label,patient,split"], tmp_path / "films.csv"
    for split, labels in splits.items():
        for i, label in enumerate(labels):
            save(tmp_path / f"{split}{i}.png", draw(i, i % 2, SIDE)[0])
            lines.append(f"{split}{i}.png,{label.strip('-')},{split}{i % patients},{split}")
    table.write_text("\n".join(lines))
    films = load_films(table, side=SIDE, progress=False)
    assert bool(examine(table).faults) == bool(words)
    with pytest.raises(ValueError, match=words) if words else nullcontext():
        assert check_training_films(films, CLASSES_ALONE) == films


def test_masks_without_any_lung(masked):
    for path in (masked / "masks").iterdir():
        save(path, np.zeros((SIDE, SIDE), dtype=np.uint8))
    words = "Among the training films there is no mask with lung in it"
    with pytest.raises(ValueError, match=words):
        check_training_films(load_films((), masked, SIDE, progress=False), MASKS_ALONE)
    empty, fault = examine(masked).faults
    assert "masks that are empty: 20" in empty and words in fault


def test_a_few_masks_among_many_films_come_into_each_split(masked):
    for i in range(3, 20):
        (masked / "masks" / f"film{i:02d}.png").unlink()
    films = load_films((), masked, SIDE, progress=False)
    assert check_training_films(films, MASKS_ALONE).segmentation is films.segmentation
    findings, part = examine(masked), films.segmentation
    uses = "train on 16 (1 labelled), validate on 2 (1 labelled), test on 2 (1 labelled)"
    assert findings.fit and f"segmentation will {uses} of these films" in findings.facts
    train = torch.tensor([split == "train" for split in part.splits])
    lacking = replace(films, segmentation=replace(part, labelled=part.labelled & train))
    with pytest.raises(ValueError, match=r"validation films there is no mask .*patients or more,"):
        check_training_films(lacking, MASKS_ALONE)


def test_a_manifest_repeats_splits_and_labels(kaggle, masked, tmp_path):
    for kind in ("images", "masks"):  # names may be of any bytes
        os.rename(masked / kind / "film03.png", os.fsencode(masked / kind) + b"/film\xff03.png")
    films = load_films(kaggle, masked, SIDE, seed=1, progress=False)
    first, path = Loader(films, CONFIG).labelled, tmp_path / "manifest.csv"
    text = manifest_of(films, first)
    path.write_text(text, errors="surrogateescape")
    used = [row.split(",")[0] for row in text.split() if row.endswith(",train,labelled")]
    assert used == ["classification"] * 6 + ["segmentation"] * 3
    other = load_films(kaggle, masked, SIDE, seed=2, progress=False)  # split otherwise
    assert other.classification.splits != films.classification.splits
    again, trained = apply_manifest(other, path), set()
    for task in TASKS:
        then, now = getattr(films, task), getattr(again, task)
        assert then.splits == now.splits and then.names == now.names
        assert torch.equal(then.pixels[:], now.pixels[:]) and now.split("val").labelled.all()
        trained |= {(task, name) for name in now.split("train").names}
    assert trained_on(text) == trained and trained_on(text[24:]) == trained_on("") == set()
    assert again.split_rules == (f"The splits are those of {path}.",)
    second = Loader(again, CONFIG).labelled
    assert all(first[task].names == second[task].names for task in first)
    assert "lungs/images/film\udcff03.png" in again.segmentation.names


def test_faults_of_a_manifest_are_named(films, tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text(manifest_of(films, {"segmentation": films.segmentation}))
    with pytest.raises(
        ValueError, match="names 8 films that are not there, segmentation/film32 first; give"
    ):
        apply_manifest(films.labelled("train"), path)
    for text, words in (
        ("film,patient,split\na,b,train\n", "has no column task and no use"),
        ("task,film,patient,split,use\nsegmentation,a,a,foo,labelled\n", "line 2: split 'foo'; it"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            apply_manifest(films, path)
