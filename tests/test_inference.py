import numpy as np
import pytest
import torch
from helpers import TINY, dicom, save
from PIL import Image

import multimix
from multimix.data import phantom
from multimix.images.reading import read_film
from multimix.inference import load_model, predict, predict_iter
from multimix.runtime.files import bundled
from multimix.training import train


@pytest.fixture(scope="module")
def trained() -> multimix.MultiMix:
    return load_model(device="cpu")


# What the bundled weights say about the bundled films: label, probability, share of the film that
# is lung.
STORED = {
    "phantom_normal_1.png": ("NORMAL", 0.9309, 0.2934),
    "phantom_normal_2.png": ("NORMAL", 0.6281, 0.2251),
    "phantom_pneumonia_1.png": ("NORMAL", 0.7993, 0.3417),
    "phantom_pneumonia_2.png": ("PNEUMONIA", 0.5792, 0.3793),
    "real_adult_pa.png": ("PNEUMONIA", 0.7107, 0.3524),
}


@pytest.mark.parametrize("name", STORED)
def test_stored_answers(trained, name):
    label, probability, lung_share = STORED[name]
    prediction = predict(trained, bundled("sample_data") / name)
    assert prediction.label == label
    assert prediction.probability == pytest.approx(probability, abs=1e-3)
    assert prediction.lung_share == pytest.approx(lung_share, rel=0.01)
    assert not prediction.warnings


def test_the_networks_that_come_with_it():
    few = load_model("multimix_100_10", "cpu")
    assert few.name == "multimix_100_10"
    assert few.calibration.keys() == {"temperature", "operating_point"} and few.side == 192
    assert predict(few, bundled("sample_data") / "phantom_pneumonia_1.png").label == "PNEUMONIA"
    with pytest.raises(
        ValueError,
        match="no bundled network 'multimax'; choose multimix or multimix_100_10, or give",
    ):
        load_model("multimax")


def test_every_sample_has_a_stored_answer():
    assert {path.name for path in bundled("sample_data").glob("*.png")} == set(STORED)


def test_the_sample_masks_are_met(trained):
    masks = sorted(bundled("sample_data/masks").glob("*.png"))
    assert len(masks) == 4
    for path in masks:
        truth = read_film(path) > 127
        p = predict(trained, path.parent.parent / path.name)
        found, middle = p.mask, truth.shape[1] // 2
        assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.9
        halves = {"right": truth[:, :middle], "left": truth[:, middle:]}
        for side, half in halves.items():
            assert p.lungs[side].share == pytest.approx(half.sum() / truth.size, rel=0.15)


def test_answers_have_the_films_own_size(model):
    film = np.tile(np.arange(200, dtype=np.uint8), (300, 1))
    p = predict(model, film)
    assert (
        p.film.shape == p.mask.shape == p.mask_probability.shape == p.saliency.shape == (300, 200)
    )
    assert p.mask.dtype == bool and p.mask_probability.dtype == p.saliency.dtype == np.float32
    assert p.mask_probability.min() >= 0 and p.mask_probability.max() <= 1 and p.saliency.min() >= 0
    assert np.array_equal(p.mask, p.mask_probability > 0.5) and p.lung_share == p.mask.mean()
    assert list(p.probabilities) == ["NORMAL", "PNEUMONIA"] and sum(
        p.probabilities.values()
    ) == pytest.approx(1)
    assert p.label in p.probabilities and p.probability == max(p.probabilities.values())


def test_every_kind_of_source_gives_the_same_answer(model, tmp_path):
    film = phantom.draw(3, 1, 64)[0]
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
    films = [
        phantom.draw(i, 0, 40 + i)[0] for i in range(10)
    ]  # more than a batch, of different sizes
    for i, film in enumerate(films):
        save(tmp_path / f"film{i}.png", film)
    one_by_one = [predict(model, film) for film in films]
    for many in (
        predict(model, films),
        predict(model, tmp_path),
        predict(model, sorted(tmp_path.iterdir())),
    ):
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
            yield phantom.draw(i % 4, 0, 40)[0]

    predictions = predict_iter(model, films())
    first = [next(predictions) for _ in range(3)]
    assert [p.name for p in first] == ["film-1", "film-2", "film-3"] and len(read) < 500
    assert first[0].probabilities == pytest.approx(predict(model, next(films())).probabilities)
    (tmp_path / "bad.png").write_text("no picture")
    save(tmp_path / "good.png", phantom.draw(1, 0, 40)[0])
    with pytest.raises(ValueError, match=r"bad\.png is not a picture"):
        list(predict_iter(model, tmp_path))
    errors = []
    assert [p.name for p in predict_iter(model, tmp_path, on_error=errors.append)] == ["good"]
    assert len(errors) == 1 and errors[0].path == tmp_path / "bad.png"
    for wrong in (lambda: predict_iter(model, 3), lambda: predict_iter(model, [], invert="x")):
        with pytest.raises(ValueError, match=r"A int is no film|invert is 'x'"):
            wrong()  # at once, not when the first film is asked for


def test_a_name_of_numbers_and_dots_is_no_ending(model, tmp_path):
    uid = "1.2.840.113.5"
    dicom(tmp_path / uid, phantom.draw(1, 0, 40)[0].astype("uint16"))
    assert predict(model, tmp_path / uid).name == predict(model, tmp_path)[0].name == uid


def test_the_mode_is_left_as_it_was_and_dropout_off(model):
    film = phantom.draw(3, 1, 64)[0]
    answers = [predict(model.train(mode), film).probabilities for mode in (False, True, True)]
    assert answers[0] == answers[1] == answers[2] and model.training


def test_doubtful_films_carry_warnings(model):
    flat = predict(model, np.full((300, 300), 100, dtype=np.uint8))
    assert any("little contrast" in text for text in flat.warnings)
    assert any("tiny" in text for text in predict(model, phantom.draw(1, 0, 64)[0]).warnings)
    model.decoder.conv_last.bias.data.fill_(1e4)
    assert any(
        "The lungs fill 100%" in text for text in predict(model, phantom.draw(1)[0]).warnings
    )


def test_the_calibration_moves_the_probability(model):
    film = phantom.draw(3, 1, 64)[0]
    plain = predict(model, film)
    odds = np.log(plain.probabilities["PNEUMONIA"] / plain.probabilities["NORMAL"])
    model.calibration = {"temperature": 2.0, "operating_point": 0.8}
    moved = predict(model, film)
    assert np.log(
        moved.probabilities["PNEUMONIA"] / moved.probabilities["NORMAL"]
    ) == pytest.approx(odds / 2 - np.log(4), abs=1e-4)
    assert moved.label == max(moved.probabilities, key=moved.probabilities.get)


def test_flip_tells_where_it_disagrees(model):
    film = phantom.draw(3, 1, 100)[0]
    p = predict(model, film, flip=True)
    assert p.disagreement.shape == film.shape and 0 < p.disagreement.max() <= 1
    assert predict(model, film).disagreement is None


def test_save_writes_figure_and_mask(model, tmp_path):
    p = predict(model, phantom.draw(3, 1, 100)[0])
    path = p.save(tmp_path / "new" / "folder")
    assert path.name == "film-1.png" and read_film(path).shape[1] > 800
    assert np.array_equal(read_film(path.parent / "film-1_mask.png") > 0, p.mask)
    assert len(list(path.parent.iterdir())) == 2


def test_faults_are_named(model, tmp_path):
    for source, words in (
        (tmp_path / "none.png", "There is no film"),
        (tmp_path, "There are no films in"),
        ("x" * 300, "File name too long"),
        ([np.zeros((3, 3, 3, 3))], "array of float64"),
    ):
        with pytest.raises(ValueError, match=words):
            predict(model, source)
    for weights in (tmp_path / "none", "none.pth", str(tmp_path / "none")):
        with pytest.raises(ValueError, match="There is no weights file"):
            load_model(weights)
    with pytest.raises(ValueError, match="There is no bundled network 'multimax'; choose multimix"):
        load_model("multimax")


def test_a_trained_network_predicts_at_the_side_it_was_trained_at(films, tmp_path):
    config = multimix.Config(side=32, widths=TINY, batch=2, steps=1)
    trained = train(config, films, tmp_path, device="cpu", progress=False)
    again = load_model(tmp_path / "best.pth", "cpu")
    assert again.side == trained.side == 32 and not again.training
    assert again.name == f"{tmp_path.name}/best.pth" and trained.name == ""
    film = phantom.draw(3)[0]
    assert predict(again, film).probabilities == predict(trained, film).probabilities


def test_the_public_names():
    assert set(multimix.__all__) >= {
        "Config",
        "MultiMix",
        "evaluate",
        "load_model",
        "predict",
        "train",
    }
    assert all(getattr(multimix, name).__doc__ for name in multimix.__all__)
    assert torch.is_grad_enabled()
