"""The contents of the files that are written for a prediction, each marked with its film."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, PngImagePlugin

from multimix.images.answers import (
    ARRAYS,
    FIGURE,
    MASK,
    SEGMENTATION,
    AnswerFiles,
    mark_line,
    mark_of,
)

if TYPE_CHECKING:
    from multimix.evaluation.prediction import Prediction


def contents(prediction: Prediction, files: AnswerFiles) -> dict[str, bytes]:
    """What each file has, by the end of its name. FilmError where there can be no Segmentation."""
    found = {}
    if files.dicom_seg:
        from multimix.evaluation.dicom_seg import segmentation  # needs the extra

        found[SEGMENTATION] = segmentation(prediction)
    found[MASK] = mask_png(prediction, files.label_mask)
    if files.arrays:
        found[ARRAYS] = arrays_npz(prediction)
    if files.figure:
        from multimix.evaluation.overlay import compose  # matplotlib is slow to import

        found[FIGURE] = png(compose(prediction), prediction.film_id)
    return found


def mask_png(prediction: Prediction, labels: bool) -> bytes:
    """The lungs, 255 or, where labels are wanted, 1 and 2."""
    mask = prediction.label_mask if labels else prediction.mask.astype(np.uint8) * 255
    return png(Image.fromarray(mask), prediction.film_id)


def png(picture: Image.Image, film: str) -> bytes:
    """A picture as the content of a PNG file that says whose answer it is."""
    texts = PngImagePlugin.PngInfo()
    for key, text in mark_of(film).items():
        texts.add_text(key, text)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=4, pnginfo=texts)  # half the time of the usual 6
    return file.getvalue()


def arrays_npz(prediction: Prediction) -> bytes:
    """Lung probability and saliency as `numpy.load` reads them."""
    file = io.BytesIO()
    np.savez(file, mask_probability=prediction.mask_probability, saliency=prediction.saliency)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = mark_line(prediction.film_id).encode()
    return file.getvalue()
