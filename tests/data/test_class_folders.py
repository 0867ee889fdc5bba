"""Films in a folder for each class, as people lay them out."""

import pytest
from layout_helpers import labels, numbered, splits, touch

from multimix.data.dataset_layouts import read_layout

BOTH = ("NORMAL", "PNEUMONIA")


@pytest.mark.parametrize("val", ("val", "Valid", "VALIDATION", "dev"))
@pytest.mark.parametrize("train, test", (("train", "test"), ("Training", "testing")))
def test_splits_by_any_name(tmp_path, train, val, test):
    for split in (train, val, test):
        touch(tmp_path, *(numbered(f"{split}/{kind}", 2) for kind in BOTH))
    found = read_layout(tmp_path)
    assert found.layout == "chex" and splits(found) == {"train": 4, "val": 4, "test": 4}
    assert not found.left_out


def test_splits_inside_class_folders(tmp_path):
    touch(
        tmp_path, *(numbered(f"{kind}/{split}", 2) for kind in BOTH for split in ("train", "val"))
    )
    found = read_layout(tmp_path)
    assert labels(found) == {0: 4, 1: 4} and splits(found) == {"train": 4, "val": 4}


def test_other_classes_are_named_and_may_be_ours(tmp_path):
    for name in ("Normal", "Viral Pneumonia", "Bacterial Pneumonia", "COVID"):
        touch(tmp_path, numbered(name, 3))
    found = read_layout(tmp_path)
    assert labels(found) == {0: 3}
    assert found.left_out == (
        "Films of other classes are left out: Bacterial Pneumonia (3), COVID (3), Viral Pneumonia "
        '(3); to use one: --classes "pneumonia=Bacterial Pneumonia|Viral Pneumonia"',
    )
    classes = {"viral pneumonia": "PNEUMONIA", "Bacterial Pneumonia": "pneumonia"}
    found = read_layout(tmp_path, classes=classes)
    assert labels(found) == {0: 3, 1: 6} and "COVID (3)" in found.left_out[0]
    for classes in ({"COVID": "sick"}, {"COVID": "NORMAL", "covid ": "PNEUMONIA"}, ["COVID"]):
        words = "The class '.*' is said to be '.*'; it can be NORMAL|a dict is needed, such as"
        with pytest.raises(ValueError, match=words):
            read_layout(tmp_path, classes=classes)


def test_classes_with_masks_inside(tmp_path):
    for name in ("Normal", "Viral Pneumonia", "COVID"):
        touch(tmp_path, numbered(f"{name}/images", 3), numbered(f"{name}/masks", 3))
    found = read_layout(tmp_path, classes={"Viral Pneumonia": "PNEUMONIA"})
    assert labels(found) == {0: 3, 1: 3, None: 3} and all(film.masks for film in found.films)
    assert [film.other_class for film in found.films if film.label is None] == ["COVID"] * 3
    assert found.left_out[0].startswith("3 films of COVID serve for lungs alone, as they are neith")


def test_films_that_are_numbered_afresh_are_of_different_patients(tmp_path):
    for split in ("train", "val", "test"):
        touch(tmp_path, *(numbered(f"{split}/{kind}", 2) for kind in BOTH))
    patients = [film.patient for film in read_layout(tmp_path).films]
    assert len(set(patients)) == 12 and "val/PNEUMONIA/1" in patients


def test_folders_of_patients(tmp_path):
    for kind in BOTH:
        touch(tmp_path, *(numbered(f"{kind}/{kind}-{i}/study", 2, ".dcm") for i in range(3)))
    found = read_layout(tmp_path)
    assert labels(found) == {0: 6, 1: 6}
    assert {film.patient for film in found.films} == {f"{k}-{i}" for k in BOTH for i in range(3)}
    touch(tmp_path, "NORMAL/loose.png")  # so what the folders are is not clear
    found = read_layout(tmp_path)
    assert labels(found) == {0: 1, 1: 6} and "NORMAL/NORMAL-0 (2)" in found.left_out[0]


@pytest.mark.parametrize("count, folders", ((11, ("site1", "site2")), (2, ("BACTERIA", "VIRUS"))))
def test_folders_of_hospitals_or_kinds_are_no_patients(tmp_path, count, folders):
    for kind in BOTH:
        touch(tmp_path, *(numbered(f"{kind}/{folder}", count) for folder in folders))
    assert len({film.patient for film in read_layout(tmp_path).films}) == 4 * count


def test_a_patients_number_may_mean_another_one_in_each_folder(tmp_path):
    for kind in BOTH:
        touch(tmp_path, *(numbered(f"{kind}/{i}", 2) for i in (1, 2)))
        touch(tmp_path, numbered(f"{kind}/10000032", 2))
    patients = {film.patient for film in read_layout(tmp_path).films}
    assert patients == {f"{kind}/{i}" for kind in BOTH for i in (1, 2)} | {"10000032"}
