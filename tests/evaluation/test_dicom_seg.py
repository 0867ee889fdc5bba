"""A DICOM Segmentation beside its film, read back."""

import shutil
import subprocess

import numpy as np
import pytest
from helpers import dicom
from prediction_helpers import prediction_of

from multimix.apps.cli import main
from multimix.data import phantom
from multimix.evaluation import dicom_seg
from multimix.images.answers import marked_film
from multimix.images.film_folder import look_through

highdicom = pytest.importorskip("highdicom")
UIDS = dict(
    SOPInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2", Modality="DX"
)
FRAME = dict(FrameOfReferenceUID="1.2.9", NumberOfFrames=1)
PATIENT = dict(PatientID="7", PatientName="Müller^Jürgen", SpecificCharacterSet="ISO_IR 100")
FILM, MASK = phantom.draw(1, 0, 64)


def film_file(path, **more):
    return dicom(path, FILM.astype(np.uint16) * 16, **more)


def test_both_lungs_are_read_back(tmp_path):
    source = film_file(tmp_path / "film.dcm", **UIDS, **PATIENT, **FRAME, PixelSpacing=[5, 5])
    p = prediction_of(MASK, source=source, network="multimix")
    p.save(tmp_path / "out", figure=False, dicom_seg=True)
    path = tmp_path / "out" / "film_seg.dcm"
    found = highdicom.seg.segread(path)
    assert found.StudyInstanceUID == "1.2" and found.FrameOfReferenceUID == "1.2.9"
    assert found.PatientName == PATIENT["PatientName"]
    assert found.Modality == "SEG" and found.segment_numbers == [1, 2]
    types = [found.get_segment_description(number).segmented_property_type for number in (1, 2)]
    assert [(code.value, code.meaning) for code in types] == [
        ("3341006", "Right lung"),
        ("44029006", "Left lung"),
    ]
    algorithm = found.get_segment_description(1).algorithm_identification
    assert algorithm.name == "MultiMix" and algorithm.parameters == {"network": "multimix"}
    planes = found.get_pixels_by_source_instance(["1.2.3.4"], combine_segments=True)
    assert np.array_equal(planes[0], p.label_mask)
    assert marked_film(path) == p.film_id
    with pytest.raises(ValueError, match="There are no films"):
        look_through(tmp_path / "out")
    p.save(tmp_path / "out", figure=False, dicom_seg=True)  # again


@pytest.mark.parametrize("mask", (np.zeros_like(MASK), MASK & (np.arange(64) < 32)))
def test_a_film_with_one_lung_or_none(tmp_path, mask):
    source = film_file(tmp_path / "film.dcm", **UIDS)
    prediction_of(mask, source=source).save(tmp_path / "out", figure=False, dicom_seg=True)
    found = highdicom.seg.segread(tmp_path / "out" / "film_seg.dcm")
    assert found.number_of_segments == 2
    assert (found.pixel_array > 0).sum() == mask.sum()


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed")
@pytest.mark.parametrize(
    "more", ({}, PATIENT, dict(FrameOfReferenceUID="1.2.9", PatientOrientation=["L", "F"]))
)
def test_it_conforms_to_the_standard(tmp_path, more):
    source = film_file(tmp_path / "film.dcm", **UIDS, **more)
    prediction_of(MASK, source=source).save(tmp_path / "out", figure=False, dicom_seg=True)
    said = subprocess.run(
        ["dciodvfy", tmp_path / "out" / "film_seg.dcm"], capture_output=True, text=True
    )
    assert "Error" not in said.stdout + said.stderr


def test_films_that_cannot_be_referred_to_are_one_sentence_and_the_others_go_on(
    tmp_path, monkeypatch, capsys, weights
):
    monkeypatch.chdir(tmp_path)
    film_file(tmp_path / "good.dcm", **UIDS)
    film_file(tmp_path / "bare.dcm")
    np.save(tmp_path / "film.npy", FILM)
    films = ["good.dcm", "bare.dcm", "film.npy"]
    assert main(["predict", *films, "--weights", weights, "--dicom-seg", "--no-figures"]) == 2
    said = capsys.readouterr()
    first, second = sorted(said.err.splitlines())
    assert "bare.dcm has no SeriesInstanceUID, no StudyInstanceUID, so no Segmentation" in first
    assert "film.npy is no DICOM file" in second and "good.dcm" in said.out
    written = {path.name for path in (tmp_path / "predictions").glob("[!.]*")}
    assert written == {"good_mask.png", "good_seg.dcm", "predictions.csv"}
    again = ["predict", *films, "--weights", weights, "--no-figures", "--resume"]
    assert main(again) == 0  # without Segmentations
    assert main([*again, "--dicom-seg"]) == 2


def test_a_header_that_is_damaged_is_one_sentence(tmp_path):
    source = film_file(tmp_path / "film.dcm", **UIDS, **PATIENT)
    content = source.read_bytes()
    source.write_bytes(content.replace(b"ISO_IR 100", b"ISO_XX 100"))
    with pytest.raises(ValueError, match=r"film\.dcm has a header that no Segmentation can take"):
        prediction_of(MASK, source=source).save(tmp_path / "out", dicom_seg=True)
    assert not (tmp_path / "out").exists()


def test_what_came_from_no_file_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="this film came from none: predict the path of a DICOM"):
        prediction_of(MASK).save(tmp_path / "out", dicom_seg=True)
    assert not (tmp_path / "out").exists()


def test_without_highdicom_it_is_one_sentence(tmp_path, monkeypatch, capsys, weights):
    source = film_file(tmp_path / "film.dcm", **UIDS)
    monkeypatch.setattr(dicom_seg, "find_spec", lambda name: None)
    out = tmp_path / "out"
    command = ["predict", str(source), "--weights", weights, "--out", str(out), "--dicom-seg"]
    assert main(command) == 2 and not out.exists()
    said = capsys.readouterr().err
    assert "needs highdicom; pip install multimix[dicom-seg]" in said and said.count("\n") == 1
