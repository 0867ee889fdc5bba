"""How often `predict` takes a film for inverted that is not, and how many negatives it finds.

    MULTIMIX_DATA=films python tests/benchmarks/inversion.py
    python tests/benchmarks/inversion.py films --network multimix_100_10 --every 10

Every film below the folders counts as upright and not inverted; masks are left out. README.md
beside this file keeps figures.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[2]))

from multimix.data.film_folder import sources_of
from multimix.images.quality import looks_inverted, looks_turned
from multimix.images.reading import read_film, resize
from multimix.inference import find_inverted, load_model
from multimix.model import MultiMix

BATCH = 4


def film_files(folders: list[Path]) -> list[Path]:
    """The films of folders, without masks."""
    files: list[Path] = []
    for folder in folders:
        films = [Path(film) for film in sources_of(folder)]
        files += [film for film in films if "mask" not in film.parent.name]
    return files


def count(model: MultiMix, films: list[np.ndarray], counts: Counter[str]) -> None:
    """Add what is said of films and of their negatives, and of the films turned."""
    negatives = [255 - film for film in films]
    counts["films"] += len(films)
    counts["films called inverted"] += sum(find_inverted(model, films))
    counts["negatives called inverted"] += sum(find_inverted(model, negatives))
    for film, negative in zip(films, negatives):
        counts["films that may be inverted, by the picture alone"] += looks_inverted(film)
        counts["negatives that may be inverted, by the picture alone"] += looks_inverted(negative)
        counts["films that may be turned"] += looks_turned(film)
        counts["films turned by 180 degrees that may be"] += looks_turned(np.rot90(film, 2))
        counts["films turned by 90 degrees that may be"] += looks_turned(np.rot90(film))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--network", default="multimix")
    parser.add_argument("--every", type=int, default=1, help="take one film of so many")
    options = parser.parse_args()
    model = load_model(options.network)
    files = film_files(options.folders or [Path(os.environ["MULTIMIX_DATA"])])[:: options.every]
    counts: Counter[str] = Counter()
    device = next(model.parameters()).device.type
    with torch.autocast(device, torch.bfloat16), torch.inference_mode():
        for first in tqdm(range(0, len(files), BATCH), unit="batch"):
            films = [read_film(file) for file in files[first : first + BATCH]]
            count(model, [resize(film, model.info.side) for film in films], counts)
    for what, number in counts.items():
        print(f"{number:6d} {what}")


if __name__ == "__main__":
    main()
