"""Nothing below a folder is dropped without a word, and nothing hidden is called lost."""

import os

from helpers import SIDE, save
from layout_helpers import FILM, numbered, touch

from multimix.apps.cli import main
from multimix.data.dataset_layouts import read_layout
from multimix.data.films import load_films


def test_what_is_not_read_is_named_with_what_to_do(tmp_path):
    for split in ("train", "eval", "test"):
        for kind in ("NORMAL", "PNEUMONIA", "COVID"):
            touch(tmp_path, numbered(f"{split}/{kind}", 2))
    touch(tmp_path, "stray.png", "labels.csv", "scan.nii.gz", "train/NORMAL/deeper/old.png")
    touch(tmp_path, "notes.xlsx")
    assert read_layout(tmp_path).left_out == (
        "Films of other classes are left out: test/COVID (2), train/COVID (2); to use one: "
        '--classes "pneumonia=COVID"',
        "Folders beside the splits are left out: eval (6); name one train, val or test to use it.",
        "Films in other folders are not read: train/NORMAL/deeper (1); give a folder by itself.",
        "Films beside those that are read are left out: stray.png.",
        "Tables that are not read: labels.csv; to use one, give it instead of the folder.",
        "Files of kinds that are not read: scan.nii.gz.",
        "Sheets that are not read: notes.xlsx; save them as CSV.",
    )


def test_hidden_files_and_documents_are_not_lost_films(tmp_path):
    touch(tmp_path, numbered("NORMAL", 2), numbered("PNEUMONIA", 2))
    touch(tmp_path, ".DS_Store", "NORMAL/Thumbs.db", "NORMAL/._0.png", ".cache/a.png", "LICENSE")
    touch(tmp_path, "__MACOSX/NORMAL/0.png", "README.md", "notes.txt", "desktop.ini", "DICOMDIR")
    touch(tmp_path, "NORMAL/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg")
    found = read_layout(tmp_path)
    assert len(found.films) == 4 and found.left_out == ()


def test_long_lists_are_short(tmp_path):
    touch(tmp_path, numbered("NORMAL", 2), numbered("PNEUMONIA", 2))
    touch(tmp_path, *(f"{'long ' * 30}{i}/a.png" for i in range(30)))
    sentence = read_layout(tmp_path).left_out[0]
    assert len(sentence) < 300 and "and 27 more" in sentence


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    touch(tmp_path, numbered("NORMAL", 2), numbered("PNEUMONIA", 2), "closed/a.png")
    open_to = os.access
    monkeypatch.setattr(
        "os.access", lambda path, mode: "closed" not in str(path) and open_to(path, mode)
    )
    said = "Folders that cannot be opened: closed; change who may read them."
    assert said in read_layout(tmp_path).left_out


def test_it_is_said_where_films_are_loaded(tmp_path, capsys, weights):
    for i in range(12):
        for kind in ("Normal", "Sick", "Covid"):
            save(tmp_path / "set" / kind / f"{i}.png", FILM)
    films = load_films(tmp_path / "set", side=SIDE, progress=False, classes={"sick": "PNEUMONIA"})
    assert len(films.classification) == 24
    said = 'set: Films of other classes are left out: Covid (12); to use one: --classes "pneumonia='
    assert films.left_out[0].startswith(said) and f"left out: {said}" in repr(films)
    assert films.labelled("test").left_out == films.left_out
    assert films.split_rules[0].startswith("set: No split is given: a tenth of the patients")
    options = ["--classification", str(tmp_path / "set"), "--classes", "pneumonia=Sick|other"]
    assert main(["evaluate", *options, "--weights", weights, "--device", "cpu"]) == 0
    printed = capsys.readouterr().err
    assert f"multimix: {said}" in printed and "multimix: splits: set: No split" in printed
    main(["doctor", str(tmp_path / "set"), "--classes", "pneumonia=Sick"])
    assert "Covid (12)" in capsys.readouterr().out
