"""Films predicted into a folder: nothing is overwritten that is not a film's own, nothing lost."""

import csv
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import dicom, save
from PIL import Image

from multimix.apps.cli import main
from multimix.apps.predict_folder import predict_folder
from multimix.apps.prediction_table import COLUMNS, MEASURES, as_json, read_table
from multimix.data import phantom
from multimix.images.answers import marked_film
from multimix.inference import load_model, predict
from multimix.runtime.files import csv_text

FILMS = {"a/film.png": 50, "a/other.png": 60, "b/film.png": 70}  # side in px


@pytest.fixture
def place(tmp_path, monkeypatch, weights) -> Path:
    """The current folder, with films in two folders."""
    for i, (name, side) in enumerate(FILMS.items()):
        save(tmp_path / name, phantom.draw(i, 0, side)[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(weights):
    """Runs `predict` with these words; the exit code."""
    return lambda *words: main(["predict", *map(str, words), "--weights", weights])


def rows(out: str = "predictions") -> dict[str, dict[str, str]]:
    with open(Path(out) / "predictions.csv", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def side_of(mask: str) -> int:
    with Image.open(mask) as picture:
        return picture.height


def visible(folder: str) -> set[str]:
    return {path.name for path in Path(folder).glob("[!.]*")}


def test_one_folder_after_another_keeps_both(place, run):
    assert run("a") == 0 and run("b", "--no-figures") == 0
    assert {name: side_of(row["mask"]) for name, row in rows().items()} == FILMS
    written = visible("predictions")
    assert written == {
        "predictions.csv",
        *("film.png", "film_mask.png", "other.png", "other_mask.png", "film-2_mask.png"),
    }
    masks = {name: row["mask"] for name, row in rows().items()}
    # Again, in another order and by other words for the same files: the same names.
    assert run("b", place / "a", "a/../a", "--no-figures") == 0
    again = {os.path.relpath(name): row["mask"] for name, row in rows().items()}
    assert again == masks and visible("predictions") == written


@pytest.mark.parametrize("in_the_way", ("picture", "link", "broken link", "folder"))
@pytest.mark.parametrize("name", ("film_mask.png", "film.png"))
def test_what_is_not_this_films_answer_is_not_overwritten(place, run, capsys, in_the_way, name):
    precious, target = place / "precious.png", place / "out" / name
    save(precious, np.full((9, 9), 7, dtype=np.uint8))
    target.parent.mkdir()
    if in_the_way == "picture":
        shutil.copy(precious, target)
    elif in_the_way == "link":
        target.symlink_to(precious)
    elif in_the_way == "broken link":
        target.symlink_to(place / "new.png")
    else:
        target.mkdir()
    content = precious.read_bytes()
    assert run("a", "--out", "out") == 2
    said = capsys.readouterr().err
    assert f"out/{name} would be overwritten by an answer; choose another folder (--out" in said
    assert said.count("\n") == 1 and visible("out") == {name}
    assert precious.read_bytes() == content and not (place / "new.png").exists()
    if in_the_way == "picture":
        assert target.read_bytes() == content


def test_a_corrected_mask_is_kept(place, run, capsys):
    assert run("a/film.png", "--no-figures") == 0
    save(Path("predictions/film_mask.png"), np.full((50, 50), 255, dtype=np.uint8))
    assert run("a/film.png", "--no-figures") == 2
    assert "predictions/film_mask.png would be overwritten" in capsys.readouterr().err
    assert run("a/film.png", "--no-figures", "--resume") == 0
    assert Image.open("predictions/film_mask.png").getextrema() == (255, 255)


@pytest.mark.parametrize("name", ("predictions.csv", ".lock"))
def test_links_do_not_lead_out_of_the_folder(place, run, capsys, name):
    Path("out").mkdir()
    Path("precious").write_text("precious")
    Path("out", name).symlink_to(place / "precious")
    assert run("a", "--out", "out") == 2
    assert f"out/{name} is a link; choose another folder" in capsys.readouterr().err
    assert Path("precious").read_text() == "precious"
    Path("linked").symlink_to("empty")
    Path("empty").mkdir()
    assert run("a", "--out", "linked", "--no-figures") == 0  # a folder may itself be a link
    assert visible("empty") == {"predictions.csv", "film_mask.png", "other_mask.png"}


def test_folders_below_are_read_when_asked_for(place, run, capsys):
    assert run(".") == 2
    said = capsys.readouterr().err
    assert "There are no films in .;" in said
    assert "2 folders (a, b) below it can be read with --recursive" in said
    Path("b", "loop").symlink_to(place)
    assert run(".", "--recursive", "--no-figures") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in FILMS)  # one name twice: the paths are shown
    assert {Path(row["mask"]).name: side_of(row["mask"]) for row in rows().values()} == {
        "a_film_mask.png": 50,
        "a_other_mask.png": 60,
        "b_film_mask.png": 70,
    }
    assert run(".", "--recursive", "--no-figures") == 0  # answers are no films
    assert "left out of .: " in (said := capsys.readouterr().err)
    assert "3 files (a_film_mask.png, a_other_mask.png, b_film_mask.png) that this" in said
    assert set(rows()) == set(FILMS)


def test_what_is_left_out_is_said(place, run, capsys):
    for name in ("scan.heic", "b.nii", "c.xyz", "d.xyz", "labels.csv", ".hidden", "Thumbs.db"):
        Path("a", name).write_text("x")
    Path("a", "deeper").mkdir()
    assert run("a", "--no-figures") == 0
    assert capsys.readouterr().err == (
        "multimix: left out of a: 5 files (b.nii, c.xyz, d.xyz, ...) of kinds that are not read; "
        "1 folder (deeper) below it, which --recursive reads.\n"
    )


def test_going_on_says_what_was_done_before(place, run, capsys):
    assert run("a", "--no-figures") == 0
    assert "\nMasks and predictions.csv are in predictions. For research" in capsys.readouterr().out
    assert run("a", "--no-figures", "--resume") == 0
    done = "Nothing to do: all 2 films have been predicted; see predictions/predictions.csv.\n"
    assert capsys.readouterr().out == done
    assert run("a", "b", "--no-figures", "--resume") == 0
    printed = capsys.readouterr().out
    assert "Predicted before: 2 more." in printed and "other.png" not in printed
    assert run("b", "a", "--no-figures", "--resume", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [film["file"] for film in told] == ["b/film.png", "a/film.png", "a/other.png"]
    os.remove(rows()["a/other.png"]["mask"])
    assert run("a", "--no-figures", "--resume") == 0  # a film whose mask is gone is not done
    assert "other.png" in capsys.readouterr().out and len(rows()) == 3


def test_json_is_json_without_films_too(place, run, capsys):
    Path("bad.png").write_text("no picture")
    assert run("bad.png", "-", "--json") == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert run("x" * 300) == 2 and "(File name too long)" in capsys.readouterr().err
    assert "There is no film -;" in printed.err and printed.err.count("\n") == 2


@pytest.mark.parametrize("words", ([], ["--json"]), ids=("text", "json"))
def test_a_signal_ends_the_batch_first(place, run, capsys, monkeypatch, words):
    for i in range(6):
        save(Path("many", f"{i}.png"), phantom.draw(i, 0, 40)[0])
    inference = sys.modules["multimix.inference"]
    predict_batch = inference.predict_batch

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return predict_batch(*arguments)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(inference, "predict_batch", interrupted)
        patch.setattr(inference, "micro_batch_size", lambda *_: 2)
        assert run("many", "--no-figures", *words) == 130
    printed = capsys.readouterr()
    assert printed.err == (
        "multimix: stopped; the same command with --resume goes on from there.\n"
    )
    assert signal.getsignal(signal.SIGINT) is before
    assert list(rows()) == ["many/0.png", "many/1.png"]
    assert visible("predictions") == {"predictions.csv", "0_mask.png", "1_mask.png"}
    if words:
        assert [film["file"] for film in json.loads(printed.out)] == list(rows())
    else:
        assert printed.out == ""
    assert run("many", "--resume", "--no-figures") == 0 and len(rows()) == 6


def test_damaged_tables_are_one_sentence(place, run, capsys):
    assert run("a", "--no-figures") == 0
    table = Path("predictions/predictions.csv")
    content, chance = table.read_bytes(), random.Random(0)
    number = rows()["a/film.png"]["lung_share"].encode()
    damaged = [
        b"a table of another program, without an end of line",
        b"\0\n",
        b"a,b\n1,2\n",
        b'"' + b"x" * 200_000 + b"\n",
        b"file,label\n,\n",
    ]
    damaged += [content.replace(number, word) for word in (b"x", b"nan", b"inf", b"-1", b"")]
    damaged += [content.replace(b"NORMAL,0", b"CAT,0"), content.replace(b"_mask.png", b".png")]
    for text in damaged:
        table.write_bytes(text)
        with pytest.raises(ValueError, match="is not as this program left it") as error:
            read_table(table)
        assert len(str(error.value)) <= 300
    for words in ([], ["--resume"]):  # whichever it is, the table stays
        capsys.readouterr()
        assert run("a", "--no-figures", *words) == 2
        assert capsys.readouterr().err.count("\n") == 1 and table.read_bytes() == damaged[-1]
    for _ in range(300):
        harmed = bytearray(content)
        for _ in range(3):
            harmed[chance.randrange(len(harmed))] = chance.randrange(256)
        table.write_bytes(harmed)
        try:
            as_json(read_table(table))
        except ValueError as error:
            assert "is not as this program left it" in str(error)


def test_films_saved_in_python_keep_their_own_files(place, model):
    one, other = predict(model, "a/film.png"), predict(model, "b/film.png")
    assert one.save("out") == Path("out/film.png")
    assert other.save("out", figure=False) == Path("out/film-2_mask.png")
    assert one.save("out") == Path("out/film.png")  # again
    assert visible("out") == {"film.png", "film_mask.png", "film-2_mask.png"}
    assert marked_film(Path("out/film.png")) == one.film_id != other.film_id
    arrays = [phantom.draw(i, 0, 40)[0] for i in range(2)]
    for out in ("a/film.png", "a/film.png/below"):
        with pytest.raises(ValueError, match=f"^{out} (is a file, and a folder is|cannot be made)"):
            one.save(out)
    saved = [predict(model, array).save("out", figure=False).name for array in (*arrays, arrays[0])]
    assert saved == ["film-1_mask.png", "film-1-2_mask.png", "film-1_mask.png"]


def test_both_lungs_are_in_the_table_under_their_names_in_python(place, run, capsys, model):
    dicom(
        place / "a" / "sized.dcm", phantom.draw(5, 0, 64)[0].astype("uint16"), PixelSpacing=[5, 5]
    )
    assert run("a", "--no-figures", "--json") == 0
    told = {Path(film["file"]).name: film for film in json.loads(capsys.readouterr().out)}
    for name, row in rows().items():
        numbers = predict(model, name).numbers
        for column, number in numbers.items():
            assert (row[column] == "") == (number is None)
            assert float(row[column] or 0) == pytest.approx(number or 0, abs=1e-3)
        film = told[Path(name).name]
        assert film["right_lung"] == float(row["right_lung"])
        assert (film["left_cm2"] is None) == (row["left_cm2"] == "") == name.endswith(".png")


def test_all_files_of_a_film_that_are_wanted(place, run, capsys):
    assert run("a/film.png", "--no-figures", "--arrays", "--label-mask") == 0
    assert visible("predictions") == {"predictions.csv", "film_mask.png", "film.npz"}
    with np.load("predictions/film.npz") as arrays:
        assert arrays["mask_probability"].shape == arrays["saliency"].shape == (50, 50)
    assert Image.open("predictions/film_mask.png").getextrema()[1] <= 2
    assert run("a/film.png", "--no-figures", "--arrays", "--resume") == 2  # other masks
    assert "give the same options, or another folder" in capsys.readouterr().err
    words = ("a", "--no-figures", "--arrays", "--label-mask", "--resume")
    assert run(*words) == 0 and "Predicted before: 1 more." in capsys.readouterr().out
    os.remove("predictions/film.npz")
    assert run(*words) == 0 and "Predicted before: 1 more." in capsys.readouterr().out
    assert "film.npz" in visible("predictions")
    assert run("predictions") == 2  # answers are no films
    assert "There are no films in predictions" in capsys.readouterr().err


def test_a_table_of_an_earlier_version_is_one_sentence(place, run, capsys):
    assert run("a", "--no-figures") == 0
    old = [name for name in COLUMNS if name not in MEASURES[1:]]
    table = Path("predictions/predictions.csv")
    content = csv_text([{name: row[name] for name in old} for row in rows().values()])
    table.write_bytes(content.encode())
    capsys.readouterr()
    assert run("a", "--no-figures") == 2
    assert capsys.readouterr().err == (
        "multimix: predictions/predictions.csv is of an earlier version, without the columns "
        "right_lung, left_lung, right_cm2, left_cm2, expected_dice; choose another folder "
        "(--out), or move it away.\n"
    )
    assert table.read_bytes() == content.encode()


def test_python_and_the_command_line_share_a_folder(place, run, weights):
    model = load_model(weights, "cpu")
    found = predict_folder(model, ["a", "b/film.png"], "answers")
    assert [row["file"] for row in found] == list(FILMS) and set(rows("answers")) == set(FILMS)
    one = predict(model, "a/film.png")
    assert float(found[0]["lung_share"]) == pytest.approx(one.lung_share, abs=1e-4)
    times = {name: row["seconds"] for name, row in rows("answers").items()}
    again = predict_folder(model, "a", "answers", resume=True)
    assert {row["file"]: row["seconds"] for row in again}.items() <= times.items()
    with pytest.raises(ValueError, match=r"holds answers of .* and these would be of .*raw"):
        predict_folder(model, "a", "answers", resume=True, clean=False)


def test_python_names_what_it_could_not_predict(place, weights):
    Path("a/bad.png").write_bytes(b"no film")
    Path("a/notes.txt").write_text("no film either")
    model, faults = load_model(weights, "cpu"), []
    with pytest.warns(UserWarning, match="left out of a: 1 file"):
        rows_of_a = predict_folder(model, "a", "answers", figures=False, on_error=faults.append)
    assert len(rows_of_a) == 2 and ["bad.png" in fault for fault in faults] == [True]
    with (
        pytest.warns(UserWarning),
        pytest.raises(ValueError, match=r"1 of 3 films could not be predicted: a/bad\.png .*"),
    ):
        predict_folder(model, "a", "answers")
    assert len(rows("answers")) == 2
