"""Train and measure the tiny network that tells frontal chest films from other pictures.

    python tests/benchmarks/recognition.py films --out recognition.npz --others pictures/

`films` holds chest_xray/{train,test}, siim/{train,val}, jsrt, nihx, montgomery. Training uses the
training halves, JSRT's odd numbers, and pictures made here; `--others` holds further pictures that
are no films. Without --out the bundled weights are measured: films refused, other pictures refused.
"""

import argparse
import io
import sys
from pathlib import Path

import matplotlib
import numpy as np
import scipy.ndimage
import skimage
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from multimix.images import recognition
from multimix.images.preparation import film_box
from multimix.images.reading import read_film, resize

matplotlib.use("Agg")
from matplotlib import pyplot

BATCH, PICTURES = 96, {".png", ".jpg", ".jpeg"}
PHOTOS = ("astronaut", "camera", "coffee", "rocket", "grass", "cell", "page", "horse", "retina")


def prepared(grey: np.ndarray) -> np.ndarray:
    return resize(np.ascontiguousarray(film_box(grey).of(grey)), 128)


def read_all(files: list[Path]) -> np.ndarray:
    return np.array([prepared(read_film(file)) for file in files])


def files_below(*folders: Path) -> list[Path]:
    return [f for folder in folders for f in sorted(folder.rglob("*")) if f.suffix in PICTURES]


def stretched(values: np.ndarray) -> np.ndarray:
    values = values - values.min()
    return (255 * values / max(values.max(), 1e-9)).astype(np.uint8)


def fractal(rng: np.random.Generator, side: int = 128) -> np.ndarray:
    """Noise of a random slope of its spectrum, half of it symmetric, as a chest is."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(side, side))) / frequency ** rng.uniform(0, 3)
    values = np.fft.ifft2(spectrum).real
    return stretched(values + values[:, ::-1] if rng.random() < 0.5 else values)


def drawing(rng: np.random.Generator, side: int = 160) -> np.ndarray:
    picture = Image.new("L", (side, side), int(rng.integers(256)))
    draw, mirrored = ImageDraw.Draw(picture), rng.random() < 0.4
    for _ in range(rng.integers(1, 15)):
        left, top, width, height = map(int, rng.integers(5, side, 4))
        shape = rng.choice(["ellipse", "rectangle", "line"])
        for x in (left, side - left - width)[: 1 + mirrored]:
            box, ink = (x, top - 20, x + width, top - 20 + height), int(rng.integers(256))
            getattr(draw, shape)(box, fill=ink)
    values = scipy.ndimage.gaussian_filter(np.asarray(picture).astype(float), rng.uniform(0, 5))
    return np.clip(values + rng.normal(0, rng.uniform(0, 20), values.shape), 0, 255).astype("uint8")


def text(rng: np.random.Generator) -> np.ndarray:
    width, height, size = (int(rng.integers(*limits)) for limits in ((200, 500),) * 2 + ((9, 40),))
    picture = Image.new("L", (width, height), 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    for row in range(size, height - size, int(1.4 * size)):
        line = "".join(map(chr, rng.choice([32, *range(97, 123)], 80)))
        draw.text((size, row), line[: int(rng.uniform(1, 2) * width / size)], fill=0, font=font)
    return np.asarray(picture)


def chart(rng: np.random.Generator) -> np.ndarray:
    figure, axes = pyplot.subplots(figsize=(rng.uniform(2.5, 5), rng.uniform(2.5, 4)), dpi=60)
    kind = rng.choice(["bar", "plot", "hist", "contourf"])
    values = rng.random((12, 12)) if kind == "contourf" else rng.random(12)
    getattr(axes, kind)(*((range(12), values) if kind == "bar" else (values,)))
    file = io.BytesIO()
    figure.savefig(file, format="png")
    pyplot.close(figure)
    return np.asarray(Image.open(file).convert("L"))


def part_of_a_film(rng: np.random.Generator, films: np.ndarray) -> np.ndarray:
    """A corner, a half, a small part, shuffled tiles, or two films in one picture."""
    film, other = films[rng.choice(len(films), 2)]
    half = rng.choice([0, 64])
    row, column = rng.integers(0, 76, 2)
    tiles = film.reshape(4, 32, 4, 32).swapaxes(1, 2).reshape(16, 32, 32)
    parts = (
        film[half : half + 54, (rng.random() < 0.5) * 74 :][:, :54],
        film[:, half : half + 64],
        film[row : row + 52, column : column + 52],
        rng.permutation(tiles).reshape(4, 4, 32, 32).swapaxes(1, 2).reshape(128, 128),
        np.hstack([film, other]) if rng.random() < 0.6 else np.vstack([film, other]),
    )
    return parts[rng.integers(len(parts))]


def other_pictures(rng: np.random.Generator, films: np.ndarray, count: int) -> np.ndarray:
    """Pictures (N, 128, 128) uint8 that are no frontal film."""
    photos = [f for f in files_below(Path(skimage.__file__).parent / "data") if f.stem in PHOTOS]
    made = [part_of_a_film(rng, films) for _ in range(count // 2)]
    for kind in (fractal, drawing, text, chart):
        made += [kind(rng) for _ in range(count // 9)]
    for photo in map(read_film, photos):
        for _ in range(count // 200):
            row, column = (int(rng.integers(0, size // 4 + 1)) for size in photo.shape)
            made.append(photo[row:, column:][:, :: rng.choice([1, -1])])
    return np.array([prepared(np.ascontiguousarray(picture)) for picture in made])


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        shapes = [(1, 12), (12, 24), (24, 32), (32, 32)]
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in shapes)
        self.linear = nn.Linear(9 * 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for convolution in self.convolutions:
            x = convolution(x).relu()
        return self.linear(F.dropout(x.flatten(1), 0.3, self.training))[:, 0]


def moved(x: torch.Tensor) -> torch.Tensor:
    """Pictures (N, 1, H, W) tilted, mirrored, shifted and scaled a little, each in its own way."""
    angle, shift = (torch.rand(len(x)) * 2 - 1) * 0.25, (torch.rand(len(x), 2) * 2 - 1) * 0.1
    scale, mirror = 1 + (torch.rand(len(x)) * 2 - 1) * 0.1, torch.rand(len(x)).round() * 2 - 1
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = (mirror * cos, -sin, shift[:, 0]), (mirror * sin, cos, shift[:, 1])
    grid = F.affine_grid(torch.stack([torch.stack(r, 1) for r in rows], 1), list(x.shape))
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def train(films: np.ndarray, others: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """The weights as `recognition.npz` holds them."""
    net = Net()
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    halves = [
        torch.from_numpy(np.array([resize(g, recognition.SIDE) for g in s]))
        for s in (films, others)
    ]
    truth = torch.arange(BATCH) < BATCH // 2
    for _ in range(steps):
        batch = torch.cat([half[torch.randint(len(half), (BATCH // 2,))] for half in halves])
        x = recognition.standardised(moved(batch[:, None].float())[:, 0])
        x = x * (torch.rand(BATCH).round() * 2 - 1)[:, None, None, None]  # either polarity
        x = x + 0.15 * torch.rand(BATCH, 1, 1, 1) * torch.randn_like(x)
        loss = F.binary_cross_entropy_with_logits(net(x), truth.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    layers = list(enumerate([*net.convolutions, net.linear]))
    named = {f"{n}{i}": getattr(layer, n) for i, layer in layers for n in ("weight", "bias")}
    return {name: tensor.detach().numpy().astype(np.float16) for name, tensor in named.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args()
    rng, root = np.random.default_rng(0), options.films
    jsrt = files_below(root / "jsrt" / "images")
    odd = [file for file in jsrt if int(file.stem[-3:]) % 2]
    learnt = read_all(files_below(root / "chest_xray/train", root / "siim/train") + odd)
    if options.out:
        weights = train(learnt, other_pictures(rng, learnt, 8000), options.steps)
        np.savez(options.out, **weights)
        recognition.layers.cache_clear()
    sets = {"training films": learnt, "jsrt, even": read_all([f for f in jsrt if f not in odd])}
    for name in ("chest_xray/test", "siim/val", "nihx/images", "montgomery/images"):
        sets[name] = read_all(files_below(root / name))
    sets["pictures made as in training"] = other_pictures(np.random.default_rng(1), learnt, 1000)
    sets["other pictures"] = read_all(files_below(*options.others))
    for name, films in sets.items():
        refused = sum(not recognition.is_frontal_chest(film) for film in films)
        print(f"{name:30s} {len(films):6d} refused {refused:5d}")


if __name__ == "__main__":
    main()
