"""Which pixels of a mask are lung, of the many ways in which masks are written."""

from __future__ import annotations

import numpy as np
import scipy
from PIL import Image

from multimix.images.grey import array_or_picture, picture_values

MAX_LABEL = 5  # two lungs or five lobes
MAX_COLOURS = 16  # of a mask that is drawn in colours; soft edges have more
MIDDLE = (0.25, 0.75)  # of the largest value: neither background nor lung
FLAT = 0.03  # of the largest value, between neighbours within one label
MAX_OTHER_LABEL = 0.001  # of a mask that a label may fill that is neither background nor lung
MAX_MIDDLE = 0.3  # of a mask that values in the middle may fill, with soft edges
OTHER_LABEL, LUNG_LABEL = 127, 255  # where 127 marks something else, such as a device


def lungs_of(content: Image.Image | np.ndarray) -> np.ndarray:
    """The lungs of one mask.

    Arguments:
        content: the mask as `open_source` gives it.

    Returns: (H, W) bool.

    Errors: ValueError where the mask does not say which of its values are lung.
    """
    if isinstance(content, np.ndarray):
        content = array_or_picture(content)
    if isinstance(content, np.ndarray):
        return lungs_by_value(content)
    if content.mode == "P" and len(set(palette_colours(content))) == 1:
        return lungs_by_value(np.asarray(content))
    if content.has_transparency_data:
        return lungs_by_opacity(content)
    if content.mode == "L" or content.mode.startswith(("1", "I", "F")):
        return lungs_by_value(picture_values(content))
    return lungs_by_colour(np.asarray(content.convert("RGB")))


def palette_colours(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colours of those entries of a palette that are used."""
    palette = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    return [tuple(colour) for colour in np.unique(palette, axis=0).tolist()]


def lungs_by_opacity(picture: Image.Image) -> np.ndarray:
    """The lungs of a mask with transparency: what is opaque, or has a value where it is so."""
    pixels = np.asarray(picture.convert("RGBA"))  # (H, W, 4)
    opacity, one_colour = pixels[..., 3], not np.ptp(pixels[..., :3], axis=(0, 1)).any()
    if one_colour and np.ptp(opacity):
        return lungs_by_value(opacity)
    visible = (opacity > 127) | (not opacity.any())  # a channel that nobody filled says nothing
    return lungs_by_colour(np.where(visible[..., None], pixels[..., :3], 0))


def lungs_by_colour(pixels: np.ndarray) -> np.ndarray:
    """The lungs of a mask (H, W, 3) uint8: of a few colours, each that is not the background."""
    if (pixels == pixels[..., :1]).all():
        return lungs_by_value(pixels[..., 0])
    codes = pixels.astype(np.int32) @ np.array([2**16, 2**8, 1])
    found = np.unique(codes)
    if len(found) > MAX_COLOURS:
        return lungs_by_value(pixels.max(2))
    corners = codes[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()
    background = 0 if 0 in found else max(corners, key=corners.count)
    labels = found[found != background]
    greys = labels % 2**8 * 0x010101 == labels
    if greys.any() and not greys.all():
        raise ValueError(unclear([f"#{code:06x}" for code in labels]))
    return codes != background


def lungs_by_value(values: np.ndarray) -> np.ndarray:
    """The lungs of a mask (H, W): all labels where those are small numbers, else what is bright."""
    if values.dtype == bool:
        return values
    lowest, highest = values.min().item(), values.max().item()
    if not (np.isfinite(highest) and lowest >= 0):
        raise ValueError("The mask has values below 0, or that are not numbers; replace them.")
    if highest <= MAX_LABEL and (values == np.rint(values)).all():
        return values > (lowest if lowest < highest else 0)
    check_between(values, lowest, highest)
    return values > highest / 2


def check_between(values: np.ndarray, lowest: float, highest: float) -> None:
    """ValueError where values between background and lung are no soft edge.

    They are a label where they lie side by side, and a film's own where they are many.

    Arguments:
        values: (H, W) from `lowest` to `highest`.
    """
    found = np.unique(values)
    few = len(found) <= MAX_COLOURS  # then even the smallest difference is one of labels
    low = lowest if few else MIDDLE[0] * highest
    between = (values > low) & (values < MIDDLE[1] * highest)
    if not between.any():
        return
    span = scipy.ndimage.maximum_filter(values, 3) - scipy.ndimage.minimum_filter(values, 3)
    label = between & (span <= (0 if few else FLAT * highest))
    many = not few and between.mean() > MAX_MIDDLE
    if not many and label.mean() <= MAX_OTHER_LABEL:
        return
    if highest == LUNG_LABEL and set(np.unique(values[label])) == {OTHER_LABEL}:
        return
    if few:
        raise ValueError(unclear([f"{value:g}" for value in found]))
    raise ValueError(unclear([f"{len(found)} values from {found[0]:g} to {found[-1]:g}"]))


def unclear(values: list[str]) -> str:
    """The sentence about a mask whose values can be read in several ways."""
    return (
        f"The mask has {', '.join(values)[:80]}, which does not say what is lung; give a mask that "
        "is white in both lungs and black elsewhere, or has a label from 1 to 5 for each."
    )
