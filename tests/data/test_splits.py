"""Whole patients go to one split."""

import hashlib

import pytest
from layout_helpers import splits, touch

from multimix.data.dataset_layouts import read_layout
from multimix.data.film_set import Film
from multimix.data.splits import MIN_VALIDATION, patient_of, split_films, with_patients


def split_by_patient(patients, splits, labels, seed) -> tuple[str, ...]:
    columns = zip(patients, splits, labels)
    return split_films([Film("", "", label, (), *more) for *more, label in columns], seed)


# As Kaggle's set: 24 training films of 12 patients in each class, 4 + 4 test films.
PATIENTS = [f"{kind}{i // 2}" for kind in ("normal", "pneumonia") for i in range(24)]
PATIENTS += [f"test{i // 2}" for i in range(8)]
CLASSES = [0] * 24 + [1] * 24 + [0] * 4 + [1] * 4
# A set that names the split of some films alone: their patients' films go along.
SOME = ["test" if i in (0, 3, 9) else "" for i in range(60)]


@pytest.mark.parametrize(
    "patients, given, classes, counts",
    (
        (PATIENTS, ["train"] * 48 + ["test"] * 8, CLASSES, [44, 4, 8]),
        ([str(i // 2) for i in range(400)], [""] * 400, [0] * 400, [324, 36, 40]),
        ([f"p{i // 3}" for i in range(60)], SOME, [i // 3 % 2 for i in range(60)], [45, 6, 9]),
    ),
)
def test_patients_stay_together_and_follow_the_seed(patients, given, classes, counts):
    chosen = set()
    for seed in range(5):
        splits = split_by_patient(patients, given, classes, seed)
        assert [splits.count(name) for name in ("train", "val", "test")] == counts
        assert len({*zip(patients, splits)}) == len(set(patients))
        assert {label for label, split in zip(classes, splits) if split == "val"} == set(classes)
        assert splits == split_by_patient(patients, given, classes, seed)
        chosen.add(splits)
    assert len(chosen) > 1


def test_splits_that_a_set_gives_stay_also_where_a_patient_is_in_two():
    patients = [str(i % 30) for i in range(100)]
    given = ["val"] * MIN_VALIDATION + ["train"] * 40 + ["test"] * 40
    assert split_by_patient(patients, given, [0] * 100, seed=0) == tuple(given)
    given[50] = ""  # of patient 20, of whom no film validates or tests
    assert split_by_patient(patients[:60], given[:60], [0] * 60, seed=0)[50] == "train"
    given[30] = ""  # of patient 0, as a film in val is
    assert split_by_patient(patients[:60], given[:60], [0] * 60, seed=0)[30] == "val"


def test_kermanys_small_validation_folder_takes_its_patients_along(tmp_path):
    touch(tmp_path, *(f"train/PNEUMONIA/person{i // 2}_virus_{i}.jpeg" for i in range(200)))
    touch(tmp_path, "val/PNEUMONIA/person7_bacteria_1.jpeg", "train/NORMAL/IM-0001-0001.jpeg")
    films = read_layout(tmp_path).films
    split_of = dict(zip((film.name for film in films), split_films(films, seed=0)))
    assert split_of["train/PNEUMONIA/person7_virus_14.jpeg"] == "val"
    assert 20 <= list(split_of.values()).count("val") <= 24


PUBLISHED = {"chest_xray": "798b7e33b9a9fb44", "jsrt": "13f34579557b5b02"}
PUBLISHED |= {"montgomery": "23106bfcdacc44e9", "siim": "25b395e8739e23e3"}
PUBLISHED |= {"formats/nih": "b2d859df61439da0", "formats/chest_xray": "95620f3615dc1c6f"}


@pytest.mark.parametrize("name, digest", PUBLISHED.items())
def test_the_published_sets_are_split_as_ever(real, name, digest):
    films = read_layout(real / name).films
    found = split_films(films, seed=0)
    text = "\n".join(f"{film.name} {split}" for film, split in zip(films, found))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


def test_jsrts_split_is_for_all_of_jsrt(tmp_path):
    names = [f"JPC{'LN'[number > 154]}N{number:03d}.png" for number in range(1, 201)]
    both = [f"{{images,masks}}/{name}" for name in names]
    found = read_layout(touch(tmp_path, *both, "images/other.png"))
    assert splits(found) == {"train": 100, "test": 100, "": 1}
    assert found.split_rule.startswith("JSRT's split: odd numbers train, even numbers test")
    few = touch(tmp_path / "few", *both[1:])
    assert splits(read_layout(few)) == {"": 199}  # a user's own films may have such names


@pytest.mark.parametrize("films", ("{}.IMG", "{}.png"))
def test_jsrt_with_the_masks_of_scr(tmp_path, films):
    for number in range(1, 5):
        name = f"JPC{'LN'[number % 2]}N{number:03d}"
        fold = f"fold{2 - number % 2}/masks/{{left lung,right lung,heart}}/{name}.gif"
        touch(tmp_path, films.format(name), fold)
    found = read_layout(tmp_path)
    assert splits(found) == {"train": 2, "test": 2}
    for film in found.films:
        assert [mask.parent.name for mask in film.masks] == ["left lung", "right lung"]


def test_patients_from_file_names():
    stems = "person12_bacteria_46 IM-0115-0001-0002 NORMAL2-IM-1427-0001 BACTERIA-1008087-0001"
    patients = "person12 IM-0115 NORMAL2-IM-1427 BACTERIA-1008087 patient00012 00000013"
    stems += " patient00012 00000013_005 film7 7 1.2.826.0.1.3680043.8.498.15412022278903626567"
    assert " ".join(map(patient_of, stems.split())).rstrip() == patients


def test_other_films_are_patients_of_their_own():
    names = ("train/a.png", "val/1.png", "test/1.png", "test/1.jpg", "val/person3_x.png", "b.png")
    films = [Film("", name, patient="Bob" if name == "b.png" else "") for name in names]
    patients = [film.patient for film in with_patients(films)]
    assert patients == ["a", "val/1", "test/1", "test/1", "person3", "Bob"]
