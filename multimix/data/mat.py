"""JSRT in one MATLAB file, as the authors of MultiMix have it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from multimix.data.film_set import SPLITS, Film

MOST_VALUES = 2**27  # that a file may unpack to


def read_mat(path: Path) -> list[Film]:
    """The films x_train, x_val, x_test (N, H, W, ...) of a MATLAB file, with masks y_train and so
    on, which may have a channel for each lung. ValueError where the file has something else.
    """
    import scipy.io  # slow to import

    films: list[Film] = []
    try:
        small = sum(math.prod(shape) for _, shape, _ in scipy.io.whosmat(path)) <= MOST_VALUES
        content = scipy.io.loadmat(path) if small else {}
        for split in SPLITS:
            arrays = [content.get(f"{name}_{split}", np.zeros((0, 1, 1))) for name in "xy"]
            if any(a.dtype.kind not in "buif" or a.ndim < 3 for a in arrays):
                raise ValueError("no numbers (N, H, W)")
            for i, (film, mask) in enumerate(zip(*arrays, strict=True)):
                lungs = mask if mask.ndim == 2 else mask.max(np.argmin(mask.shape))
                name, patient = f"{split}/{i}", f"{split}-{i}"
                films.append(Film(film.squeeze(), name, None, (lungs,), patient, split))
    except Exception:  # noqa: BLE001  (scipy raises many kinds)
        films = []
    if not films:
        raise ValueError(
            f"{path} is damaged, too large, or not a MATLAB file up to version 7 with x_train, "
            "y_train and so on, (N, H, W); save the films as pictures in images/ and masks/."
        )
    return films
