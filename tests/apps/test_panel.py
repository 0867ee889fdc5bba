"""The panel's kernel side, with uploads as ipywidgets 7 and 8 hand them over.

The browser's side is in test_browser.
"""

import base64
import io
import re

import numpy as np
import pytest
from helpers import SIDE, TINY, save, upload
from PIL import Image

from multimix.apps.panel import Panel, uploaded
from multimix.data import phantom
from multimix.images.reading import read_film
from multimix.runtime.checkpoint import save_checkpoint

FILM = phantom.draw(3, 1, 150)[0]


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def panel(tmp_path, model) -> Panel:
    config = {"side": SIDE, "widths": TINY}
    save_checkpoint(tmp_path / "tiny.pth", {"weights": model.state_dict(), "config": config})
    for name in ("a", "b"):
        save(tmp_path / "films" / f"{name}.png", phantom.draw(ord(name), 0, 140)[0])
    return Panel(tmp_path / "films", tmp_path / "tiny.pth")


def mask_of(panel: Panel) -> np.ndarray:
    content = re.search(r"base64,([^']*)'", panel.download.value).group(1)
    return read_film(Image.open(io.BytesIO(base64.b64decode(content)))) > 0


def test_it_opens_with_the_first_sample(panel):
    assert panel.sample.label == "a" and panel.prediction.name == "a"
    sentence = r"<b>(NORMAL|PNEUMONIA)</b>, probability 0\.\d\d<br>lungs: "
    assert re.search(sentence, panel.answer.value)
    assert bytes(panel.picture.value).startswith(b"\x89PNG")
    assert mask_of(panel).shape == (140, 140)


def test_samples_views_and_sliders(panel):
    first = panel.picture.value
    panel.sample.value = panel.sample.options[1][1]
    assert panel.prediction.name == "b"
    pictures = {first, panel.picture.value}
    for view in ("film", "mask", "saliency", "overlay"):
        panel.view.value = view
        pictures.add(panel.picture.value)
    for slider, value in ((panel.opacity, 0.9), (panel.threshold, 0.35)):
        slider.value = value
        pictures.add(panel.picture.value)
    assert len(pictures) == 7  # each is another one, but the second overlay
    assert np.array_equal(mask_of(panel), panel.prediction.mask_probability > 0.35)
    assert f"lungs: {mask_of(panel).mean():.1%}" in panel.answer.value


def test_uploads(panel):
    upload(panel, "mine.png", png(FILM))
    assert panel.prediction.name == "mine" and panel.sample.value is None
    assert np.array_equal(panel.prediction.film, FILM)
    assert "download='mine_mask.png'" in panel.download.value
    panel.device.value = "cpu"  # loads anew, and predicts the same film
    assert panel.prediction.name == "mine"
    panel.sample.value = panel.sample.options[0][1]  # the sample of before can be chosen again
    assert panel.prediction.name == "a"


def test_one_name_twice(panel, tmp_path):
    upload(panel, "1.2.840.png", png(FILM))
    first = panel.prediction
    assert first.name == "1.2.840"
    panel.sample.value = panel.sample.options[0][1]
    upload(panel, "1.2.840.png", png(FILM))  # the same file, which is no change to what was there
    assert np.array_equal(panel.prediction.film, first.film)
    upload(panel, "1.2.840.png", png(FILM[:100]))
    assert panel.prediction.film.shape == (100, 150) and mask_of(panel).shape == (100, 150)
    with pytest.raises(ValueError, match="There are no films in"):
        (tmp_path / "empty").mkdir()
        Panel(tmp_path / "empty")


def test_a_network_without_an_answer_is_one_sentence(panel):
    panel.model.encoder.fc.weight.data.fill_(np.nan)
    panel.sample.value = panel.sample.options[1][1]
    assert "values that are not numbers" in panel.answer.value and panel.prediction is None


def test_nonsense_is_one_sentence_and_the_panel_lives_on(panel):
    upload(panel, "<b>text</b>.png", b"not a picture")
    assert "&lt;b&gt;text&lt;/b&gt;.png is not a picture that can be read" in panel.answer.value
    assert panel.picture.layout.display == "none" and panel.download.value == ""
    assert "/tmp" not in panel.answer.value
    panel.threshold.value = 0.3
    assert "is not a picture" in panel.answer.value
    upload(panel, "mine.png", png(FILM))
    assert panel.prediction.name == "mine"


def test_wrong_weights_are_one_sentence(panel, tmp_path):
    weights = panel.weights.value
    panel.weights.value = str(tmp_path / "none.pth")
    assert "There is no weights file" in panel.answer.value and panel.prediction is None
    panel.weights.value = weights
    assert panel.prediction.name == "a"


def test_uploads_of_both_generations():
    assert uploaded({"film.png": {"metadata": {}, "content": b"x"}}) == ("film.png", b"x")
    assert uploaded(({"name": "film.png", "content": memoryview(b"x")},)) == ("film.png", b"x")
    assert uploaded({}) is None and uploaded(()) is None
