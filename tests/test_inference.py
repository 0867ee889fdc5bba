import os
import pydoc
import subprocess
import sys

import numpy as np
import pytest
import torch
from drawn import draw
from helpers import ROOT, TINY, dicom, save
from PIL import Image

import multimix
from multimix.inference import load_model, predict, predict_iter
from multimix.runtime.files import bundled
from multimix.training import train


@pytest.fixture(scope="module")
def trained() -> multimix.MultiMix:
    return load_model(device="cpu")


def test_the_networks_that_come_with_it(trained):
    few = load_model("multimix_100_10", "cpu")
    assert (few.info.name, few.info.side, trained.info.side) == ("multimix_100_10", 192, 224)
    assert few.info.calibration.keys() == {"temperature", "operating_point"}
    for name, label in (("adult_normal", "NORMAL"), ("child_bacterial", "PNEUMONIA")):
        p = predict(trained, bundled("sample_data") / f"{name}.jpg")
        assert (p.name, p.label) == (name, label) and 0.1 < p.lung_share < 0.5


def test_predictions_have_the_films_own_size(model):
    film = np.tile(np.arange(200, dtype=np.uint8), (300, 1))
    p = predict(model, film)
    for array in (p.film, p.mask, p.mask_probability, p.saliency):
        assert array.shape == (300, 200)
    assert p.mask.dtype == bool and p.mask_probability.dtype == p.saliency.dtype == np.float32
    assert p.mask_probability.min() >= 0 and p.mask_probability.max() <= 1 and p.saliency.min() >= 0
    assert np.array_equal(p.mask, p.mask_probability > 0.5) and p.lung_share == p.mask.mean()
    assert list(p.probabilities) == ["NORMAL", "PNEUMONIA"]
    assert sum(p.probabilities.values()) == pytest.approx(1)
    assert p.label in p.probabilities and p.probability == max(p.probabilities.values())


def test_every_kind_of_source_gives_the_same_prediction(model, tmp_path):
    film = draw(3, 1, 64)[0]
    save(tmp_path / "film.png", film)
    expected = predict(model, film)
    for source in (
        tmp_path / "film.png",
        str(tmp_path / "film.png"),
        Image.fromarray(film),
        Image.fromarray(film).convert("RGBA"),
        film / 255,
        np.dstack([film] * 3),
    ):
        p = predict(model, source)
        assert p.probabilities == expected.probabilities and np.array_equal(p.mask, expected.mask)
    assert predict(model, tmp_path / "film.png").name == "film" and expected.name == "film-1"


def test_lists_and_folders_give_lists(model, tmp_path):
    films = [draw(i, 0, 40 + i)[0] for i in range(10)]  # more than a batch, of different sizes
    for i, film in enumerate(films):
        save(tmp_path / f"film{i}.png", film)
    one_by_one = [predict(model, film) for film in films]
    for sources in (films, tmp_path, sorted(tmp_path.iterdir())):
        many = predict(model, sources)
        assert len(many) == 10
        for p, alone in zip(many, one_by_one):
            assert p.probability == pytest.approx(alone.probability, abs=1e-6)
            assert np.allclose(p.mask_probability, alone.mask_probability, atol=1e-5)
    assert predict(model, []) == []


def test_many_films_one_after_another(model, tmp_path):
    read = []

    def films():
        for i in range(1000):
            read.append(i)
            yield draw(i % 4, 0, 40)[0]

    predictions = predict_iter(model, films())
    first = [next(predictions) for _ in range(3)]
    assert [p.name for p in first] == ["film-1", "film-2", "film-3"] and len(read) < 500
    assert first[0].probabilities == pytest.approx(predict(model, next(films())).probabilities)
    (tmp_path / "bad.png").write_text("no picture")
    save(tmp_path / "good.png", draw(1, 0, 40)[0])
    with pytest.raises(ValueError, match=r"bad\.png is not a picture"):
        list(predict_iter(model, tmp_path))
    errors = []
    assert [p.name for p in predict_iter(model, tmp_path, on_error=errors.append)] == ["good"]
    assert len(errors) == 1 and errors[0].path == tmp_path / "bad.png"
    for wrong in (lambda: predict_iter(model, 3), lambda: predict_iter(model, [], invert="x")):
        with pytest.raises(ValueError, match=r"A int is not a film|invert is 'x'"):
            wrong()  # at once, not at the first film


def test_a_name_of_numbers_and_dots_is_no_ending(model, tmp_path):
    uid = "1.2.840.113.5"
    dicom(tmp_path / uid, draw(1, 0, 40)[0].astype("uint16"))
    assert predict(model, tmp_path / uid).name == predict(model, tmp_path)[0].name == uid


def test_the_mode_is_left_as_it_was_and_dropout_off(model):
    film = draw(3, 1, 64)[0]
    found = [predict(model.train(mode), film).probabilities for mode in (False, True, True)]
    assert found[0] == found[1] == found[2] and model.training


def test_doubtful_films_carry_warnings(model):
    flat = predict(model, np.full((300, 300), 100, dtype=np.uint8))
    assert any("little contrast" in text for text in flat.warnings)
    assert any("tiny" in text for text in predict(model, draw(1, 0, 64)[0]).warnings)
    model.decoder.conv_last.bias.data.fill_(1e4)
    assert any("The lungs fill 100%" in text for text in predict(model, draw(1)[0]).warnings)


def test_the_calibration_moves_the_probability(model):
    film = draw(3, 1, 64)[0]
    plain = predict(model, film)
    odds = np.log(plain.probabilities["PNEUMONIA"] / plain.probabilities["NORMAL"])
    model.info.calibration = {"temperature": 2.0, "operating_point": 0.8}
    moved = predict(model, film)
    moved_odds = np.log(moved.probabilities["PNEUMONIA"] / moved.probabilities["NORMAL"])
    assert moved_odds == pytest.approx(odds / 2 - np.log(4), abs=1e-4)
    assert moved.label == max(moved.probabilities, key=moved.probabilities.get)


def test_flip_tells_where_it_disagrees(model):
    film = draw(3, 1, 100)[0]
    p = predict(model, film, flip=True)
    assert p.disagreement.shape == film.shape and 0 < p.disagreement.max() <= 1
    assert predict(model, film).disagreement is None


def test_faults_are_named(model, tmp_path):
    for source, words in ((tmp_path / "none.png", "none.png"), (tmp_path, "There are no films in")):
        with pytest.raises(ValueError, match=words):
            predict(model, source)
    with pytest.raises(ValueError, match="invert is 'x'; auto or never or always is needed"):
        predict(model, [], invert="x")
    for weights in (tmp_path / "none", "none.pth", str(tmp_path / "none")):
        with pytest.raises(ValueError, match="There is no weights file"):
            load_model(weights)
    with pytest.raises(ValueError, match="There is no bundled network 'multimax'; choose multimix"):
        load_model("multimax")


def test_a_trained_network_predicts_at_the_side_it_was_trained_at(films, tmp_path):
    config = multimix.Config(side=32, widths=TINY, batch=2, steps=1)
    trained = train(config, films, tmp_path, device="cpu", progress=False)
    again = load_model(tmp_path / "best.pth", "cpu")
    assert again.info.side == trained.info.side == 32 and not again.training
    assert again.info.name == f"{tmp_path.name}/best.pth" and trained.info.name == ""
    film = draw(3)[0]
    assert predict(again, film).probabilities == predict(trained, film).probabilities


def test_a_network_prints_three_lines(model):
    first, second, third = repr(model).splitlines()
    assert first == "MultiMix: classification and segmentation of films at 32 px"
    assert "widths 2, 3, 4, 5, 6, with" in second and third.endswith("float32 on cpu")


def test_a_plain_border_changes_nothing_and_has_no_lung(model):
    film = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    p, framed = predict(model, film), predict(model, np.pad(film, ((10, 6), (4, 8))))
    assert framed.film.shape == framed.mask.shape == framed.saliency.shape == (80, 76)
    assert framed.probabilities == pytest.approx(p.probabilities, abs=1e-6)
    inside = framed.mask_probability[10:74, 4:68]
    np.testing.assert_allclose(inside, p.mask_probability, atol=1e-5)
    framed.mask_probability[10:74, 4:68] = 0
    assert not framed.mask_probability.any()


def test_a_batch_is_as_many_films(model):
    batch = torch.from_numpy(np.stack([draw(seed)[0] for seed in range(3)]))[:, None]
    assert [p.name for p in predict(model, batch)] == ["film-1", "film-2", "film-3"]


@pytest.mark.parametrize("variable", ("", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"))
def test_openmp_waits_calmly_unless_the_user_has_set_it(variable):
    environment = {
        n: v for n, v in os.environ.items() if not n.startswith(("OMP_", "GOMP_", "KMP_"))
    }
    environment |= {"PYTHONPATH": str(ROOT)} | ({variable: "1"} if variable else {})
    code = "import multimix, os; print(os.environ.get('OMP_WAIT_POLICY', ''))"
    found = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert found == ("\n" if variable else "passive\n")


def test_the_public_names():
    assert set(multimix.__all__) >= {"Config", "MultiMix", "evaluate", "load_model", "predict"}
    assert dir(multimix) == sorted(multimix.__all__)
    assert all(getattr(multimix, name).__doc__ for name in multimix.__all__)
    assert "load_model" in pydoc.render_doc(multimix)
    assert torch.is_grad_enabled()
