"""Pictures of a prediction, by their pixels."""

import io
import time

import numpy as np
import pytest
from PIL import Image, ImageColor

from multimix.evaluation.film_pictures import (
    HEEDED,
    LONGEST,
    MARK,
    TRUE_LUNG,
    VIEWS,
    Layers,
    ViewSettings,
    compose,
    file_content,
    layers_of,
    lung_box,
    outline,
    still_picture,
)
from multimix.evaluation.overlay import LUNG
from multimix.evaluation.prediction import Prediction

GREY = 100
TRUTH = np.zeros((50, 100), dtype=bool)
TRUTH[5:45, 5:95] = True


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    """Lung in the middle, saliency right below, on a grey film twice as wide as high."""
    lung = np.zeros((50, 100), dtype=np.float32)
    lung[10:40, 20:80] = 0.6
    saliency = np.zeros((50, 100), dtype=np.float32)
    saliency[40:, 90:] = 3
    probabilities = {"NORMAL": 0.2, "PNEUMONIA": 0.8}
    film = np.full((50, 100), GREY, dtype=np.uint8)
    return Prediction("film", film, probabilities, lung, saliency)


@pytest.fixture(scope="module")
def layers(prediction) -> Layers:
    return layers_of(prediction, TRUTH, zoom=False)


def drawn(layers: Layers, **settings: object) -> np.ndarray:
    """(500, 1000, 3), ten pixels for each of the film's."""
    return np.asarray(compose(layers, ViewSettings(**settings))).astype(int)


def rgb(colour: str) -> list[int]:
    return list(ImageColor.getrgb(colour))


def test_the_film_alone_is_its_grey_values(layers):
    picture = drawn(layers, view="film", opacity=1.0, threshold=0.1, wipe=0.7)
    assert picture.shape == (LONGEST // 2, LONGEST, 3) and (picture == GREY).all()
    assert (drawn(layers, view="film", brightness=0.2) == GREY + 51).all()
    assert (drawn(layers, view="film", contrast=2.0) == int(2 * (GREY - 127.5) + 127.5)).all()
    assert (drawn(layers, view="film", brightness=1.0, contrast=4.0) == 255).all()


def test_lungs_are_filled_and_outlined(layers):
    picture = drawn(layers, opacity=0.5)
    inside = [(GREY + channel) / 2 for channel in rgb(LUNG)]
    assert np.abs(picture[250, 500] - inside).max() <= 1
    assert (picture[250, 205] == rgb(LUNG)).all() and (picture[250, 150] == GREY).all()
    assert (picture[250, 51] == rgb(TRUE_LUNG)).all()
    assert (drawn(layers, threshold=0.7)[250, 500] == GREY).all()  # lung is at 0.6
    mask = drawn(layers, view="mask")
    assert (mask[250, 500] == 255).all() and (mask[250, 150] == 0).all()


def test_the_wipe_shows_the_bare_film_on_the_left(layers):
    picture, whole = drawn(layers, wipe=0.5), drawn(layers)
    assert (picture[:, :498] == GREY).all() and (picture[:, 503:] == whole[:, 503:]).all()
    assert (picture[:, 500] == rgb(MARK)).all()
    assert (drawn(layers, wipe=1.0)[:, :-2] == GREY).all()


def test_the_saliency_is_warm_where_there_is_some(layers):
    picture = drawn(layers, view="saliency", opacity=0.5, colour_map="hot")
    assert (picture[450, 950] >= 250).all()  # the top of the scale, opaque
    faint = picture[100, 100]
    assert np.ptp(faint) <= 10 and (faint < GREY).all()
    other = drawn(layers, view="saliency", opacity=0.5, colour_map="viridis")
    assert (other[450, 950] != picture[450, 950]).any()


def test_a_point_is_marked_where_it_is(prediction, layers):
    picture = drawn(layers, view="film", point=(20, 30))
    assert (picture[205, 305 + 20] == rgb(MARK)).all() and (picture[205, 305] == GREY).all()
    near = layers_of(prediction, None, zoom=True)
    assert near.box == (15, 5, 85, 45) and near.film.size == (1000, round(1000 * 40 / 70))
    scale = 1000 / 70
    column, row = round((30.5 - 15) * scale), round((20.5 - 5) * scale)
    assert (drawn(near, view="film", point=(20, 30))[row, column + 20] == rgb(MARK)).all()
    assert (drawn(near, view="film", point=(2, 2)) == GREY).all()  # outside


def test_the_box_around_lungs():
    mask = np.zeros((40, 60), dtype=bool)
    assert lung_box(mask, zoom=True) == lung_box(mask, zoom=False) == (0, 0, 60, 40)
    mask[0, 58] = True
    assert lung_box(mask, zoom=True) == (55, 0, 60, 4)


def test_an_outline_lies_inside_and_leaves_the_border_open():
    mask = np.zeros((12, 12), dtype=bool)
    mask[2:, 2:9] = True
    expected = mask.copy()
    expected[3:, 3:8] = False
    assert np.array_equal(outline(mask, 1), expected)
    assert not outline(np.ones((9, 9), dtype=bool)).any()


@pytest.mark.parametrize("view", VIEWS)
def test_a_setting_that_a_view_does_not_heed_changes_nothing(layers, view):
    changed = {
        "wipe": 0.4,
        "opacity": 0.8,
        "threshold": 0.7,
        "colour_map": "viridis",
        "brightness": 0.1,
        "contrast": 2.0,
    }
    assert set(changed) == set(HEEDED)
    before = drawn(layers, view=view)
    for name, value in changed.items():
        after = drawn(layers, view=view, **{name: value})
        assert np.array_equal(before, after) != (view in HEEDED[name]), name


@pytest.mark.parametrize("shape", [(2, 2), (3, 900), (1500, 40)])
def test_films_of_any_shape(shape):
    lung = np.random.default_rng(0).random(shape, dtype=np.float32)
    film = (255 * lung).astype(np.uint8)
    layers = layers_of(Prediction("x", film, {"NORMAL": 1.0}, lung, lung), None, zoom=True)
    for view in VIEWS:
        picture = compose(layers, ViewSettings(view, wipe=0.3, point=(1, 1)))
        assert max(picture.size) == LONGEST and min(picture.size) >= 1


def test_the_still_picture_is_small(prediction):
    content = still_picture(prediction)
    assert len(content) < 60_000
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "JPEG" and picture.size[0] == 480


def test_a_picture_takes_less_than_a_tenth_of_a_second(layers):
    def seconds(view: str) -> float:
        start = time.perf_counter()
        file_content(compose(layers, ViewSettings(view, wipe=0.3)))
        return time.perf_counter() - start

    assert max(min(seconds(view) for _ in range(5)) for view in VIEWS) < 0.1
