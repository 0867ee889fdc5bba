"""Films at their worst: a right answer or one clear sentence, quickly, in little memory.

Nothing that is in them is run.
"""

import contextlib
import os
import struct

import numpy as np
import pytest
from fuzz.films import fault_of, harm, whole_films
from helpers import KINDS, dicom, harmed, save
from hostile_helpers import DRAWN, answered, png, quickly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from multimix.images.pictures import picture_size
from multimix.images.reading import read_film
from multimix.inference import predict


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(24))
def test_damaged_films(tmp_path, whole, kind, seed):
    path = tmp_path / f"film.{kind}"
    path.write_bytes(harmed(whole[kind], seed))
    quickly(answered, path)


def test_harmed_films_of_every_kind(tmp_path, capfd):
    """A small part of what `tests/fuzz/films.py` does."""
    (tmp_path / "whole").mkdir()
    for kind, content in whole_films(tmp_path / "whole").items():
        path = tmp_path / f"film.{kind}"
        path.write_bytes(content)
        assert answered(path) == ""
        for seed in range(6):
            path.write_bytes(harm(content, seed))
            assert fault_of(path)[0] == ""
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("ending", ("png", "jpg", "tiff", "gif", "bmp", "dcm", "img", "pth"))
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_endings(tmp_path, whole, kind, ending):
    path = tmp_path / f"film.{ending}"
    path.write_bytes(whole[kind])
    # A raw file has a size of its own; a picture is no DICOM file, by whatever name.
    expected = ending == "img" or (ending == "dcm" and kind != "dcm")
    assert bool(answered(path)) == expected


def pictures() -> dict[str, Image.Image | np.ndarray]:
    """Films of every odd but honest kind."""
    film = Image.fromarray(DRAWN)
    clear = film.convert("RGBA")
    clear.putalpha(Image.fromarray(255 - DRAWN))
    palette = film.convert("P")
    palette.info["transparency"] = 0
    return {
        "16 bits": Image.fromarray(DRAWN.astype(np.uint16) * 257),
        "floats": Image.fromarray(DRAWN / np.float32(255)),
        "inks": film.convert("CMYK"),
        "palette": palette,
        "transparent": clear,
        "bits": film.convert("1"),
        "32 bits": Image.fromarray(DRAWN.astype(np.int32) * 1000),
        "lab": film.convert("RGB").convert("LAB"),
    }


@pytest.mark.parametrize("name", pictures())
def test_odd_pictures_are_read(tmp_path, name):
    path = tmp_path / f"film.{'png' if name == 'palette' else 'tif'}"
    pictures()[name].save(path)
    assert answered(path) == "" and read_film(path).shape == (64, 64)


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
def test_floats_that_are_no_numbers(tmp_path, value):
    floats = DRAWN / np.float32(255)
    floats[3, 4] = value
    Image.fromarray(floats).save(tmp_path / "film.tif")
    with pytest.raises(ValueError, match=r"values that are not numbers"):
        read_film(tmp_path / "film.tif")


# First row, row step, first column and column step of each of the seven passes.
TOPS, DOWNS = (0, 0, 4, 0, 2, 0, 1), (8, 8, 8, 4, 4, 2, 2)
LEFTS, RIGHTS = (0, 4, 0, 2, 0, 1, 0), (8, 8, 4, 4, 2, 2, 1)


def test_interlaced_films(tmp_path):
    body = b""
    for top, down, left, right in zip(TOPS, DOWNS, LEFTS, RIGHTS):
        for row in DRAWN[top::down, left::right]:
            body += b"\0" + row.tobytes()
    (tmp_path / "film.png").write_bytes(png(64, 64, body=body, interlaced=True))
    assert np.array_equal(read_film(tmp_path / "film.png"), DRAWN)


def test_of_animated_films_the_first_picture_is_read(tmp_path):
    film, path = Image.fromarray(DRAWN), tmp_path / "film.gif"
    film.save(path, save_all=True, append_images=[film.rotate(90)] * 3, interlace=True)
    assert np.array_equal(read_film(path), DRAWN)


@pytest.mark.parametrize("grey", (0, 128, 255))
def test_constant_films(model, tmp_path, grey):
    save(tmp_path / "film.png", np.full((200, 300), grey, dtype=np.uint8))
    p = predict(model, tmp_path / "film.png")
    assert np.isfinite([p.probability, p.lung_share]).all()
    assert any("contrast" in text for text in p.warnings)


@pytest.mark.parametrize("shape", ((1, 1), (1, 5000), (5000, 1), (2, 5000), (3, 2)))
def test_thin_films(model, tmp_path, shape):
    save(tmp_path / "film.png", np.resize(DRAWN, shape))
    if min(shape) < 2:
        with pytest.raises(ValueError, match="at least 2 x 2 are needed"):
            predict(model, tmp_path / "film.png")
    else:
        assert predict(model, tmp_path / "film.png").mask.shape == shape


@pytest.mark.parametrize(
    "changes",
    (
        dict(PhotometricInterpretation="PALETTE COLOR"),
        dict(PhotometricInterpretation="YBR_FULL"),
        dict(PhotometricInterpretation="NONSENSE"),
        dict(PhotometricInterpretation=None),
        dict(Rows=0),
        dict(Rows=60_000),
        dict(Columns=65_535),
        dict(BitsAllocated=12),
        dict(BitsStored=0),
        dict(SamplesPerPixel=3),
        dict(NumberOfFrames=0),
        dict(NumberOfFrames=2),
        dict(PixelData=b""),
        dict(WindowWidth=0, WindowCenter=5),
        dict(RescaleSlope="nan"),
        dict(WindowWidth=[1, 2, 3], WindowCenter=[1]),
        dict(PixelRepresentation=1),
        dict(HighBit=15),
    ),
)
@pytest.mark.filterwarnings("ignore")
def test_odd_dicom(tmp_path, changes):
    try:
        path = dicom(tmp_path / "film.dcm", DRAWN.astype(np.uint16) * 16, **changes)
    except (TypeError, ValueError, struct.error, AttributeError):
        pytest.skip("pydicom does not write such a file")
    quickly(answered, path)


def test_a_deflated_dicom_is_not_inflated(tmp_path):
    import pydicom

    path = dicom(tmp_path / "film.dcm", DRAWN.astype(np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert "deflated as a whole" in answered(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_films(tmp_path):
    save(tmp_path / "film.png", DRAWN)
    (tmp_path / "film.png").chmod(0)
    assert "film.png" in answered(tmp_path / "film.png")


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kind=st.sampled_from(KINDS),
    edits=st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=12)), max_size=6),
    cut=st.one_of(st.just(0), st.integers(3001, 6000)),
)
def test_fuzzed_films(tmp_path, whole, kind, edits, cut):
    content = bytearray(whole[kind])
    for position, piece in edits:
        start = position % len(content)
        content[start : start + len(piece)] = piece
    if cut:
        del content[max(1, len(content) - cut) :]
    path = tmp_path / f"fuzzed.{kind}"
    path.write_bytes(content)
    answered(path)


def test_no_program_is_started_for_a_film(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript, and knows many more formats that no film has."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "film.png").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
    )
    assert "is not a picture that can be read" in answered(tmp_path / "film.png")
    assert not (tmp_path / "started").exists()
    for ending in ("dds", "ppm", "jp2", "tga"):
        with contextlib.suppress(KeyError, OSError):  # where Pillow was built without it
            Image.fromarray(DRAWN).convert("RGB").save(tmp_path / f"film.{ending}")
            (tmp_path / f"film.{ending}").rename(tmp_path / "film.png")
            assert "is not a picture that can be read" in answered(tmp_path / "film.png")


@pytest.mark.parametrize("seed", range(20))
def test_damaged_exif(tmp_path, seed):
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010E: "a film", 0x011A: 72.0, 0x0132: "2026:01:01 00:00:00"})
    Image.fromarray(DRAWN).save(tmp_path / "film.jpeg", exif=exif)
    content = bytearray((tmp_path / "film.jpeg").read_bytes())
    rng, start = np.random.default_rng(seed), content.index(b"Exif") + 6
    for position in start + rng.integers(0, 90, 6):
        content[position] = rng.integers(0, 256)
    (tmp_path / "film.jpeg").write_bytes(content)
    quickly(answered, tmp_path / "film.jpeg")
    picture_size(tmp_path / "film.jpeg")


@pytest.mark.parametrize(
    "source", (None, 3, np.zeros((0, 0, 3)), np.full((9, 9), np.nan), ["x", None])
)
def test_what_is_no_film(model, source):
    with pytest.raises(ValueError, match=r"\.$"):
        predict(model, source)
