import numpy as np
import pytest
from scipy.special import expit, logit

from multimix.evaluation.calibration import calibrate, calibrated_log_odds


def test_a_temperature_is_found_again():
    rng = np.random.default_rng(0)
    true_log_odds = rng.normal(0, 2, 4000)
    labels = (rng.random(4000) < expit(true_log_odds)).astype(int)
    found = calibrate(3 * true_log_odds, labels)
    assert found["temperature"] == pytest.approx(3, rel=0.1)
    assert found["operating_point"] == pytest.approx(0.5, abs=0.1)


def test_few_films_in_perfect_order_do_not_make_the_network_more_certain():
    assert calibrate(np.array([1.0, 2]), np.array([1, 1])) == {}  # one class is too few
    found = calibrate(np.array([-2.0, -1, 2, 5]), np.array([0, 0, 1, 1]))
    assert found["temperature"] > 1
    # The operating point lies between the classes.
    assert -1 < logit(found["operating_point"]) * found["temperature"] < 2
    called = calibrated_log_odds(np.array([-1.0, 2]), found) >= 0
    assert called.tolist() == [False, True]


def test_the_operating_point_corrects_for_a_frequent_class():
    # Nine times as many PNEUMONIA films as NORMAL ones, and log-odds that know it.
    rng = np.random.default_rng(0)
    labels = (np.arange(20_000) % 10 > 0).astype(int)
    log_odds = rng.normal(size=20_000) + 2 * labels - 1 + np.log(9) / 2
    assert calibrate(log_odds, labels)["operating_point"] == pytest.approx(0.9, abs=0.03)
