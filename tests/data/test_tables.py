"""Tables of films, as people, spreadsheets and published sets have them."""

import numpy as np
import pytest
from helpers import SIDE, save
from layout_helpers import FILM, LEFT, MASK, RIGHT, as_read, labels, splits, touch

from multimix.data.dataset_layouts import read_layout
from multimix.data.films import load_films

ROWS = "imgs/0.png,0\nimgs/1.png,1\nimgs/2.png,0\nimgs/3.png,1\n"
ONE_HOT = "imgs/0.png,1,0\nimgs/1.png,0,1\nimgs/2.png,1,0\nimgs/3.png,0,1\n"
SHORT = ROWS.replace("imgs/", "")


@pytest.fixture
def imgs(tmp_path):
    return touch(tmp_path, "imgs/{0,1,2,3}.png")


def read(folder, text, **options):
    (folder / "set.csv").write_text(text, encoding="utf-16" if "id" in text else "utf-8-sig")
    return read_layout(folder / "set.csv", **options)


def test_a_table_with_every_column(tmp_path):
    for name, picture in (("films/a", FILM), ("b", FILM), ("masks/l", LEFT), ("masks/r", RIGHT)):
        save(tmp_path / f"{name}.png", picture)
    text = "path,label,mask,patient,split\nfilms/a.png,,masks/l.png|masks/r.png,ann,train\n"
    path, text = tmp_path / "set.csv", f"{text}b.png,pneumonia,,bob,test\n"
    path.write_text(text.replace(",", ";"))  # as spreadsheets do in half of Europe
    films = load_films(path, path, SIDE, progress=False)
    assert films.segmentation.splits == ("train", "test")
    assert films.segmentation.patients == ("set/ann", "set/bob")
    assert np.array_equal(films.segmentation.targets[0], as_read(FILM, MASK)[1])
    assert films.classification.labelled.tolist() == [False, True]
    assert films.classification.targets[1] == 1


@pytest.mark.parametrize(
    "text",
    (
        f"path,label\n{ROWS}".replace("\n", "\r\n"),
        f"path;label\n{ROWS.replace(',', ';')}",
        f" Path , LABEL \n{ROWS.replace(',', ' , ')}",
        f"filename,class\n{ROWS.replace('/', chr(92))}",
        f"image,label\n{SHORT.replace('.png', '')}",
        f"path,label\n{ROWS.replace(',0', ',Normal').replace(',1', ',pneumonia ')}",
        f"path,label\n{ROWS.replace(',0', ',0.0').replace(',1', ',1.0')}",
        f"path,label\n{ROWS.replace('imgs', 'D:/old/imgs')}",
        f"path,label,mask\n{ROWS}".replace("0\n", "0,nan\n").replace("1\n", "1,\n"),
        f"path,label\n{ROWS.replace(',0', ',False').replace(',1', ',TRUE')}",
        f"path,label\n{SHORT}".replace(".png", ".PNG"),
        f"id,diagnosis\n{ROWS.replace(',0', ',No Finding').replace(',1', ',Pneumonia/TB')}",
        f"image,pneumonia\n{ROWS.replace(',0', ',no').replace(',1', ',yes')}",
        f"image,NORMAL,PNEUMONIA\n{ONE_HOT}",
        f",path,label\n0,{ROWS.replace(chr(10), chr(10) + '1,')}".removesuffix("1,"),
    ),
)
def test_tables_that_say_the_same(imgs, text):
    found = read(imgs, text)
    assert [film.label for film in found.films] == [0, 1, 0, 1]
    assert [film.source for film in found.films] == [imgs / f"imgs/{i}.png" for i in range(4)]
    assert not any(film.masks for film in found.films)


@pytest.mark.parametrize(
    "text, expected, note",
    (
        ("path,label\n0.png,1\n1.png,\n", [1, None], ""),
        ("path,label\n0.png,0\n1.png,-1\n2.png,TB\n", [0], "-1 (1), TB (1)"),
        ("path,label\n0.png,0\n9.png,1\n", [0], "1 films of set.csv are not on disk"),
        ("path,label,view\n0.png,0,PA\n1.png,0,Lateral\n2.png,0,LL\n", [0], "2 films"),
        ("path,pneumonia\n0.png,1\n1.png,\n", [1, None], ""),
        ("path,No Finding,Pneumonia\n0.png,,-1\n1.png,1,\n2.png,,\n", [None, 0], "-1"),
        ("path,age\n0.png,7\n", [None], ""),
        ("path,label\n0.png,0\n0.png,1\n", [1], "1 films of set.csv have several classes"),
        ("path,label\n0.png,0\n0.png,0\n", [0], ""),
    ),
)
def test_what_cells_say(imgs, text, expected, note):
    found = read(imgs, text)
    assert [film.label for film in found.films] == expected
    assert note in " ".join(found.left_out)


def test_names_of_classes_in_a_table(imgs):
    text = "path,label\n0.png,healthy\n1.png,bacteria\n2.png,virus\n3.png,tb\n"
    named = {"Healthy": "NORMAL", "bacteria": "Pneumonia", "virus": "PNEUMONIA"}
    assert [film.label for film in read(imgs, text, classes=named).films] == [0, 1, 1]
    assert "bacteria (1), healthy (1), tb (1), virus (1)" in read(imgs, text).left_out[0]
    found = read(imgs, "path,label\n0.png,1.0\n1.png,2\n", classes={"2": "NORMAL"})
    assert [film.label for film in found.films] == [1, 0]


@pytest.mark.parametrize(
    "text, words",
    (
        ("path,label,Label\n0.png,1,0\n", "has two columns label; rename or remove one"),
        ("path,split\n\n0.png,tests\n", "line 3: the path is '0.png' and the split 'tests'; a"),
        ("path,patient\n0.png,a\n0.png,b\n", "has more than one patient for 0.png"),
        ("path,label\n,1\n", "line 2: the path is ''"),
        (f"path,label\n{'x' * 3000}/{'y' * 300}.png,0\n..,1\n/,0\n", "None of .* first one is xxx"),
        ("picture,label\nnowhere.png,1\n", "no column path"),
        ("path,label\n", "no column path, or no rows"),
        ("", "is damaged, or not a table"),
        ("path,label\n0.png,0,1,2\n1.png,1\n", "is damaged, or not a table"),
    ),
)
def test_a_faulty_table_is_one_sentence(imgs, text, words):
    with pytest.raises(ValueError, match=words) as caught:
        read(imgs, text)
    sentence = str(caught.value).replace(str(imgs), "")
    assert len(sentence) < 280 and "\n" not in sentence


def test_films_elsewhere_and_paths_that_could_be_of_another_film(tmp_path):
    touch(tmp_path, "set/{train/1,test/2,a/3,b/3}.png", "{4,5}.png")
    text = "path,label\ntrain/2.png,0\n3.png,0\nold/a/3.png,1\ntrain/1.png,1\n"
    found = read(tmp_path / "set", f"{text}{tmp_path / '4.png'},0\n../5.png,1\n")
    names = [film.source.relative_to(tmp_path).as_posix() for film in found.films]
    assert names == ["set/a/3.png", "set/train/1.png", "4.png", "5.png"]


def test_a_folder_with_one_table_is_that_table(imgs):
    text = "path,label\nimgs/0.png,0\nimgs/1.png,1\nimgs/2.png,1\n"
    (imgs / "labels.csv").write_text(text)
    found = read_layout(imgs)
    assert found.layout == "csv" and labels(found) == {0: 1, 1: 2}
    assert found.left_out == ("1 film (3.png) that no table lists are left out.",)
    (imgs / "more.tsv").write_text(text.replace(",", "\t"))
    with pytest.raises(ValueError, match=r"has 2 tables of films; .*: labels.csv, more.tsv"):
        read_layout(imgs)


def test_a_table_beside_films_with_masks(tmp_path):
    touch(tmp_path, "images/{0,1,2,3,4,5}.png", "masks/{0,1,2,3,4}.png")
    (tmp_path / "x.csv").write_text("id,findings\n0,normal\n1,pneumonia\n2,TB\n5,TB\n9,normal\n")
    found = read_layout(tmp_path)
    assert labels(found) == {0: 1, 1: 1, None: 4}
    assert [len(film.masks) for film in found.films] == [1, 1, 1, 0, 1, 1]
    (tmp_path / "x.csv").write_text("image,label,mask\n0.png,0,1.png\n")
    assert [film.masks for film in read_layout(tmp_path).films] == [(tmp_path / "masks/1.png",)]


@pytest.mark.parametrize("table", ("{}.csv", "image_labels_{}.csv", "{}/_.csv"))
def test_a_table_for_each_split(tmp_path, table):
    for split in ("train", "valid", "test"):
        touch(tmp_path, f"{split}/{split}{{0,1}}.png")
        text = f"filename, NORMAL, PNEUMONIA\n{split}0.png,1,0\n{split}1.png,0,1"
        (tmp_path / table.format(split)).write_text(text)
    found = read_layout(tmp_path)
    assert labels(found) == {0: 3, 1: 3} and splits(found) == {"train": 2, "val": 2, "test": 2}
    assert {film.name for film in found.films} >= {"train/train0.png", "valid/valid1.png"}


def test_chestxray14(tmp_path):
    for folder, numbers in (("images_000", "{0,2}"), ("images_001", "{1,3}")):
        touch(tmp_path, f"{folder}/images/0000000{numbers}_000.png")
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age"]
    findings = ("No Finding", "Pneumonia", "Mass|Pneumonia", "Mass", "No Finding")  # one too many
    rows += [f"0000000{i}_000.png,{text},0,{i // 2},50" for i, text in enumerate(findings)]
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("\n".join(rows))
    (tmp_path / "BBox_List_2017.csv").write_text("Image Index,Finding Label\n00000001_000.png,Mass")
    found = read_layout(tmp_path)
    assert found.layout == "nih" and [film.label for film in found.films] == [0, 1, 1]
    assert [film.patient for film in found.films] == ["0", "0", "1"]
    assert splits(found) == {"": 3}  # patients are split
    notes = " ".join(found.left_out)
    assert "Mass (1)" in notes and "1 films of Data_Entry" in notes and "1 table (BBox_" in notes
    (tmp_path / "test_list.txt").write_text("00000002_000.png\n")
    (tmp_path / "train_val_list.txt").write_text("00000000_000.png\n00000001_000.png\n")
    assert [film.split for film in read_layout(tmp_path).films] == ["train", "train", "test"]


def test_rsna(tmp_path):
    text = "patientId,x,y,width,height,Target\na-1,,,,,0\nb-2,1,1,9,9,1\nb-2,5,5,9,9,1\nc-3,,,,,0\n"
    (tmp_path / "stage_2_train_labels.csv").write_text(text)
    (tmp_path / "stage_2_detailed_class_info.csv").write_text("patientId,class\na-1,Normal\n")
    touch(tmp_path, "stage_2_train_images/{a-1,b-2}.dcm", "stage_2_test_images/t.dcm")
    for given in (tmp_path, tmp_path / "stage_2_train_labels.csv"):
        found = read_layout(given)
        assert any("read as NORMAL" in sentence for sentence in found.left_out)
        assert found.layout == "rsna" and labels(found) == {0: 1, 1: 1} and splits(found) == {"": 2}
        assert [film.patient for film in found.films] == ["a-1", "b-2"]


def test_chexpert(tmp_path):
    header = "Path,Frontal/Lateral,No Finding,Lung Opacity,Pneumonia"
    rows = ["Frontal,1.0,,", "Frontal,,,1.0", "Frontal,,1.0,-1.0", "Frontal,,1.0,", "Lateral,1.0,,"]
    for split, first in (("train", 1), ("valid", 90)):
        paths = [f"{split}/patient{first + i:05d}/study1/view1.jpg" for i in range(5)]
        lines = [f"CheXpert-v1.0-small/{path},{row}" for path, row in zip(paths, rows)]
        touch(tmp_path / "renamed", *paths)
        (tmp_path / "renamed" / f"{split}.csv").write_text("\n".join([header, *lines]))
    found = read_layout(tmp_path)
    assert found.layout == "chexpert" and [film.label for film in found.films] == [0, 1, None] * 2
    assert found.films[1].patient == "patient00002" and splits(found) == {"train": 3, "val": 3}
    notes = " ".join(found.left_out)
    assert "2 films of train.csv and valid.csv are not frontal" in notes
    assert "other findings (2)" in notes and "uncertain" in notes
