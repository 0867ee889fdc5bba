"""What single switches bring: short trainings over several seeds, measured on validation films.

    python tests/benchmarks/ablate.py FOLDER [--seeds 5] [--steps 240]

FOLDER (or MULTIMIX_DATA) holds chest_xray and jsrt. Each variant is the recipe `improved` at one
side, with 100 classes and 10 masks: of the systems that a switch concerns alone, as others take
longer and say the same. Films are measured plain, disturbed in twelve fixed ways, and with a lung
made opaque; Dice at 256 px.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "benchmarks")]

from race import mean_dice
from scipy.special import expit

from multimix import Config, load_films, train
from multimix.data.film_set import FilmSet, FilmStack
from multimix.evaluation.evaluator import in_batches
from multimix.evaluation.metrics import classification_metrics
from multimix.predictions.outputs import class_log_odds

PLAIN = dict(sides=(), class_sides=(), unlabelled_from=0.0, opacities=False)
VARIANTS = {  # by system
    "enc_ssl": {
        "unlabelled films": {},
        "unlabelled films after half of the steps": dict(unlabelled_from=0.5),
        "no unlabelled films": dict(pseudo_labels=False),
        "two sides": dict(sides=(48, 64, 64), class_sides=(48, 64)),
    },
    "umtl_s": {
        "bridge": {},
        "no bridge": dict(bridge=False),
        "bridge, opaque lungs": dict(opacities=True),
    },
}
SIDE = 64  # px that is trained at
MEASURED_SIDE = 256  # px that masks are compared at


def grey(change: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """A disturbance of grey values alone."""
    return lambda film, mask: (
        Image.fromarray(np.clip(change(np.asarray(film, dtype=float)), 0, 255).astype(np.uint8)),
        mask,
    )


def zoom(factor: float) -> Callable:
    def change(picture: Image.Image) -> Image.Image:
        side, size = picture.width, round(picture.width * factor)
        canvas = Image.new("L", (side, side))
        canvas.paste(picture.resize((size, size)), ((side - size) // 2,) * 2)
        return canvas

    return lambda film, mask: (change(film), change(mask))


def framed(film: Image.Image, mask: Image.Image) -> tuple[Image.Image, Image.Image]:
    edge = round(film.width * 0.09)
    window = np.zeros((film.width, film.width), dtype=np.uint8)
    window[edge:-edge, edge:-edge] = 1
    return Image.fromarray(np.asarray(film) * window), Image.fromarray(np.asarray(mask) * window)


def written(film: Image.Image, mask: Image.Image) -> tuple[Image.Image, Image.Image]:
    film, side = film.copy(), film.width
    pencil = ImageDraw.Draw(film)
    pencil.text((side * 0.05, side * 0.05), "AP PORTABLE", 255, ImageFont.load_default(side * 0.07))
    pencil.line([(side * 0.6, 0), (side * 0.45, side * 0.8)], 230, max(1, side // 100))
    return film, mask


def coarse(film: Image.Image, mask: Image.Image) -> tuple[Image.Image, Image.Image]:
    small = film.resize((film.width // 3,) * 2)
    return small.resize(film.size, Image.Resampling.BILINEAR), mask


WAYS = (
    grey(lambda v: 255 * (v / 255) ** 0.5),
    grey(lambda v: 255 * (v / 255) ** 2),
    grey(lambda v: 255 - v),
    grey(lambda v: 90 + 0.3 * v),
    grey(lambda v: v + np.random.default_rng(0).normal(0, 14, v.shape)),
    lambda film, mask: (film.filter(ImageFilter.GaussianBlur(film.width / 90)), mask),
    lambda film, mask: (film.rotate(10), mask.rotate(10)),
    zoom(0.8),
    zoom(1.2),
    framed,
    written,
    coarse,
)


def disturbed(films: FilmSet, ways: Sequence[Callable]) -> FilmSet:
    """Film i disturbed in way i, and so on in turn."""
    has_masks = isinstance(films.targets, FilmStack)
    pixels, masks = [], []
    for i in range(len(films)):
        mask = films.targets[i] if has_masks else torch.zeros_like(films.pixels[i])
        film, mask = ways[i % len(ways)](
            Image.fromarray(films.pixels[i].numpy()),
            Image.fromarray(mask.numpy().astype(np.uint8) * 255),
        )
        pixels.append(torch.from_numpy(np.array(film)))
        masks.append(torch.from_numpy(np.array(mask)) > 127)
    targets = torch.stack(masks) if has_masks else films.targets
    return replace(films, pixels=torch.stack(pixels), targets=targets)


def disturbed_in_every_way(films: FilmSet) -> FilmSet:
    """Each film as often as there are ways, under names of their own."""
    many = films[torch.arange(len(films)).repeat(len(WAYS))]
    names = tuple(f"{name} {i // len(films)}" for i, name in enumerate(many.names))
    ways = [way for way in WAYS for _ in films.names]
    return replace(disturbed(many, ways), names=names)


def opaque_lungs(films: FilmSet) -> FilmSet:
    """One lung of each film, or its lower half, as bright as the tissue around."""
    rng, pixels = np.random.default_rng(5), []
    for film, mask in zip(films.pixels.numpy(), films.masks.numpy()):
        side = len(film)
        lung, left = mask.copy(), rng.integers(2)
        lung[:, side // 2 :] &= not left
        lung[:, : side // 2] &= bool(left)
        if rng.random() < 0.5 and lung.any():
            lung[: int(np.flatnonzero(lung.any(1)).mean())] = False
        wider = scipy.ndimage.binary_dilation(lung, iterations=side // 64)
        share = 0.9 * scipy.ndimage.gaussian_filter(wider.astype(float), side / 50)
        texture = scipy.ndimage.gaussian_filter(rng.normal(size=film.shape), side / 40)
        tissue = np.percentile(film[~mask], 80) + 8 * texture / texture.std()
        pixels.append(np.clip(film * (1 - share) + share * tissue, 0, 255).astype(np.uint8))
    return replace(films, pixels=torch.from_numpy(np.stack(pixels)))


class Measured:
    """A seed's validation films: for classes at the networks' side, for masks at a larger one."""

    def __init__(self, folder: Path, side: int, seed: int, cache: Path):
        classes = load_films(folder / "chest_xray", (), side, seed, cache=cache)
        masks = load_films((), folder / "jsrt", MEASURED_SIDE, seed, cache=cache)
        classes, masks = classes.classification.split("val"), masks.segmentation.split("val")
        self.classes = {"": classes, " disturbed": disturbed(classes, WAYS)}
        self.masks = {"": masks, " disturbed": disturbed_in_every_way(masks)}
        self.masks[" opaque"] = opaque_lungs(masks)

    def figures(self, model: torch.nn.Module, config: Config) -> dict[str, float]:
        found = {}
        for kind, films in self.classes.items() if config.classify else ():
            log_odds = in_batches(class_log_odds, model, films).numpy()
            metrics = classification_metrics(expit(log_odds), films.labels.numpy())
            for name in ("auc", "accuracy"):
                found[name + kind] = metrics[name]
        for kind, films in self.masks.items() if config.segment else ():
            found["dice" + kind] = mean_dice(model, films)
        return found


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("MULTIMIX_DATA"))
    parser.add_argument("--out", type=Path, default=Path("runs/ablate"))
    for name, usual in {"seeds": 5, "steps": 240}.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    options = parser.parse_args()
    if not options.folder:
        parser.error("give the folder that holds chest_xray and jsrt")
    return options


def run_seed(options: argparse.Namespace, seed: int) -> None:
    """Train every variant, and print what it scores."""
    folder, cache = Path(options.folder), options.out / "cache"
    films = load_films(folder / "chest_xray", folder / "jsrt", SIDE, seed, cache=cache)
    measured = Measured(folder, SIDE, seed, cache)
    size = dict(side=SIDE, steps=options.steps, validate_every=options.steps)
    budget = dict(class_labels=100, masks=10, seed=seed, precision="bfloat16")
    for system, variants in VARIANTS.items():
        for name, changes in variants.items():
            settings = {**PLAIN, **size, **budget, **changes}
            config = Config.preset(system, "improved", **settings)
            out = options.out / f"{name.replace(' ', '-')}-seed{seed}"
            model = train(config, films, out, resume=True, progress=False)
            found = {metric: round(v, 4) for metric, v in measured.figures(model, config).items()}
            print(json.dumps({"variant": name, "seed": seed, **found}), flush=True)


def main() -> None:
    options = parse_options()
    for seed in range(options.seeds):
        run_seed(options, seed)


if __name__ == "__main__":
    main()
