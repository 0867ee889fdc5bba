"""Small files in the true format of every published set, read back."""

import numpy as np
import pytest
from helpers import SIDE, dicom, save
from layout_helpers import FILM, LEFT, LUNGS, RIGHT, labels, loaded, numbered, splits, touch

from multimix.data.dataset_layouts import read_layout
from multimix.data.films import load_films
from multimix.images.reading import read_film


@pytest.mark.parametrize("inner", ("", "MontgomerySet"))
def test_montgomery(tmp_path, inner):
    root, double = tmp_path / inner, np.ones((2, 2), dtype=np.uint8)
    for i in range(20):
        name = f"MCUCXR_{i:04d}_0.png"
        save(root / "CXR_png" / name, np.kron(FILM, double).astype(np.uint16) * 16)
        save(root / "ManualMask" / "leftMask" / name, np.kron(LEFT, double))
        save(root / "ManualMask" / "rightMask" / name, np.kron(RIGHT, double))
    assert read_layout(tmp_path).layout == "montgomery"
    assert loaded(tmp_path).counts() == "17 train, 1 val, 2 test"


def test_shenzhen(tmp_path):
    for i in range(20):
        save(tmp_path / "CXR_png" / f"CHNCXR_{i:04d}_0.png", np.dstack([FILM] * 3))
        if i != 7:  # a hundred of the real films have no mask
            save(tmp_path / "mask" / f"CHNCXR_{i:04d}_0_mask.png", LUNGS)
    assert read_layout(tmp_path).layout == "shenzhen"
    assert loaded(tmp_path).labelled.tolist() == [i != 7 for i in range(20)]


def test_kaggles_folders(tmp_path):
    for split in ("train", "Test"):
        save(tmp_path / "chest_xray" / split / "normal" / "IM-0115-0001.jpeg", FILM)
        save(tmp_path / "chest_xray" / split / "PNEUMONIA" / "person12_virus_7.jpeg", FILM)
    for folder in (tmp_path, tmp_path / "chest_xray"):
        found = read_layout(folder)
        layout, films = found.layout, found.films
        assert layout == "chex" and [film.label for film in films] == [0, 1, 0, 1]
        assert [film.split for film in films] == ["train", "train", "test", "test"]
        assert [film.patient for film in films] == ["IM-0115", "person12"] * 2
        assert films[0].name == "train/normal/IM-0115-0001.jpeg"


def test_class_folders_of_any_case(tmp_path):
    for i in range(30):
        save(tmp_path / ("normal" if i % 2 else "Pneumonia") / f"film{i}.png", FILM)
    films = load_films(tmp_path, side=SIDE, progress=False).classification
    assert read_layout(tmp_path).layout == "classes" and films.counts() == "26 train, 2 val, 2 test"
    assert films.targets.tolist() == [0] * 15 + [1] * 15


def test_films_alone_are_unlabelled(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", FILM)
    films = load_films(tmp_path, tmp_path, SIDE, progress=False)
    assert read_layout(tmp_path).layout == "flat"
    assert not films.classification.labelled.any() and not films.segmentation.labelled.any()


def test_films_of_an_archive_have_no_ending(tmp_path):
    (tmp_path / "DICOM").mkdir()
    dicom(tmp_path / "DICOM" / "IM000001", np.arange(4096, dtype=np.uint16).reshape(64, 64))
    (tmp_path / "DICOM" / "LICENSE").write_text("no film")
    assert [film.name for film in read_layout(tmp_path / "DICOM").films] == ["IM000001"]


def test_a_layout_may_be_named(tmp_path):
    save(tmp_path / "train" / "NORMAL" / "a.png", FILM)
    save(tmp_path / "loose.png", FILM)
    assert read_layout(tmp_path).layout == "chex"
    assert [film.name for film in read_layout(tmp_path, "flat").films] == ["loose.png"]
    deep = touch(tmp_path / "deep", *(f"PAT{i}/ST1/{k}.dcm" for i in range(3) for k in "ab"))
    assert {film.patient for film in read_layout(deep, "flat").films} == {"PAT0", "PAT1", "PAT2"}
    with pytest.raises(ValueError, match="has no films as nih has"):
        read_layout(tmp_path, "nih")
    words = "There is no layout 'dicom'; choose auto or one of mat, chex, classes, "
    with pytest.raises(ValueError, match=words):
        read_layout(tmp_path, "dicom")


def test_the_original_files(real):
    assert read_film(real / "formats" / "jsrt_JPCLN001_2048.png").shape == (2048, 2048)
    found = read_layout(real / "formats" / "nih")
    layout, films = found.layout, found.films
    shapes = {read_film(film.source).shape for film in films}
    assert layout == "nih" and shapes == {(512, 512), (1024, 1024)}
    found = read_layout(real / "formats" / "chest_xray")
    layout, films = found.layout, found.films
    assert layout == "chex" and all(read_film(film.source, 256).min() >= 0 for film in films)
    assert len(read_layout(real / "montgomery").films) == 138


def test_a_set_in_folders_around_it(tmp_path):
    names = [*numbered("NORMAL", 3), *numbered("PNEUMONIA", 3)]
    root = touch(tmp_path / "archive", [f"version 1/Data/{name}" for name in names], "readme.txt")
    found = read_layout(root)
    assert found.layout == "classes" and labels(found) == {0: 3, 1: 3} and not found.left_out
    assert found.films[0].name == "NORMAL/0.png"
    touch(root, [f"other/{name}" for name in names])
    with pytest.raises(ValueError, match="holds several sets of films, other, version 1; give"):
        read_layout(root)


def test_films_of_one_folder_further_down(tmp_path):
    assert len(read_layout(touch(tmp_path / "a", numbered("films", 3))).films) == 3
    with pytest.raises(ValueError, match="beside masks/ it needs images/ with films of the same"):
        read_layout(touch(tmp_path / "b", numbered("masks", 3)))


def test_it_is_said_where_the_splits_come_from(tmp_path):
    given = "The folders' names say the splits."
    names = [f"{kind}/{i}.png" for kind in ("NORMAL", "PNEUMONIA") for i in range(10)]
    root = touch(tmp_path, [f"{split}/{name}" for name in names for split in ("train", "val")])
    assert read_layout(root).split_rule == given
    (root / "val" / "NORMAL" / "0.png").unlink()
    rule = f"{given} As validation has 19 films, fewer than 20, a tenth of the training patients"
    assert read_layout(root).split_rule.startswith(rule)
    none = "No split is given: a tenth of the patients tests, a tenth of the others validates."
    assert read_layout(root / "train").split_rule == none


@pytest.mark.parametrize(
    "names, words",
    (
        ((), r"\(it holds nothing\); it needs a folder for each class, images/ with masks/"),
        (("0/a.png", "1/a.png"), '0, 1 are no known classes; .* --classes "normal=0,pneumonia=1"'),
        (
            ("train/Healthy/a.png", "test/Sick/a.png"),
            'Healthy, Sick are no known classes; .* --classes "normal=Healthy,pneumonia=Sick"',
        ),
        (("train/a.png", "test/a.png"), "train/ needs folders NORMAL and PNEUMONIA, or images and"),
        (("notes.txt", "a.zip"), r"\(it holds a.zip, notes.txt\); unpack a.zip first"),
        (("notes.txt", "a.raw"), r"\(it holds a.raw, notes.txt\); it needs"),
        (("train/images/a.png", "val/images/a.png"), "train/ needs folders NORMAL and PNEUMONIA"),
        (("x.csv", "0/a.png", "1/a.png"), "x.csv needs a column path with names of the films"),
        (("p1/x/a.png", "p2/x/a.png"), "or read all as unlabelled in the layout flat"),
    ),
)
def test_a_folder_that_fits_no_layout_is_told_the_nearest(tmp_path, names, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_layout(touch(tmp_path / "set", names and list(names)) if names else tmp_path)
    said = str(caught.value)
    assert "has no films of a layout that is known" in said
    assert len(said) - len(str(tmp_path)) <= 260


def test_a_file_is_no_folder(tmp_path):
    advice = {
        "a.png": "give the folder that the film lies in",
        "a.xlsx": "save the sheet as CSV",
        "a.zip": "unpack it",
        "a.html": "give a folder, a .csv table with the column path, or jsrt.mat",
    }
    for name, words in advice.items():
        with pytest.raises(ValueError, match=f"{name} is no set of films; {words}"):
            read_layout(touch(tmp_path, name) / name)
    with pytest.raises(ValueError, match="There is no folder without a name; give one"):
        read_layout("")


def test_links_may_circle(tmp_path):
    root = touch(tmp_path, "all/NORMAL/deep/a.png", "all/PNEUMONIA/b.png")
    (root / "all" / "NORMAL" / "deep" / "up").symlink_to(root)
    (root / "train").symlink_to(root / "all")
    found = read_layout(root)
    assert splits(found) == {"train": 2} and labels(found) == {0: 1, 1: 1}
    assert not found.left_out  # what is read through a link is read


def test_jsrts_split_is_for_all_of_jsrt(tmp_path):
    names = [f"JPC{'LN'[number > 154]}N{number:03d}.png" for number in range(1, 201)]
    both = [f"{kind}/{name}" for name in names for kind in ("images", "masks")]
    found = read_layout(touch(tmp_path, both, "images/other.png"))
    assert splits(found) == {"train": 100, "test": 100, "": 1}
    assert found.split_rule.startswith("JSRT's split: odd numbers train, even numbers test")
    for kind in ("images", "masks"):
        (tmp_path / kind / names[0]).unlink()
    assert splits(read_layout(tmp_path)) == {"": 200}  # films of one's own may have such names
