"""Elements of a DICOM header: no damage in them is an error."""

from __future__ import annotations

import math
import re
from collections.abc import MutableSequence
from typing import TYPE_CHECKING, Any

from multimix.images.formats import SizeCm

if TYPE_CHECKING:
    from pydicom import Dataset

FRONTAL = re.compile(r"\b(PA|AP|FRONTAL|ANTERO-?POSTERIOR|POSTERO-?ANTERIOR|DECUB\w*|LLD|RLD)\b")
LATERAL = re.compile(
    r"\b(LL|RL|[LR]LO|[LR]?LAT|LATERAL\w*|SEITL\w*|PROFIL|PERFIL|OBL\w*|[LR][AP]O)\b"
)
CHEST = re.compile(
    r"CHEST|CHST|CXR|THORA|THX|TORA[CX]|TÓRAX|LUNG|PULM|RIB|STERNUM|HEART|MEDIAST|BODY|TRUNK|BRUST"
    r"|BORST|BRYST|PECHO|POITRINE|POUMON|HRUDN|KLATK|G[OÖ][GĞ][UÜ]S|ГРУД|胸|UNKNOWN|UNDEFINED"
    r"|SPECIFIED|OTHER|NONE|N/?A$|NULL|DEFAULT"
)


def value_of(dataset: Dataset, keyword: str) -> Any:
    """An element's value; None where it is missing, empty or damaged."""
    try:
        return dataset[keyword].value
    except Exception:  # noqa: BLE001  (pydicom converts a value when it is first read)
        return None


def values_of(dataset: Dataset, keyword: str) -> list[Any]:
    """An element's values; none where they are longer than any number or text that is read."""
    if 4096 < getattr(dataset.get_item(keyword), "length", 0) < 2**32 - 1:
        return []
    value = value_of(dataset, keyword)
    if value is None or isinstance(value, bytes):
        return []
    return list(value) if isinstance(value, MutableSequence) else [value]


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """An element's numbers; NaN for each value that is not a finite number."""
    found = []
    for value in values_of(dataset, keyword):
        try:
            found.append(float(value))
        except (TypeError, ValueError, OverflowError):
            found.append(math.nan)
    return [value if math.isfinite(value) else math.nan for value in found]


def number(dataset: Dataset, keyword: str, default: float = 0) -> float:
    """An element's first number."""
    found = numbers(dataset, keyword)[:1]
    return found[0] if found and not math.isnan(found[0]) else default


def text(dataset: Dataset, keyword: str) -> str:
    """An element's text in capitals; '' where it has none."""
    return " ".join(map(str, values_of(dataset, keyword))).strip().upper()


def subject_warnings(dataset: Dataset) -> list[str]:
    """Warnings where the header says that this is not a frontal chest film."""
    found = []
    keywords = "Modality", "BodyPartExamined", "ViewPosition", "SeriesDescription"
    modality, part, view, described = (text(dataset, word).replace("_", " ") for word in keywords)
    if modality not in ("", "CR", "DX", "DR", "RG", "RF", "XR", "SC", "OT", "PR"):
        found.append(f"The file says that it is not a plain film (modality {modality[:16]}).")
    said = f"{view} {described}" if FRONTAL.search(view) is None else ""
    if LATERAL.search(view) or (LATERAL.search(said) and not FRONTAL.search(said)):
        found.append(f"The file says that the film is not frontal ({said.strip()[:40]}).")
    if part and not CHEST.search(part):
        found.append(f"The file says that the film does not show a chest ({part[:40]}).")
    if text(dataset, "PatientOrientation").startswith("R"):
        found.append(
            "The file says that the film is mirrored (its rows run to the patient's right): the "
            "lung that is called right is the left one."
        )
    return found


def size_and_warning(dataset: Dataset) -> tuple[SizeCm | None, list[str]]:
    """The height and width of a film in cm by its file's spacing; a warning where that is absurd.

    Programs that reduce a film may leave its spacing unchanged. It then seems too small.
    """
    age = re.fullmatch(r"(\d+)Y?", text(dataset, "PatientAge"))
    adult = age is not None and int(age[1]) >= 18
    found = []
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = numbers(dataset, keyword)
        if not any(spacing):  # missing, or zeros for unknown
            continue
        down, across = (*spacing, 0.0)[:2]
        size = number(dataset, "Rows") * down / 10, number(dataset, "Columns") * across / 10
        square = 0 < max(down, across) <= 2 * min(down, across)
        if square and (20 if adult else 15) <= max(size) <= 60:
            return size, []
        found.append(
            f"The file's {keyword} ({down:g} x {across:g} mm) cannot be that of "
            f"{'an adult' if adult else 'a'} chest film: it is ignored, and areas in cm² are not "
            "known."
        )
    return None, found[:1]
