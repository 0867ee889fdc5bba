"""The command line, as a user types it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from drawn import draw
from helpers import ROOT, SIDE, save
from hostile_helpers import bounded_memory
from PIL import Image

import multimix
from multimix import __main__ as program
from multimix.apps import cli
from multimix.apps.cli import main
from multimix.images.formats import film_paths
from multimix.images.reading import read_film
from multimix.runtime.checkpoint import read_checkpoint
from multimix.runtime.files import bundled
from multimix.runtime.stop_signal import end_at_once


@pytest.fixture
def predicted(tmp_path, weights):
    """Runs `predict` on films or folders below `tmp_path`, into `out` there; the exit code."""

    def predict(*words: str) -> int:
        names = [str(tmp_path / word) for word in words if not word.startswith("--")]
        options = [word for word in words if word.startswith("--")]
        out = str(tmp_path / "out")
        return main(["predict", *names, "--weights", weights, "--out", out, *options])

    return predict


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
    assert "There is no film or folder" in capsys.readouterr().err


def test_it_starts_without_what_only_some_commands_need():
    heavy = {"matplotlib", "sklearn", "skimage.util", "ipywidgets", "pydicom", "torch.onnx"}
    code = f"import sys, multimix.apps.cli; print(*{heavy} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, timeout=300, text=True) == "\n"


def test_without_arguments_it_predicts_the_samples(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    options = dict(cwd=tmp_path, env=environment, timeout=300, text=True, capture_output=True)
    run = subprocess.run([sys.executable, "-m", "multimix"], **options)
    assert run.returncode == 0 and run.stderr == ""
    head, *lines = [line.split() for line in run.stdout.splitlines() if line[:1].strip()]
    samples = [path.name for path in film_paths(bundled("sample_data"))]
    assert head[:3] == ["film", "label", "probability"]
    assert [line[0] for line in lines[: len(samples)]] == samples
    for name in samples:
        stem = tmp_path / "predictions" / Path(name).stem
        assert stem.with_suffix(".png").exists()
        assert read_film(f"{stem}_mask.png").shape == read_film(bundled("sample_data") / name).shape


def test_predict_takes_films_and_folders_and_names_what_is_bad(tmp_path, predicted, capsys):
    for i in range(10):
        save(tmp_path / "films" / f"film{i}.png", draw(i, 0, 40)[0])
    save(tmp_path / "single.png", draw(20, 1, 40)[0])
    (tmp_path / "films" / "bad.png").write_text("no picture")
    assert predicted("films", "single.png", "none.png", "x" * 300, "--json") == 2
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    names = [Path(row["file"]).name for row in rows]
    assert names == [f"film{i}.png" for i in range(10)] + ["single.png"]
    for row in rows:
        assert row["label"] in row["probabilities"]
        assert 0 <= row["lung_share"] <= 1 and row["seconds"] > 0
    assert len(list((tmp_path / "out").glob("[!.]*"))) == 23
    said = printed.err.splitlines()
    assert len(said) == 3 and all(line.startswith("multimix: ") for line in said)
    for name in ("bad.png", "There is no film or folder", "xxx"):
        assert name in printed.err


def test_an_address_is_named_as_it_was_given_and_the_home_folder_is_known(
    tmp_path, weights, monkeypatch, capsys
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "film.png", draw(1, 0, 40)[0])
    (tmp_path / "tiny.pth").symlink_to(weights)
    words = ["~/film.png", "https://a.b/c.png", "--weights=~/tiny.pth", "--out=~/out"]
    assert main(["predict", *words]) == 2
    assert (
        "There is no film or folder https://a.b/c.png on this computer" in capsys.readouterr().err
    )
    assert (tmp_path / "out" / "film_mask.png").is_file() and not Path("~").exists()


RUN = "train --out {tmp}/run "


@pytest.mark.parametrize(
    "arguments, words",
    (
        ("predict {tmp}/empty", "There are no films in"),
        ("predict {tmp}/film.png --weights {tmp}/none.pth", "There is no weights file"),
        ("predict {tmp}/film.png --device tpu", "There is no device 'tpu'"),
        ("evaluate --classification {tmp}/nowhere", "nowhere"),
        (RUN + "--classification {tmp}/empty", "empty"),
        (RUN + "--system enc --segmentation {tmp}/empty", "were given; give --classification"),
        ("train --classification {tmp}/empty", "name one with --out"),
        ("sweep --out {tmp}/run", "No films were given; name their folders, or take the small set"),
        (RUN + "--threshold 1.5", "threshold is 1.5; a number from 0 to 1 is needed"),
        (RUN + "--no-classify --no-segment", "no task is on"),
        ("sweep --quick --out {tmp}/run --batch 0", "batch is 0; a number from 1 to 10000 is"),
        ("sweep --out {tmp}/film.png --quick", "film.png"),
        ("predict {tmp}/film.png --out {tmp}/film.png", "film.png"),
        ("predict " + "x" * 5000, "There is no film or folder"),
        (RUN + "--classification " + "x" * 5000, "xxx"),
        (RUN + "--seed 9223372036854775808", "seed is"),
        (RUN + "--side 1000000000", "side is"),
        (RUN + "--learning-rate inf", "learning_rate is inf"),
    ),
)
def test_faults_are_one_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    (tmp_path / "empty").mkdir()
    save(tmp_path / "film.png", draw(1, 0, 40)[0])
    with bounded_memory():
        assert main([word.format(tmp=tmp_path) for word in arguments.split()]) == 2
    printed = capsys.readouterr().err
    assert words in printed and printed.count("\n") == 1 and printed.startswith("multimix: ")
    assert not (tmp_path / "run").exists()


def test_too_little_memory_is_a_sentence(tmp_path, monkeypatch, capsys):
    command = ["predict", "film.png", "--out", str(tmp_path)]
    for error in (
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ):
        monkeypatch.setattr(cli, "load_model", Mock(side_effect=error))
        assert main(command) == 2
        assert re.search("too little memory; .*--micro-batch 1", capsys.readouterr().err)
    monkeypatch.setattr(cli, "load_model", Mock(side_effect=RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):  # other faults stay as they are
        main(command)


def test_train_resume_evaluate(tmp_path, sets, capsys):
    out, found = str(tmp_path / "run"), tmp_path / "found"
    command = ["train", *sets, "--out", out, "--side", str(SIDE), "--batch=2", "--recipe=paper"]
    command += ["--class-labels=4", "--masks=2", "--widths=2,3,4,5,6", "--validate-every=1"]
    assert main([*command, "--steps=1"]) == 0
    assert "training on 4 of " in capsys.readouterr().out
    assert main([*command, "--steps=1"]) == 2  # does not overwrite
    assert main([*command, "--steps=2", "--resume", "--seed=1"]) == 2  # another training
    assert "seed (0 then, 1 now)" in capsys.readouterr().err
    assert main([*command, "--steps=2", "--resume"]) == 0  # but it may be made longer
    best = f"{out}/best.pth"
    assert f"--weights {best}" in capsys.readouterr().out
    command = ["evaluate", "--weights", best, *sets[2:], "--split", "all"]
    assert main([*command, "--json", f"{found}/all.json", "--figures", str(found)]) == 0
    printed = capsys.readouterr().out
    written = json.loads((found / "all.json").read_text())
    dice = f"{written['metrics']['dice']['value']:.4f}"
    rows = [line.split() for line in printed.splitlines()]
    assert [row[1] for row in rows if row[:1] == ["dice"]] == [dice]
    assert len(written["films"]) == 20 and (found / "all.csv").exists()


def test_without_folders_a_training_takes_the_small_set(tmp_path, films, monkeypatch, capsys):
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "load_films", lambda *given, **_: asked.append(given) or films)
    words = ["--steps", "1", "--side", str(SIDE), "--widths", "2,3,4,5,6", "--masks", "3"]
    assert main(["train", *words, "--class-labels", "all"]) == 0
    assert asked == [([], [], SIDE, 0, False)]
    printed = capsys.readouterr().out
    assert "training on 32 of 32 classes (16 NORMAL, 16 PNEUMONIA), 3 of 32 masks" in printed
    assert re.search(r"test films: auc \S+, accuracy \S+, dice \S+\n", printed)
    with Image.open("runs/quick/test_films.png") as picture:
        assert picture.width > 800
    config = read_checkpoint("runs/quick/last.pth")["config"]
    assert config["bce_weight"] > 0 and config["precision"] in ("float32", "bfloat16")  # quick's
