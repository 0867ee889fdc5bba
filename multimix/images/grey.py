"""Values of any kind to the grey values of a film, 8 bits."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops

WHITE_IS_ZERO = 0
PHOTOMETRIC = 262  # a TIFF's tag that says which end is white
MIN_CONTRAST = 40  # grey values between the darkest and the brightest hundredth
SEEN_COLOUR = 40  # grey values between the channels of a pixel that looks coloured
BAND = 256  # rows at a time, so that large films take little memory


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """uint8 by the rule that `read_film` states. ValueError where a value is no number."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        values = values.view(np.uint8) * np.float32(1)
    low, high = values.min().item(), values.max().item()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            "The film has values that are not numbers (NaN or infinite); replace them first."
        )
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    grey = np.empty(values.shape, dtype=np.uint8)
    for first in range(0, len(values), BAND):
        grey[first : first + BAND] = scaled(values[first : first + BAND], low, high)
    return grey


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from `low` to `high` as 0 to 255."""
    halves = values.astype(np.float64) / 2 - low / 2  # their difference is finite
    return np.rint(halves * (255 / max(high / 2 - low / 2, 1e-12))).astype(np.uint8)


def picture_values(picture: Image.Image) -> np.ndarray:
    """(H, W) with the picture's own grey values, however many bits, with air dark."""
    if picture.mode in ("L", "1") or picture.mode.startswith(("I", "F")):
        values = np.asarray(picture)
        return negative(values) if is_white_zero(picture) else values
    if picture.mode == "La":  # multiplied by its opacity already
        return np.asarray(picture)[..., 0]
    if picture.has_transparency_data and picture.mode not in ("LA", "RGBA"):
        picture = picture.convert("RGBA")
    grey = picture.convert("RGB").convert("L")
    if not picture.has_transparency_data or not picture.getchannel("A").getbbox():
        return np.asarray(grey)  # what is all transparent has a channel that nobody filled
    return np.asarray(ImageChops.multiply(grey, picture.getchannel("A")))


def is_white_zero(picture: Image.Image) -> bool:
    """Whether a TIFF has white at 0 and Pillow, as for more than 8 bits, leaves it there."""
    if picture.mode in ("L", "1"):
        return False
    return getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO


def negative(values: np.ndarray) -> np.ndarray:
    """The values the other way up, in the same range; floats in [0, 1] are so in that."""
    lowest, highest = values.min(), values.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        return values  # `to_8_bits` refuses them
    if values.dtype.kind == "f" and lowest >= 0 and highest <= 1:
        return 1 - values
    return lowest + (highest - values)


def array_or_picture(array: np.ndarray) -> np.ndarray | Image.Image:
    """(H, W) where there is one channel, a picture where there are several.

    Errors: ValueError where the array is of another shape or kind.
    """
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    holds_numbers = array.dtype.kind in "buif"
    if not holds_numbers or array.ndim < 2 or array.shape[2:] not in ((), (1,), (3,), (4,)):
        raise ValueError(
            f"The film is an array of {array.dtype} with shape {array.shape}; numbers of shape "
            "(H, W), or with 1, 3 or 4 channels before or behind, are needed."
        )
    if array.ndim == 2 or array.shape[2] == 1:
        return array.reshape(array.shape[:2])
    return channels_to_picture(array) if array.size else array[..., 0]


def channels_to_picture(array: np.ndarray) -> Image.Image:
    """(H, W), or (H, W, C) of which a second or fourth channel is opacity, to 8 bits a channel."""
    if array.ndim == 2:
        return Image.fromarray(to_8_bits(array))
    if array.shape[2] in (1, 3):
        return Image.fromarray(np.squeeze(to_8_bits(array)))
    colours, opacity = to_8_bits(array[..., :-1]), array[..., -1]
    if opacity.dtype != np.uint8:
        opacity = to_8_bits(opacity / max(opacity.max(), 1e-12))
    return Image.fromarray(np.dstack([colours, opacity]), {2: "LA", 4: "RGBA"}[array.shape[2]])


def is_coloured(picture: Image.Image) -> bool:
    """Whether more than a hundredth of a picture's pixels have a colour that one can see."""
    if picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith(("I", "F")):
        return False
    small = picture.resize((128, 128), Image.Resampling.NEAREST).convert("RGB")
    values = np.asarray(small).astype(int)
    return bool(((values.max(2) - values.min(2)) > SEEN_COLOUR).mean() > 0.01)
