"""Pictures of a prediction, by their pixels."""

from dataclasses import replace

import numpy as np
import pytest
from drawn import draw as draw_film
from PIL import ImageColor
from prediction_helpers import prediction_of

from multimix.predictions.pictures import (
    BY_HAND,
    LUNG,
    PANEL,
    VIEWS,
    WIDTH,
    class_in_words,
    cut_middle,
    draw,
    layers_of,
    mark_sides,
    outline,
    overlay,
)
from multimix.predictions.prediction import Prediction

GREY = 100
TRUTH = np.zeros((50, 100), dtype=bool)
TRUTH[5:45, 5:95] = True


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    """Lung in the middle, saliency at the lower right, on a grey film twice as wide as high."""
    lung = np.zeros((50, 100), dtype=np.float32)
    lung[10:40, 20:80] = 0.6
    saliency = np.zeros((50, 100), dtype=np.float32)
    saliency[40:, 90:] = 3
    film = np.full((50, 100), GREY, dtype=np.uint8)
    return Prediction("film", film, {"NORMAL": 0.2, "PNEUMONIA": 0.8}, lung, saliency)


def drawn(prediction: Prediction, view: str, part=(0, 0, 1), **settings) -> np.ndarray:
    """(500, 1000, 3), ten pixels for each of the film's."""
    layers = layers_of(prediction, 1000, 1000, part, TRUTH)
    return np.asarray(draw(layers, view, **settings)).astype(int)


def rgb(colour: str) -> list[int]:
    return list(ImageColor.getrgb(colour))


def test_brightness_and_contrast_change_the_film_alone(prediction):
    picture = drawn(prediction, "film", opacity=1, threshold=0.1)
    assert picture.shape == (500, 1000, 3) and (picture == GREY).all()
    for change, expected in (
        ({"brightness": 0.2}, GREY + 51),
        ({"contrast": 2}, round(2 * (GREY - 127.5) + 127.5)),
        ({"brightness": 1, "contrast": 4}, 255),
    ):
        assert (drawn(prediction, "film", **change) == expected).all()


def test_lungs_are_filled_and_outlined(prediction):
    picture = drawn(prediction, "lungs", opacity=0.5)
    inside = [(GREY + channel) / 2 for channel in rgb(LUNG)]
    assert np.abs(picture[250, 500] - inside).max() <= 1
    assert (picture[250, 205] == rgb(LUNG)).all() or (picture[250, 201] == rgb(LUNG)).all()
    assert (picture[250, 150] == GREY).all() and (picture[250, 50] == rgb(BY_HAND)).all()
    assert (drawn(prediction, "lungs", threshold=0.7)[250, 500] == GREY).all()  # lung is at 0.6


def test_saliency_is_bright_where_there_is_much(prediction):
    picture = drawn(prediction, "saliency", opacity=0.5)
    assert picture[450, 950].max() >= 250  # the most, opaque
    assert np.ptp(picture[100, 100]) <= 10 and (picture[100, 100] < GREY).all()


def test_a_part_of_the_film_is_shown_larger(prediction):
    picture = drawn(prediction, "saliency", (0.5, 0.5, 0.5), opacity=0.5)
    assert picture.shape == (500, 1000, 3)
    assert (picture[400:, 820:].max(2) >= 250).all() and (picture[:200].max(2) < GREY).all()


def test_an_outline_lies_inside_and_leaves_the_border_open():
    mask = np.zeros((12, 12), dtype=bool)
    mask[2:, 2:9] = True
    expected = mask.copy()
    expected[3:, 3:8] = False
    assert np.array_equal(outline(mask, 1), expected)
    assert not outline(np.ones((9, 9), dtype=bool), 2).any()


def test_right_and_left_are_marked(prediction):
    picture = draw(layers_of(prediction, 1000, 1000), "film")
    mark_sides(picture)
    letters = np.flatnonzero((np.asarray(picture) == 255).any((0, 2)))
    assert (
        letters.min() < 40 and letters.max() > 960 and not ((letters > 60) & (letters < 940)).any()
    )


def test_the_overlay_shows_the_film_as_it_is():
    film, mask = draw_film(1, 0, PANEL)
    p = replace(prediction_of(mask), film=film)
    picture = np.asarray(overlay(p))
    assert picture.shape[1] == WIDTH
    panel = picture[90 : 90 + PANEL, 15 : 15 + PANEL]
    assert (panel == film[..., None]).all()
    lungs = picture[90 : 90 + PANEL, 30 + PANEL : 30 + 2 * PANEL]
    changed = (lungs != panel).any(2)
    assert changed.any() and not (changed & ~mask).any()
    by_hand = np.asarray(overlay(p, truth=np.ones_like(mask) & (np.arange(PANEL) < 100)))
    assert (by_hand == rgb(BY_HAND)).all(2).sum() > PANEL


@pytest.mark.parametrize("shape", ((300, 200), (200, 300), (20, 900), (900, 20), (2, 2)))
def test_films_of_any_shape_are_drawn(shape):
    p = prediction_of(np.ones(shape, bool), warnings=("A sentence. " * 30, "x" * 200))
    for picture in (overlay(p), overlay(p, truth=np.zeros(shape, bool))):
        assert picture.width == WIDTH and picture.height < 1200
    for view in VIEWS:
        size = draw(layers_of(p, 500, 500, (0.4, 0.4, 0.125)), view).size
        assert max(size) == 500 and min(size) >= 1


@pytest.mark.parametrize(
    ("missing", "title"),
    (
        ({"probabilities": {}}, "not recognised as a frontal chest film"),
        ({"probabilities": {}, "saliency": None}, "class not learnt"),
        ({"mask_probability": None}, "PNEUMONIA, probability 0.80"),
    ),
)
def test_what_was_not_learnt_is_not_drawn(prediction, missing, title):
    p = replace(prediction, **missing)
    assert class_in_words(p) == title
    whole, picture = np.asarray(overlay(prediction)), np.asarray(overlay(p))
    panels = [view for view in picture[100:200].reshape(100, -1, 3).std((0, 2))]
    assert whole.shape[1] == picture.shape[1] and len(panels) == WIDTH
    white = (picture[95:200, 2 * PANEL + 60 :] == 255).all()
    assert white == ("saliency" in missing or "mask_probability" in missing)


def test_long_names_lose_their_middle():
    assert cut_middle("abcdefghij", 10) == "abcdefghij"
    assert cut_middle("abcdefghijk\n", 7) == "abc…k\\n"
