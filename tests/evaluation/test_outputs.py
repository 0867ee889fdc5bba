import numpy as np
import pytest
import torch

from multimix.evaluation.calibration import calibrated_log_odds
from multimix.evaluation.outputs import class_log_odds, post_process, run_network


def test_flipping_averages_with_the_mirrored_film(model, x):
    with torch.no_grad():
        plain, mirrored, both = (
            run_network(model, x),
            run_network(model, x.flip(3)),
            run_network(model, x, flip=True),
        )
        again = run_network(model, x.flip(3), flip=True)
    assert torch.allclose(both.log_odds, (plain.log_odds + mirrored.log_odds) / 2)
    assert torch.allclose(both.lung, (plain.lung + mirrored.lung.flip(3)) / 2)
    assert torch.allclose(both.disagreement, (plain.lung - mirrored.lung.flip(3)).abs())
    assert torch.allclose(both.log_odds, again.log_odds) and torch.allclose(
        both.lung, again.lung.flip(3), atol=1e-6
    )
    assert plain.disagreement is None and both.disagreement.max() > 0
    with torch.no_grad():
        assert torch.allclose(class_log_odds(model, x, flip=True), both.log_odds, atol=1e-6)
        assert torch.allclose(class_log_odds(model, x), plain.log_odds, atol=1e-6)


def test_cleaning_by_hand():
    p = torch.full((1, 1, 32, 32), 0.1)
    p[..., 2:20, 2:12] = 0.9  # a lung,
    p[..., 8:10, 5:7] = 0.3  # with a hole,
    p[..., 2:20, 18:28] = 0.8  # another one,
    p[..., 25:28, 4:8] = 0.7  # and a speck
    clean = post_process(p)[0, 0]
    assert torch.allclose(clean[8:10, 5:7], torch.tensor(0.7)) and torch.allclose(
        clean[25:28, 4:8], torch.tensor(0.3)
    )
    touched = clean != p[0, 0]
    assert touched.sum() == 4 + 12
    assert torch.equal(post_process(clean[None, None])[0, 0], clean)
    empty = torch.full((2, 1, 32, 32), 0.2)
    assert torch.equal(post_process(empty), empty)


def test_zero_is_the_operating_point():
    calibration = {"temperature": 2.0, "operating_point": 0.75}
    log_odds = np.array([2 * np.log(3), 0.0])
    assert calibrated_log_odds(log_odds, calibration) == pytest.approx([0, -np.log(3)])
    assert calibrated_log_odds(log_odds, {}) is log_odds
