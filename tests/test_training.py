import io
import sys
from dataclasses import replace
from unittest import mock

import pytest
import torch
from helpers import CONFIG, SIDE, TINY, film_set, quietly, read_log

from multimix.config import Config
from multimix.data.film_set import Films
from multimix.evaluation.evaluator import evaluate, score
from multimix.model import TASKS, MultiMix
from multimix.runtime.checkpoint import read_checkpoint
from multimix.training import train


def test_the_best_checkpoint_is_the_best_scoring_one(films, tmp_path, monkeypatch):
    aucs, seen = iter([0.6, 0.9, 0.7]), []

    def fake(model, films, world, stop):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"auc": next(aucs), "dice": 0.5}, {}

    monkeypatch.setattr("multimix.trainer.validate", fake)
    best = quietly(CONFIG, films, tmp_path)
    content = read_checkpoint(tmp_path / "best.pth")
    assert content["step"] == 4 and content["validation"] == {"auc": 0.9, "dice": 0.5}
    assert all(torch.equal(value, seen[1][name]) for name, value in best.state_dict().items())
    assert read_checkpoint(tmp_path / "last.pth")["step"] == 6


def test_validation_is_real(films, tmp_path):
    rows = []
    model = quietly(CONFIG, films, tmp_path, on_validation=rows.append)
    content = read_checkpoint(tmp_path / "best.pth")
    results = evaluate(model, films, "val", clean=False)
    expected = {name: results[name] for name in content["validation"]}
    assert content["validation"] == pytest.approx(expected)
    assert content["calibration"] == model.info.calibration
    assert set(model.info.calibration) == {"temperature", "operating_point"}
    log = read_log(tmp_path)
    assert [int(row["step"]) for row in log] == [2, 4, 6]
    assert [{name: str(value) for name, value in row.items()} for row in rows] == log
    best = max((float(row["val_auc"]) + float(row["val_dice"])) / 2 for row in log)
    assert score(content["validation"]) == pytest.approx(best)
    terms = ("classification", "pseudo_label", "kept", "dice", "mask_consistency", "total")
    assert all(float(row[name]) >= 0 for row in log for name in terms)


@pytest.mark.parametrize("recipe", ("paper", "improved"))
def test_a_resumed_run_equals_an_unbroken_one(tmp_path, recipe):
    films = Films(*(film_set(task, 48) for task in TASKS))  # improved: at 32, 32 and 48 px
    changes = dict(side=48, widths=TINY, batch=4, steps=6, validate_every=2)
    config = Config.preset(recipe=recipe, **changes)
    quietly(config, films, tmp_path / "whole")

    def stop(row):
        if row["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quietly(config, films, tmp_path / "cut", on_validation=stop)
    quietly(config, films, tmp_path / "cut", resume=True)
    whole, cut = (read_checkpoint(tmp_path / name / "last.pth") for name in ("whole", "cut"))
    for part in ("model", "average"):
        for name, value in (whole["training"][part] or {}).items():
            assert torch.equal(value, cut["training"][part][name])
    assert whole["validation"] == cut["validation"]
    assert whole["training"]["best"] == cut["training"]["best"]


def test_auto_precision_is_chosen_once(films, tmp_path, monkeypatch):
    monkeypatch.setattr("multimix.trainer.best_precision", lambda device: "bfloat16")
    quietly(replace(CONFIG, steps=2, precision="auto"), films, tmp_path)
    monkeypatch.setattr("multimix.trainer.best_precision", lambda device: "float32")
    quietly(replace(CONFIG, steps=4, precision="auto"), films, tmp_path, resume=True)
    content = read_checkpoint(tmp_path / "last.pth")
    assert content["step"] == 4 and content["config"]["precision"] == "bfloat16"
    with pytest.raises(ValueError, match=r"precision \(bfloat16 then, float32 now\)"):
        quietly(replace(CONFIG, steps=4), films, tmp_path, resume=True)


class Broken(io.StringIO):  # a terminal that was closed
    write = flush = mock.Mock(side_effect=BrokenPipeError)


def test_a_print_or_a_bar_that_fails_ends_no_training(films, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken())
    monkeypatch.setattr(sys, "stderr", Broken())
    train(CONFIG, films, tmp_path, device="cpu")
    assert read_checkpoint(tmp_path / "last.pth")["step"] == 6


def test_bfloat16_learns_what_float32_does(films, tmp_path):
    changes = dict(learning_rate=3e-2, steps=12, validate_every=4)
    for precision in ("float32", "bfloat16"):
        quietly(replace(CONFIG, precision=precision, **changes), films, tmp_path / precision)
    wide, narrow = (read_log(tmp_path / name) for name in ("float32", "bfloat16"))
    falls = [float(row["dice"]) for row in wide]
    assert falls[-1] < falls[0] - 0.05  # else nothing is learnt and nothing tested
    assert [float(row["dice"]) for row in narrow] == pytest.approx(falls, abs=0.02)


def test_the_average_is_what_is_kept(films, tmp_path):
    quietly(replace(CONFIG, ema_decay=0.5), films, tmp_path)
    last = read_checkpoint(tmp_path / "last.pth")
    model, average = last["training"]["model"], last["training"]["average"]
    assert all(torch.equal(last["weights"][name], average[f"module.{name}"]) for name in model)
    assert not torch.equal(model["encoder.fc.weight"], average["module.encoder.fc.weight"])


def test_another_seed_is_another_training(films, tmp_path):
    config = replace(CONFIG, steps=1, learning_rate=1e-12)  # the first weights remain
    first, second = (quietly(replace(config, seed=i), films, tmp_path / str(i)) for i in (0, 1))
    assert not torch.allclose(first.encoder.fc.weight, second.encoder.fc.weight)


def test_a_training_starts_from_given_weights_and_knows_what_it_learnt(films, tmp_path, model):
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for name, tasks in (("classify", ("segmentation",)), ("segment", ("classification",))):
        decay = 0.9 * (name == "segment")
        config = replace(CONFIG, steps=1, learning_rate=1e-12, ema_decay=decay, **{name: False})
        trained = quietly(config, films, tmp_path / name, init_from=model)
        for weight, value in trained.state_dict().items():
            assert torch.allclose(value, start[weight], atol=1e-9)
        assert trained.info.tasks == tasks


@pytest.mark.parametrize(
    "changes, options, words",
    (
        ({}, {}, "already has a training in it"),
        (dict(batch=3), dict(resume=True), r"with other settings: batch \(4 then, 3 now\)"),
        (dict(sides=(SIDE,)), dict(resume=True), r"steps \(2 then, 4 now\), sides"),
        (dict(widths=(3,) * 5), dict(init_from=MultiMix(TINY)), "train with --bridge --widths 2,3"),
        (dict(bridge=False), dict(init_from=MultiMix(TINY)), "train with .* add --no-classify"),
        (dict(side=64), {}, "loaded at 32 px, and the training needs 64 px"),
    ),
)
def test_faults_are_named(films, tmp_path, changes, options, words):
    if "init_from" not in options:
        quietly(replace(CONFIG, steps=2), films, tmp_path)
    with pytest.raises(ValueError, match=words):
        quietly(replace(CONFIG, steps=4, **changes), films, tmp_path, **options)


def test_wrong_arguments_make_no_folder(films, tmp_path, monkeypatch):
    without = Films(*(getattr(films, task).split("train") for task in TASKS))
    for arguments, words in (
        (({}, Films()), "train was given a dict as config; a Config is needed"),
        ((CONFIG, "chest_xray"), "train was given a str as films; a Films is needed"),
        ((CONFIG, Films()), "Among the training films there is no NORMAL film"),
        ((CONFIG, without), "Among the validation films there is no NORMAL film"),
    ):
        with pytest.raises(ValueError, match=words):
            train(*arguments, tmp_path / "run")
    failing = mock.Mock(side_effect=RuntimeError("no C++ compiler\nat all"))
    monkeypatch.setattr(torch, "compile", failing)
    with pytest.raises(ValueError, match=r"compile here \(no C\+\+ compiler\); leave out --comp"):
        quietly(CONFIG, films, tmp_path / "run", compile=True)
    assert not (tmp_path / "run").exists()
