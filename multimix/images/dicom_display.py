"""A DICOM film's stored values to the grey values in which it is shown.

What only says how to show a film never makes it unreadable: what is missing or wrong is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multimix.images.dicom_elements import (
    first_item,
    lookup_table,
    mapped,
    number,
    numbers,
    text,
)
from multimix.images.grey import MIN_CONTRAST

if TYPE_CHECKING:
    from pydicom import Dataset

DISPLAY_KEYWORDS = (
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "PresentationLUTShape",
)
MAX_WINDOWS = 3  # of a film that are tried
LEVELS = 2**16  # values that are told apart
SAMPLE = 1_000_000  # pixels, at least, by which a film is judged
MIN_INSIDE = 0.05  # of a film's pixels that are neither black nor white
LARGEST_EXPONENT = 700  # of which the exponential is finite


def shown_grey(
    stored: np.ndarray, dataset: Dataset, is_8_bits: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A film as it is shown, and what to know about it.

    Arguments:
        stored: (H, W), the values as they are stored.
        dataset: what the file says of them.
        is_8_bits: whether they fill 8 bits, so that they are grey values already.

    Returns: (H, W) uint8 with air dark and padding black; sentences.
    """
    padding = is_padding(stored, dataset)
    film = stored if padding is None else stored[~padding]
    low, high = float(film.min()), float(film.max())
    if stored.dtype.kind == "f" or high - low >= LEVELS:
        levels = np.linspace(low, high, LEVELS)
        places = np.rint((stored - low) * ((LEVELS - 1) / (high - low or 1)))
        places = np.clip(places, 0, LEVELS - 1).astype(np.int32)
    else:
        levels = np.arange(low, high + 1)
        places = np.subtract(stored, int(low), dtype=np.int32)
        np.clip(places, 0, len(levels) - 1, out=places)
    sample = places if padding is None else places[~padding]
    sample = sample.ravel()[:: max(1, sample.size // SAMPLE)]
    weights = np.bincount(sample, minlength=len(levels)) / len(sample)
    table, warnings = shown_levels(levels, weights, dataset, is_8_bits)
    grey = 255 - table[places] if is_inverted(dataset) else table[places]
    if padding is not None:
        grey[padding] = 0
    return grey, warnings


def is_inverted(dataset: Dataset) -> bool:
    """Whether the smallest values are shown white. A MONOCHROME1 film says so twice."""
    is_monochrome1 = text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    return is_monochrome1 or text(dataset, "PresentationLUTShape") == "INVERSE"


def is_padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """(H, W) bool: what fills up the picture around the film; None where nothing does, or all."""
    first, last = number(dataset, "PixelPaddingValue"), number(dataset, "PixelPaddingRangeLimit")
    if first is None:
        return None
    padding = np.zeros(stored.shape, dtype=bool)
    # The element may give a negative value as if it were not signed, or the other way round.
    size = 2 ** (8 * stored.dtype.itemsize)
    last = first if last is None else last
    for shift in (0, size, -size) if stored.dtype.kind in "iu" else (0,):
        low, high = sorted((first + shift, last + shift))
        padding |= (stored >= low) & (stored <= high)
    return padding if padding.any() and not padding.all() else None


def shown_levels(
    levels: np.ndarray, weights: np.ndarray, dataset: Dataset, is_8_bits: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The grey value of each stored value, (levels,) uint8, before any inversion; sentences."""
    signed = bool(levels[0] < 0)
    own = np.rint(levels) if is_8_bits else stretched(levels)
    values = levels
    table = lookup_table(first_item(dataset, "ModalityLUTSequence"), signed)
    if table and np.ptp(mapped(levels, table)):
        values = mapped(levels, table)
        own = stretched(values)
    elif not table:
        slope, intercept = rescaling(levels, dataset)
        values = levels * slope + intercept
        own = 255 - own if slope < 0 else own
    own = own.astype(np.uint8)
    attempts = {}
    table = lookup_table(first_item(dataset, "VOILUTSequence"), bool(values.min() < 0))
    if table:
        attempts["lookup table"] = stretched(mapped(values, table))
    for centre, width in windows(dataset):
        name = f"window (centre {centre:g}, width {width:g})"
        attempts[name] = 255 * windowed(values, centre, width, text(dataset, "VOILUTFunction"))
    for shown in attempts.values():
        grey = np.rint(shown).astype(np.uint8)
        if is_usable(grey, weights) or not is_usable(own, weights):
            return grey, ()
    sentence = "The film's {} leaves it flat: its own range of values is shown."
    return own, tuple(sentence.format(name) for name in attempts)


def stretched(values: np.ndarray) -> np.ndarray:
    """Values from the smallest to the largest to [0, 255]."""
    halves = values / 2 - values.min() / 2  # their difference is finite
    return np.rint(halves * (255 / (halves.max() or 1)))


def rescaling(levels: np.ndarray, dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept from stored to physical values; 1 and 0 where they are absurd."""
    slope, intercept = number(dataset, "RescaleSlope") or 1.0, number(dataset, "RescaleIntercept")
    ends = [float(level) * slope + (intercept or 0.0) for level in (levels[0], levels[-1])]
    if not np.isfinite(ends).all() or ends[0] == ends[1]:
        return 1.0, 0.0
    return slope, intercept or 0.0


def windows(dataset: Dataset) -> list[tuple[float, float]]:
    """Centre and width of the first windows that are some."""
    found = []
    for centre, width in zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")):
        if centre is not None and width is not None and width > 0:
            found.append((centre, width))
    return found[:MAX_WINDOWS]


def windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Values to [0, 1] by the window functions of DICOM, PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        exponents = np.clip(-4 * (values / width - centre / width), -LARGEST_EXPONENT, None)
        return 1 / (1 + np.exp(np.minimum(exponents, LARGEST_EXPONENT)))
    if function != "LINEAR_EXACT" and width >= 1:
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(float)
    return np.clip(values / width - centre / width + 0.5, 0, 1)


def is_usable(grey: np.ndarray, weights: np.ndarray) -> bool:
    """Whether enough of a film is left between black and white, and has some contrast.

    Arguments:
        grey: (levels,) uint8.
        weights: (levels,) the share of the film's pixels at each.
    """
    shares = np.cumsum(np.bincount(grey, weights, minlength=256))
    darkest, brightest = np.searchsorted(shares, (0.01, 0.99))
    inside = shares[254] - shares[0]
    return bool(brightest - darkest >= MIN_CONTRAST and inside >= MIN_INSIDE)
