"""Outlines that cannot be right are never rated good, and worse outlines have a lower Dice."""

import numpy as np
import pytest
from drawn import draw

from multimix.predictions.quality import expected_dice, outline_features, outline_quality

SIDE = 96


@pytest.fixture
def film() -> np.ndarray:
    return draw(1, side=SIDE)[0]


@pytest.fixture
def lung() -> np.ndarray:
    return np.where(draw(1, side=SIDE)[1], 0.995, 0.005)


def test_a_sure_outline_of_two_dark_lungs_is_good(film, lung):
    assert outline_quality(film, lung) == "good"


WRONG = {
    "no lung": lambda lung: np.full_like(lung, 0.01),
    "all lung": lambda lung: np.full_like(lung, 0.99),
    "one lung": lambda lung: np.where(np.arange(SIDE) < SIDE // 2, lung, 0.005),
    "a guess": lambda lung: 0.5 + 0.3 * (lung - 0.5),
    "the other way up": lambda lung: 1 - lung,
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_outline_is_not(film, lung, change):
    wrong = change(lung)
    assert outline_quality(film, wrong) != "good"
    assert 0 <= expected_dice(film, wrong) < expected_dice(film, lung) <= 1


def test_the_features_say_what_is_wrong(film, lung):
    right = outline_features(film, lung)
    assert right["border"] == right["outside"] == 0
    assert right["area"] < 0.5 and right["brightest"] < 0.2
    bright = np.where(lung > 0.5, 255, film // 2).astype(np.uint8)
    assert outline_features(bright, lung)["brightest"] > 0.9
    one = np.where(np.arange(SIDE) < SIDE // 2, lung, 0.005)
    assert outline_features(film, one)["area"] > 1
    wide = np.roll(lung, SIDE // 4, axis=1)
    assert outline_features(film, wide)["outside"] > 0
    low = np.roll(lung, SIDE // 3, axis=0)
    assert outline_features(film, low)["border"] > 0.1
