"""Layouts that a user requires, faults that are named, and files that are not read."""

import os

import numpy as np
import pytest
import scipy.io
from helpers import SIDE, dicom
from layout_helpers import FILM, LEFT, MASK, RIGHT, as_read, labels, touch

from multimix.data.dataset_layouts import LAYOUTS, read_layout
from multimix.data.film_set import SPLITS
from multimix.data.films import load_films

CLASSES = "train/{NORMAL,PNEUMONIA}/a.png"


@pytest.mark.parametrize(
    "names, accepted",
    (
        (CLASSES, "chex classes flat"),
        ("{img,M/leftMask,M/rightMask}/a.png", "jsrt montgomery shenzhen images_and_masks flat"),
        ("{a,b}.png", "flat"),
    ),
)
def test_a_layout_may_be_required(tmp_path, names, accepted):
    touch(tmp_path, names)
    for layout in LAYOUTS:
        if layout in accepted.split():
            assert read_layout(tmp_path, layout).layout == layout
        else:
            with pytest.raises(ValueError, match=f"is not a set of layout {layout}; it can be "):
                read_layout(tmp_path, layout)


def test_classes_beat_a_table_unless_it_is_required(tmp_path):
    touch(tmp_path, CLASSES)
    (tmp_path / "x.csv").write_text("path,label\ntrain/NORMAL/a.png,1\n")
    assert labels(read_layout(tmp_path)) == {0: 1, 1: 1}
    assert labels(read_layout(tmp_path, "csv")) == {1: 1}
    found = read_layout(tmp_path, "flat")
    assert labels(found) == {None: 2} and not any(film.split for film in found.films)


@pytest.mark.parametrize(
    "given, words",
    (
        ("empty", "There are no films in .*; PNG, JPEG, .* files are needed, not in archives.$"),
        ("packed", r"are needed, not in archives \(there: 1 file \(a.zip\) of kinds that are not"),
        ("table", r"there: 1 table \(x.csv\) not read, unless it is given instead"),
        ("a.png", "a.png is not a set of films; give a folder"),
    ),
)
def test_what_is_no_folder_of_films(tmp_path, given, words):
    touch(tmp_path, "a.png", "packed/a.zip", "table/x.csv", "empty/.hidden.png")
    with pytest.raises(ValueError, match=words):
        read_layout(tmp_path / given)


@pytest.mark.parametrize(
    "names, words",
    (
        ("{0,1}/a.png", "have no label: 0 (1), 1 (1); to use one as NORMAL or PNEUMONIA:"),
        ("{train/Healthy,test/Sick}/a.png", "have no label: Healthy (1), Sick (1);"),
        ("a.png", ""),
    ),
)
def test_classes_that_are_not_recognised(tmp_path, names, words):
    (note,) = read_layout(touch(tmp_path, names)).left_out or [""]
    assert words in note and bool(words) == bool(note)


def test_what_is_not_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "{NORMAL,PNEUMONIA}/{0,1}.png", "closed/a.png", "labels.csv", "scan.nii")
    touch(tmp_path, "{.DS_Store,NORMAL/Thumbs.db,NORMAL/._0.png,.cache/a.png,LICENSE,DICOMDIR}")
    touch(tmp_path, "{__MACOSX/NORMAL/0.png,README.md,notes.txt,desktop.ini}")
    touch(tmp_path, *(f"{'long ' * 30}{i}/a.png" for i in range(9)))
    dicom(tmp_path / "NORMAL" / "IM000001", np.arange(4096, dtype=np.uint16).reshape(64, 64))
    scandir = os.scandir

    def refuse(path):  # for root, who may open any folder
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    found = read_layout(tmp_path)
    assert found.films[2].name == "NORMAL/IM000001"  # a film of an archive has no ending
    assert len(found.films) == 5 and found.left_out[0] == (
        "1 table (labels.csv) not read, unless it is given instead of the folder; "
        "1 file (scan.nii) of kinds that are not read; 1 folder (closed) without read permission."
    )
    assert len(found.left_out[1]) < 300 and "and more" in found.left_out[1]


@pytest.mark.parametrize("channels_first", (False, True))
def test_the_authors_mat(tmp_path, channels_first):
    masks = np.stack([LEFT, RIGHT], 0 if channels_first else 2) / 255
    x, y = np.stack([FILM / 255] * 3)[..., None], np.stack([masks] * 3)
    content = {f"{key}_{split}": value for split in SPLITS for key, value in (("x", x), ("y", y))}
    scipy.io.savemat(tmp_path / "jsrt.mat", content)
    for folder in (tmp_path, tmp_path / "jsrt.mat"):
        films = load_films(segmentation=folder, side=SIDE, progress=False).segmentation
        assert np.array_equal(films.targets[0], as_read(FILM, MASK)[1])
        assert films.counts() == "2 train, 4 val, 3 test"  # one of training joined validation


@pytest.mark.parametrize(
    "x, y",
    (
        (np.zeros((2, 8)), np.zeros((2, 8))),
        (np.zeros((3, 32, 32)), np.ones((2, 32, 32))),
        (np.zeros((2, 99, 99)), np.ones((2, 99, 99))),  # too large
        (None, None),
    ),
)
def test_a_mat_of_something_else(tmp_path, x, y, monkeypatch):
    monkeypatch.setattr("multimix.data.dataset_layouts.MOST_VALUES", 10_000)
    (tmp_path / "jsrt.mat").write_bytes(b"nonsense")
    if x is not None:
        scipy.io.savemat(tmp_path / "jsrt.mat", {"x_train": x, "y_train": y}, do_compression=True)
    with pytest.raises(ValueError, match="is damaged, too large, or not a MATLAB file"):
        read_layout(tmp_path)
