"""The values of a prediction, and the files that it saves."""

import io
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import draw
from helpers import dicom, save
from PIL import Image
from prediction_helpers import WITHOUT_CLASS, WITHOUT_LUNGS, prediction_of

from multimix.inference import predict
from multimix.predictions.output_folder import OutputFolder, film_id

MASK = draw(1, 0, 64)[1]


def test_lungs_and_numbers():
    p = prediction_of(MASK, size_cm=(30.0, 20.0), expected_dice=0.9)
    right, left = p.lungs["right"], p.lungs["left"]
    assert right.centre[1] < 32 < left.centre[1]
    assert right.area_cm2 == pytest.approx(600 * (p.label_mask == 1).mean())
    assert p.numbers == {
        **{"NORMAL": 0.25, "PNEUMONIA": 0.75, "probability": 0.75, "threshold": 0.5},
        **{"lung_share": p.lung_share, "right_lung": right.share, "left_lung": left.share},
        **{"right_cm2": right.area_cm2, "left_cm2": left.area_cm2, "expected_dice": 0.9},
    }


@pytest.mark.parametrize(
    ("missing", "words", "known"),
    (
        ({}, "PNEUMONIA, probability 0.75; lungs 32%", 8),
        (WITHOUT_CLASS, "no class; lungs 32%", 4),
        (WITHOUT_LUNGS, "PNEUMONIA, probability 0.75; no lungs", 4),
        (WITHOUT_CLASS | WITHOUT_LUNGS, "no class; no lungs", 0),
    ),
)
def test_what_was_not_learnt_is_left_out(tmp_path, missing, words, known):
    p = prediction_of(MASK, **missing)
    assert repr(p).startswith(f"Prediction of film (64 x 64 px): {words}")
    assert sum(number is not None for number in p.numbers.values()) == known
    assert (p.label is None) == (p.probability is None) == ("probabilities" in missing)
    assert p.mask.shape == (64, 64) and p.mask.any() == p.segmented
    path = p.save(tmp_path, figure=False, arrays=True)
    assert path.name == ("film_mask.png" if p.segmented else "predictions.csv")
    with np.load(tmp_path / "film.npz") as arrays:
        names = ("mask_probability", "saliency", "explanation")
        assert set(arrays) == {name for name in names if getattr(p, name) is not None}
    (row,) = OutputFolder(tmp_path).rows.values()
    assert (row["label"], row["mask"]) == (p.label or "", "film_mask.png" if p.segmented else "")
    assert {name: row[name] for name in p.numbers} == pytest.approx(p.numbers, abs=1e-6)


def test_a_films_size_and_network_come_along(model, tmp_path):
    film = draw(1, 0, 64)[0]
    model.info.name = "own"
    p = predict(model, dicom(tmp_path / "film.dcm", film.astype(np.uint16), PixelSpacing=[5, 4]))
    assert p.size_cm == pytest.approx((32, 25.6)) and p.network == "own" and len(p.weights) == 12
    assert predict(model, film).size_cm is None


def test_a_notebook_shows_a_prediction_and_its_figure_once():
    p = prediction_of(MASK)
    with Image.open(io.BytesIO(p._repr_png_())) as picture:
        assert picture.width > 1000
    others = plt.get_fignums()
    figure = p.plot()
    assert plt.get_fignums() == others and figure._repr_png_().startswith(b"\x89PNG")


def test_a_film_keeps_its_files_and_another_film_gets_other_names(tmp_path):
    p, out = prediction_of(MASK), tmp_path / "out"
    other = replace(p, film=p.film.T.copy())
    named = replace(p, source=Path("elsewhere/film.png"), warnings=("One.", "Two\nlines."))
    for _ in range(2):  # the second time, each replaces its own
        names = [q.save(out, figure=False).name for q in (p, other, named)]
        assert names == ["film_mask.png", "film-2_mask.png", "film-3_mask.png"]
    assert len((out / "predictions.csv").read_text(encoding="utf-8").splitlines()) == 4
    rows = OutputFolder(out).rows
    assert [row["mask"] for row in rows.values()] == names and len(list(out.glob("[!.]*"))) == 4
    row = rows[film_id(named.source)]
    assert row["file"] == "elsewhere/film.png" and row["warnings"] == "One. | Two\\nlines."
    save(out / "film-4.png", MASK)  # not of this program
    assert replace(named, source=Path("b/film.png")).save(out).name == "film-5.png"
    long = replace(p, name="x" * 300, source=Path("c.png"))
    assert long.save(out, figure=False).stem == "x" * 200 + "_mask"


def test_a_film_is_identified_by_its_path_or_its_pixels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film = draw(1, 0, 40)[0]
    assert film_id(Path("a.png")) == film_id(tmp_path / "b" / ".." / "a.png")
    ids = {film_id(Path("a.png")), film_id(Path("b.png")), film_id(None, film)}
    assert len(ids | {film_id(None, film.T), film_id(None, film[:20])}) == 5
