"""The project's outputs, kept as text. A change of structure must not change them.

After a change that is meant to: PYTHONPATH=. python tests/test_golden.py. Numbers are compared with
a tolerance, because processors sum in different orders.
"""

import re
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from helpers import ROOT, read_log

import multimix
from multimix.apps.cli import main

GOLDEN = Path(__file__).parent / "golden"
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
SAMPLES = ROOT / "sample_data"
SMALL = str(SAMPLES / "small")
TRAIN = ["train", "--classification", SMALL, "--segmentation", SMALL, "--class-labels", "20"]
TRAIN += ["--masks", "5", "--side", "32", "--steps", "4", "--validate-every", "2"]
TRAIN += ["--learning-rate", "1e-4", "--unlabelled-from", "0"]


def predictions(out: Path) -> str:
    """The outputs of both bundled networks for the sample films."""
    lines = []
    for weights in ("multimix", "multimix_100_10"):
        model = multimix.load_model(weights, "cpu")
        films = [SAMPLES / name for name in sorted(pd.read_csv(SAMPLES / "films.csv")["path"])]
        for p in multimix.predict(model, films):
            lines.append(
                f"{weights} {p.name} {p.label} {p.probability:.5f} lungs {p.lung_share:.5f} "
                f"lung probability {p.mask_probability.mean():.5f} saliency "
                f"{p.saliency.mean():.6f} {' '.join(p.warnings)}"
            )
    return "\n".join(lines) + "\n"


def training_log(out: Path, recipe: str) -> str:
    """Terms of the loss and validation Dice of a few steps, as differences of rounding grow."""
    main([*TRAIN, "--recipe", recipe, "--out", str(out)])
    lines = []
    for row in read_log(out):
        kept = [name for name in row if name == "val_dice" or not name.startswith(("val", "time"))]
        lines.append(" ".join(f"{name} {float(row[name]):.5f}" for name in kept))
    return "\n".join(lines) + "\n"


MAKERS = {
    "predictions": predictions,
    "paper": lambda out: training_log(out, "paper"),
    "improved": lambda out: training_log(out, "improved"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_has_changed(name, tmp_path):
    kept, now = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8"), MAKERS[name](tmp_path)
    assert NUMBER.sub("#", now) == NUMBER.sub("#", kept)
    then, found = ([float(number) for number in NUMBER.findall(text)] for text in (kept, now))
    assert found == pytest.approx(then, rel=2e-3, abs=2e-3)


if __name__ == "__main__":
    for name, make in MAKERS.items():
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / f"{name}.txt").write_text(make(Path(folder)), encoding="utf-8")
