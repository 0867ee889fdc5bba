"""Any source to a film, at its worst too: a right result or one clear sentence, quickly."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from drawn import draw
from fuzz.films import compressed, fault_of, harm, whole_films
from helpers import dicom
from hostile_helpers import DRAWN, bounded_memory, png, quickly, refusal
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit

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
DEEP = GREY.astype(np.uint16) * 200
TENSOR = torch.from_numpy(GREY)
OPAQUE = np.full_like(GREY, 255)


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
    ),
)
def test_arrays_tensors_and_pictures(source):
    image = load_image(source)
    assert is_source(source) and np.array_equal(image.grey, GREY)
    assert not image.warnings and not image.name and image.source is None
    assert not is_source([source, source]) and not is_source(np.zeros((3, 1, 8, 8)))


def test_colour_becomes_luminance_and_transparency_black():
    grey = np.where(GREY > 120, 255, 0).astype(np.uint8)
    for mode in ("RGB", "RGBA", "LA", "P", "CMYK", "1"):
        assert np.array_equal(read_film(Image.fromarray(grey).convert(mode)), grey)
    opacity = np.where(np.arange(20) < 10, OPAQUE, 0)
    film = read_film(np.dstack([GREY, GREY, GREY, opacity]))
    assert np.array_equal(film, np.where(np.arange(20) < 10, GREY, 0))


def test_more_than_8_bits_are_stretched(tmp_path):
    deep = np.linspace(0, 4095, 240).astype(np.uint16).reshape(12, 20)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    for source in (tmp_path / "deep.png", deep, deep.astype(">u2"), deep.astype(np.int32) - 1000):
        assert np.abs(read_film(source).astype(float) - deep / 4095 * 255).max() <= 1


def test_floats_in_0_1_keep_their_level():
    assert np.array_equal(read_film(GREY / np.float32(255)), GREY)
    assert read_film(GREY / 255 * 2 - 1).max() == 255  # a film in [-1, 1] is stretched
    assert np.array_equal(read_film(np.full((4, 4), 0.5)), np.full((4, 4), 128))
    assert not read_film(np.full((4, 4), 900, dtype=np.uint16)).any()  # constant: not an error


def test_open_files_and_bytes(tmp_path):
    path = tmp_path / "film.png"
    Image.fromarray(GREY).save(path)
    content = path.read_bytes()
    buffer = io.BytesIO(content)
    for source in (content, bytearray(content), memoryview(content), buffer, buffer):
        assert is_source(source) and np.array_equal(read_film(source), GREY)


def test_dicom_data_sets(tmp_path):
    path = dicom(tmp_path / "film.dcm", GREY.astype(np.uint16) * 16, PixelPaddingValue=0)
    dataset = dcmread(path)
    before = str(dataset)
    assert is_source(dataset) and np.array_equal(read_film(dataset), read_film(path))
    assert np.array_equal(read_film(path.read_bytes()), read_film(path))
    assert str(dataset) == before
    del dataset.PixelData
    with pytest.raises(ValueError, match="The film is a DICOM file with no picture"):
        read_film(dataset)


@pytest.mark.parametrize(
    "source, words",
    (
        (None, "array of object"),
        (b"", "The film is empty"),
        (io.StringIO("text"), "array of"),
        (torch.zeros(5, 5, device="meta"), "Tensor that cannot be read"),
        ([[1, 2], [3]], "give a path, a PIL image"),
        (np.full((5, 5), np.nan), "not numbers"),
    ),
)
def test_what_is_not_a_film(source, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_film(source)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) <= 300


def test_faulty_files_name_their_path_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty.png").touch()
    Path("text.png").write_text("not a picture")
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
    for name in ("b.PNG", "a.jpeg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in film_paths(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert stem_of(Path("1.2.840.7")) == "1.2.840.7" and stem_of(Path("a.b.png")) == "a.b"


def test_large_jpegs_are_decoded_small(tmp_path):
    film = draw(1, side=1024)[0]
    Image.fromarray(film).save(tmp_path / "film.jpeg", quality=95)
    small = read_film(tmp_path / "film.jpeg", side=256)
    assert small.shape == (256, 256)
    assert np.abs(small.astype(int) - resize(film, 256)).mean() < 2


def test_masks_of_any_scale(tmp_path):
    mask = np.pad(np.ones((16, 16), dtype=np.uint8), ((8, 16), (8, 16)))
    path, other = tmp_path / "mask.png", mask.T[::-1]
    Image.fromarray(mask).save(path)
    assert np.array_equal(read_mask([path, other], 40), (mask | other) > 0)
    assert np.array_equal(read_mask([torch.from_numpy(mask > 0)[None]], 40), mask > 0)
    assert not read_mask([0 * mask], 20).any()


def test_film_and_mask_are_cut_to_the_same_box(tmp_path):
    lungs = draw(2, side=128)[1]
    film = resize(np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8), 128)
    framed = np.pad(film, ((0, 0), (64, 64)), constant_values=200)
    box = load_image(framed).box
    assert box == Box(0, 0.25, 1, 0.75)
    assert np.array_equal(picture_for_network(framed, 64), resize(film, 64))
    mask = np.pad(lungs, ((0, 0), (64, 64)))[::2, ::2]  # of another size than its film
    assert (read_mask([mask], 64, box) != lungs[::2, ::2]).mean() < 0.01


def test_masks_have_the_proportions_of_their_film(tmp_path):
    Image.fromarray(0 * GREY[:6]).save(tmp_path / "mask.png")
    assert not read_mask([0 * GREY[::2, ::2]], 16, shape=GREY.shape).any()
    with pytest.raises(FilmError, match=r"mask\.png has 20 x 6 pixels and its film 20 x 12"):
        read_mask([tmp_path / "mask.png"], 16, shape=GREY.shape)


@pytest.mark.parametrize("side", (32, 64, 96, 144))
def test_batches_are_rescaled_as_by_pillows_bilinear_filter(side):
    film = np.random.default_rng(side).random((96, 96), dtype=np.float32)
    ours = rescale(torch.from_numpy(film)[None, None], side)[0, 0]
    theirs = np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_harmed_films_of_every_kind(tmp_path):
    """A small part of what `tests/fuzz/films.py` does."""
    (tmp_path / "whole").mkdir()
    for kind, content in whole_films(tmp_path / "whole").items():
        path = tmp_path / f"film.{kind}"
        path.write_bytes(content)
        assert refusal(path) == ""
        for seed in range(6):
            path.write_bytes(harm(content, seed))
            assert fault_of(path) == ""


def test_a_deflated_dicom_is_not_inflated(tmp_path):
    path = dicom(tmp_path / "film.dcm", DRAWN.astype(np.uint16))
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert "deflated as a whole" in refusal(path)


def test_no_program_is_started_for_a_film(tmp_path):
    """Pillow hands PostScript to Ghostscript, and knows many more formats that no film has."""
    (tmp_path / "film.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n")
    assert "is not a picture that can be read" in refusal(tmp_path / "film.png")


@pytest.mark.parametrize(
    "width, height", ((20_000, 20_000), (100_000, 100_000), (1, 5_000), (0, 10), (2**31 - 1, 1))
)
def test_claimed_sizes(tmp_path, width, height):
    path = tmp_path / "film.png"
    path.write_bytes(png(width, height))
    with bounded_memory():
        assert quickly(refusal, path)


def encoded(kind: str, side: int, **options) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, kind, **options)
    return file.getvalue()


def test_the_size_of_a_compressed_picture_is_its_own(tmp_path):
    path = tmp_path / "film.dcm"
    jpeg, j2k = encoded("JPEG", 8), encoded("JPEG2000", 8, no_jp2=True)
    assert refusal(compressed(path, jpeg, JPEGBaseline8Bit, 8)) == ""
    assert refusal(compressed(path, j2k, JPEG2000Lossless, 8)) == ""
    place = jpeg.index(b"\xff\xc0") + 5
    huge_jpeg = jpeg[:place] + struct.pack(">HH", 20_000, 20_000) + jpeg[place + 4 :]
    sizes = struct.pack(">6I", 60_000, 60_000, 0, 0, 60_000, 60_000)
    huge_j2k = j2k[:8] + sizes + j2k[32:]
    with bounded_memory():
        for frame, syntax in ((huge_jpeg, JPEGBaseline8Bit), (huge_j2k, JPEG2000Lossless)):
            compressed(path, frame, syntax, 8)
            assert "more than 50 million pixels" in quickly(refusal, path)


def test_tiles_larger_than_any_film(tmp_path):
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, DRAWN, tile=(64, 64), photometric="minisblack")
    content = bytearray(path.read_bytes())
    for tag in (322, 323):
        place = content.index(struct.pack("<H", tag))
        content[place + 2 : place + 12] = struct.pack("<HII", 4, 1, 60_000)
    path.write_bytes(content)
    with bounded_memory():
        assert "more than 50 million pixels" in quickly(refusal, path)
