"""Any source to a film, and to the sizes that are needed: a right result, or one clear sentence."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import draw
from helpers import dicom
from hostile_helpers import refusal
from PIL import Image
from pydicom import dcmread

from multimix.images.formats import FilmError, film_paths, stem_of
from multimix.images.preparation import Box
from multimix.images.reading import (
    is_source,
    load_image,
    picture_for_network,
    read_film,
    read_mask,
    rescale,
    resize,
)

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)
TENSOR = torch.from_numpy(GREY)
OPEN = io.BytesIO()
Image.fromarray(GREY).save(OPEN, "PNG")  # and is at its end


@pytest.mark.parametrize(
    "source",
    (
        TENSOR,
        TENSOR[None, None],
        TENSOR.expand(3, 12, 20),
        TENSOR.T.contiguous().T,
        np.dstack([GREY / 255] * 3),
        GREY[None, :, :, None],
        Image.fromarray(GREY),
        OPEN,
        OPEN.getvalue(),
        bytearray(OPEN.getvalue()),
        memoryview(OPEN.getvalue()),
    ),
)
def test_arrays_tensors_pictures_and_open_files(source):
    image = load_image(source)
    assert is_source(source) and np.array_equal(image.grey, GREY)
    assert not image.warnings and not image.name and image.source is None
    assert not is_source([source, source]) and not is_source(np.zeros((3, 1, 8, 8)))


def test_colour_becomes_luminance_and_transparency_black():
    grey = np.where(GREY > 120, 255, 0).astype(np.uint8)
    for mode in ("RGB", "RGBA", "LA", "P", "CMYK", "1"):
        assert np.array_equal(read_film(Image.fromarray(grey).convert(mode)), grey)
    left = np.arange(20) < 10
    film = read_film(np.dstack([GREY, GREY, GREY, left * np.full_like(GREY, 255)]))
    assert np.array_equal(film, left * GREY)
    assert np.array_equal(read_film(np.dstack([GREY] * 3 + [0 * GREY])), GREY)  # never filled in
    multiplied = Image.frombytes("La", (20, 12), bytes(GREY.repeat(2)))  # by its opacity already
    assert np.array_equal(read_film(multiplied), GREY)


def test_more_than_8_bits_are_stretched_and_floats_in_0_1_keep_their_level():
    deep = GREY.astype(np.uint16) * 17
    for source in (Image.fromarray(deep), deep, deep.astype(">u2"), deep.astype(np.int32) - 1000):
        assert np.abs(read_film(source) - GREY / 239 * 255).max() <= 1
    assert np.array_equal(read_film(GREY / np.float32(255)), GREY)
    assert read_film(GREY / 255 * 2 - 1).max() == 255  # a film in [-1, 1] is stretched
    assert np.array_equal(read_film(np.full((4, 4), 0.5)), np.full((4, 4), 128))
    assert not read_film(np.full((4, 4), 900, dtype=np.uint16)).any()  # constant: not an error


def test_dicom_data_sets(tmp_path):
    path = dicom(tmp_path / "film.dcm", GREY.astype(np.uint16) * 16, PixelPaddingValue=0)
    dataset = dcmread(path)
    before = str(dataset)
    assert is_source(dataset) and np.array_equal(read_film(dataset), read_film(path))
    assert np.array_equal(read_film(path.read_bytes()), read_film(path))
    assert str(dataset) == before


@pytest.mark.parametrize(
    "source, words",
    (
        (None, "array of object"),
        (np.zeros((3, 4, 5, 5)), "with shape"),
        (b"", "empty"),
        (io.StringIO("text"), "array of"),
        (torch.zeros(5, 5, device="meta"), "Tensor that cannot be read"),
        ([[1, 2], [3]], "give a path, a PIL image"),
        (np.full((5, 5), np.nan), "not numbers"),
    ),
)
def test_what_is_not_a_film(source, words):
    with pytest.raises(FilmError, match=rf"^The film .*{words}.{{0,200}}\.$"):
        read_film(source)


def test_faulty_files_name_their_path_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty.png").touch()
    # Pillow would start Ghostscript for PostScript.
    Path("text.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n")
    Image.fromarray(draw(1)[0]).save("short.png")
    Path("short.png").write_bytes(Path("short.png").read_bytes()[:900])
    Image.fromarray(GREY[:1]).save("line.png")
    for name, sentence in {
        "none.png": "There is no film none.png; give the path of a picture file.",
        "empty.png": "empty.png is empty (0 bytes); export or download the film again.",
        "text.png": "text.png is not a picture that can be read; PNG, JPEG, BMP, TIFF (8 or 16 "
        "bits), GIF, WebP, .npy or DICOM is needed.",
        "short.png": "short.png is damaged or cut short; export or download the film again.",
        "line.png": "line.png has 1 x 20 pixels; at least 2 x 2 are needed.",
    }.items():
        assert refusal(Path(name)) == sentence


def test_film_paths_and_names(tmp_path):
    for name in ("b.PNG", "a.jpeg", ".hidden.png", "notes.txt", "empty"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    (tmp_path / "README").write_bytes(b"\x08 is not a group" * 20)
    (tmp_path / "zeros").write_bytes(b"\x08\0" + bytes(500))
    dicom(tmp_path / "DICOMDIR", None)
    assert [path.name for path in film_paths(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert stem_of(Path("1.2.840.7")) == "1.2.840.7" and stem_of(Path("a.b.png")) == "a.b"


def test_large_jpegs_are_decoded_small(tmp_path):
    film = draw(1, side=1024)[0]
    Image.fromarray(film).save(tmp_path / "film.jpeg", quality=95)
    small = read_film(tmp_path / "film.jpeg", side=256)
    assert small.shape == (256, 256)
    assert np.abs(small.astype(int) - resize(film, 256)).mean() < 2


def test_film_and_mask_are_cut_to_the_same_box():
    lungs = draw(2, side=128)[1]
    film = resize(np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8), 128)
    framed = np.pad(film, ((0, 0), (64, 64)), constant_values=200)
    box = load_image(framed).box
    assert box == Box(0, 0.25, 1, 0.75)
    assert np.array_equal(picture_for_network(framed, 64), resize(film, 64))
    mask = np.pad(lungs, ((0, 0), (64, 64)))[::2, ::2]  # of another size than its film
    assert (read_mask([mask], 64, box) != lungs[::2, ::2]).mean() < 0.01


def test_masks_are_united_and_have_the_proportions_of_their_film(tmp_path):
    mask = np.pad(np.ones((16, 16), dtype=np.uint8), ((8, 16), (8, 16)))
    other = torch.from_numpy(mask > 0).T.flip(0)[None]
    assert np.array_equal(read_mask([mask, other], 40, shape=(80, 80)), mask | other[0].numpy())
    Image.fromarray(0 * GREY[:6]).save(tmp_path / "mask.png")
    with pytest.raises(FilmError, match=r"mask\.png has 20 x 6 pixels and its film 20 x 12"):
        read_mask([tmp_path / "mask.png"], 16, shape=GREY.shape)


@pytest.mark.parametrize("side", (32, 64, 96, 144))
def test_batches_are_rescaled_as_by_pillows_bilinear_filter(side):
    film = np.random.default_rng(side).random((96, 96), dtype=np.float32)
    ours = rescale(torch.from_numpy(film)[None, None], side)[0, 0]
    theirs = np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
