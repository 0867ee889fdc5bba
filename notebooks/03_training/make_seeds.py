"""Make `seeds.csv` of notebook 03: what unlabelled films bring, with four seeds.

Run it from the top folder: `python notebooks/03_training/make_seeds.py`. It takes about twenty
minutes on one core. Each row is one training of the class alone (`enc`), or of the class with
pseudo-labels on the unlabelled films (`enc_ssl`), measured on the 160 test films.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd

import multimix

SMALL = "sample_data/small"
TABLE = Path(__file__).with_name("seeds.csv")
STEPS = 400


def train_once(films: multimix.Films, system: str, class_labels: int, seed: int) -> dict:
    """One training, and its results on the test films."""
    config = multimix.Config.preset(
        system, recipe="quick", class_labels=class_labels, seed=seed, precision="bfloat16",
        side=64, sides=(), class_sides=(), steps=STEPS, validate_every=STEPS,
        unlabelled_from=0.25, threshold=0.9, pseudo_label_weight=1.0,
    )  # fmt: skip
    log: list[dict] = []
    with tempfile.TemporaryDirectory() as out:
        model = multimix.train(
            config, films, out, device="cpu", progress=False, on_validation=log.append
        )
    results = multimix.evaluate(model, films, "test")
    row = {"system": system, "class_labels": class_labels, "seed": seed}
    row["kept"] = round(log[-1].get("kept", 0), 3)
    return row | {name: round(results[name], 4) for name in ("auc", "accuracy")}


def main() -> None:
    films = multimix.Films(multimix.load_films(SMALL, None, 64, progress=False).classification)
    rows: list[dict] = []
    for seed in range(4):
        for class_labels in (20, 100):
            for system in ("enc", "enc_ssl"):
                rows.append(train_once(films, system, class_labels, seed))
                print(rows[-1], file=sys.stderr, flush=True)
                pd.DataFrame(rows).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()
