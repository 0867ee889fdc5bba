"""Small files that ask for gigabytes, or for hours: one sentence, quickly."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from helpers import dicom
from hostile_helpers import DRAWN, answered, bounded_memory, png, png_chunk, quickly
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless


@pytest.mark.parametrize(
    "width, height", ((20_000, 20_000), (100_000, 100_000), (1, 5_000), (0, 10), (2**31 - 1, 1))
)
@pytest.mark.filterwarnings("error")
def test_claimed_sizes(tmp_path, width, height):
    path = tmp_path / "film.png"
    path.write_bytes(png(width, height))
    with bounded_memory():
        assert quickly(answered, path)


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "film.png"  # 200 million pixels in a megabyte
    path.write_bytes(png(14_000, 14_000, body=bytes(14_001 * 14_000)))
    with bounded_memory():
        assert "million pixels" in quickly(answered, path)


def test_films_larger_than_any_detectors(tmp_path):
    path = tmp_path / "film.png"
    path.write_bytes(png(8000, 8000, body=bytes(8001 * 8000)))
    claiming = dicom(tmp_path / "a.dcm", DRAWN.astype(np.uint16), Rows=60_000, Columns=60_000)
    with bounded_memory():
        assert "more than 50 million pixels" in quickly(answered, path)
        assert "more than 50 million pixels" in quickly(answered, claiming)


def compressed(path, frame: bytes, syntax: str, **changes):
    """A DICOM file with a compressed picture that it says is 8 x 8."""
    dataset = dcmread(dicom(path, np.zeros((8, 8), dtype=np.uint16)))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def encoded(kind: str, side: int, **options) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, kind, **options)
    return file.getvalue()


def test_the_size_of_a_compressed_picture_is_its_own(tmp_path):
    path = tmp_path / "film.dcm"
    jpeg, j2k = encoded("JPEG", 8), encoded("JPEG2000", 8, no_jp2=True)
    assert answered(compressed(path, jpeg, JPEGBaseline8Bit)) == ""
    assert answered(compressed(path, j2k, JPEG2000Lossless)) == ""
    place = jpeg.index(b"\xff\xc0") + 5
    huge_jpeg = jpeg[:place] + struct.pack(">HH", 20_000, 20_000) + jpeg[place + 4 :]
    sizes = struct.pack(">6I", 60_000, 60_000, 0, 0, 60_000, 60_000)
    huge_j2k = j2k[:8] + sizes + j2k[32:]
    with bounded_memory():
        for frame, syntax in ((huge_jpeg, JPEGBaseline8Bit), (huge_j2k, JPEG2000Lossless)):
            compressed(path, frame, syntax)
            assert "more than 50 million pixels" in quickly(answered, path)
            compressed(path, frame, syntax, Rows=20_000, Columns=20_000)
            assert "more than 50 million pixels" in quickly(answered, path)
    assert "damaged" in answered(compressed(path, encoded("JPEG", 16), JPEGBaseline8Bit))
    runs = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 500_000
    assert "more compressed values" in answered(compressed(path, runs, RLELossless))


def test_of_many_compressed_pictures_one_is_decoded(tmp_path):
    content = encapsulate([encoded("JPEG", 8)] * 3)
    path = compressed(tmp_path / "film.dcm", bytes(2), JPEGBaseline8Bit, PixelData=content)
    assert answered(path) == ""


def test_jpegs_of_endless_scans(tmp_path):
    jpeg = encoded("JPEG", 2500, progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    (tmp_path / "film.jpg").write_bytes(jpeg[:-2] + jpeg[last:-2] * 300 + jpeg[-2:])
    assert "more scans than any film" in quickly(answered, tmp_path / "film.jpg")
    (tmp_path / "film.jpg").write_bytes(jpeg)
    assert answered(tmp_path / "film.jpg") == ""


def test_tiles_larger_than_any_film(tmp_path):
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, DRAWN, tile=(64, 64), photometric="minisblack")
    content = bytearray(path.read_bytes())
    for tag in (322, 323):
        place = content.index(struct.pack("<H", tag))
        content[place + 2 : place + 12] = struct.pack("<HII", 4, 1, 60_000)
    path.write_bytes(content)
    with bounded_memory():
        assert "more than 50 million pixels" in quickly(answered, path)


def test_dicom_files_of_endless_elements(tmp_path):
    path = dicom(tmp_path / "film.dcm", DRAWN.astype(np.uint16), WindowWidth=64, WindowCenter=64)
    whole, items = path.read_bytes(), b"\xfe\xff\x00\xe0" + bytes(4)
    place = whole.index(struct.pack("<HH2s", 0x28, 2, b"US"))
    start = struct.pack("<HH2sHI", 0x8, 0x1140, b"SQ", 0, 2**32 - 1)
    end = b"\xfe\xff\xdd\xe0" + bytes(4)
    path.write_bytes(whole[:place] + start + items * 200_000 + end + whole[place:])
    with bounded_memory():
        assert "larger than any film's" in quickly(answered, path)
    path.write_bytes(whole[:place] + (start + items) * 3000 + whole[place:])
    assert "damaged DICOM file" in quickly(answered, path)
    place = whole.index(struct.pack("<HH2s", 0x28, 0x1051, b"DS"))
    text = struct.pack("<HH2sHI", 0x28, 0x1050, b"UT", 0, 2_000_000) + b"1\\" * 1_000_000
    path.write_bytes(whole[:place] + text + whole[place:])
    with bounded_memory():
        assert quickly(answered, path) == ""


@pytest.mark.parametrize("chunk", (b"zTXt", b"iCCP"))
def test_texts_that_unpack_to_any_size(tmp_path, chunk):
    whole = png(8, 8, body=bytes(72))
    bomb = png_chunk(chunk, b"x\0\0" + zlib.compress(bytes(20_000_000)))
    (tmp_path / "film.png").write_bytes(whole[:33] + bomb + whole[33:])
    with bounded_memory():
        assert "damaged" in quickly(answered, tmp_path / "film.png")


def test_what_takes_twice_the_memory_may_have_half_the_pixels(tmp_path):
    path = tmp_path / "film.webp"
    Image.new("L", (16_000, 1600)).save(path, lossless=True, method=0)
    assert "more than 25 million pixels" in answered(path)
