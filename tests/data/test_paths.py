"""The rule of words: words in a path name a split, a class or a mask."""

import unicodedata

import pytest
from layout_helpers import labels, masks, numbered, splits, touch

from multimix.data.dataset_layouts import read_layout

BOTH = ("NORMAL", "PNEUMONIA")


@pytest.mark.parametrize("val", ("val", "Valid", "VALIDATION", "dev"))
@pytest.mark.parametrize("train, test", (("train", "test"), ("Training", "testing")))
@pytest.mark.parametrize("form", ("{split}/{kind}", "{kind}/{split}", "archive/v 1/{split}/{kind}"))
def test_splits_and_classes(tmp_path, form, val, train, test):
    for split in (train, val, test):
        touch(tmp_path, *(numbered(form.format(split=split, kind=kind), 2) for kind in BOTH))
    found = read_layout(tmp_path)
    assert found.layout == "chex" and splits(found) == {"train": 4, "val": 4, "test": 4}
    assert labels(found) == {0: 6, 1: 6} and not found.left_out
    for film in found.films:
        assert film.label == int("PNEUMONIA" in film.name) and "archive" not in film.name


@pytest.mark.parametrize(
    "films, lungs",
    (
        ("images/{}.png", "masks/{}.png"),
        ("Image/{}.png", "Mask/{}-mask.png"),
        ("img/{}.png", "labels/{}.png"),
        ("CXR_png/{}.png", "masks/{}_mask.png"),
        ("chests/{}.png", "lung masks/{}.png"),
        ("{}.png", "masks/{}.png"),
        ("{}.png", "{}_mask.png"),
        ("{}.jpg", "{}_lung_mask.png"),
        ("imagesTr/{}_0000.png", "labelsTr/{}.png"),
        ("{}.png", "{}_label.png"),
        ("{}_image.png", "{}_mask.png"),
        ("images/img_{}.png", "masks/mask_{}.png"),
        ("images/image1{}.png", "masks/mask1{}.png"),
        ("images/{}.dcm", "masks/{}.dcm.png"),
        ("images/{}_left.png", "masks/{}_left_mask.png"),
        ("{}/image.png", "{}/mask.png"),
        ("set/train/NORMAL/{}.png", "set_lungs/masks/NORMAL/{}.png"),
    ),
)
def test_masks_find_their_films(tmp_path, films, lungs):
    names = ("a", "b", "c")
    touch(tmp_path, *(films.format(name) for name in (*names, "without")))
    touch(tmp_path, *(lungs.format(name) for name in names))
    found = read_layout(tmp_path)
    assert len(found.films) == 4 and not found.left_out
    for name in (*names, "without"):
        (film,) = [film for film in found.films if film.source == tmp_path / films.format(name)]
        wanted = () if name == "without" else (tmp_path / lungs.format(name),)
        assert film.masks == wanted


@pytest.mark.parametrize(
    "lungs", ("masks/{}/{}.png", "masks/{1}_{0}.png", "{}_masks/{}.png", "{}_lung/{}.png")
)
def test_a_mask_for_each_lung(tmp_path, lungs):
    touch(tmp_path, "images/a.png", "images/b.png")
    for side in ("left", "right"):
        touch(tmp_path, lungs.format(side, "a"), lungs.format(side, "b"))
    assert [len(both) for both in masks(read_layout(tmp_path)).values()] == [2, 2]


@pytest.mark.parametrize(
    "films, lungs",
    (
        ("{}/images", "{}/masks"),
        ("{}_images", "{}_masks"),
        ("images_{}", "masks_{}"),
        ("{} Set/Images", "{} Set/Masks"),
    ),
)
def test_names_that_are_used_again_in_each_split(tmp_path, films, lungs):
    for split in ("train", "valid", "test"):
        touch(tmp_path, numbered(films.format(split), 2), numbered(lungs.format(split), 2))
    touch(tmp_path, f"{films.format('test')}/9.png")
    found = read_layout(tmp_path)
    assert splits(found) == {"train": 2, "val": 2, "test": 3}
    for film in found.films:
        assert len(film.masks) == (film.source.stem != "9")
        for mask in film.masks:
            split = {"val": "valid"}.get(film.split, film.split)
            assert split in str(film.source) and split in str(mask.relative_to(tmp_path))


def test_more_films_in_a_folder_test(tmp_path):
    """Kaggle's lung segmentation has films without masks there; the others have no split."""
    root = tmp_path / "Lung Segmentation"
    touch(root, "CXR_png/CHNCXR_0001_0.png", "CXR_png/MCUCXR_0001_0.png", "test/CHNCXR_0002_0.png")
    touch(root, "masks/CHNCXR_0001_0_mask.png", "masks/MCUCXR_0001_0.png", "NLM-ReadMe.docx")
    found = read_layout(tmp_path)
    assert splits(found) == {"": 3} and sum(bool(film.masks) for film in found.films) == 2


def test_accents_as_a_mac_writes_them_and_case_alone(tmp_path):
    for form, kind in (("NFC", "images"), ("NFD", "masks")):
        touch(tmp_path, unicodedata.normalize(form, f"{kind}/Thorax é.png"))
    touch(tmp_path, "images/B.PNG", "masks/b_Mask.png", "images/c d.png", "masks/c d.png")
    found = read_layout(tmp_path)
    assert all(len(film.masks) == 1 for film in found.films)


@pytest.mark.parametrize(
    "names, words",
    (
        (("a.png", "a_mask.png", "b_mask.png"), r"b_mask.png has no film in "),
        (("images/a.png", "masks/1/a.png", "masks/2/a.png"), "a.png has 2 masks, first .*; one is"),
        (("x/a.png", "y/a.png", "masks/a.png"), "a.png has no film in"),
        (("masks/a.png",), "has masks only, first .*a.png; films with the same file names are"),
    ),
)
def test_masks_that_cannot_be_placed_are_an_error(tmp_path, names, words):
    with pytest.raises(ValueError, match=words):
        read_layout(touch(tmp_path / "inner" / "set", names))


def test_masks_in_another_folder(tmp_path):
    names = ("train/NORMAL/train.png", "val/NORMAL/val.png", "test/PNEUMONIA/without.png")
    films = touch(tmp_path / "films", names)
    lungs = touch(tmp_path / "lungs", "masks/NORMAL/train.png", "masks/NORMAL/val.png")
    touch(tmp_path / "more", "train.png")  # has fewer of the films
    found = read_layout(lungs, others=[lungs, films, tmp_path / "more"])
    assert found.folder == films and labels(found) == {0: 2, 1: 1}
    assert {film.name for film in found.films if film.masks} == {*names[:2]}


def test_other_classes(tmp_path):
    for name in ("Normal", "Viral Pneumonia", "Bacterial Pneumonia", "COVID"):
        touch(tmp_path, numbered(name, 3))
    found = read_layout(tmp_path)
    assert labels(found) == {0: 3}
    assert found.left_out == (
        "Films of other classes are left out: Bacterial Pneumonia (3), "
        "COVID (3), Viral Pneumonia (3); to use one as NORMAL or PNEUMONIA: "
        '--classes "normal=NAME,pneumonia=NAME|NAME".',
    )
    for name in ("", " "):
        with pytest.raises(ValueError, match="cannot be 'NORMAL'"):
            read_layout(tmp_path, classes={name: "NORMAL"})
    classes = {"viral pneumonia": "PNEUMONIA", "Bacterial Pneumonia": "pneumonia"}
    found = read_layout(tmp_path, classes=classes)
    assert labels(found) == {0: 3, 1: 6} and "COVID (3)" in found.left_out[0]


def test_other_classes_with_masks_serve_for_lungs(tmp_path):
    for name in ("Normal", "Viral Pneumonia", "Lung_Opacity"):
        touch(tmp_path, numbered(f"{name}/images", 3), numbered(f"{name}/masks", 3))
    found = read_layout(tmp_path, classes={"Viral Pneumonia": "PNEUMONIA"})
    assert labels(found) == {0: 3, 1: 3, None: 3} and all(film.masks for film in found.films)
    assert {film.other_class for film in found.films} == {"", "Lung_Opacity"}
    assert "are used for lungs only: Lung_Opacity (3)" in found.left_out[0]


@pytest.mark.parametrize(
    "form, numbers, patients",
    (
        (
            "{kind}/{kind}-{i}/study/{j}.dcm",
            (1, 2, 3),
            {f"{k}-{i}" for k in BOTH for i in (1, 2, 3)},
        ),
        ("{kind}/{i}/{j}.png", (1, 10000032), {f"{k}/1" for k in BOTH} | {"10000032"}),
        ("{kind}/site{i}/{j}.png", (1,), 22),  # eleven films each: not of patients
        ("{kind}/BACTERIA{kind}/{j}.png", (1,), 22),
    ),
)
def test_folders_of_patients(tmp_path, form, numbers, patients):
    films = 11 if patients == 22 else 2
    for kind in BOTH:
        touch(tmp_path, (form.format(kind=kind, i=i, j=j) for i in numbers for j in range(films)))
    found = {film.patient for film in read_layout(tmp_path).films}
    assert found == patients or len(found) == patients
