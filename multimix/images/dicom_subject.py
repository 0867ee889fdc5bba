"""What a DICOM file says that it shows, where that is no usual frontal chest film."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multimix.images.dicom_elements import first_item, text

if TYPE_CHECKING:
    from pydicom import Dataset

DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
CODES = ("ViewCodeSequence", "AnatomicRegionSequence")
SUBJECT_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "Modality",
    "BodyPartExamined",
    "ViewPosition",
    "PatientOrientation",
    *DESCRIPTIONS,
    *CODES,
)
PLAIN_FILMS = ("", "CR", "DX", "DR", "RG", "RF", "XR", "SC", "OT", "PR")  # modalities
# By the class of the file, where it does not say its modality.
CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.1.2": "MG",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "MG",
}
FRONTAL = re.compile(r"\b(PA|AP|FRONTAL|ANTERO-?POSTERIOR|POSTERO-?ANTERIOR|DECUB\w*|LLD|RLD)\b")
LATERAL = re.compile(
    r"\b(LL|RL|LLO|RLO|[LR]?LAT|LATERAL\w*|SEITL\w*|PROFIL|PERFIL|OBL|OBLIQUE|[LR][AP]O)\b|側面"
)
CHEST = re.compile(
    r"CHEST|CHST|CXR|THORA|THX|TORA[CX]|TÓRAX|LUNG|PULM|RIB|STERNUM|HEART|MEDIAST|BODY|TRUNK|BRUST"
    r"|BORST|BRYST|PECHO|POITRINE|POUMON|HRUDN|KLATK|G[OÖ][GĞ][UÜ]S|ГРУД|胸"
)
UNKNOWN_PARTS = re.compile(
    r"\W*|UNKNOWN|UNDEFINED|(UN|NOT )SPECIFIED|OTHERS?|NONE|N/?A|NULL|DEFAULT"
)
OTHER_PARTS = re.compile(
    r"\b(ABD\w*|KUB|ANKLE|ARM|BREAST|CALCANEUS|CLAVICLE|COCCYX|ELBOW|EXTREMITY|FACE|FEMUR|FINGER"
    r"|FOOT|FOREARM|HAND|HEAD|HIP|HUMERUS|KNEE|LEG|MANDIBLE|NECK|PELVIS|SACRUM|SCAPULA|SHOULDER"
    r"|SINUS\w*|SKULL|SPINE|CSPINE|LSPINE|TSPINE|TEETH|THUMB|TIBIA|TOE|WRIST)\b"
)


def subject_warnings(dataset: Dataset) -> tuple[str, ...]:
    """Sentences where a file says that it is no plain film, not frontal, mirrored, no chest."""
    found = []
    modality = text(dataset, "Modality") or CLASSES.get(text(dataset, "SOPClassUID"), "")
    if modality not in PLAIN_FILMS:
        found.append(f"The file says that it is no plain film (modality {modality[:16]}).")
    view = lateral_view(dataset)
    if view:
        found.append(f"The file says that the film is not frontal ({view[:40]}).")
    part = other_part(dataset)
    if part:
        found.append(f"The file says that the film shows no chest ({part[:40]}).")
    if text(dataset, "PatientOrientation")[:1] == "R":
        found.append(
            "The file says that the film is as if mirrored, its rows running to the patient's "
            "right: what is called the right lung is the left one."
        )
    return tuple(found)


def lateral_view(dataset: Dataset) -> str:
    """By what a file says that its film is lateral or oblique, '' where it does not."""
    for said in (words(dataset, "ViewPosition"), code_meaning(dataset, "ViewCodeSequence")):
        if FRONTAL.search(said):
            return ""
        if LATERAL.search(said):
            return f"view {said}"
    row, _, column = text(dataset, "PatientOrientation").partition(" ")
    if row[:1] in ("A", "P") and column[:1] in ("F", "H"):
        return "its rows run from front to back"
    for keyword in DESCRIPTIONS:
        said = words(dataset, keyword)
        if LATERAL.search(said) and not FRONTAL.search(said):
            return said
    return ""


def other_part(dataset: Dataset) -> str:
    """The part of the body that a file names, where that is not the chest."""
    said = words(dataset, "BodyPartExamined")
    if UNKNOWN_PARTS.fullmatch(said):
        said = code_meaning(dataset, "AnatomicRegionSequence")
    if said:
        return "" if CHEST.search(said) else said
    described = " ".join(words(dataset, keyword) for keyword in DESCRIPTIONS)
    part = OTHER_PARTS.search(described)
    return "" if CHEST.search(described) or not part else part.group()


def code_meaning(dataset: Dataset, keyword: str) -> str:
    """What the first code of a sequence means."""
    item = first_item(dataset, keyword)
    return words(item, "CodeMeaning") if item else ""


def words(dataset: Dataset, keyword: str) -> str:
    """An element's text in capitals, its words apart."""
    return text(dataset, keyword).replace("_", " ")
