import numpy as np
import pytest
import torch
from PIL import Image

from multimix.data import phantom
from multimix.images.reading import (
    check_mask_shapes,
    load_image,
    network_input,
    read_film,
    read_mask,
    resize,
)

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)


@pytest.mark.parametrize("mode", ("RGB", "RGBA", "LA", "P", "CMYK", "1"))
def test_colour_becomes_luminance(mode):
    grey = np.where(GREY > 120, 255, 0).astype(np.uint8)
    assert np.array_equal(read_film(Image.fromarray(grey).convert(mode)), grey)


def test_transparent_is_black():
    picture = Image.fromarray(GREY).convert("RGBA")
    opacity = np.zeros_like(GREY)
    opacity[:, :10] = 255
    picture.putalpha(Image.fromarray(opacity))
    film = read_film(picture)
    assert np.array_equal(film[:, :10], GREY[:, :10]) and not film[:, 10:].any()


@pytest.mark.parametrize("largest", (1023, 4095, 65535))
def test_more_than_8_bits_are_stretched(tmp_path, largest):
    deep = np.linspace(0, largest, 240).astype(np.uint16).reshape(12, 20)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    for source in (tmp_path / "deep.png", deep, deep.astype(">u2"), deep.astype(np.int32) - 1000):
        film = read_film(source)
        assert film.dtype == np.uint8 and film.min() == 0 and film.max() == 255
        assert np.abs(film.astype(float) - deep / largest * 255).max() <= 1


def test_floats_in_0_1_keep_their_level():
    assert np.array_equal(read_film(GREY / np.float32(255)), GREY)
    assert read_film(GREY / 255 * 2 - 1).max() == 255  # a film in [-1, 1] is stretched
    assert np.array_equal(read_film(np.full((4, 4), 0.5)), np.full((4, 4), 128))


def test_a_constant_deep_film_is_black_not_an_error():
    assert not read_film(np.full((4, 4), 900, dtype=np.uint16)).any()


OPAQUE = np.full_like(GREY, 255)
DEEP = GREY.astype(np.uint16) * 200


@pytest.mark.parametrize(
    "array, expected",
    (
        (GREY[:, :, None], GREY),
        (np.dstack([GREY] * 3), GREY),
        (np.dstack([GREY, GREY, GREY, OPAQUE]), GREY),
        (np.dstack([GREY / 255] * 3), GREY),
        (np.dstack([DEEP] * 3) // 200, GREY / 239 * 255),
    ),
)
def test_channel_axes(array, expected):
    assert np.abs(read_film(array).astype(float) - expected).max() <= 1


@pytest.mark.parametrize(
    "array, words",
    (
        (np.zeros((2, 3, 4, 5)), "array of float64"),
        (np.zeros((5, 5, 2)), "array of float64"),
        (np.zeros((5, 5), dtype=complex), "complex128"),
        (np.zeros((0, 5)), "0 x 5"),
        (np.full((5, 5), np.nan), "not numbers"),
        (np.array([["a", "b"]] * 2), "array of"),
    ),
)
def test_arrays_that_are_no_films(array, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_film(array)
    assert "\n" not in str(caught.value)


def test_what_a_picture_was_is_told():
    assert load_image(DEEP).kind == "uint16"
    for source in (GREY, np.dstack([GREY] * 3), Image.fromarray(GREY)):
        image = load_image(source)
        assert np.array_equal(image.grey, GREY)
        assert not image.coloured and not image.first_of_several
    red = np.dstack([GREY, 0 * GREY, 0 * GREY])
    assert load_image(red).coloured and load_image(red).kind == "RGB"


def test_large_jpegs_are_decoded_small(tmp_path):
    film = phantom.draw(1, 0, 1024)[0]
    Image.fromarray(film).save(tmp_path / "film.jpeg", quality=95)
    assert read_film(tmp_path / "film.jpeg").shape == (1024, 1024)
    small = read_film(tmp_path / "film.jpeg", side=256)
    assert small.shape == (256, 256)
    assert np.abs(small.astype(int) - resize(film, 256)).mean() < 2


@pytest.mark.parametrize("value", (1, 255))
def test_masks_of_any_scale(tmp_path, value):
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[8:24, 8:24] = value
    path, other = tmp_path / "mask.png", mask.T[::-1]
    Image.fromarray(mask).save(path)
    assert np.array_equal(read_mask([path], 40), mask > 0)
    assert read_mask([path], 20).sum() == 64
    assert not read_mask([np.zeros((40, 40), dtype=np.uint8)], 20).any()
    assert np.array_equal(read_mask([path, other], 40), (mask | other) > 0)


def test_masks_have_the_proportions_of_their_film(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "film.png")
    Image.fromarray(GREY[:6]).save(tmp_path / "mask.png")
    check_mask_shapes(tmp_path / "film.png", [GREY[::2, ::2], GREY])
    check_mask_shapes(tmp_path / "missing.png", [GREY[:6]])  # reading it will say so
    with pytest.raises(ValueError, match=r"mask\.png has 20 x 6 pixels and its film 20 x 12"):
        check_mask_shapes(tmp_path / "film.png", [GREY, tmp_path / "mask.png"])
    with pytest.raises(ValueError, match=r"^A mask has 20 x 6 pixels"):
        check_mask_shapes(Image.fromarray(GREY), [Image.fromarray(GREY[:6])])


def test_resize_stretches_the_whole_film():
    film = np.zeros((100, 50), dtype=np.uint8)
    film[50:, 25:] = 200
    small = resize(film, 32)
    assert small.shape == (32, 32) and (small[18:, 18:] == 200).all() and not small[:14].any()


def test_one_scaling():
    x = network_input(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    assert x.flatten().tolist() == [-1, 1]
    assert network_input(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1, 0, 1]
