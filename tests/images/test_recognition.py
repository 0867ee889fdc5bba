"""Frontal chest films are recognised, in any position; other pictures are not."""

import numpy as np
import pytest
import skimage.data
import torch
from helpers import ROOT
from PIL import Image

from multimix.images.preparation import film_box
from multimix.images.reading import read_film, resize
from multimix.images.recognition import frontal_score, holds_two_films, is_frontal_chest


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    grey = read_film(ROOT / "sample_data" / "real_adult_pa.png")
    return film_box(grey).of(grey)


CHANGES = {
    "as it is": lambda film: film,
    "inverted": lambda film: 255 - film,
    "on its side": np.rot90,
    "tilted": lambda film: np.asarray(Image.fromarray(film).rotate(12, Image.Resampling.BILINEAR)),
    "tiny": lambda film: resize(film, 40),
    "slightly cropped": lambda film: film[20:-20, 20:-20],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_film_is_recognised(film, change):
    assert is_frontal_chest(change(film))


NOISE = np.random.default_rng(0).integers(0, 256, (200, 150), dtype=np.uint8)
OTHERS = {
    "white": lambda: np.full((64, 64), 255, np.uint8),
    "noise": lambda: NOISE,
    "faint noise": lambda: NOISE // 16 + 120,
    "page": skimage.data.page,
    "photograph": skimage.data.camera,
    "coins": skimage.data.coins,
}


@pytest.mark.parametrize("picture", OTHERS.values(), ids=OTHERS)
def test_another_picture_is_not(picture):
    assert not is_frontal_chest(picture())


def test_a_corner_of_a_film_is_not(film):
    assert not is_frontal_chest(film[: int(0.4 * len(film)), : int(0.4 * film.shape[1])])
    assert not np.isnan(frontal_score(film[:2, :3])) and not holds_two_films(film[:2, :3])


@pytest.mark.parametrize("join", [np.hstack, np.vstack])
def test_two_films_in_one_picture_are_noticed(film, join):
    assert holds_two_films(join([film, film[:, ::-1]])) and not holds_two_films(film)
    assert not holds_two_films(join([film, np.zeros_like(film)]))


def test_narrow_convolutions_elsewhere_change_no_score(film):
    with torch.autocast("cpu", torch.bfloat16):
        narrow = frontal_score(film)
    assert narrow == frontal_score(film)
