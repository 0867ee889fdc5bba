"""How fast films are read and augmented, against the same work done film by film with Pillow, in
one run.

    python tests/benchmarks/data.py

Prints medians of alternating repetitions; README.md beside this file keeps figures.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

sys.path.insert(0, str(Path(__file__).parents[2]))

from multimix import augment
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.images.reading import network_input

SIDE, FILMS, REPETITIONS = 256, 64, 7


def seconds(*works: Callable[[], object], repetitions: int = REPETITIONS) -> list[float]:
    """Median seconds of each, taken in turns after one unmeasured round."""
    taken: list[list[float]] = [[] for _ in works]
    for repetition in range(repetitions + 1):
        for work, times in zip(works, taken):
            start = time.perf_counter()
            work()
            if repetition:
                times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


def pillow_weak(film: Image.Image) -> Image.Image:
    if random.random() < 0.5:
        film = ImageOps.mirror(film)
    side = film.width
    padded = Image.fromarray(np.pad(np.asarray(film), side // 8, mode="reflect"))
    left, top = random.randint(0, side // 4), random.randint(0, side // 4)
    return padded.crop((left, top, left + side, top + side))


def affine(film: Image.Image, *matrix: float) -> Image.Image:
    return film.transform(
        film.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=128
    )


PILLOW = (
    lambda film, a: ImageOps.autocontrast(film),
    lambda film, a: ImageOps.equalize(film),
    lambda film, a: film,
    lambda film, a: ImageEnhance.Brightness(film).enhance(0.05 + 0.9 * a),
    lambda film, a: ImageEnhance.Contrast(film).enhance(0.05 + 0.9 * a),
    lambda film, a: ImageEnhance.Sharpness(film).enhance(0.05 + 0.9 * a),
    lambda film, a: ImageOps.posterize(film, 4 + int(3.99 * a)),
    lambda film, a: ImageOps.solarize(film, int(256 * a)),
    lambda film, a: film.rotate(54 * a - 27, Image.Resampling.BILINEAR, fillcolor=128),
    lambda film, a: affine(film, 1, 0.54 * a - 0.27, 0, 0, 1, 0),
    lambda film, a: affine(film, 1, 0, (0.54 * a - 0.27) * film.width, 0, 1, 0),
)


def pillow_strong(film: Image.Image) -> Image.Image:
    film = pillow_weak(film)
    for operation in random.choices(PILLOW, k=2):
        if random.random() < 0.5:
            film = operation(film, random.random())
    return film


def pillow_views(films: torch.Tensor) -> torch.Tensor:
    """A weak and a strong view of each film, one film at a time, as a tensor in [-1, 1]."""
    pictures = [Image.fromarray(film) for film in films[:, 0].numpy()]
    views = [np.asarray(view(film)) for view in (pillow_weak, pillow_strong) for film in pictures]
    return network_input(torch.from_numpy(np.stack(views))[:, None])


def our_views(films: torch.Tensor) -> torch.Tensor:
    chance = [torch.Generator() for _ in films]
    films = films.float() / 255
    return network_input(torch.cat([augment.weak(films, chance), augment.strong(films, chance)]))


def reading(folder: Path) -> None:
    sample = Path(__file__).parents[2] / "sample_data" / "child_normal_1.jpg"
    film = Image.open(sample).convert("L").resize((1024, 1024))
    for kind in ("jpeg", "png"):
        (folder / kind / "NORMAL").mkdir(parents=True)
        for i in range(FILMS):
            film.save(folder / kind / "NORMAL" / f"{i}.{kind}")

        def pillow() -> None:
            for path in (folder / kind / "NORMAL").iterdir():  # noqa: B023
                with Image.open(path) as film:
                    np.asarray(film.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))

        def ours(**options) -> Films:
            return load_films(folder / kind, side=SIDE, progress=False, **options)  # noqa: B023

        theirs, read, cached = seconds(pillow, ours, lambda: ours(cache=folder / "cache"))
        print(
            f"read {kind} of 1024 px, films/s: Pillow film by film {FILMS / theirs:.0f}, ours "
            f"{FILMS / read:.0f} ({theirs / read:.1f}x), from the cache {FILMS / cached:.0f} "
            f"({theirs / cached:.0f}x)"
        )


def augmenting() -> None:
    for count in (10, FILMS):
        films = load_films(side=SIDE, progress=False).classification.pixels[:count][:, None]
        theirs, ours = seconds(lambda: pillow_views(films), lambda: our_views(films))  # noqa: B023
        print(
            f"weak and strong views of {count} films, batches/s: Pillow film by film "
            f"{1 / theirs:.1f}, ours {1 / ours:.1f} ({theirs / ours:.1f}x)"
        )


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        reading(Path(folder))
    augmenting()
