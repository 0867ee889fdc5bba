"""The picture that is saved of a prediction."""

import numpy as np
import pytest
from PIL import Image
from prediction_helpers import prediction_of

from multimix.data import phantom
from multimix.evaluation.overlay import PANEL, WIDTH, captions, compose, draw_panels


def test_the_film_is_untouched_at_its_own_aspect():
    mask = phantom.draw(1, 0, PANEL)[1][:200]
    p = prediction_of(mask)
    film, lungs, saliency = draw_panels(p)
    assert film.shape == lungs.shape == saliency.shape == (200, PANEL, 3)
    assert (film == p.film[..., None]).all()
    changed = (lungs != film).any(2)
    assert changed.any() and not (changed & ~mask).any()
    assert (saliency != film).any()


@pytest.mark.parametrize("shape", ((300, 200), (200, 300), (20, 900), (900, 20), (2, 2)))
def test_films_of_any_shape_are_drawn(shape):
    p = prediction_of(np.ones(shape, bool), warnings=("A sentence. " * 30, "x" * 200))
    picture = compose(p)
    assert picture.width == WIDTH and picture.height < 1200


def test_what_is_written():
    mask = phantom.draw(1, 0, 64)[1]
    p = prediction_of(mask)
    (_, (right, _, left), _) = captions(p)
    assert right == f"R {p.lungs['right'].share:.1%}" and left.endswith("% L")
    p = prediction_of(mask, size_cm=(30.0, 30.0))
    assert captions(p)[1][0] == f"R {p.lungs['right'].area_cm2:.0f} cm²"


def test_no_lungs_and_no_saliency(tmp_path):
    p = prediction_of(np.zeros((64, 64), bool))
    p.saliency[:] = 0
    with Image.open(p.save(tmp_path)) as picture:
        assert picture.width == WIDTH and picture.info["Source"] == p.film_id
    figure = p.plot()
    assert figure.get_size_inches()[0] == WIDTH / 100
