"""The command line, as a user types it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, SIDE, TINY, save

from multimix.apps.cli import main
from multimix.apps.predict_folder import unique_names
from multimix.data import phantom
from multimix.evaluation.metrics import DEFINITIONS
from multimix.images.reading import read_film
from multimix.runtime.checkpoint import save_checkpoint
from multimix.runtime.files import bundled


@pytest.fixture
def weights(tmp_path, model) -> str:
    """A tiny untrained network, so that the command line is quick."""
    save_checkpoint(
        tmp_path / "tiny.pth",
        {"weights": model.state_dict(), "config": {"side": SIDE, "widths": TINY}},
    )
    return str(tmp_path / "tiny.pth")


def test_without_arguments_it_predicts_the_samples(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "multimix"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert run.returncode == 0 and run.stderr == ""
    samples = sorted(path.name for path in bundled("sample_data").glob("*.png"))
    lines = run.stdout.splitlines()
    assert lines[0].split() == ["film", "label", "probability", "lung", "area", "seconds"]
    assert [line.split()[0] for line in lines[1 : 1 + len(samples)]] == samples
    for name in samples:
        assert (tmp_path / "predictions" / name).exists()
        mask = tmp_path / "predictions" / name.replace(".png", "_mask.png")
        assert read_film(mask).shape == read_film(bundled("sample_data") / name).shape


def test_predict_takes_films_and_folders(tmp_path, weights, capsys):
    for i in range(10):
        save(tmp_path / "films" / f"film{i}.png", phantom.draw(i, 0, 40)[0])
    save(tmp_path / "single.png", phantom.draw(20, 1, 40)[0])
    assert (
        main(
            [
                "predict",
                str(tmp_path / "films"),
                str(tmp_path / "single.png"),
                "--weights",
                weights,
                "--out",
                str(tmp_path / "out"),
                "--json",
            ]
        )
        == 0
    )
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"].rpartition("/")[2] for row in rows] == [
        f"film{i}.png" for i in range(10)
    ] + ["single.png"]
    for row in rows:
        assert (
            row["label"] in row["probabilities"]
            and 0 <= row["lung_share"] <= 1
            and row["seconds"] > 0
        )
        assert read_film(row["overlay"]).shape[1] > 800
    assert len(list((tmp_path / "out").glob("[!.]*"))) == 23


def test_a_prediction_that_was_cut_goes_on(tmp_path, weights, capsys):
    for i in range(5):
        save(tmp_path / "films" / f"film{i}.png", phantom.draw(i, 0, 40)[0])
    command = [
        "predict",
        str(tmp_path / "films"),
        "--weights",
        weights,
        "--out",
        str(tmp_path / "out"),
        "--no-figures",
        "--json",
    ]
    assert main(command) == 0
    whole, table = capsys.readouterr().out, tmp_path / "out" / "predictions.csv"
    lines = table.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6 and not (tmp_path / "out" / "film0.png").exists()
    table.write_bytes(
        b"".join(lines[:4]) + lines[4][:20]
    )  # three films done, the fourth row half written
    done = [(tmp_path / "out" / f"film{i}_mask.png").stat().st_mtime_ns for i in range(5)]
    assert main([*command, "--resume"]) == 0
    again = json.loads(capsys.readouterr().out)
    for before, after in zip(json.loads(whole), again):
        assert {**before, "seconds": 0} == {**after, "seconds": 0}
    newer = [
        (tmp_path / "out" / f"film{i}_mask.png").stat().st_mtime_ns > done[i] for i in range(5)
    ]
    assert newer == [False, False, False, True, True] and len(table.read_bytes().splitlines()) == 6


def test_every_warning_is_told(tmp_path, weights, capsys):
    save(tmp_path / "white.png", np.full((100, 100), 255, dtype=np.uint8))
    command = [
        "predict",
        str(tmp_path / "white.png"),
        "--weights",
        weights,
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)[0]["warnings"]
    assert (
        len(warnings) >= 2 and "The film is tiny (100 x 100 pixels): details are lost." in warnings
    )
    assert main(command) == 0
    assert capsys.readouterr().out.count("\n" + " " * 11 + "! ") == len(warnings)


def test_films_of_one_name_do_not_overwrite_each_other(tmp_path):
    paths = [tmp_path / folder / "film.png" for folder in "abc"]
    assert list(unique_names(paths).values()) == ["film", "film-2", "film-3"]


def test_bad_films_are_named_and_the_others_predicted(tmp_path, weights, capsys):
    save(tmp_path / "films" / "good.png", phantom.draw(1, 0, 40)[0])
    (tmp_path / "films" / "bad.png").write_text("no picture")
    assert (
        main(
            [
                "predict",
                str(tmp_path / "films"),
                str(tmp_path / "none.png"),
                "--weights",
                weights,
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 2
    )
    printed = capsys.readouterr()
    assert "good.png" in printed.out and "bad.png" not in printed.out
    assert [line.partition(":")[0] for line in printed.err.splitlines()] == ["multimix", "multimix"]
    assert "bad.png is not a picture" in printed.err and "There is no film" in printed.err


@pytest.mark.parametrize(
    "arguments, words",
    (
        (["predict", "{tmp}/none.png"], "There is no film"),
        (["predict", "{tmp}/empty"], "There are no films in"),
        (["predict", "{tmp}/film.png", "--weights", "{tmp}/none.pth"], "There is no weights file"),
        (["predict", "{tmp}/film.png", "--device", "tpu"], "There is no device 'tpu'"),
        (["evaluate", "--classification", "{tmp}/nowhere"], "There is no folder"),
        (["evaluate"], "No films were given; name their folders"),
        (
            ["train", "--out", "{tmp}/run", "--classification", "phantom://20"],
            "no labelled training films for segm",
        ),
        (
            ["train", "--out", "{tmp}/run", "--classification", "{tmp}/empty"],
            "has no films of a layout",
        ),
        (["train", "--out", "{tmp}/run", "--side", "100"], "side is 100"),
    ),
)
def test_faults_are_one_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    (tmp_path / "empty").mkdir()
    save(tmp_path / "film.png", phantom.draw(1, 0, 40)[0])
    assert main([argument.format(tmp=tmp_path) for argument in arguments]) == 2
    printed = capsys.readouterr().err
    assert words in printed and printed.count("\n") == 1 and printed.startswith("multimix: ")
    assert not (tmp_path / "run").exists()


def test_train_resume_evaluate_predict(tmp_path, capsys):
    out = str(tmp_path / "run")
    command = [
        "train",
        "--classification",
        "phantom://20",
        "--segmentation",
        "phantom://20",
        "--out",
        out,
        "--side",
        str(SIDE),
        "--batch",
        "2",
        "--validate-every",
        "1",
        "--class-labels",
        "4",
        "--masks",
        "2",
    ]
    assert main([*command, "--steps", "1"]) == 0
    assert (
        "training on 4 of 16 classes (2 NORMAL, 2 PNEUMONIA), 2 of 16 masks"
        in capsys.readouterr().out
    )
    assert main([*command, "--steps", "1"]) == 2  # does not overwrite
    assert main([*command, "--steps", "2", "--resume", "--seed", "1"]) == 2  # another training
    assert "seed (0 then, 1 now)" in capsys.readouterr().err
    assert main([*command, "--steps", "2", "--resume"]) == 0  # but it may be made longer
    best = f"{out}/best.pth"
    assert f"--weights {best}" in capsys.readouterr().out
    assert (
        main(
            [
                "evaluate",
                "--weights",
                best,
                "--segmentation",
                "phantom://20",
                "--split",
                "all",
                "--json",
                f"{tmp_path}/found/all.json",
                "--figures",
                f"{tmp_path}/found",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert (
        "Lungs: 20 films of 20 patients, at 32 px." in printed
        and "    " + DEFINITIONS["dice"] in printed
    )
    written = json.loads((tmp_path / "found" / "all.json").read_text())
    assert (
        f"dice {written['metrics']['dice']['value']:28.4f}" in printed
        and len(written["films"]) == 20
    )
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        "all.json",
        "all.csv",
        "overlays.png",
        "areas.png",
    }
    assert (
        main(
            [
                "train",
                "--classification",
                "phantom://20",
                "--system",
                "enc",
                "--side",
                str(SIDE),
                "--steps",
                "1",
                "--batch",
                "2",
                "--out",
                str(tmp_path / "second"),
            ]
        )
        == 0
    )
