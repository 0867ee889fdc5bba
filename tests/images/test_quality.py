import numpy as np
import pytest
from PIL import Image

from multimix.data import phantom
from multimix.images.quality import quality_warnings
from multimix.inference import load_model, predict

FILM, LUNGS = phantom.draw(3, side=256)
PLAIN = dict(inverted=False, turned=False, coloured=False, first_of_several=False)


def shifted(mask: np.ndarray, columns: int) -> np.ndarray:
    """The mask moved sideways, cut off at the film's edge."""
    moved = np.zeros_like(mask)
    moved[:, columns:] = mask[:, : mask.shape[1] - columns]
    return moved


def blobs(*middles: tuple[int, int]) -> np.ndarray:
    """Round lungs."""
    down, across = np.mgrid[:256, :256]
    return np.any([(down - y) ** 2 + (across - x) ** 2 < 45**2 for y, x in middles], 0)


def test_a_good_film_raises_none():
    assert quality_warnings(FILM, LUNGS, **PLAIN) == ()
    assert all(quality_warnings(*phantom.draw(seed, seed % 2), **PLAIN) == () for seed in range(20))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros_like(LUNGS), "The lungs fill 0% of the film"),
        (np.ones_like(LUNGS), "The lungs fill 100% of the film"),
        (LUNGS & (np.arange(256) < 128), "not two of about the same size"),
        (np.rot90(LUNGS), "side by side"),
        (blobs((80, 60), (80, 190)), "long and side by side"),
        (shifted(LUNGS, 70), "over the film's edge"),
    ],
)
def test_implausible_lungs(mask, words):
    assert any(words in text for text in quality_warnings(FILM, mask, **PLAIN))


def test_inverted_films_are_turned_and_it_is_said(model):
    dark, plain = predict(model, FILM), predict(model, 255 - FILM, invert="never")
    turned = predict(model, 255 - FILM)
    assert np.array_equal(turned.film, FILM) and turned.probabilities == dark.probabilities
    assert any("looked inverted" in text for text in turned.warnings)
    assert np.array_equal(plain.film, 255 - FILM) and any(
        "looks inverted" in text for text in plain.warnings
    )
    assert np.array_equal(predict(model, FILM, invert="always").film, 255 - FILM)
    assert not any("inverted" in text for text in dark.warnings)
    with pytest.raises(ValueError, match="invert is 'yes'; auto, never or always is needed"):
        predict(model, FILM, invert="yes")


def test_of_several_pages_the_first_is_taken_and_it_is_said(model, tmp_path):
    pages = [Image.fromarray(FILM), Image.fromarray(255 - FILM)]
    for name, saved in (("pages.tiff", pages), ("page.tiff", pages[:1])):
        saved[0].save(tmp_path / name, save_all=True, append_images=saved[1:])
    several, one = predict(model, [tmp_path / "pages.tiff", tmp_path / "page.tiff"])
    assert any("several pages" in text for text in several.warnings) and not any(
        "pages" in t for t in one.warnings
    )
    assert np.array_equal(several.film, FILM)


def test_pictures_that_are_no_films():
    from skimage import data

    model = load_model(device="cpu")
    for name in (
        "astronaut",
        "camera",
        "coffee",
        "chelsea",
        "brick",
        "gravel",
        "coins",
        "moon",
        "page",
        "text",
    ):
        assert predict(model, getattr(data, name)()).warnings, name


def test_colours_are_noticed(model, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    for source in (photo, tmp_path / "photo.png", Image.fromarray(photo)):
        assert any("in colour" in text for text in predict(model, source).warnings)
    for grey in (
        FILM,
        np.dstack([FILM] * 3),
        Image.fromarray(FILM).convert("RGBA"),
        Image.fromarray(FILM).convert("P"),
        FILM / 255,
        FILM.astype(np.uint16) * 16,
    ):
        assert not any("in colour" in text for text in predict(model, grey).warnings)
