"""A DICOM Segmentation beside its film, read back; and the film's UIDs in the table."""

import numpy as np
import pytest
from drawn import draw
from helpers import dicom
from prediction_helpers import WITHOUT_LUNGS, prediction_of

from multimix.apps.cli import main
from multimix.data.film_folder import look_through
from multimix.predictions import dicom_seg
from multimix.predictions.output_folder import OutputFolder

highdicom = pytest.importorskip("highdicom")
UIDS = dict(SOPInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2")
FRAME = dict(FrameOfReferenceUID="1.2.9", NumberOfFrames=1)
PATIENT = dict(PatientID="7", PatientName="Müller^Jürgen", SpecificCharacterSet="ISO_IR 100")
FILM, MASK = draw(1, 0, 64)


def film_file(path, **more):
    return dicom(path, FILM.astype(np.uint16) * 16, **more)


def test_both_lungs_are_read_back(tmp_path):
    source = film_file(tmp_path / "film.dcm", **UIDS, **PATIENT, **FRAME, PixelSpacing=[5, 5])
    p, out = prediction_of(MASK, source=source, network="multimix"), tmp_path / "out"
    for _ in range(2):  # the second time, the file is replaced
        p.save(out, figure=False, dicom_seg=True)
    found = highdicom.seg.segread(out / "film_seg.dcm")
    assert found.StudyInstanceUID == "1.2" and found.FrameOfReferenceUID == "1.2.9"
    assert found.PatientName == PATIENT["PatientName"] and found.Modality == "SEG"
    types = [found.get_segment_description(number).segmented_property_type for number in (1, 2)]
    codes = {code.value: code.meaning for code in types}
    assert codes == {"3341006": "Right lung", "44029006": "Left lung"}
    algorithm = found.get_segment_description(1).algorithm_identification
    assert algorithm.name == "MultiMix" and algorithm.parameters == {"network": "multimix"}
    planes = found.get_pixels_by_source_instance(["1.2.3.4"], combine_segments=True)
    assert np.array_equal(planes[0], p.label_mask)
    assert look_through(tmp_path, recursive=True).films == [source]  # it is not a film
    (row,) = OutputFolder(out).rows.values()
    assert (row["study_uid"], row["sop_uid"]) == ("1.2", "1.2.3.4")
    assert "Müller" not in (out / "predictions.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("mask", (np.zeros_like(MASK), MASK & (np.arange(64) < 32)))
def test_a_film_with_one_lung_or_none(tmp_path, mask):
    source = film_file(tmp_path / "film.dcm", **UIDS)
    prediction_of(mask, source=source).save(tmp_path / "out", figure=False, dicom_seg=True)
    found = highdicom.seg.segread(tmp_path / "out" / "film_seg.dcm")
    assert found.number_of_segments == 2 and (found.pixel_array > 0).sum() == mask.sum()


def test_films_without_a_study_are_one_sentence_each_and_the_others_are_predicted(
    tmp_path, monkeypatch, capsys, weights
):
    monkeypatch.chdir(tmp_path)
    film_file(tmp_path / "good.dcm", **UIDS)
    film_file(tmp_path / "bare.dcm")
    np.save(tmp_path / "film.npy", FILM)
    command = ["predict", "good.dcm", "bare.dcm", "film.npy", "--weights", weights, "--no-figures"]
    assert main([*command, "--dicom-seg"]) == 2
    said = capsys.readouterr()
    first, second = sorted(said.err.splitlines())
    assert "bare.dcm has no SeriesInstanceUID, no StudyInstanceUID, so no Segmentation" in first
    assert "film.npy has no DICOM header" in second and "good.dcm" in said.out
    written = {path.name for path in (tmp_path / "predictions").glob("[!.]*")}
    assert written == {"good_mask.png", "good_seg.dcm", "predictions.csv"}


def test_what_has_no_segmentation_is_one_sentence(tmp_path, monkeypatch):
    source = film_file(tmp_path / "film.dcm", **UIDS, **PATIENT)
    source.write_bytes(source.read_bytes().replace(b"ISO_IR 100", b"ISO_XX 100"))
    for p, sentence in (
        (prediction_of(MASK, source=source), r"film\.dcm has no header that can be repeated"),
        (prediction_of(MASK), "film has no DICOM header"),
        (prediction_of(MASK, source=source, **WITHOUT_LUNGS), "which the network did not learn"),
    ):
        with pytest.raises(ValueError, match=sentence) as error:
            p.save(tmp_path / "out", dicom_seg=True)
        assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
    monkeypatch.setattr(dicom_seg, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs highdicom: pip install"):
        p.save(tmp_path / "out", dicom_seg=True)
