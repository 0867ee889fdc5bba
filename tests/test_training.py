import io
import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from helpers import CONFIG, SIDE, TINY, film_set, quietly, read_log

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.evaluation.evaluator import evaluate, score
from multimix.inference import predict
from multimix.losses import dice_loss, mask_consistency_loss, pseudo_label_loss
from multimix.model import MultiMix
from multimix.recipes import RECIPES, SYSTEMS
from multimix.runtime.checkpoint import read_checkpoint
from multimix.trainer import Trainer
from multimix.training import train
from multimix.training_step import train_step

TERMS = {"classification", "pseudo_label", "kept", "dice", "mask_consistency", "total"}


def same(first: MultiMix, second: MultiMix) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def test_the_improved_terms_are_added(films, model):
    changes = dict(mask_augmentation=True, bce_weight=2.0, pixel_threshold=0.5)
    config = replace(CONFIG, pixel_consistency_weight=3.0, **changes)
    batch = Loader(films, config)(0)
    terms = train_step(model, batch, config)
    assert set(terms) == TERMS | {"mask_bce", "pixel_consistency"}
    for name, changes in (
        ("mask_bce", dict(bce_weight=0.0)),
        ("pixel_consistency", dict(pixel_consistency_weight=1.0)),
    ):
        lighter = train_step(model, batch, replace(config, **changes))["total"]
        difference = (terms["total"] - lighter).item()
        assert difference == pytest.approx(2 * terms[name].item(), rel=1e-4) and difference > 0


def test_the_total_is_the_papers_sum(films, model):
    batch = Loader(films, CONFIG)(0)
    config = replace(CONFIG, threshold=0.5)  # so that every pseudo-label counts
    terms = train_step(model, batch, config)  # in eval mode: no dropout
    assert set(terms) == TERMS and terms["kept"] == 1
    assert all(terms[name] > 0 for name in TERMS)
    logits = model(batch.mask_films).mask_logits
    unlabelled = model(batch.unlabelled_mask_films).mask_logits
    expected = (
        torch.nn.functional.cross_entropy(model.classify(batch.class_films), batch.labels)
        + 0.25 * pseudo_label_loss(model.classify(batch.weak), model.classify(batch.strong), 0.5)[0]
        + 5 * dice_loss(logits, batch.masks)
        + 0.01 * mask_consistency_loss(logits, unlabelled)
    )
    assert terms["total"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_has_its_terms_and_trains_its_parts(films, system):
    config = Config.preset(system, side=SIDE, widths=TINY, batch=4, threshold=0.5)
    model = MultiMix(TINY, config.bridge).train()
    terms = train_step(model, Loader(films, config)(0), config)
    expected = {"total"} | ({"classification"} if config.classify else set())
    expected |= {"pseudo_label", "kept"} if config.classify and config.pseudo_labels else set()
    expected |= {"dice"} if config.segment else set()
    expected |= {"mask_consistency"} if config.segment and config.mask_consistency else set()
    assert set(terms) == expected
    terms["total"].backward()
    assert (model.encoder.fc.weight.grad is not None) == config.classify
    assert (model.decoder.conv_last.weight.grad is not None) == config.segment
    assert model.encoder.dconv_down1[0].weight.grad.abs().sum() > 0


def test_the_weak_views_leave_no_gradient_and_the_teacher_draws_the_labels(films, model):
    batch = Loader(films, CONFIG)(0)
    batch.weak.requires_grad_()
    sure = MultiMix(TINY).eval()
    with torch.no_grad():
        sure.encoder.fc.weight.zero_()
        sure.encoder.fc.bias.copy_(torch.tensor([9.0, 0.0]))  # calls everything NORMAL
    terms = train_step(model, batch, CONFIG, teacher=sure)
    terms["total"].backward()
    assert batch.weak.grad is None and sure.encoder.fc.weight.grad is None
    normal = torch.zeros(4, dtype=torch.long)
    expected = torch.nn.functional.cross_entropy(model.classify(batch.strong), normal).item()
    assert terms["kept"] == 1 and terms["pseudo_label"].item() == pytest.approx(expected, rel=1e-5)


def test_two_films_of_each_task_can_be_learnt_by_heart(films):
    torch.manual_seed(0)
    config = Config.preset("umtl_s", side=SIDE, batch=2)
    model, loader = MultiMix((8, 8, 16, 16, 16)).train(), Loader(films, config)
    batches = map(loader, range(100))
    batch = next(batch for batch in batches if sorted(batch.labels.tolist()) == [0, 1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        train_step(model, batch, config)["total"].backward()
        optimizer.step()
    terms = train_step(model.eval(), batch, config)
    assert terms["classification"] < 0.1 and terms["dice"] < 0.1


def test_the_best_checkpoint_is_the_best_scoring_one(films, tmp_path, monkeypatch):
    aucs = iter([0.6, 0.9, 0.7])
    seen = []

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
    assert all(float(row[name]) >= 0 for row in log for name in TERMS)


@pytest.mark.parametrize("recipe", ("paper", "improved", "multi-scale", "progressive"))
def test_a_resumed_run_equals_an_unbroken_one(films, tmp_path, monkeypatch, recipe):
    names = ("side", "widths", "batch", "steps", "validate_every")
    changes = {name: getattr(CONFIG, name) for name in names}
    if recipe not in RECIPES:
        changes |= dict(side=48, sides=(32, 48, 48), class_sides=(32, 48), side_schedule=recipe)
        recipe = "improved"
        films = Films(*(film_set(task, 48) for task in ("classification", "segmentation")))
    config = Config.preset("multimix", recipe, **changes)
    quietly(config, films, tmp_path / "whole")
    monkeypatch.setattr(Trainer, "optimise", stop_at(4, Trainer.optimise))
    with pytest.raises(KeyboardInterrupt):
        quietly(config, films, tmp_path / "cut")
    monkeypatch.undo()
    quietly(config, films, tmp_path / "cut", resume=True)
    whole, cut = (read_checkpoint(tmp_path / name / "last.pth") for name in ("whole", "cut"))
    for part in ("model", "average"):
        for name, value in (whole["training"][part] or {}).items():
            assert torch.equal(value, cut["training"][part][name])
    assert whole["validation"] == cut["validation"]
    assert whole["training"]["best"] == cut["training"]["best"]


def test_a_validation_that_is_stopped_comes_first_when_the_training_is_resumed(
    films, tmp_path, monkeypatch
):
    quietly(CONFIG, films, tmp_path / "whole")
    monkeypatch.setattr("multimix.trainer.validate", lambda *_: None)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 2 of 6; --resume continues"):
        quietly(CONFIG, films, tmp_path / "cut")
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "cut" / "last.pth")["step"] == 2
    assert not (tmp_path / "cut" / "log.csv").exists()
    quietly(CONFIG, films, tmp_path / "cut", resume=True)
    whole, cut = ([{**row, "time": ""} for row in read_log(tmp_path / n)] for n in ("whole", "cut"))
    assert cut == whole


def test_auto_precision_is_chosen_once(films, tmp_path, monkeypatch):
    monkeypatch.setattr("multimix.trainer.best_precision", lambda device: "bfloat16")
    quietly(replace(CONFIG, steps=2, precision="auto"), films, tmp_path)
    monkeypatch.setattr("multimix.trainer.best_precision", lambda device: "float32")
    quietly(replace(CONFIG, steps=4, precision="auto"), films, tmp_path, resume=True)
    content = read_checkpoint(tmp_path / "last.pth")
    assert content["step"] == 4 and content["config"]["precision"] == "bfloat16"
    with pytest.raises(ValueError, match=r"precision \(bfloat16 then, float32 now\)"):
        quietly(replace(CONFIG, steps=4), films, tmp_path, resume=True)


class Broken(io.StringIO):
    """A terminal that was closed."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise OSError(5, "Input/output error")


def test_a_print_or_a_bar_that_fails_ends_no_training(films, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken())
    monkeypatch.setattr(sys, "stderr", Broken())
    train(CONFIG, films, tmp_path, device="cpu")
    assert read_checkpoint(tmp_path / "last.pth")["step"] == 6


def test_a_network_knows_what_it_learnt(films, tmp_path, model):
    for name, tasks in (("classify", ("segmentation",)), ("segment", ("classification",))):
        config = replace(CONFIG, steps=2, **{name: False})
        trained = quietly(config, films, tmp_path / name, init_from=model)
        assert trained.info.tasks == tasks
        p = predict(trained, film_set("segmentation").pixels[0].numpy())
        assert (p.label is None) == (name == "classify")
        assert (p.mask_probability is None) == (name == "segment")
        assert any(f"has not learnt the {x}" in " ".join(p.warnings) for x in ("classes", "lungs"))
    with pytest.raises(ValueError, match=r"train with --bridge.* add --no-classify"):
        unet = Config.preset("unet", side=SIDE, widths=TINY, batch=4, steps=2)
        quietly(unet, films, tmp_path / "unet", init_from=model)


def test_what_has_not_joined_yet_is_logged_as_0(films, tmp_path):
    config = replace(CONFIG, unlabelled_from=0.5, pixel_consistency_weight=1.0, threshold=0.0)
    quietly(config, films, tmp_path)
    before, between, after = read_log(tmp_path)
    for name in ("kept", "mask_consistency"):
        assert float(before[name]) == 0 and 0 < float(between[name]) < float(after[name])
    assert float(before["pseudo_label"]) == float(before["pixel_consistency"]) == 0


def test_other_steps_are_not_resumed_where_sides_depend_on_them(films, tmp_path):
    quietly(replace(CONFIG, steps=2, sides=(SIDE,)), films, tmp_path)
    with pytest.raises(ValueError, match=r"steps \(2 then, 6 now\)"):
        quietly(replace(CONFIG, sides=(SIDE,)), films, tmp_path, resume=True)


def stop_at(step: int, optimise):
    def stopping(run, batch, stop):
        if run.step == step + 1:  # one step beyond the last checkpoint
            raise KeyboardInterrupt
        return optimise(run, batch, stop)

    return stopping


def test_one_seed_one_result(films, tmp_path):
    assert same(quietly(CONFIG, films, tmp_path / "a"), quietly(CONFIG, films, tmp_path / "b"))
    finished = quietly(CONFIG, films, tmp_path / "a", resume=True)
    assert not same(finished, quietly(replace(CONFIG, seed=1), films, tmp_path / "c"))


@pytest.mark.parametrize("around", (nullcontext(), torch.autocast("cpu", torch.bfloat16)))
def test_bfloat16_learns_what_float32_does(films, tmp_path, around):
    changes = dict(learning_rate=3e-2, steps=12, validate_every=4)
    for precision in ("float32", "bfloat16"):
        with around:
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


def test_a_training_can_start_from_given_weights(films, tmp_path, model):
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for decay in (0.0, 0.9):
        config = replace(CONFIG, steps=1, learning_rate=1e-12, ema_decay=decay)
        trained = quietly(config, films, tmp_path / str(decay), init_from=model)
        for name, value in trained.state_dict().items():
            assert torch.allclose(value, start[name], atol=1e-9)
    with pytest.raises(ValueError, match="widths"):
        quietly(replace(CONFIG, widths=(3, 3, 3, 3, 3)), films, tmp_path / "other", init_from=model)


def test_faults_are_named(films, tmp_path, model):
    quietly(CONFIG, films, tmp_path)
    with pytest.raises(ValueError, match="already has a training in it"):
        quietly(CONFIG, films, tmp_path)
    with pytest.raises(ValueError, match=r"with other settings: batch \(4 then, 3 now\)"):
        quietly(replace(CONFIG, batch=3), films, tmp_path, resume=True)
    (tmp_path / "last.pth").write_bytes((tmp_path / "best.pth").read_bytes())
    with pytest.raises(ValueError, match="no training state"):
        quietly(CONFIG, films, tmp_path, resume=True)
    with pytest.raises(ValueError, match="no labelled films in the split 'val'"):
        training_films = (films.classification.split("train"), films.segmentation.split("train"))
        quietly(CONFIG, Films(*training_films), tmp_path / "new")
    assert not (tmp_path / "new" / "last.pth").exists()


def test_where_torch_cannot_compile_training_goes_on(films, tmp_path, monkeypatch, capsys):
    def no_compiler(function):
        raise RuntimeError("no C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", no_compiler)
    quietly(replace(CONFIG, steps=2), films, tmp_path, compile=True)
    assert "cannot compile here (no C++ compiler); training without it" in capsys.readouterr().out
    assert read_checkpoint(tmp_path / "last.pth")["step"] == 2


def test_train_says_which_arguments_it_takes(tmp_path):
    for arguments, words in (
        (({}, Films()), "train was given a dict as config; a Config is needed"),
        ((CONFIG, "chest_xray"), "train was given a str as films; a Films is needed"),
    ):
        with pytest.raises(ValueError, match=words):
            train(*arguments, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_films_say_what_they_are(films):
    assert repr(films).splitlines() == [
        "classification: 40 films of 32 px (32 train, 4 val, 4 test), 40 with a class",
        "segmentation: 40 films of 32 px (32 train, 4 val, 4 test), 40 with a mask",
    ]
