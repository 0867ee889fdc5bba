"""Films with masks, as people and published sets lay them out."""

import unicodedata

import pytest
from layout_helpers import masks, numbered, splits, touch

from multimix.data.dataset_layouts import read_layout


@pytest.mark.parametrize(
    "films, lungs",
    (
        ("images/{}.png", "masks/{}.png"),
        ("images/{}.jpg", "masks/{}_mask.png"),
        ("Image/{}.png", "Mask/{}-mask.png"),
        ("imgs/{}.png", "masks/mask_{}.png"),
        ("img/{}.png", "labels/{}.png"),
        ("CXR_png/{}.png", "masks/{}_mask.png"),
        ("CXR_png/{}.png", "mask/mask/{}_mask.png"),
        ("chests/{}.png", "lung masks/{}.png"),
        ("{}.png", "masks/{}.png"),
        ("{}.png", "{}_mask.png"),
        ("{}.png", "{}-mask.png"),
        ("{}.jpg", "{}_lung_mask.png"),
        ("imagesTr/{}_0000.png", "labelsTr/{}.png"),
        ("images/train/{}.png", "masks/train/{}.png"),
        ("{}.png", "{}_label.png"),
        ("{}_image.png", "{}_mask.png"),
        ("images/img_{}.png", "masks/mask_{}.png"),
        ("images/image1{}.png", "masks/mask1{}.png"),
        ("images/{}.dcm", "masks/{}.dcm.png"),
        ("images/{}_left.png", "masks/{}_left_mask.png"),
        ("img/{}.png", "ground_truth/{}.png"),
        ("{}/image.png", "{}/mask.png"),
    ),
)
def test_masks_find_their_films(tmp_path, films, lungs):
    names = ("a", "b", "c")
    touch(tmp_path, *(films.format(name) for name in (*names, "without")))
    touch(tmp_path, *(lungs.format(name) for name in names))
    found = read_layout(tmp_path)
    assert len(found.films) == 4 and not found.left_out
    for film in found.films:
        stem = [
            name for name in (*names, "without") if film.source == tmp_path / films.format(name)
        ]
        wanted = [] if stem == ["without"] else [tmp_path / lungs.format(*stem)]
        assert list(film.masks) == wanted


@pytest.mark.parametrize(
    "lungs", ("masks/{}/{}.png", "masks/{1}_{0}.png", "{}_masks/{}.png", "{}_lung/{}.png")
)
def test_a_mask_for_each_lung(tmp_path, lungs):
    touch(tmp_path, "images/a.png", "images/b.png")
    for side in ("left", "right"):
        touch(tmp_path, lungs.format(side, "a"), lungs.format(side, "b"))
    assert [len(both) for both in masks(read_layout(tmp_path)).values()] == [2, 2]


def test_masks_of_something_else_are_left_out(tmp_path):
    for kind in ("left", "right", "heart"):
        touch(tmp_path, f"masks/{kind}/a.png")
    for kind in ("lung masks", "infection masks"):
        touch(tmp_path / "covid", "images/a.png", f"{kind}/a.png")
    found = read_layout(touch(tmp_path, "images/a.png"))
    assert len(found.films[0].masks) == 2 and "masks/heart (1)" in found.left_out[0]
    found = read_layout(tmp_path / "covid")
    assert found.films[0].masks == (tmp_path / "covid/lung masks/a.png",)
    assert "infection masks (1)" in found.left_out[0]


def test_masks_in_splits(tmp_path):
    for split in ("train", "valid"):
        touch(tmp_path, numbered(f"{split}/images", 3), numbered(f"{split}/masks", 3))
    touch(tmp_path, numbered("test/images", 2))
    found = read_layout(tmp_path)
    assert found.layout == "images_and_masks" and splits(found) == {"train": 3, "val": 3, "test": 2}
    assert [bool(film.masks) for film in found.films] == [True] * 6 + [False] * 2
    assert {film.masks[0].parent.parent.name for film in found.films[:3]} == {"train"}


@pytest.mark.parametrize(
    "films, lungs",
    (
        ("train_images", "train_masks"),
        ("images_train", "masks_train"),
        ("imagesTr", "labelsTr"),
        ("Train Set/Images", "Train Set/Masks"),
        ("train/{}", "train/{}_mask"),
    ),
)
def test_splits_in_names_of_folders(tmp_path, films, lungs):
    other = {"rain": "est", "Tr": "Ts"}["Tr" if films.endswith("Tr") else "rain"]
    this = "Tr" if films.endswith("Tr") else "rain"
    for name in ("a", "b"):
        for folder in (films, lungs, films.replace(this, other), lungs.replace(this, other)):
            path = folder if "{}" in folder else f"{folder}/{{}}"
            touch(tmp_path, path.format(f"{other if other in folder else this}{name}") + ".png")
    found = read_layout(tmp_path)
    assert splits(found) == {"train": 2, "test": 2} and not found.left_out
    assert all(len(film.masks) == 1 for film in found.films)


def test_kaggles_lung_segmentation(tmp_path):
    root = tmp_path / "Lung Segmentation"
    touch(root, "CXR_png/CHNCXR_0001_0.png", "CXR_png/MCUCXR_0001_0.png", "test/CHNCXR_0002_0.png")
    touch(root, "masks/CHNCXR_0001_0_mask.png", "masks/MCUCXR_0001_0.png", "NLM-ReadMe.docx")
    touch(root, "ClinicalReadings/CHNCXR_0001_0.txt")
    found = read_layout(tmp_path)
    assert found.layout == "shenzhen" and all(film.masks for film in found.films)
    assert splits(found) == {"": 2}
    assert found.left_out == (
        "Films in other folders are not read: Lung Segmentation/test (1); give a folder by itself.",
    )


def test_accents_as_a_mac_writes_them_and_case_alone(tmp_path):
    for form, kind in (("NFC", "images"), ("NFD", "masks")):
        touch(tmp_path, unicodedata.normalize(form, f"{kind}/Thorax é.png"))
    touch(tmp_path, "images/B.PNG", "masks/b_Mask.png", "images/c d.png", "masks/c d.png")
    touch(tmp_path, "images/x.png", "images/X.png", "masks/x.png", "masks/X.png")
    found = read_layout(tmp_path)
    assert all(len(film.masks) == 1 for film in found.films)
    assert masks(found)["x.png"] == ["x.png"] and masks(found)["X.png"] == ["X.png"]


def test_a_mask_without_a_film_is_an_error(tmp_path):
    touch(tmp_path / "one", "a.png", "a_mask.png", "b_mask.png")
    with pytest.raises(ValueError, match=r"b_mask.png has no film in "):
        read_layout(tmp_path / "one")
    touch(tmp_path, "images/a.png", "masks/a.png", "masks/b.png", "masks/c.png")
    with pytest.raises(ValueError, match=r"b.png has no film in .*images \(and 1 more have none\)"):
        read_layout(tmp_path)


def test_several_masks_that_are_no_sides_are_an_error(tmp_path):
    touch(tmp_path, "images/a.png", "masks/one/a.png", "masks/two/a.png")
    with pytest.raises(
        ValueError, match=r"a.png has 2 masks, first .*; one is needed, or two with"
    ):
        read_layout(tmp_path)
