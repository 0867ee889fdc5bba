"""Right and left lung, told apart on phantoms whose lungs are known."""

import numpy as np
import pytest
from PIL import Image

from multimix.data import phantom
from multimix.data.phantom_anatomy import sample_anatomy
from multimix.evaluation.lungs import LEFT, RIGHT, label_lungs, measured


def known_lungs(seed: int, side: int = phantom.SIDE) -> np.ndarray:
    """A phantom's labels: the right lung on the film's left."""
    anatomy = sample_anatomy(np.random.default_rng([seed, 0]), side)
    mask = phantom.draw(seed, 0, side)[1]
    return np.where(mask, np.where(anatomy.across < 0, RIGHT, LEFT), 0).astype(np.uint8)


def agreement(found: np.ndarray, known: np.ndarray) -> float:
    """Of the pixels that are lung."""
    assert ((found > 0) == (known > 0)).all() and found.dtype == np.uint8
    return float((found == known)[known > 0].mean())


@pytest.mark.parametrize("side", (256, 700))
def test_two_lungs(side):
    for seed in range(8 if side == 256 else 2):
        known = known_lungs(seed, side)
        assert agreement(label_lungs(known > 0), known) == 1


@pytest.mark.parametrize("thickness", (2, 12, 40))
def test_lungs_that_touch_are_cut_between_them(thickness):
    for seed in range(4):
        known = known_lungs(seed)
        middle = known.shape[1] // 2
        joined = known.copy()
        rows = np.flatnonzero((known == RIGHT).any(1) & (known == LEFT).any(1))
        for row in range(rows[len(rows) // 3], rows[len(rows) // 3] + thickness):
            right, left = np.flatnonzero(known[row] == RIGHT), np.flatnonzero(known[row] == LEFT)
            joined[row, right[-1] : middle], joined[row, middle : left[0] + 1] = RIGHT, LEFT
        assert agreement(label_lungs(joined > 0), joined) > 0.97


def test_films_that_are_tilted_or_long():
    for angle in (-25, 25):
        tilted = np.asarray(Image.fromarray(known_lungs(1)).rotate(angle))
        assert agreement(label_lungs(tilted > 0), tilted) == 1
    for size in ((100, 900), (900, 100), (3, 3), (2, 900)):
        known = np.asarray(Image.fromarray(known_lungs(1)).resize(size, Image.Resampling.NEAREST))
        assert set(np.unique(label_lungs(known > 0))) <= {0, RIGHT, LEFT}


def test_a_lung_alone_is_that_of_its_side():
    known = known_lungs(2)
    for label in (RIGHT, LEFT):
        alone = np.where(known == label, label, 0).astype(np.uint8)
        assert agreement(label_lungs(alone > 0), alone) == 1


def test_specks_and_pieces_go_with_the_nearer_lung():
    known = known_lungs(3)
    known[2:6, 2:6], known[-6:-2, -6:-2] = RIGHT, LEFT
    rows = np.flatnonzero((known == RIGHT).any(1))
    cut = rows[len(rows) // 2]
    known[cut : cut + 3] = np.where(known[cut : cut + 3] == RIGHT, 0, known[cut : cut + 3])
    assert agreement(label_lungs(known > 0), known) == 1


def test_masks_that_are_no_lungs():
    for mask in (np.zeros((50, 40), bool), np.ones((50, 40), bool), np.ones((2, 2), bool)):
        assert len(np.unique(label_lungs(mask))) == 1
    noise = np.random.default_rng(0).random((300, 200)) > 0.5
    assert ((label_lungs(noise) > 0) == noise).all()


def test_measures():
    labels = np.zeros((100, 50), np.uint8)
    labels[10:30, 5:15] = RIGHT
    lung = measured(labels, RIGHT, (40, 20))
    assert lung.share == 0.04 and lung.area_cm2 == pytest.approx(32)
    assert lung.centre == (19.5, 9.5) and lung.box == (10, 5, 29, 14)
    assert measured(labels, RIGHT, None).area_cm2 is None
    missing = measured(labels, LEFT, (40, 20))
    assert (missing.share, missing.area_cm2, missing.centre, missing.box) == (0, 0, None, None)
