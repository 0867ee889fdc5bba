"""Measure a network on every set that the model card reports.

    python tests/benchmarks/card.py DATA ADULTS [WEIGHTS ...]

DATA has chest_xray, siim, nihx, jsrt, montgomery and children_lungs. ADULTS has train, val and
test, each with images and masks: `weights/training_folders.py` makes it. The script prints a JSON
object for each network. Lungs are measured as the network draws them, at its own side.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

import multimix


def classes(model, folder: Path, split: str) -> dict[str, float]:
    """AUC, accuracy and calibration error on one set."""
    films = multimix.load_films(
        classification=str(folder), side=model.info.side, seed=model.info.seed, progress=False
    )
    found = multimix.evaluate(model, films, split)
    names = ("auc", "accuracy", "calibrated_accuracy", "calibrated_sensitivity")
    names += ("calibrated_specificity", "calibrated_ece")
    return {name: round(found[name], 4) for name in names if name in found}


def lungs(model, folder: Path, split: str) -> dict[str, float]:
    """Mean Dice and recall on one set, of children with and without pneumonia where names tell."""
    films = multimix.load_films(
        segmentation=str(folder), side=model.info.side, seed=model.info.seed, progress=False
    )
    found = multimix.evaluate(model, films, split, clean=False)
    result = {name: round(found[name], 4) for name in ("dice", "recall", "asd")}
    for name, word in (("pneumonia", "person"), ("normal", "IM-")):
        rows = [row for row in found.rows if word in row["film"]]
        if rows:
            result[f"dice_{name}"] = round(float(np.mean([row["dice"] for row in rows])), 4)
            result[f"recall_{name}"] = round(float(np.mean([row["recall"] for row in rows])), 4)
    return result


def false_alarms(model, films: list[Path]) -> str:
    """How many films without disease are called PNEUMONIA."""
    called = [film.label == "PNEUMONIA" for film in multimix.predict_iter(model, films)]
    return f"{sum(called)} of {len(called)}"


def measure(weights: str, data: Path, adults: Path) -> dict:
    """Every figure of the card, of one network."""
    model = multimix.load_model(weights)
    return {
        "weights": weights,
        "chest_xray": classes(model, data / "chest_xray", "test"),
        "siim": classes(model, data / "siim" / "val", "all"),
        "nihx": classes(model, data / "nihx", "all"),
        "jsrt": lungs(model, data / "jsrt", "test"),
        "montgomery": lungs(model, data / "montgomery", "all"),
        "children_lungs": lungs(model, data / "children_lungs", "all"),
        "adults_test": lungs(model, adults, "test"),
        "adults": lungs(model, adults, "all"),
        "healthy_jsrt": false_alarms(model, sorted((data / "jsrt/images").glob("JPCNN*"))),
        "healthy_montgomery": false_alarms(
            model, sorted((data / "montgomery/images").glob("*_0.*"))
        ),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("adults", type=Path)
    parser.add_argument("weights", nargs="*", default=["multimix"])
    options = parser.parse_args()
    for name in options.weights:
        print(json.dumps(measure(name, options.data, options.adults), indent=1))
