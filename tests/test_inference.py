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
from multimix.model import CLASSES
from multimix.training import train

FILM = draw(3, 1, 64)[0]


def test_the_networks_that_come_with_it():
    few, trained = load_model("multimix_100_10", "cpu"), load_model(device="cpu")
    assert (few.info.name, few.info.side, trained.info.side) == ("multimix_100_10", 192, 224)
    assert few.info.calibration.keys() == {"temperature", "operating_point"}


def test_predictions_have_the_films_own_size(model):
    p = predict(model, np.tile(np.arange(200, dtype=np.uint8), (300, 1)))
    for array in (p.film, p.mask, p.mask_probability, p.saliency, p.explanation):
        assert array.shape == (300, 200)
    assert p.mask_probability.dtype == p.saliency.dtype == p.explanation.dtype == np.float32
    assert p.mask_probability.min() >= 0 and p.mask_probability.max() <= 1 and p.saliency.min() >= 0
    assert np.array_equal(p.mask, p.mask_probability > 0.5) and p.lung_share == p.mask.mean()
    assert tuple(p.probabilities) == CLASSES and sum(p.probabilities.values()) == pytest.approx(1)
    assert p.probability == p.probabilities[p.label] == max(p.probabilities.values())


def test_every_kind_of_source_gives_the_same_prediction(model, tmp_path):
    save(tmp_path / "film.png", FILM)
    path, expected, picture = tmp_path / "film.png", predict(model, FILM), Image.fromarray(FILM)
    arrays = (FILM / 255, np.dstack([FILM] * 3))
    for source in (path, str(path), picture, picture.convert("RGBA"), *arrays):
        p = predict(model, source)
        assert p.probabilities == expected.probabilities and np.array_equal(p.mask, expected.mask)
    assert predict(model, path).name == "film" and expected.name == "film-1"
    dicom(tmp_path / "1.2.840.5", FILM.astype("uint16"))  # numbers and dots are no ending
    assert predict(model, tmp_path / "1.2.840.5").name == "1.2.840.5"


def test_many_films_are_predicted_as_each_alone(model, tmp_path):
    films = [draw(i, i % 2, 40 + i)[0] for i in range(10)]  # more than a batch, of different sizes
    for i, film in enumerate(films):
        save(tmp_path / f"film{i}.png", film)
    one_by_one = [predict(model, film) for film in films]
    for sources in (films, tmp_path, sorted(tmp_path.iterdir())):
        many = predict(model, sources)
        assert len(many) == 10
        for p, alone in zip(many, one_by_one):
            assert p.probability == pytest.approx(alone.probability, abs=1e-6)
            for name in ("mask_probability", "explanation"):
                assert np.allclose(getattr(p, name), getattr(alone, name), atol=1e-5)
    batch = torch.from_numpy(np.stack([FILM] * 3))[:, None]
    assert [p.name for p in predict(model, batch)] == ["film-1", "film-2", "film-3"]
    assert predict(model, []) == []


def test_many_films_one_after_another(model, tmp_path):
    read = []

    def films():
        for i in range(1000):
            read.append(i)
            yield draw(i % 4, 0, 40)[0]

    predictions = predict_iter(model, films())
    assert [next(predictions).name for _ in range(3)] == ["film-1", "film-2", "film-3"]
    assert len(read) < 500
    (tmp_path / "bad.png").write_text("no picture")
    save(tmp_path / "good.png", FILM)
    with pytest.raises(ValueError, match=r"bad\.png is not a picture"):
        list(predict_iter(model, tmp_path))
    errors = []
    assert [p.name for p in predict_iter(model, tmp_path, on_error=errors.append)] == ["good"]
    assert ["bad.png" in str(error) for error in errors] == [True]


def test_a_generator_may_reuse_its_array(model):
    films = [draw(i, 0, 64)[0] for i in range(3)]
    buffer = np.empty_like(films[0])
    reused = (np.copyto(buffer, film) or buffer for film in films)
    assert np.array_equal([p.film for p in predict_iter(model, reused)], films)


@pytest.mark.parametrize("learnt", ("classification", "segmentation"))
def test_what_was_not_learnt_is_left_out(model, learnt):
    model.info.tasks = (learnt,)
    p, lungs = predict(model, FILM), learnt == "segmentation"
    assert (p.mask_probability is not None) == p.segmented == bool(p.quality) == lungs
    assert (p.saliency is None) == (p.explanation is None) == (not p.probabilities) == lungs
    assert any("has not learnt the" in text for text in p.warnings)
    assert lungs or not any("lungs fill" in text or "outline" in text for text in p.warnings)


def test_faults_are_named(model, tmp_path):
    for source, words in ((tmp_path / "none.png", "none.png"), (tmp_path, "There are no films in")):
        with pytest.raises(ValueError, match=words):
            predict(model, source)
    for wrong in (lambda: predict_iter(model, 3), lambda: predict_iter(model, [], invert="x")):
        with pytest.raises(ValueError, match=r"A int is not a film|invert is 'x'; auto or never"):
            wrong()  # at once, not at the first film
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
    assert predict(again, FILM).probabilities == predict(trained, FILM).probabilities
    first, second, third = repr(again).splitlines()
    assert first.endswith("best.pth: classification and segmentation of films at 32 px")
    assert "widths 2, 3, 4, 5, 6, with" in second and third.endswith("float32 on cpu")


def test_a_plain_border_changes_nothing_and_has_no_lung(model):
    film = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    p, framed = predict(model, film), predict(model, np.pad(film, ((10, 6), (4, 8))))
    assert framed.film.shape == framed.mask.shape == (80, 76)
    assert framed.probabilities == pytest.approx(p.probabilities, abs=1e-6)
    for name in ("mask_probability", "saliency", "explanation"):
        inside = (map := getattr(framed, name))[10:74, 4:68]
        np.testing.assert_allclose(inside, getattr(p, name), atol=1e-5)
        map[10:74, 4:68] = 0
        assert map.shape == (80, 76) and not map.any()


def test_openmp_waits_calmly_unless_the_user_has_set_it():
    known = {n: v for n, v in os.environ.items() if not n.startswith(("OMP_", "GOMP_", "KMP_"))}
    code = "import multimix, os; print(os.environ.get('OMP_WAIT_POLICY', ''))"
    policies = {"OMP_NUM_THREADS": "passive", "GOMP_SPINCOUNT": "", "OMP_WAIT_POLICY": "1"}
    for variable, policy in policies.items():
        environment = {**known, "PYTHONPATH": str(ROOT), variable: "1"}
        found = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
        assert found == f"{policy}\n"


def test_the_public_names():
    assert all(getattr(multimix, name).__doc__ for name in multimix.__all__)
    assert "load_model" in pydoc.render_doc(multimix) and torch.is_grad_enabled()
