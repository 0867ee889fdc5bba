import hashlib
import os
import pickle
import subprocess
import sys

import pytest
import torch
from helpers import ROOT, TINY

from multimix.model import MultiMix
from multimix.runtime.checkpoint import (
    model_from_checkpoint,
    model_from_tensors,
    read_checkpoint,
    save_checkpoint,
)


def test_a_checkpoint_comes_back(tmp_path, model, x):
    path = tmp_path / "a.pth"
    save_checkpoint(path, {"weights": model.state_dict(), "config": {"side": 64, "widths": TINY}})
    content = read_checkpoint(path)
    again = model_from_checkpoint(content, path)
    assert again.side == 64 and torch.equal(model(x).mask_logits, again(x).mask_logits)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_a_published_network_is_smaller_and_says_the_same(tmp_path, model, x):
    calibration = {"temperature": 2.0, "operating_point": 0.6}
    save_checkpoint(
        tmp_path / "best.pth",
        {
            "weights": model.state_dict(),
            "config": {"side": 64},
            "manifest": "a,b\n",
            "calibration": calibration,
        },
    )
    (tmp_path / "card.md").write_text("# Card")
    script = [sys.executable, ROOT / "weights" / "publish.py", "best.pth", "out.pth"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    printed = subprocess.run(
        [*script, "--card", "card.md"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    digest = hashlib.sha256((tmp_path / "out.pth").read_bytes()).hexdigest()
    assert printed == f"{digest}  out.pth\n"
    assert (tmp_path / "out.pth").stat().st_size < 0.8 * (tmp_path / "best.pth").stat().st_size
    content = read_checkpoint(tmp_path / "out.pth")
    assert (content["card"], content["manifest"]) == ("# Card", "a,b\n")
    assert all(tensor.dtype == torch.bfloat16 for tensor in content["weights"].values())
    again = model_from_checkpoint(content, "out.pth")
    assert again.calibration == calibration and again.side == 64
    assert all(p.dtype == torch.float32 for p in again.parameters())
    assert torch.allclose(model(x).mask_logits, again(x).mask_logits, atol=0.1)


def test_the_authors_bare_state_dict_is_taken(tmp_path, x):
    tensors = MultiMix().state_dict()
    tensors["decoder.conv_last_saliency.weight"] = torch.zeros(1, 17, 1, 1)
    tensors["decoder.conv_last_saliency.bias"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "theirs.pth")
    model = model_from_checkpoint(read_checkpoint(tmp_path / "theirs.pth"), "theirs.pth")
    assert model.side == 256 and torch.equal(model.encoder.fc.weight, tensors["encoder.fc.weight"])


def test_a_failed_write_leaves_the_old_file(tmp_path, model, monkeypatch):
    path = tmp_path / "a.pth"
    save_checkpoint(path, {"weights": model.state_dict()})
    before = path.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(path, {"weights": lambda: None})
    monkeypatch.setattr(
        os, "fsync", lambda number: (_ for _ in ()).throw(OSError("No space left on device"))
    )
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, {"weights": {}})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.pth"]


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("this-must-not-appear",)


def test_faults_are_one_sentence(tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(model.state_dict(), "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "short.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pth").touch()
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"weights": Harmful()}, "harmful.pth")
    torch.save(torch.zeros(3), "tensor.pth")
    torch.save({"weights": {"a": "text"}}, "words.pth")
    torch.save(torch.nn.Linear(2, 2).state_dict(), "other.pth")
    for name, sides in (("odd", (64, 100)), ("large", (64, 96)), ("strange", "64")):
        config = {"side": 64, "class_sides": sides}
        torch.save({"weights": model.state_dict(), "config": config}, f"{name}.pth")
    for name, words in (
        ("none.pth", "There is no weights file"),
        (".", "There is no weights file"),
        ("short.pth", "damaged"),
        ("empty.pth", "damaged"),
        ("text.pth", "not a weights file"),
        ("harmful.pth", "holds program code"),
        ("tensor.pth", "holds a Tensor"),
        ("words.pth", "more than named tensors"),
        ("other.pth", "other.pth: These are not weights"),
        ("odd.pth", "The 'class_sides' of its 'config' are not of 64 px or less, each a multiple"),
        ("large.pth", "The 'class_sides' of its 'config' are not of 64 px or less"),
        ("strange.pth", "The 'class_sides' of its 'config' are not"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            model_from_checkpoint(read_checkpoint(name), name)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "this-must-not-appear").exists()


@pytest.mark.parametrize("bridge", (True, False))
def test_weights_find_their_network(x, bridge):
    model = MultiMix(TINY, bridge).eval()
    again = model_from_tensors(model.state_dict())
    assert again.widths == TINY and again.bridge == bridge and not again.training
    assert torch.equal(model(x).mask_logits, again(x).mask_logits)


def test_the_authors_dead_tensors_are_dropped():
    tensors = MultiMix().state_dict()
    tensors["decoder.conv_last_saliency.weight"] = torch.zeros(1, 17, 1, 1)
    tensors["decoder.conv_last_saliency.bias"] = torch.zeros(1)
    assert len(tensors) == 42
    assert model_from_tensors(tensors).bridge


@pytest.mark.parametrize(
    "name, tensor, words",
    (
        ("encoder.fc.bias", None, "encoder.fc.bias is missing"),
        ("encoder.dconv_down3.0.weight", None, "encoder.dconv_down3.0.weight"),
        ("encoder.extra", torch.zeros(1), "encoder.extra is not part"),
        (
            "encoder.fc.weight",
            torch.zeros(3, 6),
            r"encoder.fc.weight has shape \(3, 6\) instead of \(2, 6\)",
        ),
        (
            "decoder.dconv_up4.0.weight",
            torch.zeros(5, 99, 3, 3),
            "decoder.dconv_up4.0.weight has shape",
        ),
    ),
)
def test_other_tensors_are_refused_by_name(name, tensor, words):
    tensors = MultiMix(TINY).state_dict()
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    with pytest.raises(ValueError, match=words):
        model_from_tensors(tensors)
