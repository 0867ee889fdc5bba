"""Masks of lungs, of the many ways in which people write them."""

import numpy as np
import pytest
import tifffile
from drawn import draw
from PIL import Image

from multimix.images.formats import FilmError, decoded_picture
from multimix.images.masks import lungs_of
from multimix.images.reading import read_mask

FILM, LUNGS = draw(3, side=128)
LEFT = LUNGS & (np.arange(128) < 64)
RIGHT = LUNGS & ~LEFT
DEVICE = np.zeros_like(LUNGS)
DEVICE[50:80, 60:68] = True


def painted(background, *labels) -> np.ndarray:
    """A mask with a value, or a colour, for each part of the film."""
    mask = np.full((128, 128, *np.shape(background)), background, dtype=np.uint8)
    for part, value in labels:
        mask[part] = value
    return mask


def palette(*colours: int) -> Image.Image:
    indexed = Image.frombytes("P", (128, 128), painted(0, (LEFT, 1), (RIGHT, 2)).tobytes())
    indexed.putpalette([*colours, *[0] * (768 - len(colours))])
    return indexed


BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)
ALPHA = painted((0, 0, 0, 0), (LUNGS, (0, 0, 0, 255)))
BOTH = {
    "0 and 255": painted(0, (LUNGS, 255)),
    "0 and 1": painted(0, (LUNGS, 1)),
    "1 and 2": painted(0, (LEFT, 1), (RIGHT, 2)),
    "16 bits": painted(0, (LUNGS, 255)).astype(np.uint16) * 257,
    "floats": painted(0, (LUNGS, 1)) * 0.8,
    "bits": Image.fromarray(LUNGS),
    "red and blue": painted(BLACK, (LEFT, RED), (RIGHT, BLUE)),
    "on white": painted(WHITE, (LEFT, RED), (RIGHT, BLUE)),
    "on violet": painted((68, 1, 84), (LEFT, (32, 144, 140)), (RIGHT, (253, 231, 36))),
    "palette": palette(0, 0, 0, 128, 0, 0, 0, 128, 0),
    "black palette": palette(0, 0, 0),
    "opaque": Image.fromarray(ALPHA),
    "all opaque": Image.fromarray(painted((0, 0, 0, 255), (LUNGS, (*WHITE, 255)))),
    "opacity not filled": Image.fromarray(painted((0, 0, 0, 0), (LUNGS, (*WHITE, 0)))),
}


@pytest.mark.parametrize("name", BOTH)
def test_both_lungs_are_read(tmp_path, name):
    mask = BOTH[name]
    values = decoded_picture(mask).values if isinstance(mask, Image.Image) else mask
    assert np.array_equal(lungs_of(values), LUNGS)
    if isinstance(mask, Image.Image) or mask.dtype != float:
        picture = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
        picture.save(tmp_path / "mask.tif" if picture.mode == "F" else tmp_path / "mask.png")
        (path,) = tmp_path.iterdir()
        assert np.array_equal(read_mask([path], 128), LUNGS)


@pytest.mark.parametrize("dtype", (np.uint8, np.uint16, np.int32, np.float32))
def test_labels_in_tiffs(tmp_path, dtype):
    path = tmp_path / "mask.tif"
    mask = painted(0, (LEFT, 1), (RIGHT, 2)).astype(dtype)
    tifffile.imwrite(path, mask)
    assert np.array_equal(read_mask([path], 128), LUNGS)
    tifffile.imwrite(path, np.stack([mask, mask]), photometric="minisblack")
    with pytest.raises(FilmError, match=r"mask\.tif has several pages or frames"):
        read_mask([path], 64)


def test_soft_edges_stand_at_half(tmp_path):
    large = Image.fromarray(painted(0, (LUNGS, 255))).resize((500, 500), Image.Resampling.BICUBIC)
    expected = np.asarray(large) > 127
    assert np.array_equal(lungs_of(np.asarray(large)), expected)
    large.save(tmp_path / "mask.jpg", quality=70)
    assert (read_mask([tmp_path / "mask.jpg"], 500) != expected).mean() < 0.01
    probabilities = np.asarray(large) / 255
    assert np.array_equal(lungs_of(probabilities), probabilities > probabilities.max() / 2)
    devices = painted(0, (LUNGS, 255), (DEVICE, 127))  # as a public set marks them
    assert np.array_equal(lungs_of(devices), LUNGS & ~DEVICE)


@pytest.mark.parametrize(
    "mask, words",
    (
        (painted(0, (LEFT, 128), (RIGHT, 255)), "has 0, 128, 255"),
        (painted(0, (LUNGS, 1), (DEVICE, 255)), "has 0, 1, 255"),
        (painted(0, (LEFT, 85), (RIGHT, 170), (DEVICE, 255)), "has 0, 85, 170, 255"),
        (painted(0, (LEFT, 0.5), (RIGHT, 1)).astype(float) + 0.5 * LEFT, "has 0, 0.5, 1"),
        (painted(BLACK, (LUNGS, WHITE), (DEVICE, RED)), "has #ff0000, #ffffff"),
        (FILM, "has values [0-9]+ to"),
        (np.where(LUNGS, 1, -1), "values below 0"),
        (np.where(LUNGS, np.nan, 0), "not numbers"),
    ),
)
def test_masks_that_do_not_say_what_is_lung(tmp_path, mask, words):
    with pytest.raises(ValueError, match=words) as caught:
        lungs_of(mask)
    assert len(str(caught.value)) <= 300
    np.save(tmp_path / "mask.npy", mask)
    with pytest.raises(FilmError, match=r"mask\.npy has"):
        read_mask([tmp_path / "mask.npy"], 64)
