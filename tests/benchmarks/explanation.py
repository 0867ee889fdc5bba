"""Which map shows best what a film's class depends on: deletion, insertion, share in the lungs.

    python tests/benchmarks/explanation.py multimix DATA [--films 200] [--maps occlusion,gradient]

DATA holds the network's validation films of classes, `chest_xray` (children) and `siim` (adults),
and `chest_xray_lungs`, lungs of children outlined by hand. Each map gives a number to each of
14 x 14 cells. Deletion replaces 5 to 50 % of the cells, those first that speak most for the class
that the network gives, by a blurred film: the probability of that class should fall. Insertion
brings them back into a blurred film: it should rise. The table is printed every twenty films.
README.md beside this file keeps figures.
"""

import argparse
import io
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[2]))

from multimix.images.reading import read_film, read_mask, rescale, resize
from multimix.inference import load_model
from multimix.model import MultiMix
from multimix.predictions.outputs import CELLS, class_log_odds, explain, films_for

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
Map = Callable[[MultiMix, Tensor, Tensor], Tensor]  # network, film, blurred film -> (CELLS, CELLS)


def gradient_of(model: MultiMix, x: Tensor) -> Tensor:
    """d (log odds of PNEUMONIA) / d pixel, of x (N, 1, H, W)."""
    log_odds = class_log_odds if x.shape[-1] == model.info.side else x_log_odds
    x = x.clone().requires_grad_()
    return torch.autograd.grad(log_odds(model, x).sum(), x)[0]


def cells_of(pixels: Tensor) -> Tensor:
    """(1, 1, H, W) to its mean in each cell."""
    return F.adaptive_avg_pool2d(pixels, CELLS)[0, 0]


def random_map(model: MultiMix, x: Tensor, blurred: Tensor) -> Tensor:
    return torch.rand(CELLS, CELLS)


def size_of_gradient(model: MultiMix, x: Tensor, blurred: Tensor) -> Tensor:
    """The saliency, which has no sign: it counts for the class that the network gives."""
    sign = class_log_odds(model, x).sign().item()
    return sign * cells_of(model.saliency(x))


def activation(model: MultiMix, x: Tensor, blurred: Tensor) -> Tensor:
    """Class activation: the deepest maps, weighted as the class head weights them."""
    normal, pneumonia = model.encoder.fc.weight
    maps = model.encoder(x)[1][4]
    return cells_of(((pneumonia - normal).view(1, -1, 1, 1) * maps).sum(1, keepdim=True))


def gradient_times(model: MultiMix, x: Tensor, blurred: Tensor, *, less: str) -> Tensor:
    """The gradient times the film less its mean, or less the blurred film."""
    return cells_of(gradient_of(model, x) * (x - (blurred if less == "blurred" else x.mean())))


def smooth_gradient(model: MultiMix, x: Tensor, blurred: Tensor) -> Tensor:
    """SmoothGrad as published: the size of the mean gradient of noisy films, without a sign."""
    films = rescale(x, min(model.info.class_sides)).expand(4, -1, -1, -1)
    noisy = films + 0.2 * torch.randn_like(films)  # a tenth of the range
    gradient = torch.cat([gradient_of(model, film[None]) for film in noisy]).mean(0, True)
    return class_log_odds(model, x).sign().item() * cells_of(gradient.abs())


def explanation(model: MultiMix, x: Tensor, blurred: Tensor) -> Tensor:
    """`Prediction.explanation`: integrated gradients, which blur in their own way."""
    return explain(model, x)[0, 0]


def occlusion(
    model: MultiMix, x: Tensor, blurred: Tensor, *, side: int, grid: int, reach: float
) -> Tensor:
    """The fall of the log odds where one square after another is replaced by the blurred film.

    Arguments:
        side: px that the film is reduced to first.
        grid: squares along a side.
        reach: half a square's side, in squares of the grid: at 0.5 they do not overlap.
    """
    x, blurred = rescale(x, side), rescale(blurred, side)
    falls = []
    places = (torch.arange(side) + 0.5) / side * grid - 0.5  # of pixels, in squares
    inside = (places - torch.arange(grid)[:, None]).abs() <= reach  # (grid, side)
    whole = x_log_odds(model, x)
    for rows in inside:
        there = (rows[:, None] & inside[:, None, :])[:, None]  # (grid, 1, side, side)
        falls.append(whole - x_log_odds(model, torch.where(there, blurred, x)))
    return cells_of(F.interpolate(torch.stack(falls)[None, None], CELLS, mode="bilinear"))


def x_log_odds(model: MultiMix, x: Tensor) -> Tensor:
    """Log odds of PNEUMONIA at the side of x alone, in bfloat16, to save time."""
    with torch.autocast("cpu", torch.bfloat16):
        normal, pneumonia = model.classify(x).float().unbind(1)
    return pneumonia - normal


MAPS: dict[str, Map] = {
    "random": random_map,
    "|gradient| (p.saliency)": size_of_gradient,
    "class activation": activation,
    "SmoothGrad": smooth_gradient,
    "gradient x (film - mean)": partial(gradient_times, less="mean"),
    "gradient x (film - blurred)": partial(gradient_times, less="blurred"),
    "integrated gradients (p.explanation)": explanation,
    "occlusion 7 x 7, 96 px": partial(occlusion, side=96, grid=7, reach=0.5),
    "occlusion 14 x 14, 96 px": partial(occlusion, side=96, grid=14, reach=1.5),
}


def validation_films(model: MultiMix, data: Path, count: int) -> list[str]:
    """Films with which the network was validated, as many of each hospital and class."""
    table = pd.read_csv(io.StringIO(model.info.manifest))
    table = table[(table["task"] == "classification") & (table["split"] == "val")]
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for film in map(Path, sorted(table["film"])):
        hospital, label = film.parts[0], film.parts[-2]
        for split in ("train", "val"):  # of the folder as it was published
            name = f"{hospital}/{split}/{label}/{film.name}"
            if (data / name).is_file():
                groups[hospital, label].append(name)
    print({"/".join(group): len(films) for group, films in groups.items()})
    each = count // len(groups)
    return [films[i * len(films) // each] for i in range(each) for films in groups.values()]


def probabilities(model: MultiMix, films: Tensor) -> np.ndarray:
    """Of PNEUMONIA, read at the middle one of the network's sides, to save time."""
    side = int(np.median(model.info.class_sides))
    with torch.inference_mode():
        return torch.sigmoid(x_log_odds(model, rescale(films, side))).numpy()


def measure(
    model: MultiMix, films: list[str], data: Path, maps: dict[str, Map]
) -> Iterator[tuple[str, str, np.ndarray, float, float]]:
    """For each film and map: hospital, map, (2, shares) probabilities, share in lungs, seconds."""
    for name in tqdm(films, unit="film"):
        grey = resize(read_film(data / name), model.info.side)
        smooth = scipy.ndimage.gaussian_filter(grey, len(grey) / CELLS)
        x, blurred = (films_for(model, torch.tensor(p)[None]) for p in (grey, smooth))
        mask = data / name.replace("chest_xray/train", "chest_xray_lungs/masks")
        mask = mask.with_suffix(".png")
        lungs = None
        if mask.is_file() and "chest_xray" in name:
            lungs = cells_of(torch.from_numpy(read_mask([mask], CELLS * 16)).float()[None, None])
        sign = 1 if probabilities(model, x)[0] > 0.5 else -1
        for kind, make in maps.items():
            began = time.process_time()
            with torch.set_grad_enabled("rad" in kind):  # a gradient is needed
                heat = make(model, x, blurred).detach().float()
            seconds = time.process_time() - began
            rank = (-sign * heat).flatten().argsort().argsort().view(CELLS, CELLS)
            first = torch.stack([rank < share * CELLS**2 for share in SHARES])
            there = F.interpolate(torch.cat([first, ~first])[:, None].float(), x.shape[-1])
            found = probabilities(model, x * (1 - there) + blurred * there)
            found = (found if sign > 0 else 1 - found).reshape(2, -1)
            size = heat.abs() / heat.abs().sum().clamp(min=1e-12)
            inside = float("nan") if lungs is None else float((size * lungs).sum())
            yield name.split("/")[0], kind, found, inside, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("data", type=Path)
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--maps", default="", help="only maps with one of these words (a,b)")
    options = parser.parse_args()
    torch.manual_seed(0)
    model = load_model(options.weights, "cpu")
    words = options.maps.split(",")
    maps = {name: make for name, make in MAPS.items() if any(word in name for word in words)}
    films = validation_films(model, options.data, options.films)
    rows: list[dict] = []
    for hospital, kind, found, inside, seconds in measure(model, films, options.data, maps):
        deletion, insertion = found.mean(1)
        curve = dict(zip((f"{share:.0%}" for share in SHARES), found[0]))
        numbers = {"deletion": deletion, "insertion": insertion, "in lungs": inside}
        rows.append({"map": kind, **curve, **numbers, "s": seconds, hospital: deletion})
        if len(rows) % (20 * len(maps)) == 0 or len(rows) == len(films) * len(maps):
            print(f"\n{len(rows) // len(maps)} films")
            table = pd.DataFrame(rows).groupby("map", sort=False).mean()
            print(table.to_string(float_format="{:.3f}".format), flush=True)


if __name__ == "__main__":
    main()
