"""Picture and array files of every depth, channel order and polarity."""

import numpy as np
import pytest
import tifffile
from hostile_helpers import png, refusal
from PIL import Image

from multimix.images.formats import film_paths
from multimix.images.reading import load_image, read_film

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)
DEEP = GREY.astype(np.uint16) * 17  # 12 bits
STRETCHED = GREY / 239 * 255


def differs(path, expected=STRETCHED) -> float:
    return np.abs(read_film(path).astype(int) - expected).max()


@pytest.mark.parametrize("ending", ("png", "bmp", "tif", "gif", "webp", "jpeg", "jfif", "jpe"))
def test_grey_files_of_8_bits_stay_as_they_are(tmp_path, ending):
    path = tmp_path / f"film.{ending}"
    is_jpeg = ending[0] == "j"
    options = dict(quality=95) if is_jpeg else dict(lossless=True) if ending == "webp" else {}
    Image.fromarray(GREY).save(path, "JPEG" if is_jpeg else None, **options)
    assert differs(path, GREY) <= (12 if is_jpeg else 0)
    assert film_paths(tmp_path) == [path]


@pytest.mark.parametrize("ending", ("png", "jpeg", "tif"))
def test_pictures_are_turned_upright_and_dpi_is_no_size(tmp_path, ending):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter clockwise
    Image.fromarray(GREY).save(tmp_path / f"film.{ending}", exif=exif, dpi=(20, 20), quality=95)
    image = load_image(tmp_path / f"film.{ending}")
    assert np.abs(image.grey.astype(int) - np.rot90(GREY, -1)).max() < 12
    assert image.size_cm is None


@pytest.mark.parametrize("channels, kind", ((2, 4), (3, 2), (4, 6)))
def test_pngs_with_16_bits_in_several_channels_are_refused(tmp_path, channels, kind):
    """Pillow reads only the upper 8 bits, and a film of 12 bits would be black."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.dstack([DEEP] * channels))
    (tmp_path / "film.png").write_bytes(png(20, 12, body=rows, bits=16, kind=kind))
    assert "save it as grey with 8 or 16 bits" in refusal(tmp_path / "film.png")


@pytest.mark.parametrize("compression", (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"))
@pytest.mark.parametrize(
    "values, white_at_0",
    ((GREY, GREY), (DEEP, 255 - STRETCHED), (GREY / np.float32(239), 255 - STRETCHED)),
)
def test_tiffs_that_have_white_at_0(tmp_path, values, white_at_0, compression):
    path = tmp_path / "film.tif"
    for place, expected in ((1, GREY if values is GREY else STRETCHED), (0, white_at_0)):
        Image.fromarray(values).save(path, compression=compression, tiffinfo={262: place})
        assert differs(path, expected) <= 1  # Pillow writes 8 bits inverted
        with Image.open(path) as picture:
            assert differs(picture, expected) <= 1


@pytest.mark.parametrize("order", ("<", ">"))
@pytest.mark.parametrize(
    "values, is_read",
    (
        (DEEP, True),
        (DEEP.astype(np.int16) - 2000, True),
        (GREY.astype(np.int32) * 1000 - 99, True),
        (GREY * np.float32(1e-3) - 1, True),
        ((GREY.astype(np.int16) - 128).astype(np.int8), False),
        (GREY.astype(np.uint32) * 17_000_000, False),
        (GREY.astype(np.float64) * 1e-3 - 1, False),
        (np.dstack([DEEP] * 3), False),
    ),
)
def test_tiffs_of_every_type_are_read_or_refused(tmp_path, values, is_read, order):
    path = tmp_path / "film.tif"
    photometric = "rgb" if values.ndim == 3 else "minisblack"
    written = values.astype(values.dtype.newbyteorder(order))
    tifffile.imwrite(path, written, byteorder=order, photometric=photometric)
    if is_read:
        assert differs(path) <= 1
    else:
        assert "8 or 16 bits" in refusal(path)


@pytest.mark.parametrize("ending", ("tif", "gif"))
def test_of_several_pages_the_first_is_read(tmp_path, ending):
    page, path = Image.fromarray(GREY), tmp_path / f"film.{ending}"
    page.save(path)
    assert not load_image(path).warnings
    page.save(path, save_all=True, append_images=[page.rotate(90)], interlace=True)
    assert "several pages" in load_image(path).warnings[0] and differs(path, GREY) == 0


def test_numpy_files(tmp_path):
    path = tmp_path / "film.npy"
    np.save(path, np.asfortranarray(DEEP[None]))
    assert differs(path) <= 1 and film_paths(tmp_path) == [path]
    np.save(path, np.array([{"code": "run"}]), allow_pickle=True)
    whole = path.read_bytes()
    huge = whole.replace(b"(1,), }  ", b"(10**9,), }"[:9])
    for content in (whole, huge, whole[:20], b"\x93NUMPY" + bytes(99), b"text"):
        path.write_bytes(content)
        assert "is a damaged NumPy file, or holds no numbers" in refusal(path)


def test_raw_jsrt_files(tmp_path):
    values = np.tile(np.arange(2048), (2048, 1)).astype(">u2")
    path = tmp_path / "JPCLN001.IMG"
    path.write_bytes(values.tobytes())
    image = load_image(path)
    assert image.size_cm == pytest.approx((35.84, 35.84))
    assert (image.grey[:, 0] == 255).all() and (image.grey[:, -1] == 0).all()
    path.write_bytes(b"short")
    assert "has 5 bytes and a raw JSRT film has 8388608" in refusal(path)
