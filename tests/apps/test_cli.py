"""The command line, as a user types it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, SIDE, save

import multimix
from multimix import __main__ as program
from multimix.apps.cli import main
from multimix.data import phantom
from multimix.evaluation.metrics import DEFINITIONS
from multimix.images.reading import read_film
from multimix.runtime.files import bundled
from multimix.runtime.stop_signal import end_at_once

PHANTOMS = ["--classification", "phantom://20", "--segmentation", "phantom://20"]


@pytest.fixture
def predicted(tmp_path, weights):
    """Runs `predict` on films or folders below `tmp_path`, into `out` there; the exit code."""

    def predict(*words: str) -> int:
        names = [str(tmp_path / word) for word in words if not word.startswith("--")]
        options = [word for word in words if word.startswith("--")]
        out = str(tmp_path / "out")
        return main(["predict", *names, "--weights", weights, "--out", out, *options])

    return predict


def save_films(folder: Path, count: int) -> None:
    for i in range(count):
        save(folder / f"film{i}.png", phantom.draw(i, 0, 40)[0])


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"multimix {multimix.__version__}\n"


def test_the_program_takes_its_words_from_the_process_and_ends_quietly_at_signals(
    tmp_path, monkeypatch, capsys
):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(sys, "argv", ["multimix", "doctor", str(tmp_path / "none")])
    try:
        assert program.main() == 2
        assert {signal.getsignal(number) for number in before} == {end_at_once}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert "There is no folder" in capsys.readouterr().err


def test_it_starts_without_what_only_some_commands_need():
    heavy = {"matplotlib", "sklearn", "pandas", "skimage", "ipywidgets", "pydicom", "torch.onnx"}
    code = f"import sys, multimix.apps.cli; print(*{heavy} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, timeout=300, text=True) == "\n"


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


def test_predict_takes_films_and_folders(tmp_path, predicted, capsys):
    save_films(tmp_path / "films", 10)
    save(tmp_path / "single.png", phantom.draw(20, 1, 40)[0])
    assert predicted("films", "single.png", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    names = [Path(row["file"]).name for row in rows]
    assert names == [f"film{i}.png" for i in range(10)] + ["single.png"]
    for row in rows:
        assert row["label"] in row["probabilities"]
        assert 0 <= row["lung_share"] <= 1 and row["seconds"] > 0
        assert read_film(row["overlay"]).shape[1] > 800
    assert len(list((tmp_path / "out").glob("[!.]*"))) == 23


def test_a_prediction_that_was_cut_goes_on(tmp_path, predicted, capsys):
    save_films(tmp_path / "films", 5)
    assert predicted("films", "--no-figures", "--json") == 0
    whole, table = json.loads(capsys.readouterr().out), tmp_path / "out" / "predictions.csv"
    lines = table.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6 and not (tmp_path / "out" / "film0.png").exists()
    # Three films are done, the fourth row is half written.
    table.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    masks = [tmp_path / "out" / f"film{i}_mask.png" for i in range(5)]
    before = [mask.stat().st_mtime_ns for mask in masks]
    assert predicted("films", "--no-figures", "--json", "--resume") == 0
    again = json.loads(capsys.readouterr().out)
    for then, now in zip(whole, again, strict=True):
        assert {**then, "seconds": 0} == {**now, "seconds": 0}
    newer = [mask.stat().st_mtime_ns > time for mask, time in zip(masks, before)]
    assert newer == [False, False, False, True, True] and len(table.read_bytes().splitlines()) == 6


def test_every_warning_is_told(tmp_path, predicted, capsys):
    save(tmp_path / "white.png", np.full((100, 100), 255, dtype=np.uint8))
    assert predicted("white.png", "--json") == 0
    warnings = json.loads(capsys.readouterr().out)[0]["warnings"]
    assert len(warnings) >= 2
    assert "The film is tiny (100 x 100 pixels): details are lost." in warnings
    assert predicted("white.png") == 0
    assert capsys.readouterr().out.count("\n" + " " * 11 + "! ") == len(warnings)


def test_bad_films_are_named_and_the_others_predicted(tmp_path, predicted, capsys):
    save(tmp_path / "films" / "good.png", phantom.draw(1, 0, 40)[0])
    (tmp_path / "films" / "bad.png").write_text("no picture")
    assert predicted("films", "none.png") == 2
    printed = capsys.readouterr()
    assert "good.png" in printed.out and "bad.png" not in printed.out
    assert [line.partition(":")[0] for line in printed.err.splitlines()] == ["multimix", "multimix"]
    assert "bad.png is not a picture" in printed.err and "There is no film" in printed.err


RUN = "train --out {tmp}/run "


@pytest.mark.parametrize(
    "arguments, words",
    (
        ("predict {tmp}/none.png", "There is no film"),
        ("predict {tmp}/empty", "There are no films in"),
        ("predict {tmp}/film.png --weights {tmp}/none.pth", "There is no weights file"),
        ("predict {tmp}/film.png --device tpu", "There is no device 'tpu'"),
        ("evaluate --classification {tmp}/nowhere", "There is no folder"),
        ("evaluate", "No films were given; name their folders"),
        (RUN + "--classification phantom://20", "no labelled training films for segm"),
        (RUN + "--classification {tmp}/empty", "has no films of a layout"),
        (RUN + "--side 100", "side is 100"),
        (RUN + "--threshold 1.5", "threshold is 1.5; a number from 0 to 1 is needed"),
        (RUN + "--schedule linear", "schedule is 'linear'; staircase or cosine is needed"),
        (RUN + "--widths 1,2", "widths is (1, 2); a tuple of five positive channel numbers"),
        (RUN + "--no-classify --no-segment", "no task is on"),
        ("sweep --out {tmp}/run --batch 0", "batch is 0; a number from 1 to 10000 is needed"),
        ("sweep --out {tmp}/film.png --quick", "film.png"),
    ),
)
def test_faults_are_one_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    (tmp_path / "empty").mkdir()
    save(tmp_path / "film.png", phantom.draw(1, 0, 40)[0])
    assert main([word.format(tmp=tmp_path) for word in arguments.split()]) == 2
    printed = capsys.readouterr().err
    assert words in printed and printed.count("\n") == 1 and printed.startswith("multimix: ")
    assert not (tmp_path / "run").exists()


def test_train_resume_evaluate_predict(tmp_path, capsys):
    small = ["--side", str(SIDE), "--batch", "2"]
    out = str(tmp_path / "run")
    command = ["train", *PHANTOMS, "--out", out, *small, "--validate-every", "1"]
    command += ["--class-labels", "4", "--masks", "2", "--widths", "2,3,4,5,6"]
    assert main([*command, "--steps", "1"]) == 0
    said = "training on 4 of 16 classes (2 NORMAL, 2 PNEUMONIA), 2 of 16 masks"
    assert said in capsys.readouterr().out
    assert main([*command, "--steps", "1"]) == 2  # does not overwrite
    assert main([*command, "--steps", "2", "--resume", "--seed", "1"]) == 2  # another training
    assert "seed (0 then, 1 now)" in capsys.readouterr().err
    assert main([*command, "--steps", "2", "--resume"]) == 0  # but it may be made longer
    best = f"{out}/best.pth"
    assert f"--weights {best}" in capsys.readouterr().out
    found = tmp_path / "found"
    command = ["evaluate", "--weights", best, "--segmentation", "phantom://20", "--split", "all"]
    assert main([*command, "--json", f"{found}/all.json", "--figures", str(found)]) == 0
    printed = capsys.readouterr().out
    assert "Lungs: 20 films of 20 patients, at 32 px." in printed
    assert "    " + DEFINITIONS["dice"] in printed
    written = json.loads((found / "all.json").read_text())
    dice = f"{written['metrics']['dice']['value']:.4f}"
    rows = [line.split() for line in printed.splitlines()]
    assert [row[1] for row in rows if row[:1] == ["dice"]] == [dice]
    assert len(written["films"]) == 20
    names = {path.name for path in found.iterdir()}
    assert names == {"all.json", "all.csv", "overlays.png", "areas.png"}
    classes = ["--classification", "phantom://20", "--system", "enc", "--steps", "1"]
    assert main(["train", *classes, *small, "--out", str(tmp_path / "second")]) == 0
