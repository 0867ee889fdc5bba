"""Outlines that cannot be right are never rated good, and worse outlines have a lower Dice."""

import numpy as np
import pytest
from drawn import draw

from multimix.predictions.lungs import expected_dice, outline_features, outline_quality

SIDE = 96
FILM, MASK = draw(1, side=SIDE)
LUNG = np.where(MASK, 0.995, 0.005)
ONE_LUNG = np.where(np.arange(SIDE) < SIDE // 2, LUNG, 0.005)
WRONG = {
    "no lung": np.full_like(LUNG, 0.01),
    "all lung": np.full_like(LUNG, 0.99),
    "one lung": ONE_LUNG,
    "a guess": 0.5 + 0.3 * (LUNG - 0.5),
    "the other way up": 1 - LUNG,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_outline_is_not_good(wrong):
    right, dice = expected_dice(FILM, LUNG), expected_dice(FILM, wrong)
    assert 0 <= dice < right <= 1
    assert outline_quality(right) == "good" != outline_quality(dice)


@pytest.mark.parametrize(
    ("feature", "film", "lung", "least"),
    (
        ("brightest", np.where(MASK, 255, FILM // 2).astype(np.uint8), LUNG, 0.9),
        ("area", FILM, ONE_LUNG, 1),
        ("outside", FILM, np.roll(LUNG, SIDE // 4, axis=1), 0.01),
        ("border", FILM, np.roll(LUNG, SIDE // 3, axis=0), 0.1),
    ),
)
def test_a_feature_says_what_is_wrong(feature, film, lung, least):
    assert outline_features(FILM, LUNG)[feature] < least / 2
    assert outline_features(film, lung)[feature] > least
