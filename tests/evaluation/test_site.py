"""A threshold for a site of one's own: with labels, without, and refused."""

import numpy as np
import pytest
import torch
from helpers import SIDE, save
from scipy.special import expit

from multimix.apps.cli import main
from multimix.data import phantom
from multimix.evaluation import site
from multimix.evaluation.calibration import calibrate
from multimix.evaluation.site import calibrate_to_site, from_groups, otsu_threshold
from multimix.inference import load_model
from multimix.runtime.checkpoint import save_checkpoint

RNG = np.random.default_rng(0)
TWO_GROUPS = np.concatenate([RNG.normal(1, 0.5, 60), RNG.normal(4, 0.5, 40)])


def test_otsus_cut_by_hand():
    cut, separation = otsu_threshold(np.array([5.0, 0.0, 6.0, 1.0]))
    assert cut == 3 and separation == pytest.approx(6.25 / 6.5)  # 2.5 ** 2 of 2.5 ** 2 + 0.5 ** 2
    assert otsu_threshold(RNG.normal(0, 3, 20_000))[1] == pytest.approx(2 / np.pi, abs=0.01)
    assert otsu_threshold(np.linspace(-9, 9, 20_001))[1] == pytest.approx(3 / 4, abs=1e-3)


def test_two_groups_are_parted_without_labels():
    found = from_groups(TWO_GROUPS, {"temperature": 2.0, "operating_point": 0.5})
    assert found.values["temperature"] == 2
    assert expit(1.8 / 2) < found.values["operating_point"] < expit(3.2 / 2)
    assert "60 lie below and 40 above" in found.note and "these very films" in found.note


@pytest.mark.parametrize(
    ("log_odds", "words"),
    (
        (TWO_GROUPS[:29], "29 films without labels; at least 30 are needed, or labels"),
        (RNG.normal(2, 1, 200), "do not fall into two groups .* seem to be of one class"),
        (np.append(RNG.normal(0, 0.1, 99), 50.0), "seem to be of one class; give films of both"),
        (np.zeros(50), "do not fall into two groups"),
    ),
)
def test_one_class_or_few_films_are_refused(log_odds, words):
    with pytest.raises(ValueError, match=words):
        from_groups(log_odds, {})


def test_labels_are_taken_where_there_are_some(model, films, monkeypatch):
    part = films.classification
    log_odds = torch.where(part.labels == 1, 3.0, 1.0).double() + torch.randn(len(part)).double()
    monkeypatch.setattr(site, "predict_log_odds", lambda *arguments: log_odds)
    found = calibrate_to_site(model, films)
    assert found.values == calibrate(log_odds.numpy(), part.labels.numpy())
    assert found.values["operating_point"] > 0.7 and f"{len(part)} labelled films" in found.note


def test_the_command_writes_weights_with_another_threshold(tmp_path, model, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "old.pth", {"weights": model.state_dict(), "config": {"side": SIDE}})
    for i in range(12):
        folder = tmp_path / "site" / ("NORMAL", "PNEUMONIA")[i % 2]
        save(folder / f"film{i}.png", phantom.draw(i, i % 2, SIDE)[0])
    words = ["calibrate", "site", "--weights", "old.pth", "--out", "new/site.pth"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "Fitted to 12 labelled films (6 NORMAL, 6 PNEUMONIA)." in printed
    assert "(there was none)" in printed and "--weights new/site.pth" in printed
    new, old = load_model("new/site.pth"), load_model("old.pth")
    assert new.calibration and not old.calibration and new.side == SIDE
    assert all(torch.equal(a, b) for a, b in zip(new.parameters(), old.parameters()))
    for name, reason in (("new/site.pth", "is there already"), ("a.pt", "does not end in .pth")):
        assert main([*words[:-1], name]) == 2
        assert reason in capsys.readouterr().err
    assert main(["calibrate", "site/NORMAL", *words[2:-1], "b.pth"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
