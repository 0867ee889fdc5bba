"""The ONNX file says what the network says, whatever runs it."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import ROOT, SIDE, TINY, check_exported, newer_torch

from multimix.apps import export as export_module
from multimix.apps.cli import main
from multimix.apps.export import ExportedOutput, TracedMultiMix, export, onnx_file
from multimix.images.formats import film_paths
from multimix.images.scaling import rescale
from multimix.inference import enlarge, predict
from multimix.model import MultiMix
from multimix.runtime.checkpoint import save_checkpoint
from multimix.runtime.files import bundled

pytestmark = newer_torch  # with torch 2.6 today's onnxscript cannot convert the graph
SAMPLES = film_paths(bundled("sample_data"))


@pytest.fixture(scope="module")
def content() -> bytes:
    """The ONNX file of the network that the fixture `model` gives."""
    torch.manual_seed(0)
    network = MultiMix(TINY).eval()
    network.side = SIDE
    return onnx_file(network)


# At 48 px a pooling leaves out a row; the gradient knows nothing of the bridge.
@pytest.mark.parametrize(("bridge", "side"), ((True, 32), (False, 48)))
def test_the_traced_gradient_is_autograds(bridge, side):
    torch.manual_seed(0)
    model = MultiMix(TINY, bridge).double().eval()
    model.side = side
    traced = TracedMultiMix(model)
    for count in (1, 2, 3, 5):
        films = torch.randn(count, 1, side, side, dtype=torch.float64)
        with torch.inference_mode():
            for ours, theirs in zip(traced(films), model(films)):
                torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_the_file_alone_is_enough(tmp_path, model, monkeypatch):
    model.side, model.calibration = SIDE, {"temperature": 1.5, "operating_point": 0.6}
    model.class_sides = (SIDE, SIDE + 16)
    measured = export(model, tmp_path / "multimix.onnx", SAMPLES)
    assert max(measured.differences.values()) < 1e-4
    assert measured.seconds > 0 < measured.seconds_torch
    session = onnxruntime.InferenceSession(tmp_path / "multimix.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["multimix"]) == {
        "side": SIDE,
        "classes": ["NORMAL", "PNEUMONIA"],
        "film": "grey level / 127.5 - 1",
        "probabilities": "calibrated, of the classes in their order",
        "mask_probability": "of lung, before specks are removed and holes filled",
        **model.calibration,
    }
    for count in (1, 3):
        films = torch.rand(count, 1, SIDE, SIDE) * 2 - 1
        with torch.inference_mode():
            expected = model(films)
            larger = model.classify(rescale(films, SIDE + 16))
            expected = expected._replace(class_logits=(expected.class_logits + larger) / 2)
        odds = expected.class_logits[:, 1] - expected.class_logits[:, 0]
        pneumonia = torch.sigmoid(odds / 1.5 - np.log(0.6 / 0.4))
        probabilities = torch.stack([1 - pneumonia, pneumonia], 1)
        wanted = [*expected, probabilities, expected.mask_logits.sigmoid()]
        for ours, theirs in zip(
            session.run(ExportedOutput._fields, {"film": films.numpy()}), wanted
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
    monkeypatch.chdir(tmp_path)
    check_the_readmes_lines(model)
    # The network itself is left as it was.
    assert next(model.parameters()).is_contiguous(memory_format=torch.channels_last)
    assert not model.training


def check_the_readmes_lines(model: MultiMix) -> None:
    """Without torch they give what `predict` gives, at the network's side, with its calibration."""
    Path("sample_data").symlink_to(ROOT / "sample_data")
    guide = (ROOT / "multimix" / "README.md").read_text(encoding="utf-8")
    script = guide.split("import numpy, onnx")[1]
    names: dict = {}
    exec("import numpy, onnx" + script.split("```")[0], names)
    film = ROOT / "sample_data" / "real_adult_pa.png"
    expected = predict(model, film, clean=False, invert="never")
    probabilities = list(expected.probabilities.values())
    assert names["probabilities"][0] == pytest.approx(probabilities, abs=1e-4)
    for name in ("mask_probability", "saliency"):
        found = enlarge(torch.from_numpy(names[name][0]), expected.film.shape)
        np.testing.assert_allclose(found, getattr(expected, name), atol=1e-3)


def test_the_network_of_few_labels_by_the_command_line(tmp_path, capsys):
    # The other one is exported by the README's command, in test_readme.
    out = tmp_path / "multimix.onnx"
    assert main(["export", str(out), "--weights", "multimix_100_10"]) == 0
    check_exported(capsys.readouterr().out, out)


def test_another_networks_file_is_not_written(tmp_path, model, content, monkeypatch):
    monkeypatch.setattr(export_module, "onnx_file", lambda _: content)
    model.side = SIDE
    model.encoder.fc.bias.data += torch.tensor([0.0, 1.0])
    with pytest.raises(ValueError, match="was not written"):
        export(model, tmp_path / "a.onnx", SAMPLES)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written(tmp_path, model, content, monkeypatch, capsys):
    monkeypatch.setattr(export_module, "onnx_file", lambda _: content)
    weights = tmp_path / "tiny.pth"
    save_checkpoint(
        weights, {"weights": model.state_dict(), "config": {"side": SIDE, "widths": TINY}}
    )
    (tmp_path / "file").touch()
    command = ["export", str(tmp_path / "file" / "a.onnx"), "--weights", str(weights)]
    assert main(command) == 2
    assert f"{tmp_path / 'file'} could not be read or written" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "tiny.pth"]


def test_what_is_no_onnx_file_and_no_film_is_refused(tmp_path, model):
    weights = tmp_path / "best.pth"
    weights.write_bytes(b"weights")
    for out, films in ((weights, SAMPLES), (tmp_path / "a.onnx", [])):
        with pytest.raises(ValueError, match=r"ends in \.onnx, and at least one film"):
            export(model, out, films)
    assert weights.read_bytes() == b"weights" and len(list(tmp_path.iterdir())) == 1


def test_a_missing_package_is_named(tmp_path, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="needs the package onnxruntime: pip install"):
        export(model, tmp_path / "a.onnx", SAMPLES)
    assert not list(tmp_path.iterdir())
