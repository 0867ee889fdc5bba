from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from PIL import Image

from multimix.evaluation import figures
from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.figures import save_evaluation, show


@pytest.mark.parametrize("has_lung", (True, False))
def test_an_evaluation_is_drawn(model, films, tmp_path, has_lung):
    if not has_lung:
        torch.nn.init.zeros_(model.decoder.conv_last.weight)
        torch.nn.init.constant_(model.decoder.conv_last.bias, -1)
    paths = save_evaluation(evaluate(model, films, "all"), tmp_path)
    assert [path.stem for path in paths] == ["classes", "lungs"]
    for path in paths:
        assert np.asarray(Image.open(path).convert("L")).std() > 5


def test_a_notebook_gets_the_figure_with_its_text_and_once(monkeypatch):
    shown, formatter = [], DisplayFormatter()
    formatter.formatters["image/jpeg"].for_type(Figure, lambda figure: b"picture")
    shell = SimpleNamespace(display_formatter=formatter)
    monkeypatch.setattr(figures, "get_ipython", lambda: shell)
    monkeypatch.setattr(figures, "display", lambda content, **rest: shown.append((content, rest)))
    monkeypatch.setattr("matplotlib.get_backend", lambda: "inline")
    plt.close("all")  # what other tests left open
    plt.figure()
    show('two "lungs"')
    ((content, rest),) = shown
    assert content == {"image/jpeg": b"picture", "text/plain": 'two "lungs"'}
    assert rest == {"metadata": {"image/jpeg": {"alt": 'two "lungs"'}}, "raw": True}
    assert not plt.get_fignums()
