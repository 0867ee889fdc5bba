import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import SIDE, save

from multimix.apps.cli import main
from multimix.data.films import load_films
from multimix.data.manifest import manifest_of, trained_on
from multimix.evaluation.evaluator import (
    evaluate,
    films_of_split,
    predict_masks,
    score,
    validate,
)
from multimix.evaluation.metrics import DEFINITIONS, FILM_METRICS, classification_metrics
from multimix.evaluation.results import as_table
from multimix.inference import load_model, predict

CLASS_METRICS = {
    "auc",
    "balanced_accuracy",
    "accuracy",
    "sensitivity",
    "specificity",
    "f1_normal",
    "f1_pneumonia",
    "average_precision",
    "sensitivity_at_90",
    "brier",
    "ece",
}
MASK_METRICS = {*FILM_METRICS, "area_difference", "area_limits"}
CALIBRATED = {"calibrated_accuracy", "calibrated_balanced_accuracy", "calibrated_brier"}
CALIBRATED |= {"calibrated_ece"}
CARD = {
    "multimix": {
        "auc": 0.9835,
        "accuracy": 0.886,
        "calibrated_accuracy": 0.902,
        "f1_normal": 0.822,
        "dice": 0.980,
        "jaccard": 0.960,
        "asd": 0.884,
    },
    "multimix_100_10": {
        "auc": 0.975,
        "accuracy": 0.920,
        "calibrated_accuracy": 0.921,
        "f1_normal": 0.886,
        "dice": 0.974,
        "jaccard": 0.950,
        "asd": 1.161,
    },
}


@pytest.fixture
def classes_only(films):
    return replace(films, segmentation=None)


@pytest.fixture
def masks_only(films):
    return replace(films, classification=None)


def rows_of(results, task):
    return [row for row in results.rows if row["task"] == task]


def test_evaluate_measures_what_is_there(model, films, masks_only):
    both = evaluate(model.train(), films)
    assert set(both) == CLASS_METRICS | MASK_METRICS and model.training
    assert list(both) == [name for name in DEFINITIONS if name in both]
    assert both == evaluate(model, films)
    assert set(evaluate(model, masks_only, "val")) == MASK_METRICS
    for name, (low, high) in both.intervals.items():
        assert low <= both[name] + 1e-6 or name == "area_limits", name
        assert low <= high, name


def test_the_rows_of_the_classes_make_the_metrics(model, classes_only):
    results = evaluate(model, classes_only, "all")
    rows = rows_of(results, "classification")
    assert len(rows) == 40
    probability = np.array([row["probability"] for row in rows])
    labels = np.array([row["label"] == "PNEUMONIA" for row in rows]).astype(int)
    assert classification_metrics(probability, labels) == results
    assert np.mean([row["correct"] for row in rows]) == pytest.approx(results["accuracy"])
    assert np.mean([row["placement"] for row in rows]) == pytest.approx(results["auc"], abs=1e-6)


def test_the_rows_of_the_masks_make_the_metrics(model, masks_only):
    results = evaluate(model, masks_only, "all", clean=False)
    rows = rows_of(results, "segmentation")
    assert len(rows) == 40
    for name in FILM_METRICS:
        assert np.mean([row[name] for row in rows]) == pytest.approx(results[name])
    with torch.no_grad():
        first = masks_only.segmentation.pixels[:1].float() / 127.5 - 1
        lung = model(first[:, None]).mask_logits > 0
    assert rows[0]["area"] == pytest.approx(100 * lung.float().mean().item())


def test_baselines(model, films, classes_only):
    baseline = evaluate(model, films).baseline
    assert (baseline["auc"], baseline["balanced_accuracy"]) == (0.5, 0.5)
    mean_mask = films.labelled("train").segmentation.masks[:].float().mean(0) > 0.5
    dice = []
    for mask in films.labelled("test").segmentation.masks:
        dice.append(2 * (mean_mask & mask).sum() / (mean_mask.sum() + mask.sum()))
    assert baseline["dice"] == pytest.approx(np.mean(dice))
    # The class that is larger in the training films.
    classes = films.classification
    training = torch.tensor([split == "train" for split in classes.splits])
    positive = replace(classes, targets=torch.where(training, 1, classes.labels))
    baseline = evaluate(model, replace(classes_only, classification=positive)).baseline
    assert (baseline["sensitivity"], baseline["specificity"]) == (1, 0)


def test_operating_point_and_temperature(model, films):
    assert "0.5 is the only one" in " ".join(evaluate(model, films).notes)
    found, model.calibration = validate(model, films_of_split(films, "val"))
    assert set(model.calibration) == {"temperature", "operating_point"}
    results = evaluate(model, films, "val", clean=False)
    assert set(results) >= CALIBRATED and "Operating point" in as_table(results)
    assert 0 <= results["calibrated_balanced_accuracy"] <= 1
    assert {name: results[name] for name in found} == pytest.approx(found)


def test_a_films_probability_is_the_one_that_predict_gives(model, films, tmp_path):
    model.calibration = {"temperature": 0.5, "operating_point": 0.6}
    model.encoder.fc.weight.data *= 20  # so that it is sure of some films
    results = evaluate(model, films)
    classes = films.labelled("test").classification
    for row, pixels, label in zip(results.rows, classes.pixels, classes.labels):
        predicted = predict(model, pixels.numpy(), invert="never").probabilities["PNEUMONIA"]
        assert row["probability"] == pytest.approx(predicted, abs=1e-5)
        assert row["correct"] == ((predicted >= 0.5) == label)
        odds = np.log(row["raw_probability"] / (1 - row["raw_probability"]))
        calibrated = odds / 0.5 - np.log(0.6 / 0.4)
        assert np.log(predicted / (1 - predicted)) == pytest.approx(calibrated, abs=1e-3)
    rows = rows_of(results, "classification")
    assert len({row["probability"] for row in rows}) == 4
    for prefix, metric in (("", "calibrated_accuracy"), ("raw_", "accuracy")):
        assert np.mean([row[f"{prefix}correct"] for row in rows]) == results[metric]


def test_films_at_another_side_are_refused(model, films, classes_only):
    model.side = 64
    sentence = (
        r"films are at 32 px, and the network takes 64: load them with load_films\(..., side=64"
    )
    for measure in (
        lambda: evaluate(model, films),
        lambda: evaluate(model, classes_only),
        lambda: validate(model, films.labelled("val")),
        lambda: predict_masks(model, films.segmentation),
    ):
        with pytest.raises(ValueError, match=sentence):
            measure()


def test_a_network_in_any_state_is_measured_alike(model, films):
    expected = evaluate(model, films)
    model.train()
    model.encoder.dconv_down2.eval()
    modes = [module.training for module in model.modules()]
    for network in (model, torch.nn.DataParallel(model)):
        assert evaluate(network, films) == expected
    with torch.autocast("cpu", torch.bfloat16):
        assert evaluate(model, films)["dice"] == pytest.approx(expected["dice"], abs=0.01)
    assert [module.training for module in model.modules()] == modes
    assert evaluate(model.double(), films) == pytest.approx(expected, abs=1e-3)


def test_what_is_no_network_and_no_films_is_refused(model, films):
    with pytest.raises(ValueError, match="A Films was given as the network"):
        evaluate(films, model)
    with pytest.raises(ValueError, match="evaluate was given a str as films"):
        evaluate(model, "chest_xray")


def test_films_without_answers_are_left_out(model, films, masks_only):
    lungs = films.segmentation
    every_second = torch.arange(len(lungs)) % 2 == 0
    some = replace(lungs, labelled=lungs.labelled & every_second)
    alone = lungs[every_second.nonzero().flatten()]
    ours = evaluate(model, replace(masks_only, segmentation=some), "all")
    assert ours == evaluate(model, replace(masks_only, segmentation=alone), "all")
    none = replace(lungs, labelled=torch.zeros(len(lungs), dtype=torch.bool))
    with pytest.raises(ValueError, match="no labelled films in the split 'test'"):
        evaluate(model, replace(masks_only, segmentation=none))
    with pytest.raises(ValueError, match="no labelled films in the split 'val'"):
        films_of_split(replace(masks_only, segmentation=none), "val")
    notes = evaluate(model, replace(films, segmentation=none)).notes
    sentence = "No film of segmentation in the split 'test' has an answer"
    assert any(sentence in note for note in notes)


def test_one_class_only_is_said(model, classes_only):
    classes = classes_only.classification
    positive = classes[(classes.labels == 1).nonzero().flatten()]
    results = evaluate(model, replace(classes_only, classification=positive), "all")
    assert set(results) == {"accuracy", "sensitivity", "brier", "ece"}
    sentence = "They are of one class, so AUC, F1 and balanced accuracy cannot be measured"
    assert sentence in as_table(results)
    assert "placement" not in results.rows[0]


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_nan_is_refused(model, classes_only, masks_only, task):
    if task == "classification":
        films, layer = classes_only, model.encoder.fc
    else:
        films, layer = masks_only, model.decoder.conv_last
    layer.bias.data.fill_(torch.nan)
    sentence = r"answer to phantom-\d+ is not a number \(NaN\): its weights are damaged"
    with pytest.raises(ValueError, match=sentence):
        evaluate(model, films)


def test_the_score_is_the_mean_of_auc_and_dice():
    assert score({"auc": 0.9, "dice": 0.5, "accuracy": 0}) == pytest.approx(0.7)
    assert score({"dice": 0.5, "jaccard": 0.1}) == 0.5
    assert score({"accuracy": 0.8}) == 0.8


@pytest.mark.parametrize("name", CARD)
def test_the_bundled_networks_score_what_the_card_says(real, name):
    model = load_model(name, "cpu")
    films = load_films(str(real / "chest_xray"), str(real / "jsrt"), model.side, progress=False)
    found = evaluate(model, films.labelled("test"), clean=False)
    assert {metric: found[metric] for metric in CARD[name]} == pytest.approx(CARD[name], abs=6e-4)


def test_what_weakens_a_measurement_is_said(model, films):
    labelled = {"classification": films.classification, "segmentation": films.segmentation}
    model.manifest = manifest_of(films, labelled)
    seen, unseen = evaluate(model, films, "train").notes, evaluate(model, films, "test").notes
    sentence = "The weights were trained on 32 of these 32 films"
    assert sum(sentence in note for note in seen) == 2
    assert not any("trained on" in note for note in unseen)
    assert any("Fewer than 10 patients" in note for note in unseen)
    assert trained_on("no, manifest") == trained_on(None) == set()


def test_a_network_is_measured_on_the_films_that_it_was_not_trained_on(tmp_path):
    """Where a folder names no split, evaluating takes the seed of the training to make the same."""
    rng = np.random.default_rng(0)
    for i in range(60):
        folder = tmp_path / "set" / ("PNEUMONIA" if i % 2 else "NORMAL")
        save(folder / f"film{i}.png", rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))
    source = ["--classification", str(tmp_path / "set")]
    run, found = tmp_path / "run", tmp_path / "test.json"
    size = ["--side", str(SIDE), "--steps", "1", "--batch", "2"]
    train = ["train", "--system", "enc", *source, "--seed", "1", *size, "--out", str(run)]
    assert main(train) == 0
    weights = ["--weights", str(run / "best.pth")]
    assert main(["evaluate", *source, *weights, "--json", str(found)]) == 0
    with open(run / "manifest.csv", newline="") as file:
        test_films = {row["film"] for row in csv.DictReader(file) if row["split"] == "test"}
    measured = {row["film"] for row in json.loads(found.read_text())["films"]}
    assert measured == test_films
