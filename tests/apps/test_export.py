"""The ONNX file gives what the network gives, whatever runs it."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from drawn import draw
from helpers import ROOT, SIDE, TINY, newer_torch

from multimix.apps import export as export_module
from multimix.apps.cli import main
from multimix.apps.export import OUTPUTS, TracedMultiMix, export, names_of_outputs, onnx_file
from multimix.images.reading import rescale
from multimix.inference import enlarge, predict
from multimix.model import MultiMix

pytestmark = newer_torch  # with torch 2.6 today's onnxscript cannot convert the graph
FILMS = [draw(seed, 0, 64)[0] for seed in range(2)]


@pytest.fixture(scope="module")
def content() -> bytes:
    """The ONNX file of the network that the fixture `model` gives."""
    torch.manual_seed(0)
    network = MultiMix(TINY).eval()
    network.info.side = SIDE
    return onnx_file(network)


# At 48 px a pooling leaves out a row; the gradient knows nothing of the bridge.
@pytest.mark.parametrize(("bridge", "side"), ((True, 32), (False, 48)))
def test_the_traced_gradient_is_autograds(bridge, side):
    torch.manual_seed(0)
    model = MultiMix(TINY, bridge).double().eval()
    model.info.side = side
    traced, names = TracedMultiMix(model), names_of_outputs(model)
    for count in (1, 2, 5):
        films = torch.randn(count, 1, side, side, dtype=torch.float64)
        with torch.inference_mode():
            found, expected = dict(zip(names, traced(films))), model(films)
        for name in ("class_logits", "mask_logits", "saliency"):
            torch.testing.assert_close(found[name], getattr(expected, name), rtol=1e-9, atol=1e-12)


def test_the_file_alone_is_enough(tmp_path, model, monkeypatch):
    model.info.side, model.info.calibration = SIDE, {"temperature": 1.5, "operating_point": 0.6}
    model.info.class_sides = (SIDE, SIDE + 16)
    measured = export(model.train(), tmp_path / "multimix.onnx", FILMS)
    assert model.training and set(measured) == {"probabilities", "mask_probability", "saliency"}
    assert max(measured.values()) < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "multimix.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["multimix"])
    assert about["side"] == SIDE and about["classes"] == ["NORMAL", "PNEUMONIA"]
    assert about.items() >= model.info.calibration.items()
    model.eval()
    for count in (1, 3):
        films = torch.rand(count, 1, SIDE, SIDE) * 2 - 1
        with torch.inference_mode():
            larger = model.classify(rescale(films, SIDE + 16))
            logits = (model(films).class_logits + larger) / 2
        pneumonia = torch.sigmoid((logits[:, 1] - logits[:, 0]) / 1.5 - np.log(0.6 / 0.4))
        (found,) = session.run(["probabilities"], {"film": films.numpy()})
        np.testing.assert_allclose(found[:, 1], pneumonia, atol=1e-4)
    monkeypatch.chdir(tmp_path)
    check_the_readmes_lines(model)


def check_the_readmes_lines(model: MultiMix) -> None:
    """Without torch they give what `predict` gives, at the network's side, with its calibration."""
    Path("sample_data").symlink_to(ROOT / "sample_data")
    guide = (ROOT / "multimix" / "README.md").read_text(encoding="utf-8")
    script = "import numpy, onnx" + guide.split("import numpy, onnx")[1].split("```")[0]
    names: dict = {}
    exec(script, names)
    film = re.search(r"sample_data/[\w.]+", script).group()
    expected = predict(model, film, clean=False, invert="never")
    if expected.probabilities:
        probabilities = list(expected.probabilities.values())
        assert names["probabilities"][0] == pytest.approx(probabilities, abs=1e-3)
    found = enlarge(torch.from_numpy(names["mask_probability"][0]), expected.film.shape)
    assert np.abs(found - expected.mask_probability).mean() < 1e-3


def test_float16_is_smaller_and_gives_nearly_the_same(tmp_path, model, content):
    model.info.side = SIDE
    measured = export(model, tmp_path / "half.onnx", FILMS, "float16")
    assert measured["probabilities"] < 0.01 and measured["mask_probability"] < 0.01
    assert (tmp_path / "half.onnx").stat().st_size < len(content)


@pytest.mark.parametrize("task", ("classification", "segmentation"))
def test_a_task_that_was_not_learnt_is_left_out(model, task):
    model.info.side, model.info.tasks = SIDE, (task,)
    session = onnxruntime.InferenceSession(onnx_file(model))
    assert tuple(output.name for output in session.get_outputs()) == OUTPUTS[task]


def test_a_file_that_exists_stays(tmp_path, capsys):
    (out := tmp_path / "a.onnx").write_bytes(b"precious")
    assert main(["export", str(out)]) == 2
    assert "exists already; give another name" in capsys.readouterr().err
    assert out.read_bytes() == b"precious" and list(tmp_path.iterdir()) == [out]
    assert main(["export", "best.pth"]) == 2
    assert "best.pth does not end in .onnx" in capsys.readouterr().err


def test_another_networks_file_is_not_written(tmp_path, model, content, monkeypatch):
    monkeypatch.setattr(export_module, "onnx_file", lambda *_: content)
    model.info.side = SIDE
    model.encoder.fc.bias.data += torch.tensor([0.0, 1.0])
    with pytest.raises(ValueError, match="was not written"):
        export(model, tmp_path / "a.onnx", FILMS)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(tmp_path, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="needs onnxruntime: pip install"):
        export(model, tmp_path / "a.onnx", FILMS)
    assert not list(tmp_path.iterdir())
