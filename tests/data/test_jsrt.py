"""JSRT as it was published, and the authors' file."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io
from helpers import SIDE, save
from layout_helpers import FILM, LEFT, LUNGS, RIGHT, loaded, splits, touch

from multimix.data.dataset_layouts import read_layout
from multimix.data.films import load_films
from multimix.data.jsrt import unpacked_bytes
from multimix.images.reading import read_film


def test_raw_jsrt_with_scr_masks(tmp_path, monkeypatch):
    monkeypatch.setattr("multimix.images.formats.JSRT_SIDE", SIDE)
    deep = FILM.astype(np.uint16) * 16
    deep[0, :2] = 0, 4095
    raw = (4095 - deep).astype(">u2").tobytes()
    for number in range(1, 31):
        name = f"JPC{'LN'[number % 2]}N{number:03d}"
        (tmp_path / f"{name}.IMG").write_bytes(raw)
        masks = tmp_path / "scr" / f"fold{2 - number % 2}" / "masks"
        save(masks / "left lung" / f"{name}.gif", LEFT)
        save(masks / "right lung" / f"{name}.gif", RIGHT)
        save(masks / "heart" / f"{name}.gif", 255 - LUNGS)
    assert np.array_equal(read_film(tmp_path / "JPCLN002.IMG"), np.rint(deep / 4095 * 255))
    films = loaded(tmp_path)
    assert read_layout(tmp_path).layout == "jsrt" and films.counts() == "14 train, 1 val, 15 test"
    for name, split in zip(films.names, films.splits):
        assert (int(name[-7:-4]) % 2 == 0) == (split == "test")
    (tmp_path / "JPCLN002.IMG").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"JPCLN002.IMG has 5 bytes and a raw JSRT film has 2048"):
        loaded(tmp_path)


@pytest.mark.parametrize("channels_first", (False, True))
def test_the_authors_mat(tmp_path, channels_first):
    masks = np.stack([LEFT, RIGHT], 0 if channels_first else 2) / 255
    content = {}
    for split in ("train", "val", "test"):
        content[f"x_{split}"] = np.stack([FILM / 255] * 3)[..., None]
        content[f"y_{split}"] = np.stack([masks] * 3)
    scipy.io.savemat(tmp_path / "jsrt.mat", content)
    for folder in (tmp_path, tmp_path / "jsrt.mat"):
        films = loaded(folder)
        assert np.array_equal(films.pixels[0], FILM)
        # Too few for validation, so one of training moved there.
        assert films.counts() == "2 train, 4 val, 3 test"
    (tmp_path / "jsrt.mat").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"jsrt.mat is damaged"):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    "content",
    (
        {"x_train": np.array(["a", "b"]), "y_train": np.array(["a", "b"])},
        {"x_train": {"a": 1}, "y_train": {"b": 2}},
        {"x_train": np.zeros((2, 8)), "y_train": np.zeros((2, 8))},
        {"x_train": np.zeros((2, 8, 8))},
    ),
)
def test_a_mat_of_something_else(tmp_path, content):
    scipy.io.savemat(tmp_path / "jsrt.mat", content)
    with pytest.raises(ValueError, match="is damaged, or not a MATLAB file"):
        read_layout(tmp_path)


def test_a_mat_with_masks_of_other_proportions(tmp_path):
    content = {"x_train": np.zeros((2, 32, 32)), "y_train": np.ones((2, 7, 14))}
    scipy.io.savemat(tmp_path / "jsrt.mat", content)
    with pytest.raises(ValueError, match="A mask has 14 x 7 pixels and its film 32 x 32"):
        load_films(segmentation=tmp_path, side=SIDE, progress=False)


def test_a_mat_whose_parts_are_of_different_lengths(tmp_path):
    content = {"x_train": np.zeros((3, 32, 32)), "y_train": np.ones((2, 32, 32))}
    scipy.io.savemat(tmp_path / "jsrt.mat", content)
    with pytest.raises(ValueError, match="is damaged, or not a MATLAB file"):
        read_layout(tmp_path)


def test_a_mat_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path, monkeypatch):
    packed = zlib.compress(bytes(2**20))
    content = (
        b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(packed)) + packed
    )
    (tmp_path / "jsrt.mat").write_bytes(content)
    assert unpacked_bytes(tmp_path / "jsrt.mat") == 2**20
    monkeypatch.setattr("multimix.data.jsrt.MOST_BYTES", 2**20 - 1)
    monkeypatch.setattr("scipy.io.loadmat", None)  # whoever calls it fails otherwise
    with pytest.raises(ValueError, match=r"jsrt.mat unpacks to more than .* GB; save the films as"):
        read_layout(tmp_path)


def test_jsrt_as_pictures_with_scr_masks(tmp_path):
    for number in range(1, 5):
        name = f"JPC{'LN'[number % 2]}N{number:03d}"
        touch(tmp_path, f"{name}.png")
        for side in ("left lung", "right lung", "heart"):
            touch(tmp_path, f"fold{2 - number % 2}/masks/{side}/{name}.gif")
    found = read_layout(tmp_path)
    assert found.layout == "jsrt" and splits(found) == {"train": 2, "test": 2}
    assert [[mask.parent.name for mask in film.masks] for film in found.films] == [
        ["left lung", "right lung"]
    ] * 4
    assert found.left_out == (
        "Films in other folders are not read: fold1/masks/heart (2), fold2/masks/heart (2); give a "
        "folder by itself.",
    )
