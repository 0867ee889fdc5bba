"""Which pixels of a mask are lung, for the many ways in which masks are written."""

import numpy as np
import scipy

from multimix.images.formats import FilmError

MAX_COLOURS = 16  # of a mask in colours, or of labels; soft edges have more


def lungs_of(values: np.ndarray) -> np.ndarray:
    """Lungs, (H, W) bool, of a mask (H, W) or (H, W, C) as for `to_grey`. FilmError if unclear."""
    if values.ndim == 2:
        return lungs_by_value(values)
    if values.shape[2] in (2, 4):
        values, opacity = values[..., :-1], values[..., -1]
        if np.ptp(opacity) and not np.ptp(values, axis=(0, 1)).any():  # what is opaque is lung
            return lungs_by_value(opacity)
        if opacity.any():  # one that is 0 everywhere was never filled in
            values = values * (opacity > opacity.max() / 2)[..., None]
    if (values == values[..., :1]).all():
        return lungs_by_value(values[..., 0])
    codes = values.astype(np.int32) @ np.array([2**16, 2**8, 1])
    found = np.unique(codes)
    if len(found) > MAX_COLOURS or values.dtype != np.uint8:
        return lungs_by_value(values.max(2))
    corners = codes[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()
    background = 0 if 0 in found else max(corners, key=corners.count)
    labels = found[found != background]
    greys = labels % 2**8 * 0x010101 == labels
    if greys.any() and not greys.all():
        raise unclear([f"#{code:06x}" for code in labels])
    return codes != background


def lungs_by_value(values: np.ndarray) -> np.ndarray:
    """The lungs of a mask (H, W): all labels where those are small numbers, else what is bright.

    Values in between may be soft edges. Where one of them fills an area it is a label, and very
    many of them mean a film, not a mask: both are unclear.
    """
    if values.dtype == bool:
        return values
    lowest, highest = values.min().item(), values.max().item()
    if not (np.isfinite(highest) and lowest >= 0):
        raise FilmError("has values below 0, or that are not numbers; replace them.")
    if highest <= 5 and (values == np.rint(values)).all():  # two lungs or five lobes
        return values > (lowest if lowest < highest else 0)
    found = np.unique(values)
    few = len(found) <= MAX_COLOURS
    between = (values > (lowest if few else highest / 4)) & (values < 0.75 * highest)
    span = scipy.ndimage.maximum_filter(values, 3) - scipy.ndimage.minimum_filter(values, 3)
    label = between & (span <= (0 if few else 0.03 * highest))  # neighbours of about one value
    devices = few and highest == 255 and (values[label] == 127).all()  # are 127 in a public set
    if not devices and (label.mean() > 0.001 or (not few and between.mean() > 0.3)):
        raise unclear([f"{value:g}" for value in found])
    return values > highest / 2


def unclear(found: list[str]) -> FilmError:
    """The error of a mask with values that can mean several things."""
    text = ", ".join(found) if len(found) <= MAX_COLOURS else f"values {found[0]} to {found[-1]}"
    return FilmError(
        f"has {text[:80]}, and it is unclear which of these are lung; give a mask that is white in "
        "both lungs and black elsewhere, or has a label from 1 to 5 for each."
    )
