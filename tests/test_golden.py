"""What the project answers today, kept as text: a change of structure leaves these as they are.

`PYTHONPATH=. python tests/test_golden.py` writes the files anew, for a change that is meant to
change them. Numbers are compared to a tolerance, as another processor sums in another order.
"""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from helpers import ROOT, read_log
from PIL import Image

import multimix
from multimix.apps.cli import main

GOLDEN = Path(__file__).parent / "golden"
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
TRAIN = ["train", "--classification", "phantom://60", "--segmentation", "phantom://40"]
TRAIN += ["--class-labels", "20", "--masks", "5", "--side", "32", "--steps", "4"]
TRAIN += ["--validate-every", "2", "--learning-rate", "1e-4"]
TRAIN += ["--unlabelled-from", "0"]


def printed(*words) -> str:
    text = io.StringIO()
    with redirect_stdout(text):
        main([str(word) for word in words])
    return text.getvalue()


def predictions(out: Path) -> str:
    """Both bundled networks on the sample films."""
    lines = []
    for weights in ("multimix", "multimix_100_10"):
        model = multimix.load_model(weights, "cpu")
        for p in multimix.predict(model, ROOT / "sample_data"):
            lines.append(
                f"{weights} {p.name} {p.label} {p.probability:.5f} lungs {p.lung_share:.5f} lung "
                f"probability {p.mask_probability.mean():.5f} saliency {p.saliency.mean():.6f} "
                f"{' '.join(p.warnings)}"
            )
    return "\n".join(lines) + "\n"


def training_log(out: Path, recipe: str) -> str:
    """A few steps on phantoms: the terms of the loss, and Dice.

    Few, as differences of rounding grow; what jumps from film to film is left out.
    """
    printed(*TRAIN, "--recipe", recipe, "--out", out)
    lines = []
    for row in read_log(out):
        kept = [name for name in row if name == "val_dice" or not name.startswith(("val", "time"))]
        lines.append(" ".join(f"{name} {float(row[name]):.5f}" for name in kept))
    return "\n".join(lines) + "\n"


def paper(out: Path) -> str:
    return training_log(out, "paper")


def improved(out: Path) -> str:
    return training_log(out, "improved")


def examined(out: Path) -> str:
    """What doctor says of class folders, and of films with masks, both with faults."""
    phantoms = multimix.load_films("phantom://20", "phantom://20", 128, progress=False)
    masks = phantoms.segmentation.targets
    for i in range(20):
        picture = Image.fromarray(phantoms.classification.pixels[i].numpy())
        save(
            picture,
            out / "classes" / ("NORMAL", "PNEUMONIA")[i % 2] / f"person{i // 4}_virus_{i}.png",
        )
        save(
            Image.fromarray(phantoms.segmentation.pixels[i].numpy()),
            out / "lungs" / "images" / f"{i}.png",
        )
        save(Image.fromarray(masks[i].numpy() & (i > 0)), out / "lungs" / "masks" / f"{i}.png")
    save(picture, out / "classes" / "NORMAL" / "twin.png")
    save(picture.point(lambda grey: 255 - grey), out / "classes" / "NORMAL" / "negative.png")
    (out / "classes" / "NORMAL" / "broken.png").write_bytes(b"no picture")
    return printed("doctor", out / "classes", out / "lungs").replace(str(out), "DATA")


def save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


@pytest.mark.parametrize(
    "make", [predictions, paper, improved, examined], ids=lambda make: make.__name__
)
def test_nothing_has_changed(make, tmp_path):
    kept, now = (GOLDEN / f"{make.__name__}.txt").read_text(encoding="utf-8"), make(tmp_path)
    assert NUMBER.sub("#", now) == NUMBER.sub("#", kept)
    then, found = ([float(number) for number in NUMBER.findall(text)] for text in (kept, now))
    assert found == pytest.approx(then, rel=2e-3, abs=2e-3)


if __name__ == "__main__":
    import tempfile

    for make in (predictions, paper, improved, examined):
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / f"{make.__name__}.txt").write_text(make(Path(folder)), encoding="utf-8")
