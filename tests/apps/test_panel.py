"""The panel's kernel side, with uploads as ipywidgets 7 and 8 hand them over.

The browser's side is in test_browser, the pictures are in test_pictures.
"""

import base64
import html
import io
import re
import sys
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from drawn import draw
from helpers import save, upload
from PIL import Image

import multimix
from multimix.apps.panel import uploaded_files
from multimix.images.reading import read_film
from multimix.predictions.pictures import VIEWS, file_content

FILM = draw(3, 1, 150)[0]


def png(picture: np.ndarray) -> bytes:
    return file_content(Image.fromarray(picture))


@pytest.fixture
def panel(tmp_path, weights) -> multimix.Panel:
    folder = tmp_path / "films"
    for name in ("a", "b"):
        film, mask = draw(ord(name), 0, 140)
        save(folder / f"{name}.png", film)
    save(folder / "masks" / "a.png", mask)
    (folder / "films.csv").write_text("path,truth,mask\na.png,NORMAL,masks/a.png\nb.png,NORMAL,\n")
    return multimix.Panel(folder, weights)


def download(panel: multimix.Panel, name: str) -> bytes:
    """What the link of that name saves."""
    link = rf"download='{re.escape(name)}' href='data:[a-z/-]+;base64,([^']*)'"
    return base64.b64decode(re.search(link, panel.downloads.value).group(1))


def mask_of(panel: multimix.Panel) -> np.ndarray:
    return read_film(download(panel, f"{panel.prediction.name}_mask.png")) > 0


def table_of(panel: multimix.Panel) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(download(panel, "predictions.csv")))


def test_it_opens_with_the_first_sample_which_is_not_in_the_table(panel):
    assert panel.choice.label == "a.png" and panel.prediction.name == "a"
    for text in ("<b>(NORMAL|PNEUMONIA), probability", "above 0.50", "right lung: ", "left lung: "):
        assert re.search(text, panel.answer.value)
    assert "Dice with the outline by hand" in panel.answer.value
    assert bytes(panel.picture.value[:2]) == b"\xff\xd8" and mask_of(panel).shape == (140, 140)
    assert panel.table.value == panel.message.value == panel.busy.value == ""
    assert "predictions.csv" not in panel.downloads.value
    panel.choice.index = 1
    assert panel.prediction.name == "b" and "by hand" not in panel.answer.value
    assert list(table_of(panel)["file"]) == ["b.png"]
    panel.choice.index = 0
    assert list(table_of(panel)["file"]) == ["a.png", "b.png"]


def test_every_setting_draws_another_picture(panel):
    pictures = {panel.picture.value}
    settings = [*((panel.view, view) for view in VIEWS[1:]), (panel.opacity, 0.9)]
    settings += [(panel.brightness, 0.3), (panel.contrast, 2), (panel.zoom, 3)]
    for setting, value in settings:
        setting.value = value
        pictures.add(panel.picture.value)
    assert len(pictures) == len(VIEWS) + 4
    panel.threshold.value = 0.35
    assert np.array_equal(mask_of(panel), panel.prediction.mask_probability > 0.35)


def use_mouse(panel: multimix.Panel, **message: object) -> None:
    """Send what the picture's listener sends from the browser."""
    (name,) = [name for name in panel.picture._dom_classes if name.startswith("multimix-")]
    widgets = getattr(ipywidgets.Widget, "widgets", None) or ipywidgets.widgets.widget._instances
    (mouse,) = [each for each in widgets.values() if name in getattr(each, "_esm", "")]
    mouse._handle_custom_msg({"at": [0.5, 0.5], "drag": [0, 0], "wheel": 0} | message, [])


def test_the_mouse_zooms_at_its_place_and_changes_the_grey_values(panel):
    pytest.importorskip("anywidget")
    use_mouse(panel, at=[0.0, 1.0], wheel=1)
    assert panel.zoom.value == pytest.approx(1.2)
    np.testing.assert_allclose(panel.corner, [0, 1 - 1 / 1.2])  # the upper right corner stays
    use_mouse(panel, at=[0.5, 0.5], wheel=1)
    np.testing.assert_allclose(panel.corner + 0.5 / 1.44, [0.5 / 1.2, 1 - 0.5 / 1.2])
    for _ in range(3):
        use_mouse(panel, wheel=-1)
    assert panel.zoom.value == 1 and not panel.corner.any()
    use_mouse(panel, drag=[-0.1, 0.2])
    assert (panel.brightness.value, panel.contrast.value) == pytest.approx((0.1, 1.4))


@pytest.mark.parametrize("module, value", (("anywidget", None), ("google.colab", "there")))
def test_without_anywidget_there_are_the_sliders(panel, monkeypatch, module, value, weights):
    monkeypatch.setitem(sys.modules, module, value)
    plain = multimix.Panel(panel.choice.value.source.parent, weights)
    assert not plain.picture._dom_classes
    plain.zoom.value = 2
    np.testing.assert_allclose(plain.corner, [0.25, 0.25])


def test_several_uploads(panel):
    busy = []
    panel.busy.observe(lambda change: busy.append(change["new"]), "value")
    long = f"{'x' * 50}two.png"
    upload(panel, ("one.png", png(FILM)), ("<b>.png", b"no film"), (long, png(FILM[:, ::-1])))
    assert panel.prediction.name == "one" and np.array_equal(panel.prediction.film, FILM)
    assert "&lt;b&gt;.png" in panel.message.value
    assert any("Predicting x" in sign for sign in busy) and busy[-1] == ""
    labels = [label for label, _ in panel.choice.options]
    assert (labels[0], *labels[3:]) == ("one.png", "a.png", "b.png")
    assert len(labels[2]) < 45 and "…" in labels[2]
    table = table_of(panel)
    assert list(table["file"]) == ["one.png", long] and "a.png" not in panel.table.value
    films = [Image.fromarray(FILM), Image.fromarray(FILM[:, ::-1])]
    for (_, row), p in zip(table.iterrows(), multimix.predict(panel.model, films), strict=True):
        assert row["network"] == panel.model.info.name and row["label"] == p.label
        assert float(row["lung_share"]) == pytest.approx(p.lung_share, abs=1e-4)
    for warning in panel.prediction.warnings:
        assert html.escape(warning) in panel.answer.value
    panel.choice.index = 2
    assert panel.prediction.name == long.removesuffix(".png") and panel.message.value == ""
    for height in (100, 120):  # one name twice
        upload(panel, "1.2.840.png", png(FILM[:height]))
        assert panel.prediction.name == "1.2.840" and mask_of(panel).shape == (height, 150)


def test_a_film_without_a_prediction_keeps_the_last_picture(panel):
    before = panel.picture.value
    upload(panel, "<b>text</b>.png", b"not a picture")
    assert "&lt;b&gt;text&lt;/b&gt;.png: The film is not" in panel.message.value
    assert panel.picture.value == before and panel.prediction.name == "a"
    panel.model.encoder.fc.weight.data.fill_(np.nan)
    panel.choice.index = 2
    assert "not numbers" in panel.message.value and panel.prediction.name == "a"


@pytest.mark.parametrize("tasks", (("classification",), ("segmentation",)))
def test_a_task_that_was_not_learnt_is_left_out(panel, tasks):
    panel.model.info.tasks = tasks
    panel.choice.index = 1
    for view in VIEWS:
        panel.view.value = view
    assert ("right lung" in panel.answer.value) == ("segmentation" in tasks)
    assert ("class not learnt" in panel.answer.value) == ("classification" not in tasks)
    assert ("_mask.png" in panel.downloads.value) == ("segmentation" in tasks)


@pytest.mark.skipif(ipywidgets.__version__ < "8", reason="ipywidgets 7 shows the panel its own way")
def test_a_still_picture_stands_where_no_kernel_runs(panel):
    bundle, metadata = panel._repr_mimebundle_()
    assert panel.prediction.name in metadata["image/jpeg"]["alt"]
    content = base64.b64decode(bundle["image/jpeg"])
    assert content.startswith(b"\xff\xd8") and len(content) < 150_000
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Panel: shown in a running notebook only."


def test_uploads_of_ipywidgets_7_and_8():
    first, second = ({"name": "a.png", "content": memoryview(b"x")} for _ in range(2))
    for value in ({"a.png": first}, (second,)):
        assert uploaded_files(SimpleNamespace(value=value)) == [("a.png", b"x")]
    assert not first["content"] and not second["content"]  # the same file may come again
