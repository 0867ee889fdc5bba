"""What each switch of the recipe `improved` brings on validation films, plain and disturbed in
twelve fixed ways.

python tests/benchmarks/ablate.py --classification chest_xray --segmentation jsrt --out runs/ablate
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

sys.path.insert(0, str(Path(__file__).parents[2]))

from multimix import Config, evaluate, load_films, train
from multimix.data.film_set import FilmSet, concatenate

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


def disturbed(films: FilmSet, ways: tuple[Callable, ...]) -> FilmSet:
    """Film i disturbed in way i, and on in turn."""
    has_masks = films.targets.ndim == 3
    masks = films.targets if has_masks else torch.zeros_like(films.pixels)
    pairs = [
        ways[i % len(ways)](
            Image.fromarray(film.numpy()), Image.fromarray(mask.numpy().astype(np.uint8) * 255)
        )
        for i, (film, mask) in enumerate(zip(films.pixels, masks))
    ]
    found = [
        torch.from_numpy(np.stack([np.asarray(picture) for picture in column]))
        for column in zip(*pairs)
    ]
    return replace(films, pixels=found[0], targets=found[1] > 127 if has_masks else films.targets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for task in ("classification", "segmentation"):
        parser.add_argument(f"--{task}", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    for name, usual in (
        ("class-labels", 100),
        ("masks", 10),
        ("side", 64),
        ("steps", 1000),
        ("seeds", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=usual)
    options = parser.parse_args()
    for seed in range(options.seeds):
        films = load_films(
            options.classification,
            options.segmentation,
            options.side,
            seed,
            cache=options.out / "cache",
        )
        masks = films.segmentation.split("val")
        other = replace(
            films,
            classification=disturbed(films.classification.split("val"), WAYS),
            segmentation=concatenate([disturbed(masks, (way,)) for way in WAYS]),
        )
        for number, (name, changes) in enumerate(VARIANTS.items()):
            config = Config.preset(
                "multimix",
                "improved",
                class_labels=options.class_labels,
                masks=options.masks,
                seed=seed,
                side=options.side,
                steps=options.steps,
                precision="bfloat16",
                validate_every=max(1, options.steps // 3),
                **changes,
            )
            model = train(
                config, films, options.out / f"{number}-seed{seed}", resume=True, progress=False
            )
            for kind, measured in (("plain", films), ("disturbed", other)):
                found = evaluate(model, measured, "val", clean=False)
                print(
                    f"{name:<28} seed {seed} {kind:<10} "
                    + "  ".join(
                        f"{metric} {found[metric]:.4f}"
                        for metric in ("auc", "accuracy", "tuned_accuracy", "dice", "asd")
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
