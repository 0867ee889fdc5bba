"""Films predicted into a folder: nothing of other films or programs is overwritten or mixed."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import draw
from helpers import dicom, save

from multimix.apps import predict_folder as module
from multimix.apps.cli import main
from multimix.apps.predict_folder import predict_folder
from multimix.images.reading import read_film
from multimix.inference import load_model, predict
from multimix.runtime.checkpoint import read_checkpoint, save_checkpoint

FILMS = {"a/film.png": 50, "a/other.png": 60, "b/film.png": 70}  # side in px
FULL = {"predictions.csv", "film.png", "film_mask.png", "other.png", "other_mask.png"}


@pytest.fixture
def run(tmp_path, monkeypatch, weights):
    """Runs `predict` with these words, where two folders have films; the exit code."""
    for i, (name, side) in enumerate(FILMS.items()):
        save(tmp_path / name, draw(i, 0, side)[0])
    monkeypatch.chdir(tmp_path)
    own = str(shutil.copy(weights, tmp_path / "best.pth"))
    return lambda *words: main(["predict", *words, "--weights", own])


def rows(out: str = "predictions") -> dict[str, dict]:
    table = pd.read_csv(Path(out, "predictions.csv"), keep_default_na=False)
    assert table["film_id"].is_unique
    return {row["file"]: row for row in table.to_dict("records")}


def visible(folder: str) -> set[str]:
    return {path.name for path in Path(folder).glob("[!.]*")}


def mask_sides(out: str = "predictions") -> dict[str, int]:
    """The height of each film's mask."""
    return {name: len(read_film(Path(out, row["mask"]))) for name, row in rows(out).items()}


def sentence(capsys) -> str:
    """What is on standard error, one line."""
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def test_a_table_is_not_continued_by_other_weights_or_options(run, capsys):
    assert run("a", "b", "--no-figures") == 0 and run("b", "--no-figures", "--resume") == 0
    table, content = Path("predictions/predictions.csv"), read_checkpoint("best.pth")
    content["weights"]["encoder.fc.bias"] += 1
    save_checkpoint(Path("best.pth"), content)
    for words in ([], ["--raw"]):
        before, _ = table.read_bytes(), capsys.readouterr()
        assert run("a", "--no-figures", "--resume", *words) == 2
        said = sentence(capsys)
        assert "predictions.csv has predictions of weights" in said and "--overwrite" in said
        assert table.read_bytes() == before
        assert run("a", "--no-figures", "--resume", "--overwrite", *words) == 0
        made = {name: (row["weights"], row["how"]) for name, row in rows().items()}
        assert made["a/film.png"] == made["a/other.png"] != made["b/film.png"]


def test_going_on_predicts_only_what_is_not_done(run, capsys, monkeypatch):
    assert run("a") == 0
    times = {name: row["seconds"] for name, row in rows().items()}
    monkeypatch.chdir("b")  # elsewhere
    capsys.readouterr()
    assert run("../a", "--out", "../predictions", "--resume") == 0
    said = "Nothing to do: all 2 films have been predicted; see ../predictions/predictions.csv.\n"
    assert capsys.readouterr().out == said
    monkeypatch.chdir("..")
    assert run("b", "a", "--resume", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [film["file"] for film in told] == ["b/film.png", "a/film.png", "a/other.png"]
    assert all(Path(film[kind]).is_file() for film in told for kind in ("mask", "overlay"))
    assert len(visible("predictions")) == 7 and [*mask_sides().values()] == [50, 60, 70]
    assert times.items() <= {name: row["seconds"] for name, row in rows().items()}.items()


def cut_table() -> None:
    table = Path("predictions/predictions.csv")
    header, first, second, _ = table.read_text(encoding="utf-8").split("\n")
    table.write_text(f"{header}\n{second}\n{first[:90]}", encoding="utf-8")
    for path in Path("predictions").glob("film*.png"):
        path.unlink()


def test_a_film_that_is_not_done_is_predicted_again(run, capsys):
    assert run("a") == 0
    for change in (
        lambda: save(Path("a/film.png"), draw(9, 1, 80)[0]),
        lambda: os.remove("predictions/film_mask.png"),
        cut_table,
    ):
        change()
        capsys.readouterr()
        assert run("a", "--resume") == 0
        printed = capsys.readouterr().out
        assert "Predicted before: 1 more." in printed and "other.png" not in printed
        assert mask_sides() == {"a/other.png": 60, "a/film.png": 80}
        assert visible("predictions") == FULL
        assert run("a", "--resume") == 0 and "Nothing to do" in capsys.readouterr().out


def test_other_files_and_damaged_tables_are_refused_and_stay(run, capsys):
    assert run("a", "--no-figures", "--out", "out") == 0
    table = Path("out/predictions.csv")
    whole, before = table.read_bytes(), sorted(os.walk("out"))
    number = b",%.6f," % rows("out")["a/film.png"]["lung_share"]
    for content in (
        *(b"", b"\0\n", b"image,label\nx,1\n", b"file,label\n,\n", whole + b"film.png,NORMAL\n"),
        *(whole.replace(number, b",x,"), whole.replace(b",film,", b",../film,")),
    ):
        table.write_bytes(content)
        capsys.readouterr()
        for words in ([], ["--resume"], ["--overwrite"]):
            assert run("a", "--out", "out", *words) == 2
            assert "out" in (said := sentence(capsys)) and "(--out" in said
        assert table.read_bytes() == content and sorted(os.walk("out")) == before
    Path("whole.csv").write_bytes(whole)
    table.unlink()
    table.symlink_to("../whole.csv")
    assert run("a", "--out", "out") == 2 and "(--out" in sentence(capsys)
    assert Path("whole.csv").read_bytes() == whole
    assert run("a", "--out", "whole.csv") == 2
    assert "whole.csv is a file; give the name of a folder" in capsys.readouterr().err


@pytest.mark.parametrize("remove", (shutil.rmtree, lambda out: os.remove(f"{out}/predictions.csv")))
def test_a_folder_that_is_removed_is_one_sentence(run, capsys, monkeypatch, remove):
    real = module.predict_iter

    def predict_and_remove(*arguments, **options):
        yield from real(*arguments, **options)
        remove("out")

    monkeypatch.setattr(module, "predict_iter", predict_and_remove)
    assert run("a", "b", "--out", "out") == 2
    assert "out/" in (said := sentence(capsys)) and "No such file or directory" in said
    assert not Path("out/predictions.csv").exists()


def test_folders_below_are_read_when_wanted(run, capsys):
    assert run(".") == 2
    assert "There are no films in .;" in sentence(capsys)
    Path("b", "loop").symlink_to(Path.cwd())
    for _ in range(2):  # masks are not films
        assert run(".", "--recursive", "--no-figures") == 0
        printed = capsys.readouterr()
        assert all(name in printed.out for name in FILMS)  # one name twice: the paths are shown
        assert mask_sides() == FILMS
    assert {f"{name}_mask.png" for name in ("a_film", "a_other", "b_film")} < visible("predictions")
    assert "3 files (a_film_mask.png, a_other_mask.png, b_film_mask.png) that this" in printed.err


def test_a_signal_ends_the_batch_first(run, capsys, monkeypatch):
    real, before = module.predict_iter, signal.getsignal(signal.SIGINT)

    def interrupted(*arguments, **options):
        for number, prediction in enumerate(real(*arguments, **options)):
            if number == 1:
                os.kill(os.getpid(), signal.SIGINT)
            yield prediction

    with monkeypatch.context() as patch:
        patch.setattr(module, "predict_iter", interrupted)
        patch.setattr(module, "micro_batch_size", lambda *_: 2)
        assert run("a", "b", "--no-figures", "--json") == 130
    printed = capsys.readouterr()
    assert "stopped; the same command with --resume continues from there" in printed.err
    assert printed.out == "" and printed.err.count("\n") == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert list(rows()) == ["a/film.png", "a/other.png"]
    assert visible("predictions") == {"predictions.csv", "film_mask.png", "other_mask.png"}
    assert run("a", "b", "--resume", "--no-figures") == 0 and len(rows()) == 3


def test_the_table_says_what_the_prediction_says(run):
    dicom("a/sized.dcm", draw(5, 0, 64)[0].astype("uint16"), PixelSpacing=[5, 5])
    assert run("a") == 0
    for name, row in rows().items():
        p = predict(load_model("best.pth", "cpu"), name)
        numbers = {key: None if row[key] == "" else float(row[key]) for key in p.numbers}
        assert numbers == pytest.approx(p.numbers, abs=1e-5) and row["weights"] == p.weights
        assert (row["label"] == "PNEUMONIA") == (row["probability"] > row["threshold"])
        assert row["sop_uid"] == ("1.2.3" if name == "a/sized.dcm" else "")


def test_all_files_of_a_film_that_are_wanted(run, capsys):
    words = ("--no-figures", "--arrays", "--label-mask")
    assert run("a/film.png", *words) == 0
    assert visible("predictions") == {"predictions.csv", "film_mask.png", "film.npz"}
    with np.load("predictions/film.npz") as arrays:
        shapes = {(array.shape, array.dtype.name) for array in arrays.values()}
    assert shapes == {((50, 50), "float32")}
    assert set(np.unique(read_film("predictions/film_mask.png"))) <= {0, 1, 2}
    assert run("a/film.png", *words[:2], "--resume") == 2  # other masks
    assert "label-mask" in sentence(capsys)
    os.remove("predictions/film.npz")
    assert run("a", *words, "--resume") == 0 and "Nothing to do" not in capsys.readouterr().out
    assert {"film.npz", "other.npz"} < visible("predictions")
    assert run("a", *words, "--resume") == 0 and "Nothing to do" in capsys.readouterr().out


def test_true_classes_and_hand_outlines_are_shown(run, capsys):
    save(Path("a/masks/film.png"), draw(0, 0, 50)[1])
    table = "path,truth,mask\nfilm.png,pneumonia,masks/film.png\nother.png,NORMAL,\n"
    Path("a/films.csv").write_text(table)
    Path("films.csv").write_text("path,label\nb/film.png,1\n")  # of another kind
    os.mkfifo("b/films.csv")  # opened, it would wait for ever
    assert run("a/film.png", "a/other.png", "b/film.png", "--json") == 0
    film, other, third = json.loads(capsys.readouterr().out)
    mask, truth = read_film("predictions/film_mask.png") > 0, draw(0, 0, 50)[1]
    dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    assert (film["truth"], film["dice"]) == ("PNEUMONIA", pytest.approx(dice, abs=0.02))
    assert (other["truth"], other["dice"]) == ("NORMAL", None)
    assert (third["truth"], third["dice"]) == ("", None)
    assert run("a/film.png", "a/other.png") == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert " ".join(head.split()) == "film label probability truth lungs Dice quality seconds"
    assert first.split()[0] == "film.png" and first.split()[3] == "PNEUMONIA"
    Path("a/masks/film.png").write_bytes(b"not a mask")
    assert run("a/film.png", "--overwrite") == 0 and "masks/film.png" in capsys.readouterr().out
    assert Path("predictions/film.png").is_file() and rows()["a/film.png"]["dice"] == ""


def test_python_and_the_command_line_share_a_folder(run):
    model, told = load_model("best.pth", "cpu"), []
    found = predict_folder(model, ["a", "b/film.png"], "out")
    assert [row["file"] for row in found] == list(FILMS) and set(rows("out")) == set(FILMS)
    assert found[0]["left_cm2"] is None and Path(found[0]["mask"]).is_file()
    assert predict(model, "a/film.png").save("out") == Path("out/film.png")
    again = predict_folder(model, "b", "out", resume=True)
    assert again[0]["seconds"] == pytest.approx(found[2]["seconds"], abs=1e-6)
    assert run("a", "--out", "out", "--resume") == 0  # the saved film again: its time is unknown
    Path("a/bad.png").write_bytes(b"not a film")
    Path("a/scan.heic").write_text("not a film either")
    reports = {"on_error": told.append, "on_left_out": told.append}
    assert len(predict_folder(model, "a", "out", figures=False, **reports)) == 2
    assert ["left out of a: 1 file" in told[0], "bad.png" in told[1]] == [True, True]
    with (
        pytest.warns(UserWarning, match="left out of a: 1 file"),
        pytest.raises(ValueError, match=r"1 of 3 films could not be predicted: a/bad\.png .*"),
    ):
        predict_folder(model, "a", "out")
    assert len(rows("out")) == 3
