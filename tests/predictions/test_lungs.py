"""Right and left lung of drawn films, and outlines that cannot be right."""

import numpy as np
import pytest
from drawn import draw
from PIL import Image

from multimix.predictions import lungs
from multimix.predictions.lungs import LEFT, RIGHT, label_lungs, measure_lungs


def known_lungs(seed: int, side: int = 256) -> np.ndarray:
    """A drawn film's labels: the right lung is on the left."""
    mask = draw(seed, 0, side)[1]
    return np.where(mask, np.where(np.arange(side) < side / 2, RIGHT, LEFT), 0).astype(np.uint8)


def joined(known: np.ndarray, thickness: int) -> np.ndarray:
    """The lungs, connected over some rows."""
    middle, row = known.shape[1] // 2, known.shape[0] // 2
    known[row : row + thickness, middle // 2 : middle] = RIGHT
    known[row : row + thickness, middle : middle + middle // 2] = LEFT
    return known


def in_pieces(known: np.ndarray) -> np.ndarray:
    """The lungs with a piece in two corners, and the right lung cut in two."""
    known[2:6, 2:6], known[-6:-2, -6:-2] = RIGHT, LEFT
    known[120:123] = np.where(known[120:123] == RIGHT, 0, known[120:123])
    return known


@pytest.mark.parametrize(
    "known, least",
    (
        (known_lungs(1, 700), 1),
        (joined(known_lungs(2), 2), 0.97),
        (joined(known_lungs(4), 40), 0.97),
        (np.asarray(Image.fromarray(known_lungs(1)).rotate(25)), 1),
        (np.where(known_lungs(2) == RIGHT, RIGHT, 0), 1),  # one lung
        (np.where(known_lungs(2) == LEFT, LEFT, 0), 1),
        (in_pieces(known_lungs(3)), 0.99),
        (np.pad(np.full((9, 1), RIGHT, np.uint8), ((0, 0), (3, 30))), 1),  # one column
    ),
)
def test_lungs_are_told_apart(known, least):
    found = label_lungs(known > 0)
    assert ((found > 0) == (known > 0)).all() and found.dtype == np.uint8
    assert (found == known)[known > 0].mean() >= least


@pytest.mark.parametrize(
    ("size", "area"), ((None, None), ((50, 40), 80), ((36, 40), None), ((190, 190), None))
)
def test_measures_without_areas_that_no_patient_has(size, area):
    labels = np.zeros((100, 50), np.uint8)
    labels[10:30, 5:15] = RIGHT
    right, left = measure_lungs(labels, size).values()
    assert right.share == 0.04 and right.area_cm2 == (area and pytest.approx(area))
    assert right.centre == (19.5, 9.5) and right.box == (10, 5, 29, 14)
    assert (left.share, left.area_cm2) == (0, area and 0) and left.centre is left.box is None


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
    right, dice = lungs.expected_dice(FILM, LUNG), lungs.expected_dice(FILM, wrong)
    assert 0 <= dice < right <= 1
    assert lungs.outline_quality(right) == "good" != lungs.outline_quality(dice)


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
    assert lungs.outline_features(FILM, LUNG)[feature] < least / 2
    assert lungs.outline_features(film, lung)[feature] > least
