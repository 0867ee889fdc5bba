"""Lay out the films that the bundled networks are trained on, as folders of links.

    python weights/training_folders.py DATA ADULTS OUT --weights multimix

DATA has the folders chest_xray, chest_xray_lungs and siim; ADULTS is a folder with films.csv. OUT
gets these folders:

chest_xray/{train,val}/{NORMAL,PNEUMONIA}: Kermany's training half. A tenth of the patients
    validates. Patient person1008 is left out, as a sample film shows this patient.
children_lungs/{train,val}/{images,masks}: those of them that have a hand outline.
adults_lungs/{train,val,test}/{images,masks}: the outlined adults. Two patients in five are held
    back as test films, the patients of the sample films among them.
healthy_lungs/train/{images,masks}: adults of SIIM without pneumonia, with a network's outlines.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import multimix
from multimix.data.dataset_layouts import read_layout
from multimix.data.splits import split_films

SAMPLE_PATIENT, SAMPLE_ADULTS = "person1008", ("8fc103ca", "887db78f")


def link(source: Path, target: Path) -> None:
    """Make `target` a link to `source`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def lay_out_children(data: Path, out: Path) -> None:
    """Kermany's films and outlines; of the patients that validate, at most 50 outlines a class."""
    films = read_layout(data / "chest_xray").films
    masks = {path.stem: path for path in (data / "chest_xray_lungs").rglob("*.png")}
    validating = {0: 0, 1: 0}
    for film, split in zip(films, split_films(films, seed=0)):
        path = Path(film.source)
        if split == "test" or film.patient == SAMPLE_PATIENT:
            continue
        link(path, out / "chest_xray" / split / path.parent.name / path.name)
        if path.stem not in masks or (split == "val" and validating[film.label] == 50):
            continue
        validating[film.label] += split == "val"
        link(path, out / "children_lungs" / split / "images" / path.name)
        mask = masks[path.stem]
        link(mask, out / "children_lungs" / split / "masks" / mask.name)


def lay_out_adults(folder: Path, out: Path) -> None:
    """The outlined adults, split by patient."""
    films = pd.read_csv(folder / "films.csv", dtype=str)
    shown = set(films.patient[films.path.str.contains("|".join(SAMPLE_ADULTS))])
    drawn = np.random.default_rng(0).permutation(sorted(set(films.patient) - shown))
    held_back = shown | set(drawn[:18])
    for film in films.itertuples():
        split = "test" if film.patient in held_back else "train"
        split = "val" if film.patient in drawn[18:21] else split
        link(folder / film.path, out / "adults_lungs" / split / film.path)
        link(folder / film.mask, out / "adults_lungs" / split / film.mask)


def lay_out_healthy(folder: Path, weights: str, out: Path, count: int = 500) -> None:
    """Adults without pneumonia, with the outlines of a network where it is sure of them."""
    (out / "masks").mkdir(parents=True, exist_ok=True)
    model, films = multimix.load_model(weights), sorted(folder.glob("*.jpg"))
    for film in multimix.predict_iter(model, films[: 2 * count]):
        if film.expected_dice < 0.965 or film.warnings or count == 0:
            continue
        count -= 1
        link(film.source, out / "images" / film.source.name)
        Image.fromarray(film.mask).save(out / "masks" / f"{film.name}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("adults", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="multimix")
    options = parser.parse_args()
    lay_out_children(options.data, options.out)
    lay_out_adults(options.adults, options.out)
    normal = options.data / "siim" / "train" / "NORMAL"
    lay_out_healthy(normal, options.weights, options.out / "healthy_lungs" / "train")
