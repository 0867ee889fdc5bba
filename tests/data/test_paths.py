"""The rule of words: words in a path name a split, a class or a mask."""

import re
import unicodedata

import pytest
from layout_helpers import labels, splits, touch

from multimix.data.dataset_layouts import read_layout

BOTH = "{NORMAL,PNEUMONIA}"
FORMS = """images/*.png : masks/*.png | Image/*.png : Mask/*-mask.png | img/*.png : labels/*.png
CXR_png/*.png : masks/*_mask.png | chests/*.png : lung masks/*.png | *.png : masks/*.png
*.png : *_mask.png | *.jpg : *_lung_mask.png | *.png : *_label.png | *_image.png : *_mask.png
imagesTr/*_0000.png : labelsTr/*.png | images/img_*.png : masks/mask_*.png
images/image1*.png : masks/mask1*.png | images/*.dcm : masks/*.dcm.png | */image.png : */mask.png
images/*_left.png : masks/*_left_mask.png
set/train/NORMAL/*.png : set_lungs/masks/NORMAL/*.png"""


@pytest.mark.parametrize("form", ("{}/KIND", "KIND/{}", "archive/v 1/{}/KIND"))
@pytest.mark.parametrize(
    "names", ("train,val,test", "Training,Valid,testing", "TRAIN,VALIDATION,ts", "tr,dev,Test")
)
def test_splits_and_classes(tmp_path, form, names):
    touch(tmp_path, form.replace("{}", f"{{{names}}}").replace("KIND", BOTH) + "/{0,1}.png")
    found = read_layout(tmp_path)
    assert found.layout == "chex" and splits(found) == {"train": 4, "val": 4, "test": 4}
    assert labels(found) == {0: 6, 1: 6} and not found.left_out
    for film in found.films:
        assert film.label == int("PNEUMONIA" in film.name) and "archive" not in film.name


@pytest.mark.parametrize("form", re.split(r" \| |\n", FORMS))
def test_masks_find_their_films(tmp_path, form):
    films, lungs = form.split(" : ")
    touch(tmp_path, films.replace("*", "{a,b,c,without}"), lungs.replace("*", "{a,b,c}"))
    found = read_layout(tmp_path)
    assert len(found.films) == 4 and not found.left_out
    masks = {film.source: film.masks for film in found.films}
    for name in "abc":
        assert masks[tmp_path / films.replace("*", name)] == (tmp_path / lungs.replace("*", name),)
    assert masks[tmp_path / films.replace("*", "without")] == ()


@pytest.mark.parametrize("lungs", ("masks/SIDE/*", "masks/*_SIDE", "SIDE_masks/*", "SIDE_lung/*"))
def test_a_mask_for_each_lung(tmp_path, lungs):
    lungs = lungs.replace("SIDE", "{left,right}").replace("*", "{a,b}")
    found = read_layout(touch(tmp_path, "images/{a,b}.png", f"{lungs}.png"))
    assert [len(film.masks) for film in found.films] == [2, 2]


@pytest.mark.parametrize("films", ("*/images", "*_images", "images_*", "* Set/Images"))
def test_names_that_are_used_again_in_each_split(tmp_path, films):
    names = films.replace("*", "{train,valid,test}") + "/{0,1}.png"
    touch(tmp_path, names, re.sub("(?i)image", "mask", names))
    touch(tmp_path, films.replace("*", "test") + "/9.png")
    found = read_layout(tmp_path)
    assert splits(found) == {"train": 2, "val": 2, "test": 3}
    for film in found.films:
        mask = tmp_path / re.sub("(?i)image", "mask", film.name)
        assert film.masks == ((mask,) if mask.exists() else ())


def test_more_films_in_a_folder_test(tmp_path):
    """Kaggle's lung segmentation has films without masks there; the others have no split."""
    names = ("CXR_png/{CHNCXR,MCUCXR}_0001_0.png", "test/CHNCXR_0002_0.png", "NLM-ReadMe.docx")
    touch(tmp_path / "Lung Segmentation", *names, "masks/{CHNCXR_0001_0_mask,MCUCXR_0001_0}.png")
    found = read_layout(tmp_path)
    assert splits(found) == {"": 3} and sum(bool(film.masks) for film in found.films) == 2


def test_accents_as_a_mac_writes_them_and_case_alone(tmp_path):
    mac = unicodedata.normalize("NFD", "masks/Thorax é.png")
    touch(tmp_path, "images/{Thorax é.png,B.PNG,c d.png}", mac, "masks/{b_Mask,c d}.png")
    assert [len(film.masks) for film in read_layout(tmp_path).films] == [1, 1, 1]


@pytest.mark.parametrize(
    "names, words",
    (
        ("{a,a_mask,b_mask}.png", r"b_mask.png has no film in "),
        ("{images,masks/1,masks/2}/a.png", "a.png has 2 masks, first .*; one is"),
        ("{x,y,masks}/a.png", "a.png has no film in"),
        ("masks/a.png", "has masks only, first .*a.png; films with the same file names are"),
    ),
)
def test_masks_that_cannot_be_placed_are_an_error(tmp_path, names, words):
    with pytest.raises(ValueError, match=words):
        read_layout(touch(tmp_path / "inner" / "set", names))


def test_masks_in_another_folder(tmp_path):
    names = ("train/NORMAL/train.png", "val/NORMAL/val.png", "test/PNEUMONIA/without.png")
    films = touch(tmp_path / "films", *names)
    lungs = touch(tmp_path / "lungs", "masks/NORMAL/{train,val}.png")
    touch(tmp_path / "more", "train.png")  # has fewer of the films
    found = read_layout(lungs, others=[lungs, films, tmp_path / "more"])
    assert found.folder == films and labels(found) == {0: 2, 1: 1}
    assert {film.name for film in found.films if film.masks} == {*names[:2]}


def test_other_classes(tmp_path):
    touch(tmp_path, "{Normal,Viral Pneumonia,Bacterial Pneumonia,COVID}/{1,2,3}.png")
    found = read_layout(tmp_path)
    assert labels(found) == {0: 3}
    (note,) = found.left_out
    assert "are left out: Bacterial Pneumonia (3), COVID (3), Viral Pneumonia (3); to use" in note
    assert note.endswith('as NORMAL or PNEUMONIA: --classes "normal=NAME,pneumonia=NAME|NAME".')
    with pytest.raises(ValueError, match="cannot be 'NORMAL'"):
        read_layout(tmp_path, classes={" ": "NORMAL"})
    classes = {"viral pneumonia": "PNEUMONIA", "Bacterial Pneumonia": "pneumonia"}
    found = read_layout(tmp_path, classes=classes)
    assert labels(found) == {0: 3, 1: 6} and "COVID (3)" in found.left_out[0]


def test_other_classes_with_masks_serve_for_lungs(tmp_path):
    touch(tmp_path, "{Normal,Viral Pneumonia,Lung_Opacity}/{images,masks}/{1,2,3}.png")
    found = read_layout(tmp_path, classes={"Viral Pneumonia": "PNEUMONIA"})
    assert labels(found) == {0: 3, 1: 3, None: 3} and all(film.masks for film in found.films)
    assert {film.other_class for film in found.films} == {"", "Lung_Opacity"}
    assert "are used for lungs only: Lung_Opacity (3)" in found.left_out[0]


@pytest.mark.parametrize(
    "names, patients",
    (
        ("{NORMAL/n,PNEUMONIA/p}-{1,2,3}/study/{0,1}.dcm", "n-1 n-2 n-3 p-1 p-2 p-3"),
        (BOTH + "/{1,10000032}/{0,1}.png", "10000032 NORMAL/1 PNEUMONIA/1"),
        (BOTH + "/site1/{0,1,2,3,4,5,6,7,8,9,10}.png", 22),  # eleven films each: not of patients
        (BOTH + "/bacteria/{0,1}.png", 4),
    ),
)
def test_folders_of_patients(tmp_path, names, patients):
    found = {film.patient for film in read_layout(touch(tmp_path, names)).films}
    assert patients in (len(found), " ".join(sorted(found)))
