"""Sets that have their films in tables, which may lie anywhere below."""

import numpy as np
import pytest
from helpers import save
from layout_helpers import FILM, labels, masks, splits, touch
from PIL import Image

from multimix.data.dataset_layouts import read_layout
from multimix.images.reading import read_film


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
    touch(tmp_path, "BBox_List_2017.csv")
    found = read_layout(tmp_path)
    layout, films = found.layout, found.films
    assert layout == "nih" and [film.label for film in films] == [0, 1, 1]
    assert [film.patient for film in films] == ["0", "0", "1"]
    assert splits(found) == {"": 3}  # patients are split
    assert np.array_equal(read_film(films[0].source), FILM)
    assert set(found.left_out) == {
        "1 films of Mass are left out, as they are neither NORMAL nor PNEUMONIA; --classes can say "
        "which class is which.",
        "1 films of Data_Entry_2017_v2020.csv that are not on disk are left out.",
        "Tables that are not read: BBox_List_2017.csv; to use one, give it instead of the folder.",
    }
    (tmp_path / "test_list.txt").write_text("00000002_000.png\n")
    found = read_layout(tmp_path)
    assert splits(found) == {"": 2, "test": 1}
    assert found.split_rule.startswith("test_list.txt says the splits.")
    (tmp_path / "train_val_list.txt").write_text("00000000_000.png\n00000001_000.png\n")
    found = read_layout(tmp_path)
    assert [film.split for film in found.films] == ["train", "train", "test"]
    assert "train_val_list.txt and test_list.txt say the splits." in found.split_rule


def test_rsna(tmp_path):
    text = "patientId,x,y,width,height,Target\na-1,,,,,0\nb-2,1,1,9,9,1\nb-2,5,5,9,9,1\nc-3,,,,,0\n"
    (tmp_path / "stage_2_train_labels.csv").write_text(text)
    touch(tmp_path, *(f"stage_2_train_images/{name}.dcm" for name in ("a-1", "b-2")))
    touch(tmp_path, "stage_2_test_images/t.dcm")
    for given in (tmp_path, tmp_path / "stage_2_train_labels.csv"):
        found = read_layout(given)
        assert any("taken as NORMAL" in sentence for sentence in found.left_out)
        assert found.layout == "rsna" and labels(found) == {0: 1, 1: 1} and splits(found) == {"": 2}
        assert [film.patient for film in found.films] == ["a-1", "b-2"]
        assert "1 films of stage_2_train_labels.csv that are not on disk are left out." in (
            found.left_out
        )
    assert any("stage_2_test_images (1)" in sentence for sentence in read_layout(tmp_path).left_out)


def chexpert_table(root, split: str, first: int, rows: list[str]) -> None:
    """A table of CheXpert with a patient a row, and their films."""
    text = "Path,Sex,Frontal/Lateral,AP/PA,No Finding,Lung Opacity,Pneumonia\n"
    for i, row in enumerate(rows, start=first):
        path = f"{split}/patient{i:05d}/study1/view1_{row.partition(',')[0].lower()}.jpg"
        touch(root, path)
        text += f"CheXpert-v1.0-small/{path},Male,{row}\n"
    (root / f"{split}.csv").write_text(text)


def test_chexpert(tmp_path):
    rows = ["Frontal,AP,1.0,,", "Frontal,AP,,,1.0", "Frontal,PA,,1.0,-1.0", "Frontal,AP,,1.0,"]
    rows += ["Lateral,,1.0,,", "Frontal,AP,,1.0,0.0"]
    root = tmp_path / "renamed"
    chexpert_table(root, "train", 1, rows)
    found = read_layout(tmp_path)
    assert found.layout == "chexpert" and [film.label for film in found.films] == [0, 1, None]
    assert [film.patient for film in found.films] == [
        "patient00001",
        "patient00002",
        "patient00003",
    ]
    assert splits(found) == {"": 3}
    assert set(found.left_out) == {
        "2 films of other findings are left out, as they are neither NORMAL nor PNEUMONIA.",
        "1 films of train.csv that are not frontal are left out.",
        "1 films of uncertain pneumonia (-1) are unlabelled.",
    }
    chexpert_table(root, "valid", 90, rows[:2])
    found = read_layout(root)
    assert splits(found) == {"train": 3, "val": 2}
    assert found.split_rule.startswith("train.csv and valid.csv are the splits.")


def test_the_findings_of_vindr(tmp_path):
    rows = ("0,R1,0,0,1", "0,R2,0,0,1", "1,R1,0,0,1", "1,R2,0,1,0", "2,R1,0,0,1", "2,R2,1,0,0")
    header = "image_id,rad_id,Aortic enlargement,Pneumonia,No finding"
    (tmp_path / "image_labels_train.csv").write_text("\n".join([header, *rows]))
    (tmp_path / "annotations_train.csv").write_text("image_id,class_name\n0,No finding\n")
    for i in range(3):
        (touch(tmp_path, f"train/{i}.dicom") / f"train/{i}.dicom").write_bytes(bytes(128) + b"DICM")
    found = read_layout(tmp_path)
    assert [film.label for film in found.films] == [0, 1]  # pneumonia if one of them says so
    assert "1 films of other findings are left out, as they are neither NORMAL nor PNEUMONIA." in (
        found.left_out
    )


def test_padchest(tmp_path):
    (tmp_path / "PADCHEST_labels.csv").write_text(
        ",ImageID,ImageDir,PatientID,Projection,Labels\n"
        "0,a.png,0,p1,PA,['normal']\n"
        "1,b.png,0,p1,AP,\"['pneumonia', 'infiltrates']\"\n"
        "2,c.png,1,p2,PA,\"['normal', 'copd signs']\"\n"
        "3,d.png,1,p2,L,['normal']\n"
        "4,elsewhere.png,2,p2,PA,['normal']\n"
    )
    found = read_layout(touch(tmp_path, "0/a.png", "0/b.png", "1/c.png", "1/d.png"))
    assert [film.label for film in found.films] == [0, 1]
    assert [film.patient for film in found.films] == ["p1", "p1"]
    assert [sentence.split(" are left out")[0] for sentence in found.left_out] == [
        "1 films of PADCHEST_labels.csv that are not frontal",
        "1 films of PADCHEST_labels.csv that are not on disk",
        "1 films of ['normal', 'copd signs']",
    ]


@pytest.mark.parametrize(
    "name, folder", (("{}.csv", ""), ("image_labels_{}.csv", ""), ("_.csv", 1))
)
def test_a_table_for_each_split(tmp_path, name, folder):
    for split in ("train", "valid", "test"):
        inner = tmp_path / split if folder else tmp_path
        touch(tmp_path, *(f"{split}/{split}{i}.png" for i in range(2)))
        rows = [f"{split}{i}.png,{1 - i},{i}" for i in range(2)]
        text = "\n".join(["filename, NORMAL, PNEUMONIA", *rows])
        (inner / name.format(split)).write_text(text)
    found = read_layout(tmp_path)
    assert labels(found) == {0: 3, 1: 3} and splits(found) == {"train": 2, "val": 2, "test": 2}
    assert "are the splits." in found.split_rule and not found.left_out
    assert {film.name for film in found.films} >= {"train/train0.png", "valid/valid1.png"}


def test_a_table_beside_films_with_masks(tmp_path):
    for kind in ("images", "masks"):
        touch(tmp_path, *(f"{kind}/{i}.png" for i in range(5)))
    touch(tmp_path, "images/5.png")
    (tmp_path / "x.csv").write_text("id,findings\n0,normal\n1,pneumonia\n2,TB\n5,TB\n9,normal\n")
    found = read_layout(tmp_path)
    assert labels(found) == {0: 1, 1: 1, None: 4} and len(found.films) == 6
    assert [len(film.masks) for film in found.films] == [1, 1, 1, 0, 1, 1]
    assert "2 films of TB serve for lungs alone, as they are neither" in found.left_out[1]
    (tmp_path / "x.csv").write_text("image,label,mask\n0.png,0,1.png\n")
    assert masks(read_layout(tmp_path)) == {"0.png": ["1.png"]}  # as the table says


def test_splits_of_folders_hold_for_a_table_without(tmp_path):
    touch(tmp_path, "train/a.png", "test/b.png")
    (tmp_path / "x.csv").write_text("image,label\na.png,0\nb.png,1\n")
    assert splits(read_layout(tmp_path)) == {"train": 1, "test": 1}
    (tmp_path / "x.csv").write_text("image,label\na.png,0\n")
    assert splits(read_layout(tmp_path)) == {"": 1}
