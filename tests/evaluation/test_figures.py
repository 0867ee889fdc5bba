import numpy as np
import torch
from PIL import Image

from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.figures import save_evaluation


def names_of_figures(results, out):
    """Of those that were drawn; each shows something."""
    paths = save_evaluation(results, out)
    for path in paths:
        assert np.asarray(Image.open(path).convert("L")).std() > 5
    return [path.stem for path in paths]


def test_an_evaluation_is_drawn(model, films, tmp_path):
    names = names_of_figures(evaluate(model, films, "all"), tmp_path)
    assert names == ["roc", "confusion", "reliability", "overlays", "areas"]


def test_one_class_has_no_roc(model, films, tmp_path):
    classes = films.classification
    positives = classes[(classes.labels == 1).nonzero().flatten()]
    results = evaluate(model, type(films)(classification=positives), "all")
    assert names_of_figures(results, tmp_path) == ["confusion", "reliability"]


def test_no_lung_has_no_outline(model, films, tmp_path):
    torch.nn.init.zeros_(model.decoder.conv_last.weight)
    torch.nn.init.constant_(model.decoder.conv_last.bias, -1)
    results = evaluate(model, type(films)(segmentation=films.segmentation), "test")
    assert not results.predicted.any()
    assert names_of_figures(results, tmp_path) == ["overlays", "areas"]
