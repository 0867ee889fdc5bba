"""Plain borders and outliers: what is not the patient does not change the film."""

import io

import numpy as np
import pytest
from drawn import draw
from helpers import ROOT
from PIL import Image, ImageDraw

from multimix.images.preparation import WHOLE, film_box
from multimix.images.reading import read_film, resize

FILMS = sorted((ROOT / "sample_data").glob("*.jpg"))


def padded(film, top, bottom, left, right, grey):
    return np.pad(film, ((top, bottom), (left, right)), constant_values=grey)


def jpeg(film):
    file = io.BytesIO()
    Image.fromarray(film).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def screenshot(film, grey, ink):
    """A phone's: bars above and below, with text and a button."""
    high = film.shape[0] // 2
    picture = Image.fromarray(padded(film, high, high, 0, 0, grey))
    canvas = ImageDraw.Draw(picture)
    canvas.text((8, high // 3), "12:41  LTE  87%", fill=ink)
    middle, bottom = picture.width // 2, picture.height - high // 3
    canvas.rectangle([middle - 30, bottom, middle + 30, bottom + 8], fill=ink)
    return np.asarray(picture)


def rounded_on(film, grey):
    """A viewer's, with round corners."""
    corners = Image.new("L", film.shape[::-1], 0)
    edges = [0, 0, film.shape[1] - 1, film.shape[0] - 1]
    ImageDraw.Draw(corners).rounded_rectangle(edges, radius=film.shape[1] // 60, fill=255)
    inside = np.asarray(corners) > 0
    return padded(np.where(inside, film, grey).astype(np.uint8), 60, 60, 20, 20, grey)


BORDERS = {
    "black 16:9": lambda film: padded(film, 0, 0, 200, 200, 0),
    "white frame": lambda film: padded(film, 12, 12, 12, 12, 255),
    "frame in black": lambda film: padded(padded(film, 6, 6, 6, 6, 255), 30, 30, 90, 90, 0),
    "white jpeg": lambda film: jpeg(padded(film, 150, 50, 0, 0, 255)),
    "white phone": lambda film: screenshot(film, 255, 0),
    "dark phone": lambda film: jpeg(screenshot(film, 18, 230)),
    "rounded white": lambda film: rounded_on(film, 255),
}


@pytest.mark.parametrize("path", FILMS, ids=lambda path: path.stem)
def test_a_film_with_borders_is_the_film(path):
    film = resize(read_film(path), 500)
    plain = film_box(film).of(film)
    for name, border in BORDERS.items():
        bordered = border(film)
        found = film_box(bordered).of(bordered)
        difference = np.abs(np.subtract(found.shape, plain.shape)).max()
        assert difference <= 0.04 * max(plain.shape), name
        assert np.abs(resize(found, 64).astype(int) - resize(plain, 64)).mean() < 6, name


@pytest.mark.parametrize("mask", sorted((ROOT / "sample_data" / "masks").glob("*.png")))
def test_the_lungs_stay_inside(mask):
    film, lungs = read_film(mask.parents[1] / f"{mask.stem}.jpg"), read_film(mask) > 127
    for view in (film, 255 - film, (film * 0.3).astype(np.uint8)):
        assert film_box(view).of(lungs).sum() >= 0.995 * lungs.sum()


def test_a_picture_without_borders_is_whole():
    noise = np.random.default_rng(0).integers(0, 256, (99, 70), dtype=np.uint8)
    small = padded(draw(1, side=64)[0], 0, 900, 0, 900, 0)  # too small to be the film
    for picture in (0 * noise, noise, small):
        assert film_box(picture) == WHOLE
    film = read_film(FILMS[0])
    both = np.hstack([film, padded(film, 0, 0, 30, 0, 0)])
    assert film_box(both)[1::2] == pytest.approx((0, 1), abs=0.1)


# 12 bits in 16, as detectors have them.
DEEP = read_film(FILMS[0]).astype(np.uint16) * 16


def with_pixels(film, value, count=1):
    places = np.random.default_rng(1).integers(0, film.size, count)
    changed = film.copy()
    changed.flat[places] = value
    return changed


def with_letter(film, value):
    """A burnt-in letter with soft edges, which have all values between."""
    picture = Image.new("L", film.shape[::-1])
    ImageDraw.Draw(picture).text((10, 10), "R", fill=255, font_size=film.shape[0] // 8)
    cover = np.asarray(picture) / 255
    return (film * (1 - cover) + value * cover).astype(film.dtype)


OUTLIERS = {
    "hot and dead": with_pixels(with_pixels(DEEP + 20_000, 0), 65535, 5),
    "letter": with_letter(DEEP, 65535),
    "floats": with_pixels(DEEP / 10 - 50, 1e6),
    "signed": with_pixels(DEEP.astype(np.int32) - 2000, -70_000, 3),
}


@pytest.mark.parametrize("outlier", OUTLIERS)
def test_outliers_do_not_change_the_stretch(outlier):
    film, changed = read_film(DEEP), read_film(OUTLIERS[outlier])
    same = np.abs(film.astype(int) - changed) <= (4 if outlier == "letter" else 1)
    assert same.mean() > 0.98
    if outlier == "letter":
        assert (changed[~same] > 200).mean() > 0.7  # it is white


def test_a_film_without_outliers_is_stretched_over_its_whole_range():
    margin = np.where(np.arange(DEEP.shape[1]) < 40, 0, DEEP + 9000)  # of more than 2 %
    for film in (DEEP, DEEP // 16 * 257, margin):
        stretched = (film - float(film.min())) * 255 / np.ptp(film)
        assert np.abs(read_film(film) - stretched).max() <= 1
