"""A threshold for a site of one's own, from labelled films."""

import pytest
import torch
from drawn import draw
from helpers import SIDE, save

from multimix.apps.cli import main
from multimix.evaluation import site
from multimix.evaluation.calibration import calibrate
from multimix.evaluation.site import calibrate_to_site
from multimix.inference import load_model
from multimix.runtime.checkpoint import save_checkpoint


def test_it_is_the_calibration_of_the_labelled_films(model, films, monkeypatch):
    part = films.classification
    log_odds = torch.where(part.labels == 1, 3.0, 1.0).double() + torch.randn(len(part)).double()
    monkeypatch.setattr(site, "predict_log_odds", lambda *_: log_odds)
    found = calibrate_to_site(model, films)
    assert found.values == calibrate(log_odds.numpy(), part.labels.numpy())
    assert found.values["operating_point"] > 0.7 and f"{len(part)} labelled films" in found.note
    few = part[(part.labels == 1).nonzero().flatten()]
    with pytest.raises(ValueError, match="0 NORMAL, 20 PNEUMONIA films with a label; at least 5"):
        calibrate_to_site(model, type(films)(few))
    model.info.tasks = ("segmentation",)
    with pytest.raises(ValueError, match="The network has not learnt classification"):
        calibrate_to_site(model, films)


def test_the_command_writes_weights_with_another_threshold(tmp_path, model, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "old.pth", {"weights": model.state_dict(), "config": {"side": SIDE}})
    for i in range(12):
        folder = tmp_path / "site" / ("NORMAL", "PNEUMONIA")[i % 2]
        save(folder / f"film{i}.png", draw(i, i % 2, SIDE)[0])
    words = ["calibrate", "site", "--weights", "old.pth", "--out", "new/site.pth"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "Fitted to 12 labelled films (6 NORMAL, 6 PNEUMONIA)." in printed
    assert "(none before)" in printed and "--weights new/site.pth" in printed
    new = load_model("new/site.pth")
    assert new.info.calibration and new.info.side == SIDE
    assert all(torch.equal(a, b) for a, b in zip(new.parameters(), model.parameters()))
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["calibrate", "site/NORMAL", *words[2:-1], "b.pth"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
