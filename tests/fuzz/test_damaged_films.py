"""Films with something wrong in them: read, or refused in one sentence, quickly."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import dicom, harmed
from hostile_helpers import DRAWN, bounded_memory, png, quickly, refusal
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from multimix.images.reading import read_film

DEEP = DRAWN.astype(np.uint16) * 16
PICTURES = {  # of one format each: what is written, and how
    "png": (DRAWN, {}),
    "palette.png": (Image.fromarray(DRAWN).convert("P"), {}),
    "deep.png": (DEEP, {}),
    "progressive.jpeg": (DRAWN, dict(progressive=True)),
    "cmyk.jpeg": (Image.fromarray(DRAWN).convert("CMYK"), {}),
    "gif": (DRAWN, {}),
    "webp": (DRAWN, dict(lossless=True)),
    "float.tif": ((DEEP / 7).astype(np.float32), {}),
    "lzw.tif": (DEEP, dict(compression="tiff_lzw", tiffinfo={262: 0})),
    "jpeg.tif": (DRAWN, dict(compression="jpeg")),
}


def write_whole_films(folder: Path) -> None:
    """One whole film of each kind."""
    for kind, (film, options) in PICTURES.items():
        picture = film if isinstance(film, Image.Image) else Image.fromarray(film)
        picture.save(folder / f"film.{kind}", **options)
    planes = dict(photometric="rgb", planarconfig="separate", tile=(32, 32))
    tifffile.imwrite(folder / "film.planes.tif", np.stack([DRAWN] * 3), **planes)
    (folder / "film.interlaced.png").write_bytes(png(64, 64, body=bytes(8000), interlaced=True))
    np.save(folder / "film.npy", DEEP)
    window = dict(WindowCenter=[2048, 1000], WindowWidth=[4000, 2000], PixelPaddingValue=0)
    path = dicom(folder / "film.dcm", DEEP, RescaleSlope=2, RescaleIntercept=-9, **window)
    for name, syntax in (("j2k", JPEG2000Lossless), ("rle", RLELossless)):
        dataset = dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(folder / f"film.{name}.dcm")
        assert np.array_equal(read_film(folder / f"film.{name}.dcm"), read_film(path))
    compressed(folder / "film.jpeg.dcm", encoded("JPEG", 64), JPEGBaseline8Bit, 64)
    (folder / "film.unmarked.dcm").write_bytes(path.read_bytes()[132:])


def encoded(kind: str, side: int, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(DRAWN[:side, :side]).save(file, kind, **options)
    return file.getvalue()


def compressed(path: Path, frame: bytes, syntax: str, side: int) -> Path:
    """A DICOM file with a compressed picture of 8 bits."""
    bits = dict(BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=encapsulate([frame]))
    return dicom(path, np.zeros((side, side)), syntax=syntax, **bits)


def harm(content: bytes, seed: int) -> bytes:
    """Harm a file: its bits and length, or also a number in it, set to an end of its range."""
    rng = np.random.default_rng(seed)
    changed = bytearray(harmed(content, seed))
    if seed % 4 == 0:
        size = int(rng.choice([1, 2, 4]))
        place = int(rng.integers(0, max(1, min(len(changed), 900) - size)))
        changed[place : place + size] = bytes([rng.choice([0, 127, 128, 255])]) * size
    return bytes(changed)


def test_damaged_films_of_every_kind(tmp_path):
    """MULTIMIX_FUZZ=200 harms so many of each kind; pytest keeps the film of a failed test."""
    write_whole_films(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert refusal(path) == ""
        content = path.read_bytes()
        for seed in range(int(os.environ.get("MULTIMIX_FUZZ", 6))):
            path.write_bytes(harm(content, seed))
            assert len(quickly(refusal, path)) <= 300 + len(str(path))


@pytest.mark.parametrize("width, height", ((8_000, 8_000), (100_000, 100_000), (2**31 - 1, 1)))
def test_claimed_sizes(tmp_path, width, height):
    path = tmp_path / "film.png"
    path.write_bytes(png(width, height))
    with bounded_memory():
        assert "more than 50 million pixels" in quickly(refusal, path)


def test_the_size_of_a_compressed_picture_is_its_own(tmp_path):
    path = tmp_path / "film.dcm"
    jpeg, j2k = encoded("JPEG", 8), encoded("JPEG2000", 8, no_jp2=True)
    place = jpeg.index(b"\xff\xc0") + 5
    huge_jpeg = jpeg[:place] + struct.pack(">HH", 20_000, 20_000) + jpeg[place + 4 :]
    sizes = struct.pack(">6I", 60_000, 60_000, 0, 0, 60_000, 60_000)
    huge_j2k = j2k[:8] + sizes + j2k[32:]
    kinds = (jpeg, huge_jpeg, JPEGBaseline8Bit), (j2k, huge_j2k, JPEG2000Lossless)
    for whole, huge, syntax in kinds:
        assert refusal(compressed(path, whole, syntax, 8)) == ""
        compressed(path, huge, syntax, 8)
        with bounded_memory():
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
