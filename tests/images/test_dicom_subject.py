"""What a DICOM file says that it shows."""

import numpy as np
import pytest
from helpers import dicom
from pydicom import Dataset
from pydicom.sequence import Sequence

from multimix.images.reading import load_image
from multimix.inference import predict

STORED = np.arange(240, dtype=np.uint16).reshape(12, 20)


@pytest.mark.parametrize(
    "elements",
    (
        dict(Modality="DX", BodyPartExamined="CHEST", ViewPosition="PA"),
        dict(Modality="CR", BodyPartExamined="Chest", ViewPosition="AP"),
        dict(BodyPartExamined="THORAX", SeriesDescription="Thorax pa"),
        dict(BodyPartExamined="", ViewPosition=""),
        dict(BodyPartExamined="UNKNOWN", SeriesDescription="CHEST PA/LAT", ViewPosition="PA"),
        dict(PatientOrientation=["L", "F"], SeriesDescription="bilateral"),
        dict(ViewPosition="LLD"),
        dict(ViewPosition="AP_ERECT", BodyPartExamined="POITRINE"),
        dict(SeriesDescription="chest_pa_lat", BodyPartExamined="NOT SPECIFIED"),
    ),
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # as they are written
def test_chest_films_are_not_warned_of(tmp_path, elements):
    assert load_image(dicom(tmp_path / "film.dcm", STORED, **elements)).warnings == ()


def code(keyword, meaning):
    item = Dataset()
    item.CodeMeaning = meaning
    return {keyword: Sequence([item])}


@pytest.mark.parametrize(
    "elements, words",
    (
        (dict(Modality="CT"), "no plain film (modality CT)"),
        (dict(Modality="MG"), "no plain film (modality MG)"),
        (dict(SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), "no plain film (modality MR)"),
        (dict(ViewPosition="LL"), "not frontal (view LL)"),
        (dict(ViewPosition="LATERAL"), "not frontal (view LATERAL)"),
        (code("ViewCodeSequence", "left lateral"), "not frontal (view LEFT LATERAL)"),
        (dict(SeriesDescription="Chest Lat."), "not frontal (CHEST LAT.)"),
        (dict(SeriesDescription="CHEST_LATERAL"), "not frontal (CHEST LATERAL)"),
        (dict(SeriesDescription="Thorax seitl."), "not frontal (THORAX SEITL.)"),
        (dict(ViewPosition="LATERALE"), "not frontal (view LATERALE)"),
        (dict(ViewPosition="RAO"), "not frontal (view RAO)"),
        (dict(SeriesDescription="knee_ap"), "shows no chest (KNEE)"),
        (dict(ProtocolName="Thorax lateral"), "not frontal (THORAX LATERAL)"),
        (dict(PatientOrientation=["P", "F"]), "not frontal (its rows run"),
        (dict(BodyPartExamined="HAND"), "shows no chest (HAND)"),
        (code("AnatomicRegionSequence", "Abdomen"), "shows no chest (ABDOMEN)"),
        (dict(SeriesDescription="knee ap"), "shows no chest (KNEE)"),
        (dict(PatientOrientation=["R", "F"]), "what is called the right lung is the left one"),
    ),
)
def test_what_is_no_frontal_chest_film_is_warned_of(tmp_path, elements, words):
    (sentence,) = load_image(dicom(tmp_path / "film.dcm", STORED, **elements)).warnings
    assert words in sentence


def test_a_prediction_says_it_first(model, tmp_path):
    path = dicom(tmp_path / "film.dcm", STORED, Modality="CT", WindowCenter=9000, WindowWidth=2)
    first, second = predict(model, path).warnings[:2]
    assert "leaves it flat" in first and "no plain film" in second
