"""Pictures of a prediction, by their pixels."""

from dataclasses import replace

import numpy as np
import pytest
from drawn import draw as draw_film
from PIL import ImageColor
from prediction_helpers import WITHOUT_CLASS, WITHOUT_LUNGS, prediction_of

from multimix.predictions import pictures
from multimix.predictions.pictures import AGAINST, BY_HAND, FOR, LUNG, PANEL, WIDTH, overlay

GREY = 100
TRUTH = np.pad(np.ones((40, 95), dtype=bool), ((5, 5), (0, 5)))
MASK = np.pad(np.ones((30, 60), dtype=bool), ((10, 10), (20, 20)))
EXPLANATION = np.zeros((50, 100), dtype=np.float32)
EXPLANATION[40:, 90:], EXPLANATION[:10, 90:] = 3, -1.5
PREDICTION = prediction_of(
    MASK,
    film=np.full((50, 100), GREY, np.uint8),
    mask_probability=np.float32(0.6) * MASK,
    explanation=EXPLANATION,
)


def drawn(view: str, part=(0, 0, 1), **settings) -> np.ndarray:
    """(500, 1000, 3), ten pixels for each of the film's."""
    layers = pictures.Layers(PREDICTION, 1000, 1000, part, TRUTH)
    return np.asarray(layers.draw(view, **settings))


def mixed(colour: str, opacity: float = 1) -> np.ndarray:
    """A colour on the grey film."""
    return opacity * np.array(ImageColor.getrgb(colour)) + (1 - opacity) * GREY


def test_brightness_and_contrast_change_the_film():
    assert (drawn("film", brightness=0.2, contrast=3) == 3 * (GREY - 127.5) + 127.5 + 51).all()
    assert (drawn("film", brightness=1, opacity=1, threshold=0.1) == 255).all()


def test_lungs_are_filled_and_outlined():
    picture = drawn("lungs", opacity=0.5)
    assert np.abs(picture[250, 500] - mixed(LUNG, 0.5)).max() <= 1
    assert (picture[250, 201:206] == mixed(LUNG)).all(1).any()
    assert (picture[250, 150] == GREY).all() and (picture[250, 949] == mixed(BY_HAND)).all()
    assert (picture[250, [0, 950]] == GREY).all()  # outlines lie inside, open at the film's edge
    assert (drawn("lungs", threshold=0.7)[250, 500] == GREY).all()  # lung is at 0.6


def test_the_explanation_has_a_colour_for_and_one_against():
    picture = drawn("explanation", opacity=0.5)
    assert np.abs(picture[470, 970] - mixed(FOR)).max() <= 1  # the most, opaque
    assert np.abs(picture[30, 970] - mixed(AGAINST, 0.5)).max() <= 1
    assert (picture[250, 500] == GREY).all()
    larger = drawn("explanation", (0.5, 0.5, 0.5), opacity=0.5)
    assert larger.shape == picture.shape and (larger[:250] == GREY).all()
    assert np.abs(larger[420:, 820:] - mixed(FOR)).max() <= 1


def test_right_and_left_are_marked():
    picture = pictures.Layers(PREDICTION, 1000, 1000).draw("film")
    pictures.mark_sides(picture)
    letters = np.flatnonzero((np.asarray(picture) == 255).any((0, 2)))
    assert letters.min() < 40 and letters.max() > 960
    assert not ((letters > 60) & (letters < 940)).any()


def test_the_overlay_shows_the_film_as_it_is():
    film, mask = draw_film(1, 0, PANEL)
    p = replace(prediction_of(mask), film=film)
    picture = np.asarray(overlay(p))
    panel = picture[90 : 90 + PANEL, 15 : 15 + PANEL]
    assert picture.shape[1] == WIDTH and (panel == film[..., None]).all()
    changed = (picture[90 : 90 + PANEL, 30 + PANEL : 30 + 2 * PANEL] != panel).any(2)
    assert changed.any() and not (changed & ~mask).any()
    by_hand = np.asarray(overlay(p, truth=np.ones_like(mask) & (np.arange(PANEL) < 100)))
    assert (by_hand == mixed(BY_HAND)).all(2).sum() > PANEL


@pytest.mark.parametrize("shape", ((300, 200), (20, 900), (900, 20), (2, 2)))
def test_films_of_any_shape_are_drawn(shape):
    p = prediction_of(np.ones(shape, bool), warnings=("A sentence. " * 30, "x" * 200))
    picture = overlay(p, truth=np.zeros(shape, bool))
    assert picture.width == WIDTH and picture.height < 1200
    for view in pictures.VIEWS:
        size = pictures.Layers(p, 500, 500, (0.4, 0.4, 0.125)).draw(view).size
        assert max(size) == 500 and min(size) >= 1


@pytest.mark.parametrize(
    ("missing", "title", "panels"),
    (
        ({"probabilities": {}}, "not recognised as a frontal chest film", 3),
        (WITHOUT_CLASS, "class not learnt", 2),
        (WITHOUT_LUNGS, "PNEUMONIA, probability 0.75", 2),
    ),
)
def test_what_was_not_learnt_is_not_drawn(missing, title, panels):
    p = replace(PREDICTION, **missing)
    assert pictures.class_in_words(p) == title
    third = np.asarray(overlay(p))[95:200, 2 * PANEL + 60 :]
    assert (third == 255).all() == (panels == 2)


def test_long_names_lose_their_middle():
    assert pictures.cut_middle("abcdefghij", 10) == "abcdefghij"
    assert pictures.cut_middle("abcdefghijk\n", 7) == "abc…k\\n"
