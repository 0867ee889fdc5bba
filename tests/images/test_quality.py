"""Warnings about films and lungs, and films that are inverted or turned."""

import numpy as np
import pytest
from helpers import ROOT

from multimix.images.quality import (
    STRONG_SUSPICION,
    inversion_suspicion,
    is_negative,
    looks_inverted,
    looks_turned,
    quality_warnings,
)
from multimix.images.reading import LoadedImage, read_film, read_mask, resize

PATHS = sorted((ROOT / "sample_data").glob("*.jpg"))
CLEAR = [path for path in PATHS if path.stem != "adult_nih_pneumonia"]  # its lungs are opaque
FILM = resize(read_film(ROOT / "sample_data" / "adult_normal.jpg"), 256)
LUNGS = read_mask([ROOT / "sample_data" / "masks" / "adult_normal.png"], 256)
LEFT = LUNGS & (np.arange(256) >= 128)  # the patient's


def warnings_of(film, lungs, inverted=False, corrected=False) -> str:
    image = LoadedImage(film)
    return " ".join(quality_warnings(image, film, lungs, inverted=inverted, corrected=corrected))


@pytest.mark.parametrize(
    "film, lungs, changes, words",
    (
        (FILM, np.zeros_like(LUNGS), {}, "The lungs fill 0% of the film"),
        (FILM, np.ones_like(LUNGS), {}, "The lungs fill 100% of the film"),
        (FILM, LUNGS & ~LEFT, {}, "not two of about the same size"),
        (FILM, np.rot90(LUNGS), {}, "side by side"),
        (FILM, np.pad(LUNGS, ((0, 0), (70, 0)))[:, :256], {}, "over the film's edge"),
        (FILM, LUNGS & ~(LEFT & (np.arange(256)[:, None] > 105)), {}, "less than half as large"),
        (np.where(LEFT, 150, FILM).astype(np.uint8), LUNGS, {}, "as bright as the tissue"),
        (FILM[::3, ::3], LUNGS, {}, "tiny (86 x 86 pixels)"),
        (FILM // 16 + 100, LUNGS, {}, "little contrast"),
        (FILM, LUNGS, dict(inverted=True, corrected=True), "looked inverted"),
        (FILM, LUNGS, dict(corrected=True), "did not look inverted"),
        (FILM, LUNGS, dict(inverted=True), "looks inverted"),
        (255 - FILM, LUNGS, {}, "may be inverted"),
        (np.rot90(FILM, 2), LUNGS, {}, "upside down or on its side"),
    ),
)
def test_what_is_unusual_is_a_warning_and_a_good_film_has_none(film, lungs, changes, words):
    assert words in warnings_of(film, lungs, **changes) and not warnings_of(FILM, LUNGS)


@pytest.mark.parametrize("view", (np.asarray, np.fliplr, lambda film: film // 2 + 100))
def test_inverted_and_turned_films(view):
    found = np.zeros(3, dtype=int)
    for path in CLEAR:
        film = view(resize(read_film(path), 256))
        assert not looks_inverted(film) and not looks_turned(film)
        turned = looks_turned(np.rot90(film)), looks_turned(np.rot90(film, 2))
        found += (looks_inverted(255 - film), *turned)
    assert len(CLEAR) == 7 and (found >= (6, 7, 6)).all()


def test_pictures_unlike_any_film_are_neither_inverted_nor_turned():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    for film in (noise, 0 * noise, noise[:2, :2] // 99):
        assert not looks_turned(film) and inversion_suspicion(film) < STRONG_SUSPICION


def test_the_lungs_of_its_negative_decide_on_a_film_in_doubt():
    slight, strong = STRONG_SUSPICION / 2, STRONG_SUSPICION * 2
    for suspicion in (slight, strong):
        assert is_negative(suspicion, FILM, np.float32(LUNGS))  # they are dark there
        assert not is_negative(suspicion, 255 - FILM, np.float32(LUNGS))
    unsure = 0.4 + 0.2 * LUNGS
    for no_lungs in (np.zeros_like(LUNGS), np.ones_like(LUNGS), LUNGS & ~LEFT, unsure):
        assert is_negative(strong, FILM, np.float32(no_lungs))
        assert not is_negative(slight, FILM, np.float32(no_lungs))
