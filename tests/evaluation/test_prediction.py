"""What a prediction tells of its film, and the files that it writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import dicom
from PIL import Image
from prediction_helpers import prediction_of

from multimix.data import phantom
from multimix.images.answers import marked_film
from multimix.inference import predict


def test_the_dice_that_is_expected():
    p = prediction_of(np.zeros((2, 2), bool))
    assert p.expected_dice == 0
    sure = replace(p, mask_probability=np.array([[1, 1], [0, 0]], np.float32))
    assert sure.expected_dice == 1
    doubtful = replace(p, mask_probability=np.array([[0.75, 0.5], [0.25, 0]], np.float32))
    assert doubtful.expected_dice == pytest.approx(2 * 0.75 / (1.5 + 1))
    none = replace(p, mask_probability=np.full((2, 2), 0.5, np.float32))
    assert none.expected_dice == 0


def test_lungs_and_numbers():
    mask = phantom.draw(1, 0, 300)[1]
    p = prediction_of(mask, size_cm=(30.0, 20.0))
    right, left = p.lungs["right"], p.lungs["left"]
    assert right.share + left.share == pytest.approx(p.lung_share)
    assert right.centre[1] < 150 < left.centre[1] and right.box[3] < left.box[1]
    assert right.area_cm2 == pytest.approx(600 * (p.label_mask == 1).mean())
    assert p.numbers == {
        "NORMAL": 0.25,
        "PNEUMONIA": 0.75,
        "lung_share": p.lung_share,
        "right_lung": right.share,
        "left_lung": left.share,
        "right_cm2": right.area_cm2,
        "left_cm2": left.area_cm2,
        "expected_dice": 1,
    }
    assert prediction_of(mask).numbers["left_cm2"] is None


def test_a_films_size_and_network_come_along(model, tmp_path):
    film = phantom.draw(1, 0, 64)[0]
    model.name = "mine"
    p = predict(model, dicom(tmp_path / "film.dcm", film.astype(np.uint16), PixelSpacing=[5, 4]))
    assert p.size_cm == pytest.approx((32, 25.6)) and p.network == "mine"
    assert predict(model, film).size_cm is None


def test_arrays_are_kept_as_they_are(tmp_path):
    p = prediction_of(phantom.draw(1, 0, 64)[1])
    assert p.save(tmp_path, figure=False, arrays=True) == tmp_path / "film_mask.png"
    with np.load(tmp_path / "film.npz") as arrays:
        assert set(arrays) == {"mask_probability", "saliency"}
        for name, array in arrays.items():
            assert array.dtype == np.float32 and np.array_equal(array, getattr(p, name))
    assert marked_film(tmp_path / "film.npz") == p.film_id


def test_masks_of_labels(tmp_path):
    p = prediction_of(phantom.draw(1, 0, 64)[1])
    mask = Image.open(p.save(tmp_path, figure=False, label_mask=True))
    assert mask.mode == "L" and np.array_equal(np.asarray(mask), p.label_mask)
    assert np.unique(np.asarray(mask)).tolist() == [0, 1, 2]


def test_no_other_files_are_overwritten(tmp_path):
    p = prediction_of(phantom.draw(1, 0, 64)[1])
    np.savez(tmp_path / "film.npz", precious=1)
    for path in (tmp_path / "film.npz", tmp_path / "text.npz", tmp_path / "text_seg.dcm"):
        path.exists() or path.write_text("x")
        assert marked_film(path) == ""
    content = (tmp_path / "film.npz").read_bytes()
    with pytest.raises(ValueError, match=r"film\.npz would be overwritten by an answer"):
        p.save(tmp_path, arrays=True)
    assert (tmp_path / "film.npz").read_bytes() == content
    assert not (tmp_path / "film_mask.png").exists()
    p.save(tmp_path / "out", figure=False, arrays=True)
    p.save(tmp_path / "out", figure=False, arrays=True)  # one's own
    other = replace(p, source=Path("elsewhere/film.png"))
    assert other.save(tmp_path / "out", figure=False, arrays=True).name == "film-2_mask.png"
