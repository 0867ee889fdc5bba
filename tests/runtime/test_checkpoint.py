"""Weights files come back as they were; at their worst they are refused in one clear sentence."""

import hashlib
import os
import pickle
import runpy
import sys
from pathlib import Path

import pytest
import torch
from helpers import ROOT, TINY
from hostile_helpers import bounded_memory, quickly

from multimix.inference import load_model
from multimix.model import MultiMix
from multimix.runtime.checkpoint import model_from_checkpoint, read_checkpoint, save_checkpoint

CALIBRATION = {"temperature": 2.0, "operating_point": 0.6}


@pytest.mark.parametrize("bridge", (True, False))
def test_a_checkpoint_comes_back_and_a_failed_write_leaves_it(tmp_path, x, bridge):
    path, model = tmp_path / "a.pth", MultiMix(TINY, bridge).eval()
    save_checkpoint(path, {"weights": model.state_dict(), "config": {"side": 64, "widths": TINY}})
    again = model_from_checkpoint(read_checkpoint(path), path)
    assert (again.info.side, again.widths, again.bridge) == (64, TINY, bridge)
    assert torch.equal(model(x).mask_logits, again(x).mask_logits) and not again.training
    before = path.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(path, {"weights": lambda: None})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_a_published_network_is_smaller_and_predicts_alike(tmp_path, model, x, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content = {"weights": model.state_dict(), "config": {"side": 64}, "manifest": "a,b\n"}
    save_checkpoint(Path("best.pth"), content | {"calibration": CALIBRATION})
    Path("card.md").write_text("# Card")
    script = str(ROOT / "weights" / "publish.py")
    monkeypatch.setattr(sys, "argv", [script, "best.pth", "out.pth", "--card", "card.md"])
    runpy.run_path(script, run_name="__main__")
    digest = hashlib.sha256(Path("out.pth").read_bytes()).hexdigest()
    assert capsys.readouterr().out == f"{digest}  out.pth\n"
    assert Path("out.pth").stat().st_size < 0.8 * Path("best.pth").stat().st_size
    content = read_checkpoint("out.pth")
    assert (content["card"], content["manifest"]) == ("# Card", "a,b\n")
    assert all(tensor.dtype == torch.bfloat16 for tensor in content["weights"].values())
    again = model_from_checkpoint(content, "out.pth")
    assert again.info.calibration == CALIBRATION and again.info.side == 64
    assert all(p.dtype == torch.float32 for p in again.parameters())
    assert torch.allclose(model(x).mask_logits, again(x).mask_logits, atol=0.1)


def test_the_authors_bare_state_dict_is_taken(tmp_path):
    tensors = MultiMix().state_dict()
    tensors["decoder.conv_last_saliency.weight"] = torch.zeros(1, 17, 1, 1)  # never used
    tensors["decoder.conv_last_saliency.bias"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "theirs.pth")
    model = model_from_checkpoint(read_checkpoint(tmp_path / "theirs.pth"), "theirs.pth")
    assert model.info.side == 256 and model.bridge
    assert torch.equal(model.encoder.fc.weight, tensors["encoder.fc.weight"])


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


TENSORS = MultiMix(TINY).state_dict()
BIAS, WIDE = "encoder.fc.bias", "encoder.dconv_down5.0.weight"


NOT_TENSORS = {  # refused with one sentence: what is not named tensors of finite floats
    "code": Evil(),
    "code beside": {"weights": TENSORS, "note": Evil()},
    "tensor": torch.zeros(3),
    "whole numbers": {n: tensor.long() for n, tensor in TENSORS.items()},
    "sparse": TENSORS | {BIAS: torch.zeros(2).to_sparse()},
    "not finite": TENSORS | {BIAS: torch.tensor([torch.nan, 0])},
    "expanded": TENSORS | {WIDE: torch.zeros(1).expand(10**6, 10**6, 1, 1)},
    "meta": TENSORS | {WIDE: TENSORS[WIDE].to("meta")},
}
NOT_WEIGHTS = {  # the content of a file, and a part of the sentence that refuses it
    "another network": (torch.nn.Linear(3, 3).state_dict(), "no weights of a MultiMix network"),
    "one less": ({n: t for n, t in TENSORS.items() if n != BIAS}, BIAS),
    "one more": ({**TENSORS, "encoder.extra": torch.zeros(1)}, "encoder.extra"),
    "wrong shape": (TENSORS | {BIAS: torch.zeros(7)}, BIAS),
    "wide": (TENSORS | {WIDE: torch.zeros(20_000, 1, 1, 1)}, WIDE),
}
ODD = {  # what may stand beside the weights
    "config": ({"config": "none"}, "damaged"),
    "side": ({"config": {"side": 10**9}}, "side is 1000000000"),
    "sides": ({"config": {"class_sides": (64, 100)}}, "class_sides is"),
    "temperature": ({"calibration": CALIBRATION | {"temperature": 0.0}}, "calibration"),
    "point": ({"calibration": CALIBRATION | {"operating_point": "x"}}, "damaged"),
    "calibration": ({"calibration": [1]}, "damaged"),
}
NOT_WEIGHTS |= {name: (content, "program code in it") for name, content in NOT_TENSORS.items()}
NOT_WEIGHTS |= {name: ({"weights": TENSORS, **more}, said) for name, (more, said) in ODD.items()}


@pytest.mark.parametrize("name", NOT_WEIGHTS)
def test_what_is_not_weights_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content, words = NOT_WEIGHTS[name]
    torch.save(content, "a.pth")
    with bounded_memory(), pytest.raises(ValueError, match=r"a\.pth.*\.$") as caught:
        quickly(load_model, "a.pth", "cpu")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_what_is_no_file_of_torch_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in (pickle.dumps(Evil(), protocol=2), b"nothing of the kind", b""):
        (tmp_path / "a.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.pth is not a weights file"):
            load_model("a.pth", "cpu")
    for name in ("none.pth", "."):
        with pytest.raises(ValueError, match="There is no weights file"):
            read_checkpoint(name)
    assert not (tmp_path / "executed").exists()
