"""The ONNX file gives what the network gives, whatever runs it."""

import copy
import io
import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from drawn import draw
from helpers import ROOT, TINY, newer_torch

from multimix.apps import export as module
from multimix.apps.cli import main
from multimix.apps.export import OUTPUTS, PlainMultiMix, export, halve_weights, outputs_of
from multimix.evaluation.calibration import calibrated_log_odds
from multimix.images.formats import film_paths
from multimix.inference import enlarge, load_model, predict
from multimix.model import MultiMix

pytestmark = newer_torch  # with torch 2.6 today's onnxscript cannot convert the graph
FILMS = [draw(seed, 0, 64)[0] for seed in range(2)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[MultiMix, Path]:
    """The bundled network, which has all that a checkpoint can have, and its file."""
    path, printed = tmp_path_factory.mktemp("exported") / "multimix.onnx", io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr("multimix.apps.cli.film_paths", lambda folder: film_paths(folder)[:2])
        assert main(["export", str(path)]) == 0
    differences = printed.getvalue().splitlines()[1].rpartition(": ")[2]
    pattern = r"probabilities (\S+), saliency (\S+), mask_probability (\S+)\."
    assert max(map(float, re.fullmatch(pattern, differences).groups())) < 1e-4
    assert path.stat().st_size > 7e6
    return load_model(device="cpu"), path


def outputs_in_onnxruntime(content: bytes, films: torch.Tensor) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(content)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"film": films.numpy()})))


def test_the_file_gives_what_the_network_gives_for_any_number_of_films(exported):
    model, path = exported
    about = onnx.load(path).metadata_props
    about = json.loads({entry.key: entry.value for entry in about}["multimix"])
    assert about["side"] == model.info.side and about["classes"] == ["NORMAL", "PNEUMONIA"]
    assert about.items() >= model.info.calibration.items() and len(model.info.class_sides) == 3
    for count in (1, 3):
        films = torch.rand(count, 1, model.info.side, model.info.side) * 2 - 1
        with torch.no_grad():
            expected = outputs_of(model, films)
        found = outputs_in_onnxruntime(path.read_bytes(), films)
        assert [*found] == [*expected] == [name for names in OUTPUTS.values() for name in names]
        for name, values in expected.items():
            off = np.abs(found[name] - values.numpy())
            if name == "saliency":  # rounding decides which of two pixels pooling takes
                assert off.mean() < 0.01 * values.mean()
            else:
                assert off.max() < 1e-3, name
        log_odds = expected["class_logits"].diff(dim=1)[:, 0]
        log_odds = calibrated_log_odds(log_odds, model.info.calibration)
        torch.testing.assert_close(expected["probabilities"][:, 1], torch.sigmoid(log_odds))


def test_the_guides_lines_need_no_torch(exported, tmp_path, monkeypatch):
    """They give what `predict` gives, at the network's side, with its calibration."""
    model, path = exported
    monkeypatch.chdir(tmp_path)
    Path("multimix.onnx").symlink_to(path)
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


def test_the_traced_gradient_is_autograds():
    torch.manual_seed(0)
    model, side = MultiMix(TINY).double().eval(), 48  # a pooling leaves out a row
    model.info.side = side
    plain = PlainMultiMix(model)
    for count in (1, 2, 5):
        films = torch.randn(count, 1, side, side, dtype=torch.float64)
        with torch.inference_mode():
            for found, expected in zip(plain(films), outputs_of(model, films).values()):
                torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_weights_of_float16_give_nearly_the_same_in_a_smaller_file(exported):
    model, path = exported
    proto, films = onnx.load(path), torch.rand(2, 1, model.info.side, model.info.side) * 2 - 1
    halve_weights(proto.graph)
    content = proto.SerializeToString()
    whole, half = (outputs_in_onnxruntime(c, films) for c in (path.read_bytes(), content))
    assert len(content) < path.stat().st_size
    for name in ("probabilities", "mask_probability"):
        np.testing.assert_allclose(half[name], whole[name], atol=0.01)


@pytest.mark.parametrize("task", OUTPUTS)
def test_a_task_that_was_not_learnt_is_left_out(model, x, task):
    model.info.tasks = (task,)
    assert tuple(outputs_of(model, x)) == OUTPUTS[task]


def test_a_missing_package_and_another_networks_file(tmp_path, exported, monkeypatch):
    model = copy.deepcopy(exported[0]).train()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(ValueError, match=r"import of onnxruntime .* pip install"):
            export(model, tmp_path / "a.onnx", FILMS)
    content = exported[1].read_bytes()
    made = content, onnxruntime.InferenceSession(content)
    monkeypatch.setattr(module, "onnx_file", lambda *_: made)
    model.encoder.fc.bias.data += torch.tensor([0.0, 1.0])
    with pytest.raises(ValueError, match="was not written"):
        export(model, tmp_path / "a.onnx", FILMS)
    assert not list(tmp_path.iterdir()) and model.training
