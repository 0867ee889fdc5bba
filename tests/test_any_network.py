"""A network in any state of torch's, under any of its settings, predicts what it always does."""

import copy
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import draw
from helpers import CONFIG, quietly

from multimix.inference import load_model, predict

FILM = draw(3, 1, 64)[0]


@contextmanager
def changed(change, value, usual):
    """A setting of torch's, changed for a while."""
    change(value)
    try:
        yield
    finally:
        change(usual)


SETTINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "deterministic": lambda: changed(torch.use_deterministic_algorithms, True, False),
    "float64": lambda: changed(torch.set_default_dtype, torch.float64, torch.float32),
    "float16": lambda: changed(torch.set_default_dtype, torch.float16, torch.float32),
}


def check_alike(found, expected, tolerance=1e-6):
    assert found.probability == pytest.approx(expected.probability, abs=tolerance)
    np.testing.assert_allclose(found.mask_probability, expected.mask_probability, atol=tolerance)
    for name in ("saliency", "explanation"):
        map, usual = getattr(found, name), getattr(expected, name)
        assert np.abs(map - usual).mean() < max(tolerance, 1e-4) * 20 * np.abs(usual).max()


@pytest.mark.parametrize(
    "change, tolerance",
    (
        (lambda model: model.double(), 1e-5),
        (lambda model: model.half(), 1e-2),
        (lambda model: model.requires_grad_(False), 0),
        (lambda model: model.compile() or model, 0),
    ),
)
def test_a_network_as_torch_changes_or_wraps_it(model, change, tolerance):
    expected = predict(model, FILM)
    check_alike(predict(change(copy.deepcopy(model)), FILM), expected, tolerance)


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_the_caller_change_no_prediction(model, weights, setting):
    expected = predict(load_model(weights, "cpu"), FILM)
    with SETTINGS[setting]():
        check_alike(predict(load_model(weights, "cpu"), FILM), expected, 0)


def test_settings_of_the_caller_change_no_training(films, tmp_path):
    config = replace(CONFIG, steps=1, validate_every=1)
    expected = quietly(config, films, tmp_path / "usual")
    exact, wide = SETTINGS["deterministic"](), SETTINGS["float64"]()
    with torch.inference_mode(), exact, wide, torch.autocast("cpu", torch.bfloat16):
        found = quietly(config, films, tmp_path / "other")
        assert torch.get_default_dtype() == torch.float64
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, expected.state_dict()[name]), name


def test_modes_and_gradients_stay_also_with_eight_threads(model):
    expected = predict(model, FILM)
    model.train()
    model.encoder.dconv_down3.eval()  # a frozen part
    modes = [module.training for module in model.modules()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    with ThreadPoolExecutor(8) as pool:
        for prediction in pool.map(lambda _: predict(model, FILM), range(24)):
            check_alike(prediction, expected)
    assert [module.training for module in model.modules()] == modes
    assert all((parameter.grad == 3.0).all() for parameter in model.parameters())


@pytest.mark.parametrize(
    "change, sentence",
    (
        (lambda model: model.encoder.half() and model, "float16 on cpu and torch.float32 on cpu"),
        (torch.inference_mode()(copy.deepcopy), "made outside torch.inference_mode"),
        (lambda model: model.to("meta"), r"cannot run this network, torch.float32 on meta \("),
        (lambda model: model.encoder, "A Encoder was given as the network; a MultiMix is needed"),
        (torch.compile, "A OptimizedModule was given as the network"),
    ),
)
def test_what_cannot_predict_is_one_sentence(model, change, sentence):
    with pytest.raises(ValueError, match=sentence) as found:
        predict(change(model), FILM)
    assert len(str(found.value)) <= 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_process_predicts(model):
    """OpenMP of the parent has two threads by then, which the child has not."""
    model.info.side = 128  # px: smaller films are left to one thread
    with changed(torch.set_num_threads, 2, torch.get_num_threads()):
        expected = predict(model, FILM).probability
        with multiprocessing.get_context("fork").Pool(1) as pool:
            found = pool.apply_async(predict, (model, FILM)).get(60).probability
    assert found == pytest.approx(expected, abs=1e-6)
