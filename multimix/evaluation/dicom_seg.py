"""A DICOM Segmentation of a film's two lungs, which refers to the film and is of its study."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import multimix
from multimix.evaluation.lungs import LABELS
from multimix.images.answers import mark_line
from multimix.images.dicom import is_dicom
from multimix.images.formats import FilmError
from multimix.images.opened import without_decoder_warnings
from multimix.runtime.files import in_brief

if TYPE_CHECKING:
    from pydicom import Dataset

    from multimix.evaluation.prediction import Prediction

NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientOrientation",
)
# Not the spacing: highdicom, and the standard where there is a frame of reference, want a slice's
# thickness beside it, of which viewers make a volume, and a film has none. The film has it.
MAY_BE_MISSING = ("SpecificCharacterSet", "FrameOfReferenceUID", "PositionReferenceIndicator")
LUNGS = {
    "right": ("3341006", "SCT", "Right lung"),
    "left": ("44029006", "SCT", "Left lung"),
}
BODY_STRUCTURE = ("123037004", "SCT", "Body structure")
NAME = "MultiMix"
WITHOUT = "leave the Segmentation out (--dicom-seg; in Python: dicom_seg)."


def check_highdicom() -> None:
    """ValueError where the library is missing that writes Segmentations."""
    if find_spec("highdicom") is None:
        raise ValueError(
            "A DICOM Segmentation needs highdicom; pip install multimix[dicom-seg], or in a "
            "checkout: pip install highdicom."
        )


def segmentation(prediction: Prediction) -> bytes:
    """The content of a DICOM file with two segments, the patient's right and left lung.

    Errors: ValueError where highdicom is missing; FilmError where the film is no DICOM file, or
        says too little to be referred to.
    """
    check_highdicom()
    path = prediction.source
    if path is None:
        raise ValueError(
            "A DICOM Segmentation refers to its film's file, and this film came from none: predict "
            f"the path of a DICOM file, or {WITHOUT}"
        )
    try:
        with without_decoder_warnings():
            return written(prediction, read_header(path))
    except (FilmError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  (of a header that is damaged, many kinds)
        reason = f"has a header that no Segmentation can take over ({in_brief(error, 100)})"
        raise FilmError(path, f"{reason}; {WITHOUT}") from None


def read_header(path: Path) -> Dataset:
    """What a film's file says of patient and study. FilmError where that is too little."""
    import pydicom

    with open(path, "rb") as file:
        if not is_dicom(file):
            raise FilmError(path, f"is no DICOM file, and a Segmentation needs one; {WITHOUT}")
        keywords = [*NEEDED, *MAY_BE_EMPTY, *MAY_BE_MISSING, "Rows", "Columns"]
        film = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=keywords)
        missing = [keyword for keyword in NEEDED if not film.get(keyword)]
    if missing:
        reason = f"has no {', no '.join(missing)}, so no Segmentation can refer to it"
        raise FilmError(path, f"{reason}; {WITHOUT}")
    for keyword in MAY_BE_EMPTY:
        if keyword not in film:
            setattr(film, keyword, None)
    return film


def written(prediction: Prediction, film: Dataset) -> bytes:
    """A Segmentation of the film whose header this is, as the content of a file."""
    import highdicom

    found = highdicom.seg.Segmentation(
        source_images=[film],
        pixel_array=prediction.label_mask,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments(prediction.network),
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=multimix.__version__,
        device_serial_number="0",
        content_label="LUNGS",
        content_description="Lungs, for research only",
        series_description="Lungs by MultiMix, for research only",
    )
    found.PatientOrientation = film.PatientOrientation
    found.ImageComments = mark_line(prediction.film_id)
    file = io.BytesIO()
    found.save_as(file)
    return file.getvalue()


def segments(network: str) -> list:
    """What the labels 1 and 2 are, and what found them."""
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=NAME,
        version=multimix.__version__,
        family=codes.cid7162.ArtificialIntelligence,
        parameters={"network": network},
    )
    found = []
    for side, label in LABELS.items():
        lung = Code(*LUNGS[side])
        found.append(
            highdicom.seg.SegmentDescription(
                segment_number=label,
                segment_label=lung.meaning,
                segmented_property_category=Code(*BODY_STRUCTURE),
                segmented_property_type=lung,
                algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
            )
        )
    return found
