import numpy as np
import pytest
import torch
from PIL import Image

from multimix.images.scaling import rescale


@pytest.mark.parametrize("side", (32, 48, 64, 96, 144))
def test_it_is_pillows_bilinear_filter(side):
    film = np.random.default_rng(side).random((96, 96), dtype=np.float32)
    ours = rescale(torch.from_numpy(film)[None, None], side)[0, 0]
    theirs = np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_an_even_film_stays_even_and_the_same_side_costs_nothing():
    films = torch.full((2, 3, 64, 64), 0.3)
    assert rescale(films, 64) is films
    torch.testing.assert_close(rescale(films, 48), torch.full((2, 3, 48, 48), 0.3))
    assert rescale(films.double(), 48).dtype == torch.float64
