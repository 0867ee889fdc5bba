import numpy as np
import pytest
from PIL import Image, ImageFilter

from multimix.data.phantom import draw


def components(mask: np.ndarray) -> list[float]:
    """Areas of the connected parts, as shares of the film."""
    areas, left = [], mask.copy()
    while left.any():
        part = np.zeros_like(left)
        part.flat[np.flatnonzero(left)[0]] = True
        while True:
            grown = (
                np.asarray(
                    Image.fromarray(part.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
                )
                > 0
            )
            grown &= left
            if (grown == part).all():
                break
            part = grown
        areas.append(float(part.mean()))
        left &= ~part
    return areas


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
    assert (
        film.shape == mask.shape == (side, side) and film.dtype == np.uint8 and mask.dtype == bool
    )
    assert film.max() - film.min() > 80


def test_masks_are_two_lungs_of_plausible_size():
    shares = []
    for seed in range(40):
        areas = components(draw(seed, 0, 64)[1])
        assert len(areas) == 2 and min(areas) > 0.03
        shares.append(sum(areas))
    assert min(shares) > 0.15 and max(shares) < 0.5 and 0.22 < np.mean(shares) < 0.38


def test_disease_changes_the_lungs_alone():
    brighter = []
    for seed in range(20):
        (healthy, mask), (ill, same) = draw(seed, 0), draw(seed, 1)
        assert np.array_equal(mask, same)
        change = ill.astype(int) - healthy
        grown = (
            np.asarray(
                Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(9))
            )
            > 0
        )
        assert not change[~grown].any()
        brighter.append(change[mask].mean())
        assert (np.abs(change) > 10).mean() > 0.002  # there is something to see
    assert min(brighter) > 0 and np.mean(brighter) > 3


def test_the_class_cannot_be_told_by_mean_brightness():
    means = np.array([[draw(seed, label, 64)[0].mean() for seed in range(40)] for label in (0, 1)])
    assert abs(means[1].mean() - means[0].mean()) < means[0].std()


def test_lungs_are_darker_than_what_lies_between_them():
    for seed in range(20):
        film, mask = draw(seed, 0, 64)
        rows, columns = np.nonzero(mask)
        middle = film[
            rows.min() : rows.max(), round(columns.mean()) - 3 : round(columns.mean()) + 3
        ]
        assert film[mask].mean() < middle.mean() - 20


def test_small_films_are_large_ones_reduced():
    for seed in range(5):
        small, large = draw(seed, 1, 64)[1], draw(seed, 1, 320)[1]
        reduced = np.asarray(Image.fromarray(large).resize((64, 64)))
        assert 2 * (small & reduced).sum() / (small.sum() + reduced.sum()) > 0.95


def test_two_styles_of_film():
    framed = [(draw(seed, 0)[0][[2, -3], :].mean(1) < 25).any() for seed in range(30)]
    assert (
        3 < sum(framed) < 27
    )  # only portable films have a collimator's frame, and not all of them


@pytest.mark.parametrize(
    "arguments, words", (((1, 2), "label of a phantom is 2"), ((1, 0, 31), "31 px is asked"))
)
def test_impossible_films_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        draw(*arguments)
