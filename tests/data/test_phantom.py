import numpy as np
import pytest
from scipy import ndimage

from multimix.data.phantom import draw


def test_a_film_is_its_seed():
    np.random.seed(1)
    film, mask = draw(5, 1, 64)
    np.random.seed(2)
    again = draw(5, 1, 64)
    assert np.array_equal(film, again[0]) and np.array_equal(mask, again[1])
    assert not np.array_equal(film, draw(6, 1, 64)[0])


@pytest.mark.parametrize("side", (32, 100, 256, 300))
def test_shapes_and_types(side):
    film, mask = draw(1, 0, side)
    assert film.shape == mask.shape == (side, side)
    assert film.dtype == np.uint8 and mask.dtype == bool
    assert film.max() - film.min() > 80


def test_masks_are_two_lungs_of_plausible_size():
    shares = []
    for seed in range(40):
        mask = draw(seed, 0, 64)[1]
        parts, count = ndimage.label(mask, np.ones((3, 3)))  # corners touch
        assert count == 2 and min(np.bincount(parts.flat)) / mask.size > 0.03
        shares.append(mask.mean())
    assert min(shares) > 0.15 and max(shares) < 0.5 and 0.22 < np.mean(shares) < 0.38


def test_disease_changes_the_lungs_alone():
    brighter = []
    for seed in range(20):
        (healthy, mask), (diseased, same) = draw(seed, 0), draw(seed, 1)
        assert np.array_equal(mask, same)
        change = diseased.astype(int) - healthy
        grown = ndimage.maximum_filter(mask, 9)
        assert not change[~grown].any()
        brighter.append(change[mask].mean())
        assert (np.abs(change) > 10).mean() > 0.002  # there is something to see
    assert min(brighter) > 0 and np.mean(brighter) > 3


def test_the_class_does_not_show_in_mean_brightness():
    means = np.array([[draw(seed, label, 64)[0].mean() for seed in range(40)] for label in (0, 1)])
    assert abs(means[1].mean() - means[0].mean()) < means[0].std()


def test_lungs_are_darker_than_what_lies_between_them():
    for seed in range(20):
        film, mask = draw(seed, 0, 64)
        rows, columns = np.nonzero(mask)
        middle = round(columns.mean())
        between = film[rows.min() : rows.max(), middle - 3 : middle + 3]
        assert film[mask].mean() < between.mean() - 20


def test_small_films_are_large_ones_reduced():
    for seed in range(5):
        small, large = draw(seed, 1, 64)[1], draw(seed, 1, 320)[1]
        reduced = ndimage.zoom(large, 64 / 320, order=0, grid_mode=True, mode="nearest")
        assert 2 * (small & reduced).sum() / (small.sum() + reduced.sum()) > 0.95


def test_two_styles_of_film():
    """Portable films alone have a collimator's frame, and not all of them."""
    framed = 0
    for seed in range(30):
        film = draw(seed, 0)[0]
        framed += bool((film[[2, -3], :].mean(1) < 25).any())
    assert 3 < framed < 27


@pytest.mark.parametrize(
    "arguments, words", (((1, 2), "label of a phantom is 2"), ((1, 0, 31), "31 px is asked for"))
)
def test_impossible_films_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        draw(*arguments)
