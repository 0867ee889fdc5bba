"""The ONNX file says what the network says, whatever runs it."""

import json
import re
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import SIDE, TINY, newer_torch

import multimix.apps.export
from multimix.apps.cli import main
from multimix.apps.export import Unrolled, export
from multimix.images.formats import film_files
from multimix.model import MultiMix
from multimix.runtime.files import bundled

# With torch 2.6 today's onnxscript cannot convert the graph.
SAMPLES = film_files(bundled("sample_data"))


@pytest.mark.parametrize("bridge", (True, False))
@pytest.mark.parametrize(
    "shape", ((32, 32), (48, 80), (64, 32))
)  # at 48 a pooling leaves out a row
def test_the_way_back_is_autograds(bridge, shape):
    torch.manual_seed(0)
    model, films = (
        MultiMix(TINY, bridge).double().eval(),
        torch.randn(3, 1, *shape, dtype=torch.float64),
    )
    with torch.inference_mode():
        for ours, written_out in zip(model(films), Unrolled(model)(films)):
            torch.testing.assert_close(ours, written_out, rtol=1e-9, atol=1e-12)


@newer_torch
def test_the_file_alone_is_enough(tmp_path, model):
    model.side, model.calibration = SIDE, {"temperature": 1.5, "operating_point": 0.6}
    found = export(model, tmp_path / "tiny.onnx", SAMPLES)
    assert max(found.differences.values()) < 1e-4 and found.seconds > 0 < found.seconds_torch
    session = onnxruntime.InferenceSession(tmp_path / "tiny.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["multimix"]) == {
        "side": SIDE,
        "classes": ["NORMAL", "PNEUMONIA"],
        "film": "grey level / 127.5 - 1",
        **model.calibration,
    }
    for count in (1, 3):
        films = torch.rand(count, 1, SIDE, SIDE) * 2 - 1
        classes, lungs, saliency = session.run(
            ["class_logits", "mask_logits", "saliency"], {"film": films.numpy()}
        )
        with torch.inference_mode():
            ours = model(films)
        for a, b in zip((classes, lungs, saliency), ours):
            np.testing.assert_allclose(a, b, atol=1e-4)
    assert (
        next(model.parameters()).is_contiguous(memory_format=torch.channels_last)
        and not model.training
    )


@newer_torch
@pytest.mark.parametrize("name", (path.stem for path in bundled("weights").glob("*.pth")))
def test_the_bundled_networks_by_the_command_line(tmp_path, capsys, name):
    assert main(["export", str(tmp_path / "multimix.onnx"), "--weights", name]) == 0
    off = [
        float(number)
        for number in re.findall(
            r" (\d\S*?)[,.]\n?", capsys.readouterr().out.splitlines()[1] + "\n"
        )
    ]
    assert len(off) == 3 and max(off) < 1e-4
    assert (tmp_path / "multimix.onnx").stat().st_size > 7e6


@newer_torch
def test_what_is_not_exported(tmp_path, model, monkeypatch, capsys):
    (tmp_path / "file").touch()
    assert main(["export", str(tmp_path / "file" / "a.onnx")]) == 2
    torch.manual_seed(1)
    other = multimix.export.onnx_of(MultiMix(TINY, model.bridge).eval())
    monkeypatch.setattr(multimix.export, "onnx_of", lambda _: other)
    model.side = 256
    with pytest.raises(ValueError, match="was not written"):
        export(model, tmp_path / "a.onnx", SAMPLES)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="needs the package onnxruntime: pip install"):
        export(model, tmp_path / "a.onnx", SAMPLES)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
