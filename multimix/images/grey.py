"""Values of any kind to the grey values of a film, 8 bits."""

import numpy as np
from PIL import Image, ImageChops

from multimix.images.formats import FilmError

MIN_CONTRAST = 40  # grey values between the darkest and the brightest hundredth


def to_grey(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Values to grey by the rules of `read_film`. Errors: FilmError for NaN or infinity.

    `values` are (H, W), or (H, W, C) with 2 (grey, opacity), 3 (RGB) or 4 (RGBA) channels.

    Returns: (H, W) uint8; whether more than a hundredth of the pixels have a visible colour.
    """
    if values.ndim == 2:
        return to_8_bits(values), False
    channels = values.shape[2]
    colours = to_8_bits(values[..., :3] if channels > 2 else values[..., 0])
    grey = Image.fromarray(colours).convert("L")
    if channels in (2, 4):
        opacity = values[..., -1]
        if opacity.dtype != np.uint8:
            opacity = scaled(opacity, 0, opacity.max().item())
        if opacity.any():  # one that is 0 everywhere was never filled in
            grey = ImageChops.multiply(grey, Image.fromarray(opacity))
    step = -(-max(values.shape) // 128)
    sample = colours[::step, ::step].astype(int)
    coloured = channels > 2 and bool((np.ptp(sample, axis=2) > 40).mean() > 0.01)
    return np.asarray(grey), coloured


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Values of any shape to uint8 by the rules of `read_film`. FilmError for NaN or infinity."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    low, high = values.min().item(), values.max().item()
    if not np.isfinite([low, high]).all():
        raise FilmError("has values that are not numbers (NaN or infinite); replace them first.")
    if values.dtype == bool or (values.dtype.kind == "f" and low >= 0 and high <= 1):
        return scaled(values, 0, 1)
    return scaled(values, *usual_range(values))


def usual_range(values: np.ndarray) -> tuple[float, float]:
    """The smallest and largest value of a film, without outliers such as hot pixels and letters.

    Outliers are at most 2 % of the pixels at each end, beyond a gap that is half as wide as the
    range of the other 96 %. A few pixels in the gap, such as a letter's soft edge, do not close it.
    """
    flat = values.ravel()
    low, high = np.percentile(flat[:: max(1, flat.size // 1_000_000)].astype(np.float64), (2, 98))
    gap = high / 2 - low / 2  # halves are finite for every type
    ends = []
    for sign, tail in ((-1, flat[flat <= low]), (1, flat[flat >= high])):
        steps = np.sort(sign * (tail.astype(np.float64) / 2))  # from the film outwards
        beyond = np.searchsorted(steps, steps + gap, "right")  # the first beyond a gap after each
        inside = beyond - np.searchsorted(steps, steps, "right")
        # Where the film may end: a gap follows, with almost nothing in it.
        sparse = np.flatnonzero((beyond < len(steps)) & (inside <= flat.size / 10_000) & (gap > 0))
        last = sparse[0] if len(sparse) else -1
        empty = np.flatnonzero(np.diff(steps) > gap)
        if len(sparse) and len(empty) and steps[empty[0]] <= steps[last] + gap:
            last = empty[0]
        ends.append(2 * sign * steps[last])
    return ends[0], ends[1]


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from `low` to `high` as 0 to 255 in uint8, and all beyond as those."""
    halves = values.astype(np.float64)
    halves /= 2
    halves -= low / 2  # the difference of halves is finite
    halves *= 255 / max(high / 2 - low / 2, 1e-12)
    return np.clip(np.rint(halves, out=halves), 0, 255, out=halves).astype(np.uint8)
