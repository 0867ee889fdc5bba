from dataclasses import replace

import pytest
import torch

from multimix.evaluate import classification_metrics, evaluate, score, segmentation_metrics


def test_classification_by_hand():
    # One NORMAL called PNEUMONIA; of the 2 x 3 pairs of a NORMAL and a PNEUMONIA, five are in the right order.
    results = classification_metrics(torch.tensor([0.1, 0.7, 0.6, 0.8, 0.9]), torch.tensor([0, 0, 1, 1, 1]))
    assert results == pytest.approx({"accuracy": 4 / 5, "balanced_accuracy": (1 / 2 + 1) / 2, "f1_normal": 2 / 3,
                                     "f1_pneumonia": 6 / 7, "auc": 5 / 6})


def test_no_auc_of_one_class():
    assert "auc" not in classification_metrics(torch.tensor([0.1, 0.7]), torch.tensor([1, 1]))


def test_segmentation_by_hand():
    truth = torch.zeros(3, 8, 8, dtype=torch.bool)
    predicted = truth.clone()
    truth[0, :4], predicted[0, 2:6] = True, True  # half overlap: Dice 1/2, Jaccard 1/3
    truth[1, :4], predicted[1, :4] = True, True  # perfect; the third film is empty in both: 1
    assert segmentation_metrics(predicted, truth) == pytest.approx({"dice": 2.5 / 3, "jaccard": (1 / 3 + 2) / 3})
    assert segmentation_metrics(~truth, truth)["dice"] == pytest.approx(0)


def test_evaluate_measures_what_is_there(model, films):
    both = evaluate(model.train(), films)
    assert set(both) == {"accuracy", "balanced_accuracy", "f1_normal", "f1_pneumonia", "auc", "dice", "jaccard"}
    assert model.training and all(0 <= value <= 1 for value in both.values())
    assert both == evaluate(model, films)
    masks_only = evaluate(model, replace(films, classification=None), "val")
    assert set(masks_only) == {"dice", "jaccard"}


def test_films_without_answers_are_left_out(model, films):
    known = films.segmentation.labelled.clone()
    part = replace(films.segmentation, labelled=known & (torch.arange(len(known)) % 2 == 0))
    some = evaluate(model, replace(films, classification=None, segmentation=part), "all")
    assert some == evaluate(model, replace(films, classification=None,
                                           segmentation=part[torch.arange(0, len(known), 2)]), "all")
    nothing = replace(films.segmentation, labelled=known & False)
    with pytest.raises(ValueError, match="no labelled films in the split 'test'"):
        evaluate(model, replace(films, classification=None, segmentation=nothing))


def test_the_score_is_the_mean_of_auc_and_dice():
    assert score({"auc": 0.9, "dice": 0.5, "accuracy": 0}) == pytest.approx(0.7)
    assert score({"dice": 0.5, "jaccard": 0.1}) == 0.5
    assert score({"accuracy": 0.8, "balanced_accuracy": 0.6}) == 0.6
