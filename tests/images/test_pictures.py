"""Picture and array files of every depth, channel order and polarity."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from hostile_helpers import png_chunk, refusal
from PIL import Image

from multimix.images.formats import film_paths
from multimix.images.reading import load_image, read_film

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)
DEEP = GREY.astype(np.uint16) * 17  # 12 bits
STRETCHED = GREY / 239 * 255
OPAQUE = np.full_like(DEEP, 65535)


def differs(path, expected=STRETCHED) -> float:
    return np.abs(read_film(path).astype(int) - expected).max()


@pytest.mark.parametrize("ending", ("png", "bmp", "tif", "gif", "webp", "jpeg", "jfif", "jpe"))
def test_grey_files_of_8_bits_stay_as_they_are(tmp_path, ending):
    path = tmp_path / f"film.{ending}"
    is_jpeg = ending[0] == "j"
    options = dict(quality=95) if is_jpeg else dict(lossless=True) if ending == "webp" else {}
    Image.fromarray(GREY).save(path, "JPEG" if is_jpeg else None, **options)
    assert differs(path, GREY) <= (12 if is_jpeg else 0)
    assert film_paths(tmp_path) == [path] and load_image(path).size_cm is None


@pytest.mark.parametrize("ending", ("png", "jpeg", "tif"))
def test_pictures_are_turned_upright_and_dpi_is_no_size(tmp_path, ending):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter clockwise
    Image.fromarray(GREY).save(tmp_path / f"film.{ending}", exif=exif, dpi=(20, 20), quality=95)
    image = load_image(tmp_path / f"film.{ending}")
    assert np.abs(image.grey.astype(int) - np.rot90(GREY, -1)).max() < 12
    assert image.size_cm is None


@pytest.mark.parametrize("channels", ([DEEP, OPAQUE], [DEEP] * 3, [DEEP, DEEP, DEEP, OPAQUE]))
def test_pngs_with_16_bits_in_several_channels_are_refused(tmp_path, channels):
    """Pillow reads only the upper 8 bits, and a film of 12 bits would be black."""
    pixels = np.dstack(channels)
    header = struct.pack(">IIBBBBB", 20, 12, 16, {2: 4, 3: 2, 4: 6}[len(channels)], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows))
    path = tmp_path / "film.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b""))
    assert "save it as grey with 16 bits" in refusal(path)
    if len(channels) > 2:
        assert differs(pixels) <= 1  # as an array they are read


def test_opacity_that_was_never_filled_in(tmp_path):
    """Some programs write a fourth channel of zeros."""
    pixels = np.dstack([GREY] * 3 + [np.zeros_like(GREY)])
    Image.fromarray(pixels).save(tmp_path / "film.png")
    assert differs(tmp_path / "film.png", GREY) == 0
    assert np.array_equal(read_film(pixels), GREY)


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
@pytest.mark.filterwarnings("error")
def test_tiffs_of_every_type(tmp_path, values, order, compression):
    path = tmp_path / "film.tif"
    written = values.astype(values.dtype.newbyteorder(order))
    for photometric, expected in (("minisblack", STRETCHED), ("miniswhite", 255 - STRETCHED)):
        options = dict(byteorder=order, photometric=photometric, compression=compression)
        tifffile.imwrite(path, written, **options)
        assert differs(path, expected) <= 1


@pytest.mark.parametrize("order", ("<", ">"))
@pytest.mark.parametrize("rows", (3, 12))
def test_tiffs_with_channels(tmp_path, order, rows):
    options = dict(byteorder=order, rowsperstrip=rows, metadata=None)
    path = tmp_path / "film.tif"
    colours = np.dstack([DEEP] * 3).astype(f"{order}u2")
    tifffile.imwrite(path, colours, photometric="rgb", **options)
    assert differs(path) <= 1
    planes = dict(photometric="rgb", planarconfig="separate", compression="zlib")
    tifffile.imwrite(path, np.moveaxis(colours, 2, 0).copy(), **planes, **options)
    assert differs(path) <= 1
    both = np.dstack([DEEP, OPAQUE]).astype(f"{order}u2")
    tifffile.imwrite(path, both, photometric="minisblack", extrasamples=["unassalpha"], **options)
    assert differs(path) <= 1
    half = np.dstack([GREY // 2, np.full_like(GREY, 128)])  # grey values times their opacity
    tifffile.imwrite(path, half, photometric="minisblack", extrasamples=["assocalpha"])
    assert differs(path, GREY // 2) == 0


@pytest.mark.parametrize("compression", ("tiff_lzw", "tiff_adobe_deflate", "packbits"))
def test_compressed_tiffs_that_have_white_at_0(tmp_path, compression):
    path = tmp_path / "film.tif"
    for values, expected in ((DEEP, 255 - STRETCHED), (GREY, GREY)):  # Pillow inverts 8 bits
        Image.fromarray(values).save(path, compression=compression, tiffinfo={262: 0})
        assert differs(path, expected) <= 1
        with Image.open(path) as picture:
            assert differs(picture, expected) <= 1


def test_tiffs_are_turned_upright(tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", GREY / 1e3 - 1, extratags=[(274, "H", 1, 6, True)])
    assert differs(tmp_path / "film.tif", np.rot90(STRETCHED, -1)) <= 1


def test_tiffs_that_cannot_be_decoded(tmp_path):
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, GREY.astype(np.float64))
    content = bytearray(path.read_bytes())
    place = content.index(struct.pack("<HHIHH", 259, 3, 1, 1, 0))
    content[place + 8 : place + 10] = struct.pack("<H", 5)  # LZW
    path.write_bytes(content)
    assert "is a TIFF" in refusal(path) and "save it with 8 or 16 bits" in refusal(path)
    tifffile.imwrite(path, GREY.astype(np.complex64))
    assert "is a TIFF of complex64 values; save it" in refusal(path)
    tifffile.imwrite(path, np.where(GREY > 100, np.inf, GREY), photometric="miniswhite")
    assert "not numbers" in refusal(path)


@pytest.mark.parametrize("ending", ("tif", "gif"))
def test_of_several_pages_the_first_is_read(tmp_path, ending):
    page, path = Image.fromarray(GREY), tmp_path / f"film.{ending}"
    page.save(path)
    assert not load_image(path).first_of_several
    page.save(path, save_all=True, append_images=[page.rotate(90)], interlace=True)
    assert load_image(path).first_of_several and differs(path, GREY) == 0


def test_numpy_files(tmp_path):
    path = tmp_path / "film.npy"
    for values in (DEEP, np.asfortranarray(DEEP), DEEP[None], np.dstack([DEEP] * 3), DEEP > 2000):
        np.save(path, values)
        assert differs(path, read_film(values)) == 0 and film_paths(tmp_path) == [path]
    np.save(path, np.array([{"code": "run"}]), allow_pickle=True)
    whole = path.read_bytes()
    huge = whole.replace(b"(1,), }  ", b"(10**9,), }"[:9])
    for content in (whole, huge, whole[:20], b"\x93NUMPY" + bytes(99), b"text"):
        path.write_bytes(content)
        assert "is a damaged NumPy file, or holds no numbers" in refusal(path)
    np.save(path, np.zeros((20, 12, 10)))
    assert "film.npy is an array of float64 with shape" in refusal(path)


def test_raw_jsrt_files(tmp_path):
    values = np.tile(np.arange(2048), (2048, 1)).astype(">u2")
    path = tmp_path / "JPCLN001.IMG"
    path.write_bytes(values.tobytes())
    image = load_image(path)
    assert image.size_cm == pytest.approx((35.84, 35.84))
    assert (image.grey[:, 0] == 255).all() and (image.grey[:, -1] == 0).all()
    path.write_bytes(b"short")
    assert "has 5 bytes and a raw JSRT film has 8388608" in refusal(path)
