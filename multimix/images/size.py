"""How large a film is, where its file says so: height and width in centimetres.

A size stays what it is when the picture is enlarged or reduced, which the size of a pixel does not.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from multimix.images.dicom_elements import integer, numbers, text

if TYPE_CHECKING:
    from pydicom import Dataset

SizeCm = tuple[float, float]  # height, width

LONGER_SIDE_CM = (15, 60)  # of a chest film, a small child's included
ADULT_CM = 20  # of an adult's at least, whose lungs alone are wider
ADULT = re.compile(r"0?(1[89]|[2-9]\d)Y?|1\d\dY?")  # an age from 18 years; some leave out the Y
MAX_STRETCH = 2  # of a pixel: its longer side over its shorter one
USUAL_DPI = (72, 96, 100)  # that programs write which know of no size
SPACING_KEYWORDS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
SIZE_KEYWORDS = (*SPACING_KEYWORDS, "PatientAge")


def plausible_size(rows: int, columns: int, spacing: SizeCm) -> SizeCm | None:
    """A film's height and width in cm; None where they are no chest film's.

    Arguments:
        rows, columns: of the picture.
        spacing: cm between its rows, and between its columns.
    """
    if not all(0 < distance < math.inf for distance in spacing):
        return None
    height, width = rows * spacing[0], columns * spacing[1]
    shortest, longest = LONGER_SIDE_CM
    square = max(spacing) <= MAX_STRETCH * min(spacing)
    return (height, width) if square and shortest <= max(height, width) <= longest else None


def picture_size_cm(size: tuple[int, int], dpi: object) -> SizeCm | None:
    """The size of a film as it lies in its file, by a resolution there that means something.

    Arguments:
        size: columns and rows of the picture.
        dpi: what Pillow says of its dots per inch, across and down, if anything.
    """
    try:
        across, down = (float(dots) for dots in dpi)  # type: ignore[attr-defined]
        if round(across) in USUAL_DPI:
            return None
        return plausible_size(size[1], size[0], (2.54 / down, 2.54 / across))
    except (TypeError, ValueError, ArithmeticError):  # none, or no numbers
        return None


def dicom_size_cm(dataset: Dataset) -> tuple[SizeCm | None, tuple[str, ...]]:
    """The size of a film by its file's spacing; a sentence where that is absurd.

    Programs that reduce a film may leave the spacing as it was, as in RSNA's films of 1024 px. What
    is then too small for an adult may be a child's: the age decides.
    """
    absurd = ""
    adult = bool(ADULT.fullmatch(text(dataset, "PatientAge")))
    for keyword in SPACING_KEYWORDS:
        found = [value or 0.0 for value in numbers(dataset, keyword)]
        if not any(found):  # nothing, or zeros for what is not known
            continue
        down, across = (*found, 0.0)[:2]
        spacing = (down / 10, across / 10)
        size = plausible_size(integer(dataset, "Rows"), integer(dataset, "Columns"), spacing)
        if size and not (adult and max(size) < ADULT_CM):
            return size, ()
        whose = "adult's chest film's" if size else "chest film's"
        absurd = absurd or (
            f"The file's {keyword} ({down:g} x {across:g} mm) is no {whose}: it is ignored, "
            "and areas in cm² are not known."
        )
    return None, (absurd,) if absurd else ()
