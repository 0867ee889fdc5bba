"""Small files in the true format of every published set, read back."""

import numpy as np
import pytest
import scipy.io
from helpers import SIDE, dicom, save
from PIL import Image

from multimix.data import phantom
from multimix.data.dataset_layouts import LAYOUTS, patient_of, read_layout
from multimix.data.film_set import FilmSet
from multimix.data.films import load_films
from multimix.images.reading import read_film

FILM, MASK = phantom.draw(1, 0, SIDE)
LUNGS = MASK.astype(np.uint8) * 255
HALF = np.arange(SIDE) < SIDE // 2
LEFT, RIGHT = np.where(HALF, LUNGS, 0), np.where(HALF, 0, LUNGS)


def loaded(folder) -> FilmSet:
    """The folder's films, of which the first has the right lungs."""
    films = load_films(segmentation=folder, side=SIDE, progress=False).segmentation
    assert np.array_equal(films.targets[0], MASK)
    return films


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
    assert read_layout(tmp_path)[0] == "jsrt" and films.counts() == "14 train, 1 val, 15 test"
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


@pytest.mark.parametrize("inner", ("", "MontgomerySet"))
def test_montgomery(tmp_path, inner):
    root, double = tmp_path / inner, np.ones((2, 2), dtype=np.uint8)
    for i in range(20):
        name = f"MCUCXR_{i:04d}_0.png"
        save(root / "CXR_png" / name, np.kron(FILM, double).astype(np.uint16) * 16)
        save(root / "ManualMask" / "leftMask" / name, np.kron(LEFT, double))
        save(root / "ManualMask" / "rightMask" / name, np.kron(RIGHT, double))
    assert read_layout(tmp_path)[0] == "montgomery"
    assert loaded(tmp_path).counts() == "17 train, 1 val, 2 test"


def test_shenzhen(tmp_path):
    for i in range(20):
        save(tmp_path / "CXR_png" / f"CHNCXR_{i:04d}_0.png", np.dstack([FILM] * 3))
        if i != 7:  # a hundred of the real films have no mask
            save(tmp_path / "mask" / f"CHNCXR_{i:04d}_0_mask.png", LUNGS)
    assert read_layout(tmp_path)[0] == "shenzhen"
    assert loaded(tmp_path).labelled.tolist() == [i != 7 for i in range(20)]


def test_chestxray14(tmp_path):
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age"]
    findings = ("No Finding", "Pneumonia", "Mass|Pneumonia", "Mass", "No Finding")
    for i, finding in enumerate(findings):
        name = f"0000000{i}_000.png"
        rows.append(f"{name},{finding},0,{i // 2},50")
        if i < 4:  # the last one is in the CSV file alone
            colours = np.array(Image.fromarray(FILM).convert("RGBA"))
            save(tmp_path / f"images_00{i % 2}" / "images" / name, colours)
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("\n".join(rows))
    layout, films = read_layout(tmp_path)
    assert layout == "nih" and [film.label for film in films] == [0, 1, 1]
    assert [film.patient for film in films] == ["0", "0", "1"]
    assert [film.split for film in films] == ["test"] * 3
    assert np.array_equal(read_film(films[0].source), FILM)


def test_kaggles_folders(tmp_path):
    for split in ("train", "Test"):
        save(tmp_path / "chest_xray" / split / "normal" / "IM-0115-0001.jpeg", FILM)
        save(tmp_path / "chest_xray" / split / "PNEUMONIA" / "person12_virus_7.jpeg", FILM)
    for folder in (tmp_path, tmp_path / "chest_xray"):
        layout, films = read_layout(folder)
        assert layout == "chex" and [film.label for film in films] == [0, 1, 0, 1]
        assert [film.split for film in films] == ["train", "train", "test", "test"]
        assert [film.patient for film in films] == ["IM-0115", "person12"] * 2
        assert films[0].name == "train/normal/IM-0115-0001.jpeg"


def test_class_folders_of_any_case(tmp_path):
    for i in range(30):
        save(tmp_path / ("normal" if i % 2 else "Pneumonia") / f"film{i}.png", FILM)
    films = load_films(tmp_path, side=SIDE, progress=False).classification
    assert read_layout(tmp_path)[0] == "classes" and films.counts() == "26 train, 2 val, 2 test"
    assert films.targets.tolist() == [0] * 15 + [1] * 15


def test_a_csv_file(tmp_path):
    save(tmp_path / "films" / "a.png", FILM)
    save(tmp_path / "b.png", FILM)
    save(tmp_path / "masks" / "left.png", LEFT)
    save(tmp_path / "masks" / "right.png", RIGHT)
    text = (
        "path,label,mask,patient,split\n"
        "films/a.png,,masks/left.png|masks/right.png,ann,train\nb.png,pneumonia,,bob,test\n"
    )
    path = tmp_path / "set.csv"
    for written in (text, text.replace(",", ";")):  # as spreadsheets do in half of Europe
        path.write_text(written)
        films = loaded(path)
        assert films.splits == ("train", "test") and films.patients == ("set/ann", "set/bob")
        classes = load_films(path, side=SIDE, progress=False).classification
        assert classes.labelled.tolist() == [False, True] and classes.targets[1] == 1


@pytest.mark.parametrize(
    "text, words",
    (
        ("path,label\na.png,measles\n", "line 2: label 'MEASLES'"),
        ("path,split\na.png,train\nb.png,tests\n", "line 3: label '', split 'tests'"),
        ("file\na.png\n", "no column path"),
    ),
)
def test_a_faulty_csv_file(tmp_path, text, words):
    (tmp_path / "set.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_layout(tmp_path / "set.csv")


def test_jsrt_films_are_split_by_their_number(tmp_path):
    for number in range(1, 5):
        for kind in ("images", "masks"):
            save(tmp_path / kind / f"JPC{'LN'[number % 2]}N{number:03d}.png", LUNGS)
    save(tmp_path / "images" / "other.png", FILM)
    layout, films = read_layout(tmp_path)
    assert layout == "images_and_masks"
    splits = {film.name[-7:-4]: film.split for film in films}
    odd_and_even = {"001": "train", "002": "test", "003": "train", "004": "test"}
    assert splits == odd_and_even | {"her": ""}


def test_films_alone_are_unlabelled(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", FILM)
    films = load_films(tmp_path, tmp_path, SIDE, progress=False)
    assert read_layout(tmp_path)[0] == "flat"
    assert not films.classification.labelled.any() and not films.segmentation.labelled.any()


def test_films_of_an_archive_have_no_ending(tmp_path):
    (tmp_path / "DICOM").mkdir()
    dicom(tmp_path / "DICOM" / "IM000001", np.arange(4096, dtype=np.uint16).reshape(64, 64))
    (tmp_path / "DICOM" / "LICENSE").write_text("no film")
    assert [film.name for film in read_layout(tmp_path / "DICOM")[1]] == ["IM000001"]


def test_a_layout_may_be_named(tmp_path):
    save(tmp_path / "train" / "NORMAL" / "a.png", FILM)
    save(tmp_path / "loose.png", FILM)
    assert read_layout(tmp_path)[0] == "chex"
    assert [film.name for film in read_layout(tmp_path, "flat")[1]] == ["loose.png"]
    with pytest.raises(ValueError, match="has no films as nih has"):
        read_layout(tmp_path, "nih")
    words = "There is no layout 'dicom'; choose auto or one of csv, mat, "
    with pytest.raises(ValueError, match=words):
        read_layout(tmp_path, "dicom")


def test_a_folder_without_films_is_told_every_layout(tmp_path):
    (tmp_path / "images_001").mkdir()
    (tmp_path / "images_001" / "again").symlink_to(tmp_path)  # in a circle
    (tmp_path / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,Patient ID\na.png,No Finding,1\n"
    )
    with pytest.raises(ValueError) as caught:
        read_layout(tmp_path)
    sentence = str(caught.value)
    assert "has no films of a layout that is known" in sentence
    assert "(it holds Data_Entry_2017.csv, images_001); it needs one of these: csv: a " in sentence
    for name, layout in LAYOUTS.items():
        assert f"{name}: {layout.description}" in sentence


@pytest.mark.parametrize(
    "stem, patient",
    (
        ("person12_bacteria_46", "person12"),
        ("person12_virus_9", "person12"),
        ("IM-0115-0001-0002", "IM-0115"),
        ("NORMAL2-IM-1427-0001", "NORMAL2-IM-1427"),
        ("film7", "film7"),
    ),
)
def test_patients_from_file_names(stem, patient):
    assert patient_of(stem) == patient


def test_the_original_files(real):
    assert read_film(real / "formats" / "jsrt_JPCLN001_2048.png").shape == (2048, 2048)
    layout, films = read_layout(real / "formats" / "nih")
    shapes = {read_film(film.source).shape for film in films}
    assert layout == "nih" and shapes == {(512, 512), (1024, 1024)}
    layout, films = read_layout(real / "formats" / "chest_xray")
    assert layout == "chex" and all(read_film(film.source, 256).min() >= 0 for film in films)
    assert len(read_layout(real / "montgomery")[1]) == 138
