import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import SIDE, save
from PIL import Image

from multimix.apps.cli import main
from multimix.data import phantom
from multimix.data.manifest import manifest_of
from multimix.evaluation.evaluator import evaluate, labelled, score, trained_on, validate
from multimix.evaluation.figures import save_evaluation
from multimix.evaluation.metrics import DEFINITIONS, FILM_METRICS, classification_metrics
from multimix.evaluation.results import as_dict, as_table, write_results
from multimix.inference import load_model

CLASSES = {
    "auc",
    "balanced_accuracy",
    "accuracy",
    "sensitivity",
    "specificity",
    "f1_normal",
    "f1_pneumonia",
    "ece",
}
MASKS = {*FILM_METRICS, "area_difference", "area_limits"}
TUNED = {"tuned_accuracy", "tuned_balanced_accuracy", "tuned_ece"}


def test_evaluate_measures_what_is_there(model, films):
    both = evaluate(model.train(), films)
    assert set(both) == CLASSES | MASKS and model.training
    assert list(both) == [name for name in DEFINITIONS if name in both]
    assert both == evaluate(model, films)
    assert set(evaluate(model, replace(films, classification=None), "val")) == MASKS
    for name, (low, high) in both.intervals.items():
        assert low <= both[name] + 1e-6 or name == "area_limits", name
        assert low <= high, name


def test_a_row_for_each_film_makes_the_metrics(model, films):
    results = evaluate(model, films, "all", clean=False)
    classes, lungs = (
        [row for row in results.rows if row["task"] == task]
        for task in ("classification", "segmentation")
    )
    assert len(classes) == len(lungs) == 40
    probability = [row["probability"] for row in classes]
    labels = [row["label"] == "PNEUMONIA" for row in classes]
    assert classification_metrics(probability, labels) == {name: results[name] for name in CLASSES}
    assert np.mean([row["correct"] for row in classes]) == pytest.approx(results["accuracy"])
    assert np.mean([row["placement"] for row in classes]) == pytest.approx(results["auc"], abs=1e-6)
    for name in FILM_METRICS:
        assert np.mean([row[name] for row in lungs]) == pytest.approx(results[name])
    with torch.no_grad():
        logits = model(films.segmentation.pixels[:1, None].float() / 127.5 - 1).mask_logits
    assert lungs[0]["area"] == pytest.approx(100 * (logits > 0).float().mean().item())


def test_trivial_answers(model, films):
    results = evaluate(model, films)
    assert (results.baseline["auc"], results.baseline["balanced_accuracy"]) == (0.5, 0.5)
    training = labelled(films.segmentation, "train").targets.float().mean(0) > 0.5
    truth = labelled(films.segmentation, "test").targets
    dice = [2 * (training & mask).sum() / (training.sum() + mask.sum()) for mask in truth]
    assert results.baseline["dice"] == pytest.approx(np.mean(dice))
    training = torch.tensor([split == "train" for split in films.classification.splits])
    ill = replace(
        films.classification, targets=torch.where(training, 1, films.classification.targets)
    )
    results = evaluate(
        model, replace(films, segmentation=None, classification=ill)
    )  # the training films' larger class
    assert (results.baseline["sensitivity"], results.baseline["specificity"]) == (1, 0)


def test_operating_point_and_temperature(model, films):
    assert "0.5 is the only one" in " ".join(evaluate(model, films).notes)
    found, model.calibration = validate(model, films)
    assert set(model.calibration) == {"temperature", "operating_point"}
    calibrated_metrics = evaluate(model, films, "val", clean=False)
    assert set(calibrated_metrics) >= TUNED and "Operating point" in as_table(calibrated_metrics)
    assert 0 <= calibrated_metrics["tuned_balanced_accuracy"] <= 1
    assert {name: calibrated_metrics[name] for name in found} == pytest.approx(found)


def test_films_without_answers_are_left_out(model, films):
    known = films.segmentation.labelled.clone()
    part = replace(films.segmentation, labelled=known & (torch.arange(len(known)) % 2 == 0))
    some = evaluate(model, replace(films, classification=None, segmentation=part), "all")
    assert some == evaluate(
        model,
        replace(films, classification=None, segmentation=part[torch.arange(0, len(known), 2)]),
        "all",
    )
    nothing = replace(films.segmentation, labelled=known & False)
    with pytest.raises(ValueError, match="no labelled films in the split 'test'"):
        evaluate(model, replace(films, classification=None, segmentation=nothing))


def test_one_class_only_is_said(model, films):
    ill = films.classification[films.classification.targets.nonzero().flatten()]
    results = evaluate(model, replace(films, classification=ill, segmentation=None), "all")
    assert set(results) == {"accuracy", "sensitivity", "ece"}
    assert "They are of one class, so AUC, F1 and balanced accuracy cannot be measured" in as_table(
        results
    )
    assert "placement" not in results.rows[0]


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_no_number_is_refused(model, films, task):
    only = replace(films, **{("segmentation", "classification")[task == "segmentation"]: None})
    (model.encoder.fc if task == "classification" else model.decoder.conv_last).bias.data.fill_(
        torch.nan
    )
    with pytest.raises(
        ValueError, match=r"answer to phantom-\d+ is no number \(NaN\): its weights are damaged"
    ):
        evaluate(model, only)


def test_written_and_drawn(model, films, tmp_path):
    results = evaluate(model, films, "all")
    write_results(results, tmp_path / "a" / "found.json", command="here")
    content = json.loads((tmp_path / "a" / "found.json").read_text())
    assert content["command"] == "here" and content["films"] == as_dict(results)["films"]
    assert content["metrics"]["dice"]["value"] == results["dice"]
    with open(tmp_path / "a" / "found.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80 and float(rows[79]["dice"]) == results.rows[79]["dice"]
    paths = save_evaluation(results, tmp_path / "drawn")
    assert [path.stem for path in paths] == ["roc", "confusion", "reliability", "overlays", "areas"]
    assert all(np.asarray(Image.open(path).convert("L")).std() > 5 for path in paths)
    with pytest.raises(ValueError, match=r"give a name that ends in \.json"):
        write_results(results, tmp_path / "found.csv")
    results["jaccard"] = results["dice"] + 0.1
    for use in (as_table, as_dict):
        with pytest.raises(ValueError, match="is impossible"):
            use(results)


def test_the_score_is_the_mean_of_auc_and_dice():
    assert score({"auc": 0.9, "dice": 0.5, "accuracy": 0}) == pytest.approx(0.7)
    assert score({"dice": 0.5, "jaccard": 0.1}) == 0.5
    assert score({"accuracy": 0.8}) == 0.8


CARD = {
    "multimix": {
        "auc": 0.973,
        "accuracy": 0.872,
        "tuned_accuracy": 0.893,
        "f1_normal": 0.795,
        "dice": 0.978,
        "jaccard": 0.957,
        "asd": 0.987,
    },
    "multimix_100_10": {
        "auc": 0.959,
        "accuracy": 0.873,
        "tuned_accuracy": 0.894,
        "f1_normal": 0.800,
        "dice": 0.974,
        "jaccard": 0.950,
        "asd": 1.200,
    },
}


@pytest.mark.parametrize("name", CARD)
def test_the_bundled_networks_score_what_the_card_says(real, name):
    from multimix.data.films import load_films

    model = load_model(name, "cpu")
    films = load_films(str(real / "chest_xray"), str(real / "jsrt"), model.side, progress=False)
    test = replace(
        films,
        classification=films.classification.split("test"),
        segmentation=films.segmentation.split("test"),
    )
    found = evaluate(model, test, clean=False)
    assert {metric: found[metric] for metric in CARD[name]} == pytest.approx(CARD[name], abs=6e-4)


def test_what_weakens_a_measurement_is_said(model, films, tmp_path):
    manifest = manifest_of(
        films, {"classification": films.classification, "segmentation": films.segmentation}
    )
    model.manifest = manifest
    seen, unseen = evaluate(model, films, "train"), evaluate(model, films, "test")
    assert (
        sum("The weights were trained on 32 of these 32 films" in note for note in seen.notes) == 2
    )
    assert not any("trained on" in note for note in unseen.notes)
    assert any("Fewer than 10 patients" in note for note in unseen.notes)
    unlabelled = replace(
        films.segmentation, labelled=torch.zeros(len(films.segmentation), dtype=torch.bool)
    )
    notes = evaluate(model, replace(films, segmentation=unlabelled), "test").notes
    assert any(
        "No film of segmentation in the split 'test' has an answer" in note for note in notes
    )
    assert trained_on("no, manifest") == trained_on(None) == frozenset()


def test_a_network_is_measured_on_the_films_that_it_was_not_trained_on(tmp_path, capsys):
    """Where a folder names no split, the seed of the training decides, and evaluating takes the
    same.
    """
    for i in range(60):
        save(
            tmp_path / "set" / ("NORMAL", "PNEUMONIA")[i % 2] / f"film{i}.png",
            phantom.draw(i, i % 2, SIDE)[0],
        )
    assert (
        main(
            [
                "train",
                "--system",
                "enc",
                "--classification",
                str(tmp_path / "set"),
                "--seed",
                "1",
                "--side",
                str(SIDE),
                "--steps",
                "1",
                "--batch",
                "2",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    assert (
        main(
            [
                "evaluate",
                "--classification",
                str(tmp_path / "set"),
                "--weights",
                str(tmp_path / "run" / "best.pth"),
                "--json",
                str(tmp_path / "test.json"),
            ]
        )
        == 0
    )
    rows = csv.DictReader((tmp_path / "run" / "manifest.csv").read_text().splitlines())
    assert {row["film"] for row in json.loads((tmp_path / "test.json").read_text())["films"]} == {
        row["film"] for row in rows if row["split"] == "test"
    }
