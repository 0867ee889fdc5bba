"""The panel's kernel side, with uploads as ipywidgets 7 and 8 hand them over.

The browser's side is in test_browser, the pictures are in test_film_pictures.
"""

import base64
import html
import io
import re
import sys
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from helpers import SIDE, TINY, save, upload
from PIL import Image

import multimix
from multimix.apps.panel_parts import taken
from multimix.data import phantom
from multimix.evaluation.film_pictures import HEEDED, VIEWS
from multimix.images.reading import read_film
from multimix.runtime.checkpoint import save_checkpoint
from multimix.runtime.files import parse_csv

FILM = phantom.draw(3, 1, 150)[0]


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def panel(tmp_path, model) -> multimix.Panel:
    config = {"side": SIDE, "widths": TINY}
    save_checkpoint(tmp_path / "tiny.pth", {"weights": model.state_dict(), "config": config})
    for name in ("a", "b"):
        save(tmp_path / "films" / f"{name}.png", phantom.draw(ord(name), 0, 140)[0])
    return multimix.Panel(tmp_path / "films", tmp_path / "tiny.pth")


def download(panel: multimix.Panel, name: str) -> bytes:
    """What the link of that name saves."""
    link = rf"download='{re.escape(name)}' href='data:[a-z/-]+;base64,([^']*)'"
    return base64.b64decode(re.search(link, panel.downloads.value).group(1))


def mask_of(panel: multimix.Panel) -> np.ndarray:
    return read_film(download(panel, f"{panel.prediction.name}_mask.png")) > 0


def table_of(panel: multimix.Panel) -> list[dict[str, str]]:
    return parse_csv(download(panel, "predictions.csv").decode())


def is_shown(widget) -> bool:
    return widget.layout.display != "none"


def test_it_opens_with_the_first_sample(panel):
    assert panel.choice.label == "a" and panel.prediction.name == "a"
    sentence = r"<b>(NORMAL|PNEUMONIA)</b>, probability 0\.\d\d<br>lungs: "
    assert re.search(sentence, panel.answer.value) and "tiny.pth" in panel.answer.value
    assert panel.picture.value == download(panel, "a_overlay.jpg") and is_shown(panel.picture)
    assert mask_of(panel).shape == (140, 140)
    assert not is_shown(panel.device) or len(panel.device.options) > 2
    assert panel.message.value == panel.busy.value == ""


def test_samples_views_and_sliders(panel):
    first = panel.picture.value
    panel.next.click()
    assert panel.prediction.name == "b" and panel.next.disabled and not panel.previous.disabled
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
    panel.previous.click()
    assert panel.prediction.name == "a" and panel.previous.disabled
    assert [row["file"] for row in table_of(panel)] == ["a.png", "b.png"]


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_view_does_not_heed_is_hidden(panel, view):
    panel.view.value = view
    for name, views in HEEDED.items():
        assert is_shown(getattr(panel, name)) == (view in views)
    assert not is_shown(panel.row) and not is_shown(panel.reading)


def test_the_values_at_a_point(panel):
    upload(panel, "wide.png", png(FILM[:100]))
    panel.pointing.value = True
    assert (panel.row.max, panel.column.max) == (99, 149) and is_shown(panel.row)
    before = panel.picture.value
    panel.row.value, panel.column.value = 20, 140
    p = panel.prediction
    found = f"grey value {FILM[20, 140]}, lung probability {p.mask_probability[20, 140]:.2f}"
    assert panel.reading.value.startswith(f"Row 20, column 140: {found}, saliency ")
    assert panel.picture.value != before
    upload(panel, "high.png", png(FILM[:, :90]))  # that point is outside this film
    assert (panel.row.max, panel.column.max) == (149, 89)
    panel.zoom.value = True
    assert panel.layers.box[2] <= 90


def send(panel: multimix.Panel, message: dict) -> None:
    """What the picture's listener sends from the browser."""
    (name,) = [name for name in panel.picture._dom_classes if name.startswith("multimix-")]
    (listener,) = [w for w in ipywidgets.Widget.widgets.values() if name in getattr(w, "_esm", "")]
    listener._handle_custom_msg(message, [])


@pytest.mark.parametrize("zoom", (False, True))
def test_a_click_and_the_arrow_keys_set_the_point(panel, zoom):
    pytest.importorskip("anywidget")
    upload(panel, "wide.png", png(FILM[:100]))
    panel.zoom.value = zoom
    left, top, right, bottom = panel.layers.box
    assert zoom == ((left, top, right, bottom) != (0, 0, 150, 100))
    send(panel, {"share": [0.25, 0.999]})
    row, column = top + int(0.25 * (bottom - top)), right - 1
    assert panel.pointing.value and (panel.row.value, panel.column.value) == (row, column)
    assert panel.reading.value.startswith(f"Row {row}, column {column}: grey value ")
    send(panel, {"step": [1, 0]})
    send(panel, {"step": [0, -1]})
    assert panel.reading.value.startswith(f"Row {row + 1}, column {column - 1}: grey value ")
    send(panel, {"share": [0, 0]})
    assert (panel.row.value, panel.column.value) == (top, left)
    if not zoom:
        send(panel, {"step": [-1, 0]})  # there is no pixel beyond
        assert panel.reading.value.startswith("Row 0, column 0: ")


@pytest.mark.parametrize("module, value", (("anywidget", None), ("google.colab", "there")))
def test_without_anywidget_the_sliders_set_the_point(panel, monkeypatch, module, value):
    monkeypatch.setitem(sys.modules, module, value)
    plain = multimix.Panel(panel.films[0].source.parent, panel.weights.value)
    assert panel.picture.value == plain.picture.value and not plain.picture._dom_classes
    plain.pointing.value = True
    plain.row.value = 20
    assert plain.reading.value.startswith("Row 20, column 70: ") and is_shown(plain.picture)


def test_several_uploads(panel):
    busy = []
    panel.busy.observe(lambda change: busy.append(change["new"]), "value")
    upload(panel, ("one.png", png(FILM)), ("<b>.png", b"no film"), ("two.png", png(FILM[:, ::-1])))
    assert panel.prediction.name == "one" and np.array_equal(panel.prediction.film, FILM)
    assert "&lt;b&gt;.png is not a picture that can be read" in panel.message.value
    assert any("Predicting two, 1 of 1" in sign for sign in busy) and busy[-1] == ""
    assert [label for label, _ in panel.choice.options] == ["a", "b", "one", "two"]
    films = [Image.fromarray(FILM), Image.fromarray(FILM[:, ::-1])]
    for row, p in zip(table_of(panel), multimix.predict(panel.model, films), strict=True):
        assert row["label"] == p.label and row["network"].endswith("tiny.pth")
        assert float(row["PNEUMONIA"]) == pytest.approx(p.probabilities["PNEUMONIA"], abs=1e-4)
        assert float(row["lung_share"]) == pytest.approx(p.lung_share, abs=1e-4)
        assert row["warnings"] == " | ".join(p.warnings) and row["dice"] == ""
        assert p.warnings and all(
            html.escape(warning) in panel.table.value for warning in p.warnings
        )
    assert "one.png" in panel.table.value and "a.png" not in panel.table.value
    panel.next.click()
    assert panel.prediction.name == "two" and panel.message.value == ""
    panel.device.value = "cpu"  # loads anew, and predicts both again
    assert len(table_of(panel)) == 2 and panel.prediction.name == "two"
    panel.choice.value = 0
    assert panel.prediction.name == "a" and table_of(panel)[0]["file"] == "a.png"


def test_a_true_mask(panel):
    mask = panel.prediction.mask_probability > 0.5
    mask[:70] = ~mask[:70]
    truth = png((255 * mask).astype(np.uint8))
    before = panel.picture.value
    upload(panel, ("truth.png", truth), to=panel.upload_truth)
    expected = 2 * (panel.prediction.mask & mask).sum() / (panel.prediction.mask.sum() + mask.sum())
    assert f"Dice with the true mask: {expected:.3f}" in panel.answer.value
    assert float(table_of(panel)[0]["dice"]) == pytest.approx(expected, abs=1e-6)
    assert "true lungs" in panel.legend.value and panel.picture.value != before
    upload(panel, ("half.png", png((255 * mask[:70]).astype(np.uint8))), to=panel.upload_truth)
    assert "The mask half.png has 140 x 70 pixels and its film 140 x 140" in panel.message.value
    assert np.array_equal(panel.film.truth, mask)  # the last good one
    panel.next.click()
    assert "Dice with the true mask" not in panel.answer.value
    panel.previous.click()
    assert f"Dice with the true mask: {expected:.3f}" in panel.answer.value


def test_a_mask_for_each_lung_of_another_size(panel):
    halves = np.zeros((2, 70, 70), dtype=np.uint8)
    halves[0, 10:60, 10:30], halves[1, 10:60, 40:60] = 255, 1
    upload(panel, ("r.png", png(halves[0])), ("l.png", png(halves[1])), to=panel.upload_truth)
    assert panel.film.truth.shape == (140, 140)
    assert panel.film.truth.sum() == 4 * (halves > 0).sum()


def test_one_name_twice(panel, tmp_path):
    upload(panel, "1.2.840.png", png(FILM))
    first = panel.prediction
    assert first.name == "1.2.840"
    panel.choice.value = 0
    upload(panel, "1.2.840.png", png(FILM))  # the same file, which is no change to what was there
    assert np.array_equal(panel.prediction.film, first.film)
    upload(panel, "1.2.840.png", png(FILM[:100]))
    assert panel.prediction.film.shape == (100, 150) and mask_of(panel).shape == (100, 150)
    with pytest.raises(ValueError, match="There are no films in"):
        (tmp_path / "empty").mkdir()
        multimix.Panel(tmp_path / "empty")


def test_a_network_without_an_answer_is_one_sentence(panel):
    panel.model.encoder.fc.weight.data.fill_(np.nan)
    panel.choice.value = 1
    assert "values that are not numbers" in panel.message.value and panel.prediction.name == "a"


def test_nonsense_keeps_the_last_picture(panel):
    before = panel.picture.value
    upload(panel, "<b>text</b>.png", b"not a picture")
    assert "&lt;b&gt;text&lt;/b&gt;.png is not a picture that can be read" in panel.message.value
    assert "/tmp" not in panel.message.value
    assert panel.picture.value == before and panel.prediction.name == "a"
    panel.threshold.value = 0.3
    assert "is not a picture" in panel.message.value
    upload(panel, "mine.png", png(FILM))
    assert panel.prediction.name == "mine" and panel.message.value == ""


def test_networks(panel, tmp_path):
    assert {"multimix", "multimix_100_10"} < set(panel.network.options) and is_shown(panel.weights)
    weights, before = panel.weights.value, panel.picture.value
    panel.weights.value = str(tmp_path / "none.pth")
    assert "There is no weights file" in panel.message.value
    assert panel.picture.value == before and "tiny.pth" in panel.answer.value
    panel.weights.value = weights
    assert panel.message.value == ""
    panel.network.value = "multimix_100_10"
    assert "Network multimix_100_10" in panel.answer.value and not is_shown(panel.weights)
    expected = multimix.predict(multimix.load_model("multimix_100_10"), panel.films[0].source)
    assert panel.prediction.probabilities == expected.probabilities


def test_without_a_network_there_is_a_sentence(tmp_path):
    save(tmp_path / "a.png", FILM)
    panel = multimix.Panel(tmp_path, tmp_path / "none.pth")
    assert "There is no weights file" in panel.message.value and not is_shown(panel.picture)
    upload(panel, "mine.png", png(FILM))
    assert "No network is loaded; choose one." in panel.message.value
    panel.network.value = "multimix"
    assert panel.prediction.name == "mine" and is_shown(panel.picture)


@pytest.mark.skipif(ipywidgets.__version__ < "8", reason="ipywidgets 7 shows the panel its own way")
def test_a_still_picture_stands_where_no_kernel_runs(panel):
    bundle, metadata = panel._repr_mimebundle_()
    assert panel.prediction.name in metadata["image/jpeg"]["alt"]
    assert base64.b64decode(bundle["image/jpeg"]).startswith(b"\xff\xd8")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Panel: shown in a running notebook only."


def test_uploads_of_both_generations():
    for value in ({"a.png": {"content": b"x"}}, ({"name": "a.png", "content": memoryview(b"x")},)):
        field = SimpleNamespace(value=value)
        field.set_trait = field.__setattr__
        assert taken(field) == [("a.png", b"x")]
        assert field.value == type(value)() and taken(field) == []
