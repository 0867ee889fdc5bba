from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from PIL import Image

from multimix.evaluation import figures
from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.figures import save_evaluation, show


def names_of_figures(results, out):
    """Of those that were drawn; each shows something."""
    paths = save_evaluation(results, out)
    for path in paths:
        assert np.asarray(Image.open(path).convert("L")).std() > 5
    return [path.stem for path in paths]


def test_an_evaluation_is_drawn(model, films, tmp_path):
    names = names_of_figures(evaluate(model, films, "all"), tmp_path)
    assert names == ["classes", "lungs"]


def test_one_class_has_no_roc(model, films, tmp_path):
    classes = films.classification
    positives = classes[(classes.labels == 1).nonzero().flatten()]
    results = evaluate(model, type(films)(classification=positives), "all")
    assert names_of_figures(results, tmp_path) == ["classes"]


def test_no_lung_has_no_outline(model, films, tmp_path):
    torch.nn.init.zeros_(model.decoder.conv_last.weight)
    torch.nn.init.constant_(model.decoder.conv_last.bias, -1)
    results = evaluate(model, type(films)(segmentation=films.segmentation), "test")
    assert not results.predicted.any()
    assert names_of_figures(results, tmp_path) == ["lungs"]


def test_a_notebook_gets_the_figure_with_its_text_and_once(monkeypatch):
    shown = []
    formatter = DisplayFormatter()
    formatter.formatters["image/jpeg"].for_type(Figure, lambda figure: b"picture")
    monkeypatch.setattr(
        figures, "get_ipython", lambda: SimpleNamespace(display_formatter=formatter)
    )
    monkeypatch.setattr(figures, "display", lambda content, **rest: shown.append((content, rest)))
    monkeypatch.setattr(
        "matplotlib.get_backend", lambda: "module://matplotlib_inline.backend_inline"
    )
    plt.close("all")  # what other tests left open
    plt.figure()
    show('two "lungs"')
    ((content, rest),) = shown
    assert content == {"image/jpeg": b"picture", "text/plain": 'two "lungs"'}
    assert rest == {"metadata": {"image/jpeg": {"alt": 'two "lungs"'}}, "raw": True}
    assert not plt.get_fignums()
