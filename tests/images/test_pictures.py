"""Picture files of every depth, channel order and polarity."""

import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from hostile_helpers import png_chunk
from PIL import Image

from multimix.images.formats import film_paths
from multimix.images.reading import load_image, read_film

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)
DEEP = GREY.astype(np.uint16) * 17  # 12 bits
EXPECTED = GREY / 239 * 255
OPAQUE = np.full_like(DEEP, 65535)


def read(path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_film(path).astype(int)


def differs(film, expected=EXPECTED) -> float:
    return np.abs(film - expected).max()


def deep_png(path, pixels):
    """A PNG of 16 bits a channel, which Pillow does not write."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("largest", (1, 4095 // 239, 65535 // 239))
@pytest.mark.parametrize("alpha", (65535, 4095))
def test_all_bits_of_a_channel_count(tmp_path, largest, alpha):
    deep, opaque = GREY.astype(np.uint16) * largest, np.full(GREY.shape, alpha, np.uint16)
    for channels in ([deep, opaque], [deep] * 3, [deep, deep, deep, opaque]):
        assert differs(read(deep_png(tmp_path / "film.png", np.dstack(channels)))) <= 1


def test_transparency_of_16_bits_is_black(tmp_path):
    opacity = np.where(np.arange(20) < 10, OPAQUE, 0)
    film = read(deep_png(tmp_path / "film.png", np.dstack([DEEP, opacity])))
    assert not film[:, 10:].any() and differs(film[:, :10], EXPECTED[:, :10]) <= 1


def test_opacity_that_nobody_filled(tmp_path):
    """Some programs write a fourth channel of zeros."""
    pixels = np.dstack([GREY] * 3 + [np.zeros_like(GREY)])
    Image.fromarray(pixels).save(tmp_path / "film.png")
    assert np.array_equal(read(tmp_path / "film.png"), GREY)
    assert np.array_equal(read_film(pixels), GREY)
    deep = deep_png(tmp_path / "deep.png", np.dstack([DEEP, np.zeros_like(DEEP)]))
    assert differs(read(deep)) <= 1


@pytest.mark.parametrize("compression", (None, "zlib"))
@pytest.mark.parametrize("order", ("<", ">"))
@pytest.mark.parametrize(
    "values",
    (
        DEEP,
        DEEP.astype(np.int16) - 2000,
        (GREY.astype(np.int16) - 128).astype(np.int8),
        GREY.astype(np.uint32) * 17_000_000,
        GREY.astype(np.int32) * 1000 - 99,
        GREY.astype(np.float16) - 100,
        GREY / np.float32(239),
        GREY * np.float32(1e-3) - 1,
        GREY.astype(np.float64) * 1e-3 - 1,
    ),
)
def test_tiffs_of_every_type(tmp_path, values, order, compression):
    path = tmp_path / "film.tif"
    for photometric, expected in (("minisblack", EXPECTED), ("miniswhite", 255 - EXPECTED)):
        values_so_written = values.astype(values.dtype.newbyteorder(order))
        tifffile.imwrite(
            path,
            values_so_written,
            byteorder=order,
            photometric=photometric,
            compression=compression,
        )
        assert differs(read(path), expected) <= 1


def test_infinite_values_are_refused_in_silence(tmp_path):
    values = np.where(GREY > 100, np.inf, GREY)
    tifffile.imwrite(tmp_path / "film.tif", values, photometric="miniswhite")
    with pytest.raises(ValueError, match="not numbers"):
        read(tmp_path / "film.tif")


@pytest.mark.parametrize("order", ("<", ">"))
@pytest.mark.parametrize("rows", (3, 12))
def test_tiffs_with_deep_channels(tmp_path, order, rows):
    options = dict(byteorder=order, rowsperstrip=rows, metadata=None)
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, np.dstack([DEEP] * 3).astype(f"{order}u2"), photometric="rgb", **options)
    assert differs(read(path)) <= 1
    both = np.dstack([DEEP, OPAQUE]).astype(f"{order}u2")
    tifffile.imwrite(path, both, photometric="minisblack", extrasamples=["unassalpha"], **options)
    assert differs(read(path)) <= 1
    planes = np.stack([DEEP] * 3).astype(f"{order}u2")
    for compression in (None, "zlib"):
        tifffile.imwrite(
            path,
            planes,
            photometric="rgb",
            planarconfig="separate",
            compression=compression,
            **options,
        )
        assert differs(read(path)) <= 1


def test_compressed_tiffs_that_have_white_at_0(tmp_path):
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        path = tmp_path / "film.tif"
        Image.fromarray(DEEP).save(path, compression=compression, tiffinfo={262: 0})
        assert differs(read(path), 255 - EXPECTED) <= 1
        with Image.open(path) as picture:
            assert differs(read_film(picture).astype(int), 255 - EXPECTED) <= 1


def test_associated_opacity(tmp_path):
    half = np.full_like(GREY, 128)
    path = tmp_path / "film.tif"
    tifffile.imwrite(
        path, np.dstack([GREY // 2, half]), photometric="minisblack", extrasamples=["assocalpha"]
    )
    assert np.array_equal(read(path), GREY // 2)


def test_tiffs_lie_as_they_say(tmp_path):
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, GREY / 1e3 - 1, extratags=[(274, "H", 1, 6, True)])
    assert differs(read(path), np.rot90(EXPECTED, -1)) <= 1


def test_a_tiff_that_cannot_be_decoded_is_said_to_be_one(tmp_path):
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, GREY.astype(np.float64))
    content = bytearray(path.read_bytes())
    place = content.index(struct.pack("<HHIHH", 259, 3, 1, 1, 0))
    content[place + 8 : place + 10] = struct.pack("<H", 5)  # LZW
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is a TIFF .*save it with 8 or 16 bits") as caught:
        read_film(path)
    assert len(str(caught.value)) - len(str(path)) < 300
    tifffile.imwrite(path, GREY.astype(np.complex64))
    with pytest.raises(ValueError, match="is a TIFF of complex64 values; save it"):
        read(path)


def test_pages_of_odd_tiffs(tmp_path):
    tifffile.imwrite(tmp_path / "one.tif", GREY / 7)
    tifffile.imwrite(tmp_path / "two.tif", np.stack([GREY / 7] * 2), photometric="minisblack")
    assert not load_image(tmp_path / "one.tif").first_of_several
    assert load_image(tmp_path / "two.tif").first_of_several


@pytest.mark.parametrize("ending", ("jfif", "jpe", "webp", "npy"))
def test_less_common_endings(tmp_path, ending):
    path = tmp_path / f"film.{ending}"
    if ending == "npy":
        np.save(path, DEEP)
    else:
        kind, options = ("WEBP", dict(lossless=True)) if ending == "webp" else ("JPEG", {})
        Image.fromarray(GREY).save(path, kind, quality=100, **options)
    assert differs(read(path), EXPECTED if ending == "npy" else GREY) <= 12
    assert film_paths(tmp_path) == [path]


def test_numpy_files(tmp_path):
    path = tmp_path / "film.npy"
    for values in (DEEP, np.asfortranarray(DEEP), DEEP[None], np.dstack([DEEP] * 3), DEEP > 2000):
        np.save(path, values)
        assert np.array_equal(read(path), read_film(values))
    np.save(path, np.array([{"code": "run"}]), allow_pickle=True)
    whole = path.read_bytes()
    huge = whole.replace(b"(1,), }  ", b"(10**9,), }"[:9])
    for content in (whole, huge, whole[:20], b"\x93NUMPY" + bytes(99), b"text"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is a damaged NumPy file, or holds no numbers"):
            read_film(path)
    np.save(path, np.zeros((20, 12, 10)))
    with pytest.raises(ValueError, match=r"film\.npy: The film is an array of float64 with shape"):
        read_film(path)
    header = {"descr": "<u2", "fortran_order": False, "shape": (60_000, 60_000)}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match="more than 50 million pixels"):
        read_film(path)
