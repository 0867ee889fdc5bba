"""Films at their worst: a right result or one clear sentence, quickly, in little memory.

Nothing in them is run.
"""

import io
import struct

import numpy as np
import pytest
import tifffile
from fuzz.films import compressed, fault_of, harm, whole_films
from helpers import dicom
from hostile_helpers import DRAWN, bounded_memory, png, quickly, refusal
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)


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
