import numpy as np
import pytest
from PIL import Image
from skimage import data

from multimix.data import phantom
from multimix.images.quality import (
    SMALL_SIDE,
    STRONG_SUSPICION,
    TYPICAL_FILM,
    inversion_suspicion,
    is_negative,
    looks_inverted,
    looks_turned,
    quality_warnings,
)
from multimix.images.reading import LoadedImage, resize
from multimix.inference import ask_network, find_inverted, load_model, predict

CENTRE = slice(7, 25)  # what lies around it may be black, white or collimated
FILM, LUNGS = phantom.draw(3, side=256)


def warnings_of(film: np.ndarray, lungs: np.ndarray) -> tuple[str, ...]:
    """What is said of an ordinary grey film and these lungs."""
    image = LoadedImage(film, coloured=False, first_of_several=False, kind="L")
    return quality_warnings(image, film, lungs, inverted=False, corrected=False)


def shifted(mask: np.ndarray, columns: int) -> np.ndarray:
    """The mask moved sideways, cut off at the film's edge."""
    moved = np.zeros_like(mask)
    moved[:, columns:] = mask[:, : mask.shape[1] - columns]
    return moved


def discs(*middles: tuple[int, int]) -> np.ndarray:
    """Round lungs."""
    down, across = np.mgrid[:256, :256]
    lungs = np.zeros((256, 256), dtype=bool)
    for y, x in middles:
        lungs |= (down - y) ** 2 + (across - x) ** 2 < 45**2
    return lungs


def test_a_good_film_raises_none():
    assert warnings_of(FILM, LUNGS) == ()
    for seed in range(20):
        assert warnings_of(*phantom.draw(seed, seed % 2)) == ()


@pytest.mark.parametrize(
    "mask, words",
    (
        (np.zeros_like(LUNGS), "The lungs fill 0% of the film"),
        (np.ones_like(LUNGS), "The lungs fill 100% of the film"),
        (LUNGS & (np.arange(256) < 128), "not two of about the same size"),
        (np.rot90(LUNGS), "side by side"),
        (discs((80, 60), (80, 190)), "long and side by side"),
        (shifted(LUNGS, 70), "over the film's edge"),
    ),
)
def test_implausible_lungs(mask, words):
    assert any(words in text for text in warnings_of(FILM, mask))


def test_an_opaque_lung_is_warned_of():
    left = LUNGS & (np.arange(256) >= 128)
    rows = np.flatnonzero(left.any(1))
    lost = LUNGS & ~(left & (np.arange(256)[:, None] > np.quantile(rows, 0.4)))
    assert ["less than half as large" in text for text in warnings_of(FILM, lost)] == [True]
    white = np.where(left, np.percentile(FILM[~LUNGS], 60), FILM).astype(np.uint8)
    assert ["as bright as the tissue" in text for text in warnings_of(white, LUNGS)] == [True]


HEART_RIGHT = "The heart seems to lie on the patient's right"


def test_a_mirrored_film_is_told_by_its_heart():
    films = [phantom.draw(seed, seed % 2) for seed in range(20)]
    told = [HEART_RIGHT in str(warnings_of(film[:, ::-1], lungs[:, ::-1])) for film, lungs in films]
    assert sum(told) >= 10  # the others' hearts lie near the middle; as they were drawn, none is
    film, lungs = films[0]
    assert told[0] and len(warnings_of(film[:, ::-1], lungs[:, ::-1])) == 1


def test_the_heart_is_not_looked_for_where_lungs_are_not_whole():
    film, lungs = FILM[:, ::-1], phantom.draw(0)[1][:, ::-1]
    rows = np.flatnonzero(lungs.any(1))
    short = lungs.copy()
    short[rows[round(0.7 * len(rows))] :, :128] = False  # the patient's right lung
    assert HEART_RIGHT in str(warnings_of(film, lungs))
    assert HEART_RIGHT not in str(warnings_of(film, short))


def test_of_real_films_the_mirrored_ones_are_told(real):
    model = load_model(device="cpu")
    files = sorted((real / "jsrt" / "images").iterdir())[::15]  # 17
    told = [0, 0]
    for file in files:
        film = np.asarray(Image.open(file).convert("L"))
        for mirrored, view in enumerate((film, film[:, ::-1])):
            told[mirrored] += HEART_RIGHT in str(predict(model, view).warnings)
    assert told[0] == 0 and told[1] >= len(files) / 2


def test_the_typical_film_is_the_mean_of_twelve_phantoms():
    small = [resize(phantom.draw(seed)[0], SMALL_SIDE) for seed in range(12)]
    mean = np.mean(small, axis=0)[CENTRE, CENTRE]
    centred = mean - mean.mean()
    assert np.abs(TYPICAL_FILM - centred / np.linalg.norm(centred)).max() < 1e-6


def off_centre(film: np.ndarray) -> np.ndarray:
    """The chest at the side of a collimated film."""
    return np.hstack([np.zeros((256, 90), np.uint8), film[:, :200]])


def on_a_canvas(film: np.ndarray) -> np.ndarray:
    """The film in a corner of a picture four times as large."""
    return np.pad(film, ((0, 256), (0, 256)))


def with_bright_arm(film: np.ndarray) -> np.ndarray:
    """Somebody's arm in the whole of one side, and air at the other."""
    return np.hstack([np.full((256, 60), 250, np.uint8), film, np.full((256, 60), 2, np.uint8)])


def brightened(film: np.ndarray) -> np.ndarray:
    """The film with its middle greys far brighter."""
    return (255 * np.sqrt(film / 255)).astype(np.uint8)


VIEWS = (np.asarray, np.fliplr, off_centre, on_a_canvas, with_bright_arm, brightened)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_inverted_films(view):
    for seed in range(12, 18):
        film = view(phantom.draw(seed, seed % 2)[0])
        assert looks_inverted(255 - film) and not looks_inverted(film)
        assert not looks_turned(film) and not looks_turned(255 - film)


def test_turned_films_are_not_called_inverted(model):
    found = 0
    for seed in range(12, 20):
        film = phantom.draw(seed, seed % 2)[0]
        for quarters in (1, 2, 3):
            turned = np.rot90(film, quarters)
            assert not looks_inverted(turned)
            found += looks_turned(turned)
    assert found >= 22  # of 24
    film = np.rot90(FILM)
    prediction = predict(model, film)
    assert np.array_equal(prediction.film, film)
    assert any("upside down or on its side" in text for text in prediction.warnings)


def test_pictures_that_are_like_no_film_are_neither_inverted_nor_turned():
    plain = np.full((50, 50), 100, dtype=np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    for picture in (plain, noise, plain[:2, :2]):
        assert not looks_turned(picture) and inversion_suspicion(picture) < STRONG_SUSPICION
    assert not looks_inverted(plain)


def test_the_lungs_of_its_negative_decide_on_a_film_in_doubt():
    slight, strong = STRONG_SUSPICION / 2, STRONG_SUSPICION * 2
    for suspicion in (slight, strong):
        assert is_negative(suspicion, FILM, np.float32(LUNGS))  # they are dark there
        assert not is_negative(suspicion, 255 - FILM, np.float32(LUNGS))
    one, unsure = LUNGS & (np.arange(256) < 128), 0.4 + 0.2 * LUNGS
    for no_lungs in (np.zeros_like(LUNGS), np.ones_like(LUNGS), one, unsure):
        for film in (FILM, 255 - FILM):
            assert is_negative(strong, film, np.float32(no_lungs))
            assert not is_negative(slight, film, np.float32(no_lungs))


def test_a_film_in_doubt_is_left_as_it_is_with_a_warning(model, monkeypatch):
    monkeypatch.setattr("multimix.inference.is_negative", lambda *seen: False)
    negative = 255 - FILM
    prediction = predict(model, negative)
    assert np.array_equal(prediction.film, negative)
    assert any("may be inverted" in text for text in prediction.warnings)


def test_the_network_is_asked_again_of_suspects_alone(model, monkeypatch):
    asked = []

    def ask(model, films, options):
        asked.append(len(films))
        return ask_network(model, films, options)

    monkeypatch.setattr("multimix.inference.ask_network", ask)
    together = predict(model, [FILM, 255 - FILM])
    assert asked == [1, 2]  # the suspect's negative, then both
    assert all(np.array_equal(one.film, FILM) for one in together)
    asked.clear()
    predict(model, FILM)
    assert asked == [1]


def test_the_trained_networks_see_inverted_phantoms():
    films = [phantom.draw(seed, seed % 2)[0] for seed in (31, 32)]
    both = [*films, *(255 - film for film in films)]
    for name in ("multimix", "multimix_100_10"):
        assert find_inverted(load_model(name, "cpu"), both) == [False, False, True, True]


def test_inverted_films_are_corrected_and_it_is_said(model):
    plain = predict(model, FILM)
    corrected = predict(model, 255 - FILM)
    assert np.array_equal(corrected.film, FILM)
    assert corrected.probabilities == plain.probabilities
    assert any("looked inverted" in text for text in corrected.warnings)
    left = predict(model, 255 - FILM, invert="never")
    assert np.array_equal(left.film, 255 - FILM)
    assert any("looks inverted" in text for text in left.warnings)
    forced = predict(model, FILM, invert="always")
    assert np.array_equal(forced.film, 255 - FILM)
    assert any("did not look inverted" in text for text in forced.warnings)
    assert not any("inverted" in text for text in plain.warnings)
    with pytest.raises(ValueError, match="invert is 'yes'; auto, never or always is needed"):
        predict(model, FILM, invert="yes")


def test_of_several_pages_the_first_is_taken_and_it_is_said(model, tmp_path):
    first, second = Image.fromarray(FILM), Image.fromarray(255 - FILM)
    first.save(tmp_path / "pages.tiff", save_all=True, append_images=[second])
    first.save(tmp_path / "page.tiff", save_all=True)
    several, one = predict(model, [tmp_path / "pages.tiff", tmp_path / "page.tiff"])
    assert any("several pages" in text for text in several.warnings)
    assert not any("pages" in text for text in one.warnings)
    assert np.array_equal(several.film, FILM)


PHOTOGRAPHS = ("astronaut", "camera", "coffee", "chelsea", "brick")
SURFACES = ("gravel", "coins", "moon", "page", "text")


def test_pictures_that_are_no_films():
    model = load_model(device="cpu")
    for name in PHOTOGRAPHS + SURFACES:
        assert predict(model, getattr(data, name)()).warnings, name


def test_colours_are_noticed(model, tmp_path):
    photograph = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(photograph).save(tmp_path / "photo.png")
    for source in (photograph, tmp_path / "photo.png", Image.fromarray(photograph)):
        assert any("in colour" in text for text in predict(model, source).warnings)
    picture = Image.fromarray(FILM)
    channels, floats, deep = np.dstack([FILM] * 3), FILM / 255, FILM.astype(np.uint16) * 16
    for grey in (FILM, channels, picture.convert("RGBA"), picture.convert("P"), floats, deep):
        assert not any("in colour" in text for text in predict(model, grey).warnings)
