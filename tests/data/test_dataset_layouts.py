"""Small files in the true format of every published set, read back."""

from helpers import SIDE, save, dicom
import numpy as np
import pytest
from PIL import Image

from multimix.data import dataset_layouts as layouts
from multimix.data import phantom
from multimix.data.dataset_layouts import read_layout
from multimix.data.films import load_films
from multimix.images.reading import read_film

FILM, MASK = phantom.draw(1, 0, SIDE)
LUNGS = MASK.astype(np.uint8) * 255
HALF = np.arange(SIDE) < SIDE // 2
LEFT, RIGHT = np.where(HALF, LUNGS, 0), np.where(HALF, 0, LUNGS)


def loaded(folder, **options):
    films = load_films(segmentation=folder, side=SIDE, progress=False, **options).segmentation
    assert np.array_equal(films.targets[0], MASK)
    return films


def test_raw_jsrt_with_scr_masks(tmp_path, monkeypatch):
    monkeypatch.setattr("multimix.images.formats.JSRT_SIDE", SIDE)
    deep = FILM.astype(np.uint16) * 16
    deep[0, :2] = 0, 4095
    for number in range(1, 31):
        (tmp_path / f"JPC{'LN'[number % 2]}N{number:03d}.IMG").write_bytes(
            (4095 - deep).astype(">u2").tobytes()
        )
        fold = tmp_path / "scr" / f"fold{2 - number % 2}" / "masks"
        for side, mask in (("left lung", LEFT), ("right lung", RIGHT), ("heart", 255 - LUNGS)):
            save(fold / side / f"JPC{'LN'[number % 2]}N{number:03d}.gif", mask)
    assert np.array_equal(read_film(tmp_path / "JPCLN002.IMG"), np.rint(deep / 4095 * 255))
    films = loaded(tmp_path)
    assert read_layout(tmp_path)[0] == "jsrt" and films.counts() == "14 train, 1 val, 15 test"
    assert all(
        (int(name[-7:-4]) % 2 == 0) == (split == "test")
        for name, split in zip(films.names, films.splits)
    )
    (tmp_path / "JPCLN002.IMG").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"JPCLN002.IMG has 5 bytes and a raw JSRT film has 2048"):
        loaded(tmp_path)


@pytest.mark.parametrize("channels_first", (False, True))
def test_the_authors_mat(tmp_path, channels_first):
    import scipy.io

    masks = np.stack([LEFT, RIGHT], 0 if channels_first else 2) / 255
    content = {
        f"x_{split}": np.stack([FILM / 255] * 3)[..., None] for split in ("train", "val", "test")
    }
    content |= {name.replace("x", "y"): np.stack([masks] * 3) for name in content}
    scipy.io.savemat(tmp_path / "jsrt.mat", content)
    for folder in (tmp_path, tmp_path / "jsrt.mat"):
        films = loaded(folder)
        assert np.array_equal(films.pixels[0], FILM)
        assert (
            films.counts() == "2 train, 4 val, 3 test"
        )  # too few for validation, so one of training moved there
    (tmp_path / "jsrt.mat").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"jsrt.mat is damaged"):
        read_layout(tmp_path)


@pytest.mark.parametrize("inner", ("", "MontgomerySet"))
def test_montgomery(tmp_path, inner):
    for i in range(20):
        name, root = f"MCUCXR_{i:04d}_0.png", tmp_path / inner
        deep = Image.fromarray(
            np.kron(FILM, np.ones((2, 2), dtype=np.uint8)).astype(np.uint16) * 16
        )
        (root / "CXR_png").mkdir(parents=True, exist_ok=True)
        deep.save(root / "CXR_png" / name)
        for side, mask in (("leftMask", LEFT), ("rightMask", RIGHT)):
            save(root / "ManualMask" / side / name, np.kron(mask, np.ones((2, 2), dtype=np.uint8)))
    assert (
        read_layout(tmp_path)[0] == "montgomery"
        and loaded(tmp_path).counts() == "17 train, 1 val, 2 test"
    )


def test_shenzhen(tmp_path):
    for i in range(20):
        save(tmp_path / "CXR_png" / f"CHNCXR_{i:04d}_0.png", np.dstack([FILM] * 3))
        if i != 7:  # a hundred of the real films have no mask
            save(tmp_path / "mask" / f"CHNCXR_{i:04d}_0_mask.png", LUNGS)
    films = loaded(tmp_path)
    assert read_layout(tmp_path)[0] == "shenzhen" and films.labelled.tolist() == [
        i != 7 for i in range(20)
    ]


def test_chestxray14(tmp_path):
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age"]
    for i, finding in enumerate(
        ("No Finding", "Pneumonia", "Mass|Pneumonia", "Mass", "No Finding")
    ):
        name = f"0000000{i}_000.png"
        rows.append(f"{name},{finding},0,{i // 2},50")
        if i < 4:  # the last one is in the table alone
            (tmp_path / f"images_00{i % 2}" / "images").mkdir(parents=True, exist_ok=True)
            Image.fromarray(FILM).convert("RGBA").save(
                tmp_path / f"images_00{i % 2}" / "images" / name
            )
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("\n".join(rows))
    layout, films = read_layout(tmp_path)
    assert layout == "nih" and [film.label for film in films] == [0, 1, 1]
    assert [film.patient for film in films] == ["0", "0", "1"] and {
        film.split for film in films
    } == {"test"}
    assert np.array_equal(read_film(films[0].source), FILM)


def test_class_folders_of_any_case(tmp_path):
    for i in range(30):
        save(tmp_path / ("normal" if i % 2 else "Pneumonia") / f"film{i}.png", FILM)
    films = load_films(tmp_path, side=SIDE, progress=False).classification
    assert read_layout(tmp_path)[0] == "classes" and films.counts() == "26 train, 2 val, 2 test"
    assert films.targets.tolist() == [0] * 15 + [1] * 15


def test_a_table(tmp_path):
    save(tmp_path / "films" / "a.png", FILM)
    save(tmp_path / "b.png", FILM)
    save(tmp_path / "masks" / "left.png", LEFT)
    save(tmp_path / "masks" / "right.png", RIGHT)
    (tmp_path / "set.csv").write_text(
        "path,label,mask,patient,split\n"
        "films/a.png,,masks/left.png|masks/right.png,ann,train\nb.png,pneumonia,,bob,test\n"
    )
    films = loaded(tmp_path / "set.csv")
    assert films.splits == ("train", "test") and films.patients == ("set/ann", "set/bob")
    classes = load_films(tmp_path / "set.csv", side=SIDE, progress=False).classification
    assert classes.labelled.tolist() == [False, True] and classes.targets[1] == 1
    for text, words in (
        ("path,label\na.png,measles\n", "line 2: label 'MEASLES'"),
        ("file\na.png\n", "no column path"),
    ):
        (tmp_path / "set.csv").write_text(text)
        with pytest.raises(ValueError, match=words):
            read_layout(tmp_path / "set.csv")


def test_films_alone_are_unlabelled(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", FILM)
    films = load_films(tmp_path, tmp_path, SIDE, progress=False)
    assert read_layout(tmp_path)[0] == "flat"
    assert not films.classification.labelled.any() and not films.segmentation.labelled.any()


def test_a_layout_may_be_named(kaggle):
    save(kaggle / "loose.png", FILM)
    assert read_layout(kaggle)[0] == "chex" and len(read_layout(kaggle, "flat")[1]) == 1
    for layout, words in (
        ("nih", "has no films as nih has"),
        ("dicom", "There is no layout 'dicom'; choose auto or"),
    ):
        with pytest.raises(ValueError, match=words):
            read_layout(kaggle, layout)


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "images_001").mkdir()
    (tmp_path / "images_001" / "again").symlink_to(tmp_path)
    (tmp_path / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,Patient ID\na.png,No Finding,1\n"
    )
    with pytest.raises(ValueError, match="has no films"):
        read_layout(tmp_path)
    assert all(layouts.LAYOUTS[name].__doc__ for name in layouts.LAYOUTS)


def test_the_original_files(real):
    assert read_film(real / "formats" / "jsrt_JPCLN001_2048.png").shape == (2048, 2048)
    layout, films = read_layout(real / "formats" / "nih")
    assert layout == "nih" and {read_film(film.source).shape for film in films} == {
        (512, 512),
        (1024, 1024),
    }
    layout, films = read_layout(real / "formats" / "chest_xray")
    assert layout == "chex" and all(read_film(film.source, 256).min() >= 0 for film in films)
    assert len(read_layout(real / "montgomery")[1]) == 138


def test_a_mat_of_something_else(tmp_path):
    import scipy.io

    for content in (
        {"x_train": np.array(["a", "b"]), "y_train": np.array(["a", "b"])},
        {"x_train": {"a": 1}, "y_train": {"b": 2}},
        {"x_train": np.zeros((2, 8)), "y_train": np.zeros((2, 8))},
    ):
        scipy.io.savemat(tmp_path / "jsrt.mat", content)
        with pytest.raises(ValueError, match="is damaged, or not a MATLAB file"):
            read_layout(tmp_path)
    scipy.io.savemat(
        tmp_path / "jsrt.mat", {"x_train": np.zeros((2, 32, 32)), "y_train": np.ones((2, 7, 14))}
    )
    with pytest.raises(ValueError, match="A mask has 14 x 7 pixels and its film 32 x 32"):
        load_films(segmentation=tmp_path, side=SIDE, progress=False)


def test_films_of_an_archive_have_no_ending(tmp_path):
    (tmp_path / "DICOM").mkdir()
    dicom(tmp_path / "DICOM" / "IM000001", np.arange(4096, dtype=np.uint16).reshape(64, 64))
    (tmp_path / "DICOM" / "LICENSE").write_text("no film")
    assert [film.name for film in read_layout(tmp_path / "DICOM")[1]] == ["IM000001"]
