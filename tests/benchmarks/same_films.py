"""What it brings to teach the class and the lungs on the same films, beside two separate sets.

    python tests/benchmarks/same_films.py FILMS --data DATA --out RUNS [--seeds 3]

FILMS is made by weights/training_folders.py: Kermany's training half, and the outlines of its
films. DATA (or MULTIMIX_DATA) holds chest_xray and children_lungs, to test on. Each training is
MultiMix by the recipe `quick`, with 100 classes and 100 outlines: of the same 100 films, or the
outlines of 100 films of other patients. All other films are unlabelled ones of both tasks.
Measured: AUC and accuracy at the operating point on Kermany's test half, Dice without
post-processing, at the network's side, on the 315 outlined films of children_lungs.
"""

import argparse
import os
import sys
from pathlib import Path

import pandas as pd
import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from labels import measure, with_labels_of

from multimix import Config, load_films, train
from multimix.data.film_set import Films, FilmSet
from multimix.data.training_films import sample_budget

LABELS = 100


def file_names(films: FilmSet) -> list[str]:
    """The name of each film's file, without its folders."""
    return [Path(name).name for name in films.names]


def training_places(films: FilmSet, names: set[str]) -> list[int]:
    """Indices of the labelled training films with these names of files."""
    usable = zip(file_names(films), films.splits, films.labelled.tolist())
    return [
        i for i, (n, split, has) in enumerate(usable) if has and split == "train" and n in names
    ]


def choose(films: Films, same: bool, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the 100 films that keep a class, and of the 100 that keep an outline."""
    classes, lungs = films.classification, films.segmentation
    both = set(file_names(classes)) & set(file_names(lungs))
    places = torch.tensor(training_places(classes, both))
    kept = places[sample_budget(classes[places], LABELS, seed)]
    chosen = set(file_names(classes[kept]))
    if not same:
        patients = {classes.patients[i] for i in kept.tolist()}
        others = torch.tensor([i for i in places if classes.patients[i] not in patients])
        drawn = others[sample_budget(classes[others], LABELS, seed + 1000)]
        chosen = set(file_names(classes[drawn]))
    return kept, torch.tensor(training_places(lungs, chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("MULTIMIX_DATA"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    out, rows = options.out, []
    more = dict(side=Config.preset(recipe="quick").side, cache=out / "cache", progress=False)
    films = load_films(options.films / "chest_xray", options.films / "children_lungs", **more)
    tests = load_films(options.data / "chest_xray", options.data / "children_lungs", **more)
    for seed in range(options.seeds):
        for same in (True, False):
            classes, lungs = choose(films, same, seed)
            known = Films(
                with_labels_of(films.classification, classes),
                with_labels_of(films.segmentation, lungs),
            )
            config, name = Config.preset(recipe="quick", seed=seed), "same" if same else "two"
            model = train(config, known, out / f"{name}-{seed}", resume=True, progress=False)
            row = {"films": name, "seed": seed}
            row |= measure(model, {"test": tests.classification.split("test")}, "classification")
            row |= measure(model, {"children": tests.segmentation}, "segmentation")
            rows.append(row)
            print(row, flush=True)
    results = pd.DataFrame(rows).drop(columns="seed").groupby("films")
    print(results.agg(["mean", "std"]).round(4).to_string())


if __name__ == "__main__":
    main()
