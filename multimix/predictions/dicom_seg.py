"""A DICOM Segmentation of a film's two lungs, in the film's study; and the film's identifiers."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import multimix
from multimix.images.formats import FilmError, is_dicom, without_decoder_warnings
from multimix.runtime.files import in_brief

if TYPE_CHECKING:
    from multimix.predictions.prediction import Prediction

NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientOrientation"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
# Not the pixel spacing: highdicom then needs a slice thickness too, which a film does not have.
MAY_BE_MISSING = ("SpecificCharacterSet", "FrameOfReferenceUID", "PositionReferenceIndicator")


def check_highdicom() -> None:
    """ValueError where highdicom, which writes Segmentations, is not installed."""
    if find_spec("highdicom") is None:
        raise ValueError("A Segmentation needs highdicom: pip install multimix[dicom-seg].")


def film_uids(source: Path | None) -> tuple[str, str]:
    """Study and SOP instance UID of a DICOM film; ('', '') of any other film."""
    try:
        header = header_of(source)
        return str(header.get("StudyInstanceUID", "")), str(header.get("SOPInstanceUID", ""))
    except Exception:  # noqa: BLE001  (a damaged header raises many kinds: the UIDs are unknown)
        return "", ""


def header_of(path: Path | None) -> Any:
    """What a Segmentation repeats of a DICOM file's header, a pydicom `Dataset`; else {}."""
    with open(path, "rb") if path else io.BytesIO() as file:
        if not is_dicom(file):
            return {}
        import pydicom  # slow to import

        keywords = [*NEEDED, *MAY_BE_EMPTY, *MAY_BE_MISSING, "Rows", "Columns"]
        return pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=keywords)


def segmentation(prediction: Prediction) -> bytes:
    """The content of a DICOM file with two segments, the patient's right and left lung."""
    check_highdicom()
    if not prediction.segmented:
        raise ValueError("A Segmentation needs lungs, which the network did not learn; omit it.")
    try:
        with without_decoder_warnings():
            film = header_of(prediction.source)
            if not (missing := [keyword for keyword in NEEDED if not film.get(keyword)]):
                return written(prediction, film)
        reason = f"no {', no '.join(missing)}" if film else "no DICOM header"
    except Exception as error:  # noqa: BLE001  (a damaged header raises many kinds)
        reason = f"no header that can be repeated ({in_brief(error, 100)})"
    raise FilmError(
        f"{prediction.source or prediction.name} has {reason}, so no Segmentation is possible; "
        "leave it out (--dicom-seg; in Python: dicom_seg)."
    )


def written(prediction: Prediction, film: Any) -> bytes:
    """A Segmentation of the film with this header, as the content of a file."""
    from highdicom import UID, AlgorithmIdentificationSequence, seg
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    for keyword in MAY_BE_EMPTY:
        setattr(film, keyword, film.get(keyword))
    version, network = multimix.__version__, {"network": prediction.network}
    how = codes.cid7162.ArtificialIntelligence
    algorithm = AlgorithmIdentificationSequence("MultiMix", how, version, parameters=network)
    category = Code("123037004", "SCT", "Body structure")
    lungs = (Code("3341006", "SCT", "Right lung"), Code("44029006", "SCT", "Left lung"))
    segments = [
        seg.SegmentDescription(number, lung.meaning, category, lung, "AUTOMATIC", algorithm)
        for number, lung in enumerate(lungs, start=1)
    ]
    found = seg.Segmentation(
        source_images=[film],
        pixel_array=prediction.label_mask,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=UID(),
        series_number=1,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer="MultiMix",
        manufacturer_model_name="MultiMix",
        software_versions=version,
        device_serial_number="0",
        content_label="LUNGS",
        content_description="Lungs, for research only",
        series_description="Lungs by MultiMix, for research only",
    )
    found.PatientOrientation = film.PatientOrientation
    found.save_as(file := io.BytesIO())
    return file.getvalue()
