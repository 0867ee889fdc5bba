"""Where the class comes from: whole films, their lungs alone, and what is left without them.

    python tests/benchmarks/shortcut.py FOLDER [--weights multimix] [--split val] [--every 1]

The lungs are those that the network finds. 'Lungs alone' has the film's mean grey around them,
'lungs removed' has it in them, 'hull removed' in their convex hull, so that the heart goes, too.
An AUC well above .5 without the hull says that the class leans on what is outside the lungs.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from skimage.morphology import convex_hull_image

sys.path.insert(0, str(Path(__file__).parents[2]))

from multimix import load_films, load_model
from multimix.evaluation.metrics import classification_metrics
from multimix.predictions.outputs import class_log_odds, films_for, run_network

BATCH = 8


def versions(films: np.ndarray, lungs: np.ndarray) -> dict[str, np.ndarray]:
    """Films (N, side, side) uint8 with parts of them at their mean grey, by what is left."""
    hulls = np.stack([convex_hull_image(lung) if lung.any() else lung for lung in lungs])
    mean = films.mean((1, 2), keepdims=True).astype(np.uint8)
    return {
        "whole": films,
        "lungs alone": np.where(lungs, films, mean),
        "lungs removed": np.where(lungs, mean, films),
        "hull removed": np.where(hulls, mean, films),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--weights", default="multimix")
    parser.add_argument("--split", default="val")
    parser.add_argument("--every", type=int, default=1, help="take one film of so many")
    options = parser.parse_args()
    network = load_model(options.weights)
    films = load_films(options.folder, None, network.info.side, network.info.seed, progress=False)
    films = films.labelled(options.split).classification
    films = films[torch.arange(0, len(films), options.every)]
    found: dict[str, list[torch.Tensor]] = {}
    for pixels in films.pixels.split(BATCH):
        with torch.inference_mode():
            output = run_network(network, films_for(network, pixels), clean=True)
        lungs = output.lung[:, 0].numpy() > 0.5
        for name, changed in versions(pixels.numpy(), lungs).items():
            with torch.inference_mode():
                log_odds = class_log_odds(network, films_for(network, torch.from_numpy(changed)))
            found.setdefault(name, []).append(log_odds)
    print(f"{options.weights} on {len(films)} films of {options.folder}, split {options.split}")
    for name, log_odds in found.items():
        probability = torch.sigmoid(torch.cat(log_odds)).numpy()
        metrics = classification_metrics(probability, films.labels.numpy())
        print(f"{name}: AUC {metrics['auc']:.3f}, accuracy {metrics['accuracy']:.3f}")


if __name__ == "__main__":
    main()
