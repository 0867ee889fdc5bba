"""Files of every format, good and bad."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers import dicom
from PIL import Image
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, RLELossless

from multimix.images.formats import FilmError, film_paths, open_film
from multimix.images.pictures import picture_size
from multimix.images.reading import read_film

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)
DEEP = np.linspace(0, 4095, 240).astype(np.uint16).reshape(12, 20)


@pytest.mark.parametrize("ending", ("png", "bmp", "tif", "gif"))
def test_grey_files_are_read_exactly(tmp_path, ending):
    Image.fromarray(GREY).save(tmp_path / f"film.{ending}")
    assert np.array_equal(read_film(tmp_path / f"film.{ending}"), GREY)


def test_jpeg(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "film.jpeg", quality=95)
    assert np.abs(read_film(str(tmp_path / "film.jpeg")).astype(int) - GREY).max() < 12


def test_upright_as_the_camera_says(tmp_path):
    picture = Image.fromarray(GREY)
    exif = picture.getexif()
    exif[0x0112] = 6  # a quarter clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_film(tmp_path / "turned.png"), np.rot90(GREY, -1))
    assert picture_size(tmp_path / "turned.png") == (12, 20)
    picture.save(tmp_path / "plain.png")
    assert picture_size(tmp_path / "plain.png") == (20, 12)


def test_the_size_of_what_is_no_picture_is_not_known(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    for path in (tmp_path, tmp_path / "none.png", tmp_path / "text.png"):
        assert picture_size(path) == (0, 0)


def test_dicom(tmp_path):
    expected = DEEP / 4095 * 255
    for photometric, wanted in (("MONOCHROME2", expected), ("MONOCHROME1", 255 - expected)):
        for name in ("film.dcm", "without_ending"):
            film = read_film(dicom(tmp_path / name, DEEP, photometric))
            assert np.abs(film - wanted).max() <= 1


def test_dicom_windows(tmp_path):
    window = dict(WindowCenter=1000, WindowWidth=1001)
    film = read_film(dicom(tmp_path / "window.dcm", DEEP, **window))
    assert np.abs(film - np.clip((DEEP - 499.5) / 1000, 0, 1) * 255).max() <= 1
    inverted = read_film(dicom(tmp_path / "inverted.dcm", DEEP, "MONOCHROME1", **window))
    assert np.abs(inverted.astype(int) - (255 - film)).max() <= 1
    scale = dict(RescaleSlope=2, RescaleIntercept=-500, WindowCenter=1500, WindowWidth=2001)
    rescaled = read_film(dicom(tmp_path / "rescaled.dcm", DEEP, **scale))
    assert np.abs(rescaled.astype(int) - film).max() <= 1


@pytest.mark.parametrize("syntax", (RLELossless, JPEG2000Lossless))
def test_compressed_dicom(tmp_path, syntax):
    path = dicom(tmp_path / "film.dcm", np.kron(DEEP, np.ones((4, 4), dtype=np.uint16)))
    plain, dataset = read_film(path), dcmread(path)
    dataset.compress(syntax)
    dataset.save_as(path)
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read_film(path), plain)


def test_errors_go_from_process_to_process():
    error = pickle.loads(pickle.dumps(FilmError(Path("a{b}.png"), "is {odd}", "{path}: {reason}.")))
    assert str(error) == "a{b}.png: is {odd}." and error.path == Path("a{b}.png")


def refusal(path: Path) -> str:
    """The sentence about a film that cannot be read, which names it once."""
    with pytest.raises(FilmError) as caught:
        read_film(path)
    sentence = str(caught.value)
    assert caught.value.path == path and sentence.count(str(path)) == 1
    assert sentence.endswith(caught.value.reason) and str(path) not in caught.value.reason
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_faulty_dicom(tmp_path):
    whole = dicom(tmp_path / "whole.dcm", DEEP).read_bytes()
    (tmp_path / "short.dcm").write_bytes(whole[:-100])
    (tmp_path / "text.dcm").write_text("not a DICOM file")
    dicom(tmp_path / "frames.dcm", np.stack([DEEP] * 3), NumberOfFrames=3)
    dicom(tmp_path / "report.dcm", None)
    assert "damaged DICOM file" in refusal(tmp_path / "short.dcm")
    assert "damaged DICOM file" in refusal(tmp_path / "text.dcm")
    assert "with 3 pictures" in refusal(tmp_path / "frames.dcm")
    assert "with no picture" in refusal(tmp_path / "report.dcm")


def test_faulty_pictures(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    noise = np.random.default_rng(0).integers(0, 255, (99, 99), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "short.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "short.img").write_bytes(b"short")
    assert "There is no film" in refusal(tmp_path / "none.png")
    assert "There is no film" in refusal(tmp_path)
    assert "is empty" in refusal(tmp_path / "empty.png")
    assert "not a picture" in refusal(tmp_path / "text.png")
    assert "damaged or cut short" in refusal(tmp_path / "short.png")
    assert "has 5 bytes and a raw JSRT film has 8388608" in refusal(tmp_path / "short.img")


def test_a_files_values_are_refused_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(GREY[:1]).save("line.png")
    path = Path("line.png")
    assert refusal(path) == "line.png: The film has 1 x 20 pixels; at least 2 x 2 are needed."
    with pytest.raises(FilmError, match=r"^line\.png: The film has"):
        read_film("./line.png")


def test_a_bomb_does_not_go_off(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert "claims more than" in refusal(tmp_path / "bomb.png")


def test_more_pages_are_noted(tmp_path):
    pages = [Image.fromarray(GREY)] * 2
    for ending in ("tif", "gif"):
        pages[0].save(tmp_path / f"one.{ending}")
        pages[0].save(
            tmp_path / f"two.{ending}", save_all=True, append_images=[pages[1].rotate(90)]
        )
        assert not open_film(tmp_path / f"one.{ending}").first_of_several
        assert open_film(tmp_path / f"two.{ending}").first_of_several


def test_paths_are_the_visible_pictures_of_a_folder(tmp_path):
    for name in ("b.PNG", "a.jpeg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in film_paths(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert film_paths(tmp_path / "missing") == []
