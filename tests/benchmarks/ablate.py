"""What each switch of the recipe `improved` brings on validation films, plain and disturbed in
twelve fixed ways.

python tests/benchmarks/ablate.py --classification chest_xray --segmentation jsrt --out runs/ablate
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

sys.path.insert(0, str(Path(__file__).parents[2]))

from multimix import Config, evaluate, load_films, train
from multimix.data.film_set import FilmSet, FilmStack, concatenate

OFF = dict(
    class_augmentation=False,
    balanced_classes=False,
    bce_weight=0.0,
    pixel_consistency_weight=0.0,
    class_films_for_masks=False,
)
VARIANTS = {
    "improved": {},
    "none of the five": OFF,
    "class_augmentation alone": OFF | dict(class_augmentation=True),
    "bce alone": OFF | dict(bce_weight=2.5),
    "pixel consistency alone": OFF | dict(pixel_consistency_weight=1.0, class_films_for_masks=True),
    "without balanced_classes": dict(balanced_classes=False),
    "without pixel consistency": dict(pixel_consistency_weight=0.0, class_films_for_masks=False),
}

PRINTED = ("auc", "accuracy", "calibrated_accuracy", "dice", "asd")


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
    sets = []
    for i, way in enumerate(WAYS):
        names = tuple(f"{name} {i}" for name in films.names)
        sets.append(replace(disturbed(films, [way]), names=names))
    return concatenate(sets)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for task in ("classification", "segmentation"):
        parser.add_argument(f"--{task}", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    defaults = {"class-labels": 100, "masks": 10, "side": 64, "steps": 1000, "seeds": 2}
    for name, usual in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    return parser.parse_args()


def run_seed(options: argparse.Namespace, seed: int) -> None:
    """Train every variant, and print what it scores on validation films, plain and disturbed."""
    folders = (options.classification, options.segmentation)
    films = load_films(*folders, options.side, seed, cache=options.out / "cache")
    measured = {
        "plain": films,
        "disturbed": replace(
            films,
            classification=disturbed(films.classification.split("val"), WAYS),
            segmentation=disturbed_in_every_way(films.segmentation.split("val")),
        ),
    }
    settings = dict(
        class_labels=options.class_labels,
        masks=options.masks,
        seed=seed,
        side=options.side,
        steps=options.steps,
        precision="bfloat16",
        validate_every=max(1, options.steps // 3),
    )
    for number, (name, changes) in enumerate(VARIANTS.items()):
        config = Config.preset("multimix", "improved", **settings, **changes)
        out = options.out / f"{number}-seed{seed}"
        model = train(config, films, out, resume=True, progress=False)
        for kind, some in measured.items():
            results = evaluate(model, some, "val", clean=False)
            scores = "  ".join(f"{metric} {results[metric]:.4f}" for metric in PRINTED)
            print(f"{name:<28} seed {seed} {kind:<10} {scores}", flush=True)


def main() -> None:
    options = parse_options()
    for seed in range(options.seeds):
        run_seed(options, seed)


if __name__ == "__main__":
    main()
