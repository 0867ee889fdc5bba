"""Weights at their worst: refused in one clear sentence, and nothing that is in them is run."""

import io
import os
import pickle

import pytest
import torch
from helpers import SIDE, TINY, harmed
from hostile_helpers import DRAWN, bounded_memory, quickly

from multimix.inference import load_model, predict
from multimix.model import MultiMix


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def weights_files() -> dict[str, object]:
    """Things that are no weights of ours."""
    tensors = MultiMix(TINY).state_dict()
    broken = {name: tensor.clone() for name, tensor in tensors.items()}
    broken["encoder.fc.bias"][0] = torch.nan
    return {
        "code": Evil(),
        "code inside": {"weights": {**tensors, "x": Evil()}},
        "code beside": {"weights": tensors, "note": Evil()},
        "list": [1, 2],
        "text": "weights",
        "nothing": {},
        "numbers": {"encoder.fc.bias": 3.0},
        "another network": torch.nn.Linear(3, 3).state_dict(),
        "a part": dict(list(tensors.items())[:5]),
        "wrong shape": {**tensors, "encoder.fc.bias": torch.zeros(7)},
        "no numbers": broken,
        "odd config": {"weights": tensors, "config": "none"},
        "odd side": {"weights": tensors, "config": {"side": -3}},
        "odd calibration": {
            "weights": tensors,
            "calibration": {"temperature": 0.0, "operating_point": 2},
        },
        "whole numbers": {name: tensor.long() for name, tensor in tensors.items()},
        "sparse": {**tensors, "encoder.fc.bias": torch.zeros(2).to_sparse()},
    }


@pytest.mark.parametrize("name", weights_files())
def test_weights_that_are_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    torch.save(weights_files()[name], tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth") as caught:
        load_model(tmp_path / "a.pth", "cpu")
    assert "\n" not in str(caught.value) and not (tmp_path / "executed").exists()


def test_a_bare_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ValueError, match=r"a\.pth holds program code"):
        load_model(tmp_path / "a.pth", "cpu")
    (tmp_path / "b.pth").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"b\.pth is not a weights file"):
        load_model(tmp_path / "b.pth", "cpu")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("seed", range(30))
def test_damaged_weights(tmp_path, seed):
    buffer = io.BytesIO()
    torch.save({"weights": MultiMix(TINY).state_dict(), "config": {"side": 32}}, buffer)
    (tmp_path / "a.pth").write_bytes(harmed(buffer.getvalue(), seed))
    try:
        model = load_model(tmp_path / "a.pth", "cpu")
    except ValueError as error:
        assert "a.pth" in str(error) and "\n" not in str(error)
    else:  # what was harmed did not matter
        assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("harm", ("expanded", "meta", "wide", "flat", "side", "seed", "numberless"))
def test_weights_that_claim_more_than_they_hold(tmp_path, model, harm):
    tensors, config = dict(model.state_dict()), {"side": SIDE}
    name = "encoder.dconv_down5.0.weight"
    if harm == "expanded":
        tensors[name] = torch.zeros(1).expand(10**6, 10**6, 1, 1)
    elif harm == "meta":
        tensors[name] = tensors[name].to("meta")
    elif harm == "wide":
        tensors[name] = torch.zeros(20_000, 1, 1, 1)
    elif harm == "flat":
        tensors[name] = torch.tensor(1.0)
    elif harm == "numberless":
        tensors = {name: tensor * 0 + 1e30 for name, tensor in tensors.items()}
    else:
        config[harm] = 10**9 if harm == "side" else "x"
    torch.save({"weights": tensors, "config": config}, tmp_path / "weights.pth")
    with bounded_memory(), pytest.raises(ValueError, match=r"\.$"):
        quickly(lambda: predict(load_model(tmp_path / "weights.pth", "cpu"), DRAWN))
