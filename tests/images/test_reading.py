import numpy as np
import pytest
import torch
from helpers import dicom
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000Lossless,
    RLELossless,
)

from multimix.images.formats import film_paths
from multimix.images.reading import network_input, read_film, read_mask, resize

GREY = np.arange(0, 240, 1, dtype=np.uint8).reshape(12, 20)


@pytest.mark.parametrize("ending", ("png", "bmp", "tif", "gif"))
def test_grey_files_are_read_exactly(tmp_path, ending):
    Image.fromarray(GREY).save(tmp_path / f"film.{ending}")
    assert np.array_equal(read_film(tmp_path / f"film.{ending}"), GREY)


def test_jpeg(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "film.jpeg", quality=95)
    assert np.abs(read_film(str(tmp_path / "film.jpeg")).astype(int) - GREY).max() < 12


@pytest.mark.parametrize("mode", ("RGB", "RGBA", "LA", "P", "CMYK", "1"))
def test_colour_becomes_luminance(mode):
    grey = np.where(GREY > 120, 255, 0).astype(np.uint8)
    assert np.array_equal(read_film(Image.fromarray(grey).convert(mode)), grey)


def test_transparent_is_black():
    picture = Image.fromarray(GREY).convert("RGBA")
    picture.putalpha(
        Image.fromarray(np.where(np.arange(20) < 10, 255, 0).astype(np.uint8)[None].repeat(12, 0))
    )
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
    film = read_film(GREY / np.float32(255))
    assert np.array_equal(film, GREY)
    assert read_film(GREY / 255 * 2 - 1).max() == 255  # a film in [-1, 1] is stretched
    assert np.array_equal(read_film(np.full((4, 4), 0.5)), np.full((4, 4), 128))


def test_a_constant_deep_film_is_black_not_an_error():
    assert not read_film(np.full((4, 4), 900, dtype=np.uint16)).any()


@pytest.mark.parametrize(
    "array",
    (
        GREY[:, :, None],
        np.dstack([GREY] * 3),
        np.dstack([GREY] * 3 + [GREY * 0 + 255]),
        np.dstack([GREY / 255] * 3),
        np.dstack([GREY.astype(np.uint16) * 200] * 3) // 200,
    ),
)
def test_channel_axes(array):
    expected = GREY if array.dtype != np.uint16 else GREY / 239 * 255
    assert np.abs(read_film(array).astype(float) - expected).max() <= 1


def test_upright_as_the_camera_says(tmp_path):
    picture = Image.fromarray(GREY)
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by a quarter clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_film(tmp_path / "turned.png"), np.rot90(GREY, -1))


DEEP = np.linspace(0, 4095, 240).astype(np.uint16).reshape(12, 20)


def test_dicom(tmp_path):
    expected = DEEP / 4095 * 255
    for photometric, wanted in (("MONOCHROME2", expected), ("MONOCHROME1", 255 - expected)):
        for name in ("film.dcm", "without_ending"):
            assert np.abs(read_film(dicom(tmp_path / name, DEEP, photometric)) - wanted).max() <= 1
    window = dict(WindowCenter=1000, WindowWidth=1001)
    film = read_film(dicom(tmp_path / "window.dcm", DEEP, **window))
    assert np.abs(film - np.clip((DEEP - 499.5) / 1000, 0, 1) * 255).max() <= 1
    inverted = read_film(dicom(tmp_path / "inverted.dcm", DEEP, "MONOCHROME1", **window))
    assert np.abs(inverted.astype(int) - (255 - film)).max() <= 1
    rescaled = read_film(
        dicom(
            tmp_path / "rescaled.dcm",
            DEEP,
            RescaleSlope=2,
            RescaleIntercept=-500,
            WindowCenter=1500,
            WindowWidth=2001,
        )
    )
    assert np.abs(rescaled.astype(int) - film).max() <= 1


@pytest.mark.parametrize("syntax", (RLELossless, JPEG2000Lossless))
def test_compressed_dicom(tmp_path, syntax):
    path = dicom(tmp_path / "film.dcm", np.kron(DEEP, np.ones((4, 4), dtype=np.uint16)))
    plain, dataset = read_film(path), dcmread(path)
    dataset.compress(syntax)
    dataset.save_as(path)
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax and np.array_equal(
        read_film(path), plain
    )


def test_faulty_dicom_is_one_sentence(tmp_path):
    whole = dicom(tmp_path / "whole.dcm", DEEP).read_bytes()
    (tmp_path / "short.dcm").write_bytes(whole[:-100])
    (tmp_path / "text.dcm").write_text("not a DICOM file")
    dicom(tmp_path / "frames.dcm", np.stack([DEEP] * 3), NumberOfFrames=3)
    dicom(tmp_path / "report.dcm", None)
    for name, words in (
        ("short", "damaged DICOM file"),
        ("text", "damaged DICOM file"),
        ("frames", "with 3 pictures"),
        ("report", "with no picture"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read_film(tmp_path / f"{name}.dcm")
        assert "\n" not in str(caught.value)


def test_faults_are_one_sentence(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99), dtype=np.uint8)).save(
        tmp_path / "whole.png"
    )
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "short.png").write_bytes(whole[: len(whole) // 2])
    for source, words in (
        (tmp_path / "none.png", "There is no film"),
        (tmp_path, "There is no film"),
        (tmp_path / "empty.png", "is empty"),
        (tmp_path / "text.png", "not a picture"),
        (tmp_path / "short.png", "damaged or cut short"),
        (np.zeros((2, 3, 4, 5)), "array of float64"),
        (np.zeros((5, 5, 2)), "array of float64"),
        (np.zeros((5, 5), dtype=complex), "complex128"),
        (np.zeros((0, 5)), "0 x 5"),
        (np.full((5, 5), np.nan), "not numbers"),
        (np.array([["a", "b"]] * 2), "array of"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read_film(source)
        assert "\n" not in str(caught.value)


def test_a_bomb_does_not_go_off(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(ValueError, match="claims more than"):
        read_film(tmp_path / "bomb.png")


@pytest.mark.parametrize("value", (1, 255))
def test_masks_of_any_scale(tmp_path, value):
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[8:24, 8:24] = value
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask([tmp_path / "mask.png"], 40), mask > 0)
    assert read_mask([tmp_path / "mask.png"], 20).sum() == 64
    assert not read_mask([np.zeros((40, 40), dtype=np.uint8)], 20).any()
    assert np.array_equal(
        read_mask([tmp_path / "mask.png", mask.T[::-1]], 40), (mask | mask.T[::-1]) > 0
    )


def test_resize_stretches_the_whole_film():
    film = np.zeros((100, 50), dtype=np.uint8)
    film[50:, 25:] = 200
    small = resize(film, 32)
    assert small.shape == (32, 32) and (small[18:, 18:] == 200).all() and not small[:14].any()


def test_one_scaling():
    x = network_input(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    assert x.flatten().tolist() == [-1, 1]
    assert network_input(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1, 0, 1]


def test_paths_are_the_visible_pictures_of_a_folder(tmp_path):
    for name in ("b.PNG", "a.jpeg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in film_paths(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert film_paths(tmp_path / "missing") == []
