"""How large a film is, by what its file says."""

import struct

import numpy as np
import pytest
from helpers import dicom
from PIL import Image

from multimix.images.reading import load_image

FILM = np.tile(np.arange(200, dtype=np.uint8), (300, 1))  # (300, 200)


def size_of(path):
    return load_image(path).size_cm


@pytest.mark.parametrize("ending", ("png", "jpg", "tif", "bmp"))
@pytest.mark.parametrize("dpi, size", ((20, (38.1, 25.4)), (72, None), (96, None), (300, None)))
def test_a_pictures_resolution_counts_where_it_is_plausible(tmp_path, ending, dpi, size):
    path = tmp_path / f"film.{ending}"
    Image.fromarray(FILM).save(path, dpi=(dpi, dpi))
    image = load_image(path)
    assert image.size_cm == (size and pytest.approx(size, rel=0.01)) and image.warnings == ()


def test_no_resolution_is_no_size(tmp_path):
    for ending in ("png", "jpg", "tif", "gif", "webp"):
        Image.fromarray(FILM).save(tmp_path / f"film.{ending}")
        assert size_of(tmp_path / f"film.{ending}") is None
    assert size_of(FILM) is None


@pytest.mark.parametrize("resolution", ((0, 0), (1, 0), (0, 1), (2**32 - 1, 1)))
def test_resolutions_that_are_no_numbers_leave_the_film_readable(tmp_path, resolution):
    path = tmp_path / "film.tif"
    Image.fromarray(FILM).save(path, dpi=(20, 20))
    content = path.read_bytes()
    twenty = struct.pack("<2I", 20, 1)
    assert content.count(twenty) >= 1
    path.write_bytes(content.replace(twenty, struct.pack("<2I", *resolution)))
    assert size_of(path) is None and load_image(path).grey.shape == FILM.shape


def test_a_size_turns_with_its_film_and_stays_when_it_is_reduced(tmp_path):
    lying = Image.fromarray(FILM.T)  # 300 wide, 200 high
    exif = Image.Exif()
    exif[0x0112] = 6
    for ending in ("png", "jpg", "tif"):
        lying.save(tmp_path / f"film.{ending}", dpi=(20, 15), exif=exif)
        image = load_image(tmp_path / f"film.{ending}")
        assert image.grey.shape == (300, 200)
        assert image.size_cm == pytest.approx((300 / 20 * 2.54, 200 / 15 * 2.54), rel=0.01)
    small = load_image(tmp_path / "film.jpg", side=32)
    assert max(small.grey.shape) < 300 and small.size_cm == pytest.approx(
        load_image(tmp_path / "film.jpg").size_cm
    )


@pytest.mark.parametrize(
    "elements, size",
    (
        (dict(PixelSpacing=[1, 1.5]), (30, 30)),
        (dict(ImagerPixelSpacing=[1, 1]), (30, 20)),
        (dict(NominalScannedPixelSpacing=[1, 1]), (30, 20)),
        (dict(PixelSpacing=[1, 1], ImagerPixelSpacing=[1.1, 1.1]), (30, 20)),
        (dict(PixelSpacing=[9, 9], ImagerPixelSpacing=[1.1, 1.1]), (33, 22)),
        (dict(PixelSpacing=None), None),
        (dict(PixelSpacing=[0, 0]), None),
        ({}, None),
    ),
)
def test_a_dicom_films_spacing(tmp_path, elements, size):
    image = load_image(dicom(tmp_path / "film.dcm", FILM.astype(np.uint16), **elements))
    assert image.size_cm == (size and pytest.approx(size)) and image.warnings == ()


@pytest.mark.parametrize(
    "spacing", ([0, 1], [-1, -1], [1e9, 1e9], [0.001, 0.001], [1, 9], [1], ["1e400", "1"])
)
@pytest.mark.filterwarnings("ignore")  # pydicom's, as such elements are written
def test_absurd_spacing_is_one_sentence(tmp_path, spacing):
    image = load_image(
        dicom(tmp_path / "film.dcm", FILM.astype(np.uint16), ImagerPixelSpacing=spacing)
    )
    assert image.size_cm is None and len(image.warnings) == 1
    assert image.warnings[0].startswith("The file's ImagerPixelSpacing (")
    assert image.warnings[0].endswith(
        "is no chest film's: it is ignored, and areas in cm² are not known."
    )


@pytest.mark.parametrize(
    "age, size",
    (("018Y", None), ("102Y", None), ("51", None), ("017Y", (18, 12)), ("024M", (18, 12))),
)
@pytest.mark.filterwarnings("ignore")  # pydicom's, of an age without its unit
def test_a_small_childs_spacing_is_not_an_adults(tmp_path, age, size):
    pixels = FILM.astype(np.uint16)
    image = load_image(
        dicom(tmp_path / "film.dcm", pixels, PixelSpacing=[0.6, 0.6], PatientAge=age)
    )
    assert image.size_cm == (size and pytest.approx(size))
    said = "The file's PixelSpacing (0.6 x 0.6 mm) is no adult's chest film's"
    assert [text.startswith(said) for text in image.warnings] == [True] * (size is None)
    usual = dicom(tmp_path / "film.dcm", pixels, PixelSpacing=[0.7, 0.7], PatientAge=age)
    assert load_image(usual).size_cm == pytest.approx((21, 14))


def test_raw_jsrt_films_are_as_large_as_their_makers_say(tmp_path):
    (tmp_path / "film.img").write_bytes(bytes(2 * 2048 * 2048))
    assert size_of(tmp_path / "film.img") == pytest.approx((35.84, 35.84))
