"""The command line, as a user types it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
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

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
RUN = "train --out {tmp}/run "


def test_the_program_takes_its_words_and_ends_quietly_at_signals(monkeypatch, capsys):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(sys, "argv", ["multimix", "--version"])
    try:
        with pytest.raises(SystemExit, match=r"^0$"):
            program.main()
        assert {signal.getsignal(number) for number in before} == {end_at_once}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert capsys.readouterr().out == f"multimix {multimix.__version__}\n"


def test_it_starts_without_what_only_some_commands_need():
    heavy = {"matplotlib", "sklearn", "skimage.util", "ipywidgets", "pydicom", "torch.onnx"}
    code = f"import sys, multimix.apps.cli; print(*{heavy} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=ENVIRONMENT, timeout=300, text=True) == "\n"


def test_without_arguments_it_predicts_the_samples(tmp_path):
    options = dict(cwd=tmp_path, env=ENVIRONMENT, timeout=300, text=True, capture_output=True)
    run = subprocess.run([sys.executable, "-m", "multimix"], **options)
    assert (run.returncode, run.stderr) == (0, "")
    for path in film_paths(bundled("sample_data")):
        assert f"\n{path.name} " in run.stdout
        mask = read_film(tmp_path / "predictions" / f"{path.stem}_mask.png")
        assert mask.shape == read_film(path).shape


def test_predict_names_what_is_bad_and_predicts_the_rest(tmp_path, weights, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for i in range(10):
        save(Path(f"films/film{i}.png"), draw(i, 0, 40)[0])
    save(Path("single.png"), draw(20, 1, 40)[0])
    Path("films/bad.png").write_text("no picture")
    Path("tiny.pth").symlink_to(weights)
    words = ["predict", "films", "~/single.png", "https://a.b/c.png", "x" * 300, "--json"]
    assert main([*words, "--weights=~/tiny.pth", "--out=~/out"]) == 2
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    names = [Path(row["file"]).name for row in rows]
    assert names == [f"film{i}.png" for i in range(10)] + ["single.png"]
    for row in rows:
        assert row["probability"] == row["probabilities"][row["label"]] >= 0.5
        assert 0 <= row["lung_share"] <= 1 and row["seconds"] > 0
    assert len(list(Path("out").glob("[!.]*"))) == 23 and not Path("~").exists()
    said = printed.err.splitlines()
    assert len(said) == 3 and all(line.startswith("multimix: ") for line in said)
    for name in ("bad.png", "There is no film or folder https://a.b/c.png on this", "xxx"):
        assert name in printed.err


@pytest.mark.parametrize(
    "arguments, words",
    (
        ("predict {tmp}/empty", "There are no films in"),
        ("predict {tmp}/film.png --weights {tmp}/none.pth", "There is no weights file"),
        ("evaluate --classification {tmp}/nowhere", "nowhere"),
        ("doctor {tmp}/nowhere", "There is no film or folder"),
        (RUN + "--classification {tmp}/empty", "empty"),
        (RUN + "--system enc --segmentation {tmp}/empty", "were given; give --classification"),
        ("train --classification {tmp}/empty", "name one with --out"),
        ("sweep --out {tmp}/run", "No films were given; name their folders"),
        ("sweep --out {tmp}/run --segmentation x --systems enc", "enc learns classification; give"),
        ("sweep --out {tmp}/run --quick --systems unet,resnet", "There is no system 'resnet'; ch"),
        (RUN + "--no-classify --no-segment", "no task is on"),
        ("sweep --quick --out {tmp}/run --batch 0", "batch is 0; a number from 1 to 10000 is"),
        ("sweep --out {tmp}/film.png --quick", "film.png"),
        ("predict {tmp}/film.png --out {tmp}/film.png", "film.png"),
        ("export {tmp}/film.png", "film.png exists already; give another name"),
        ("predict " + "x" * 5000, "There is no film or folder"),
        (RUN + "--seed 9223372036854775808", "seed is"),
        (RUN + "--side 1000000000", "side is"),
    ),
)
def test_faults_are_one_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    (tmp_path / "empty").mkdir()
    save(tmp_path / "film.png", film := draw(1, 0, 40)[0])
    with bounded_memory():
        assert main([word.format(tmp=tmp_path) for word in arguments.split()]) == 2
    printed = capsys.readouterr().err
    assert words in printed and printed.count("\n") == 1 and printed.startswith("multimix: ")
    assert not (tmp_path / "run").exists()
    assert np.array_equal(read_film(tmp_path / "film.png"), film)


def test_too_little_memory_is_a_sentence(tmp_path, monkeypatch, capsys):
    command = ["predict", "film.png", "--out", str(tmp_path)]
    on_cpu = RuntimeError("DefaultCPUAllocator: can't allocate memory")
    for error in (MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory."), on_cpu):
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
