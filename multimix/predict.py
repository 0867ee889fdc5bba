"""Films in, answers out: load a network, predict, and hold what it said at the film's own size."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from multimix.checkpoint import network_of, read_checkpoint
from multimix.film import Source, film_paths, looks_inverted, network_input, read_film, resize
from multimix.model import CLASSES, MultiMix, choose_device, films_at_once, place


def bundled(name: str) -> Path:
    """A file or folder that comes with the project: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    return package / name if (package / name).exists() else package.parent / name


def load_model(weights: str | os.PathLike | None = None, device: str = "auto") -> MultiMix:
    """A network in eval mode: the bundled one, one that `train` wrote, or the authors' own checkpoint.

    ValueError, in one sentence, where the file is missing, damaged, of another architecture, or holds program code.
    """
    weights = bundled("weights/multimix.pth") if weights is None else weights
    return place(network_of(read_checkpoint(weights), weights), choose_device(device))


@dataclass(frozen=True)
class Prediction:
    """What the network says about one film of H x W pixels. For research, not for diagnosis."""

    name: str  # file name without folder and ending, or film-1, film-2, …
    film: np.ndarray = field(repr=False)  # (H, W) uint8, as it was read
    probabilities: dict[str, float]  # {'NORMAL': 0.03, 'PNEUMONIA': 0.97}
    mask_probability: np.ndarray = field(repr=False)  # (H, W) float32 in [0, 1]: probability of lung
    saliency: np.ndarray = field(repr=False)  # (H, W) float32, >= 0: what moved the class score
    warnings: tuple[str, ...] = ()  # plain sentences: what makes this film a doubtful one

    @property
    def label(self) -> str:
        """The more probable class."""
        return max(self.probabilities, key=self.probabilities.get)

    @property
    def probability(self) -> float:
        """The probability of `label`, in [0.5, 1]."""
        return self.probabilities[self.label]

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: lung where it is more probable than not."""
        return self.mask_probability > 0.5

    @property
    def lung_share(self) -> float:
        """The part of the film that is lung, in [0, 1]."""
        return float(self.mask.mean())

    def plot(self):
        """The film, its lungs and its saliency side by side, as a matplotlib figure."""
        from multimix.plot import plot_prediction  # matplotlib is slow to import and not always wanted

        return plot_prediction(self)

    def save(self, out: str | os.PathLike, figure: bool = True) -> Path:
        """Write `<name>.png` (the figure) and `<name>_mask.png` (0 or 255, the film's size) into a folder.

        Without `figure` the mask alone, which is many times faster. Returns the path of the figure, else of the mask.
        """
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        mask = out / f"{self.name}_mask.png"
        Image.fromarray(self.mask.astype(np.uint8) * 255).save(mask)
        if not figure:
            return mask
        from multimix.plot import save_figure

        return save_figure(self.plot(), out / f"{self.name}.png")


def predict(model: MultiMix, films: Source | Iterable[Source]) -> Prediction | list[Prediction]:
    """Predict one film, or a list of films, or every picture in a folder (a list each).

    A film is a path, a PIL image or an array as `read_film` takes it; masks and saliency come back at its own size.
    ValueError, in one sentence, where a film cannot be read.
    """
    if isinstance(films, (str, os.PathLike)) and Path(films).is_dir():
        films = pictures_in(Path(films))
    single = isinstance(films, (str, os.PathLike, Image.Image, np.ndarray))
    sources = [films] if single else list(films)
    pictures = [read_film(source) for source in sources]
    names = [name_of(source, number) for number, source in enumerate(sources, start=1)]
    size = films_at_once(next(model.parameters()).device, model.side)
    found = [prediction for first in range(0, len(sources), size)
             for prediction in predict_batch(model, pictures[first:first + size], names[first:first + size])]
    return found[0] if single else found


def pictures_in(path: Path) -> list[Path]:
    """The pictures of a folder, at least one; of anything else, itself."""
    films = film_paths(path) if path.is_dir() else [path]
    if not films:
        raise ValueError(f"There are no pictures in {path}; PNG, JPEG, BMP, TIFF or GIF files are needed.")
    return films


def name_of(source: Source, number: int) -> str:
    return Path(source).stem if isinstance(source, (str, os.PathLike)) else f"film-{number}"


def predict_batch(model: MultiMix, films: list[np.ndarray], names: list[str]) -> list[Prediction]:
    """Predict films that `read_film` has read, in one pass. The network's mode is left as it was."""
    device, was_training = next(model.parameters()).device, model.training
    small = torch.from_numpy(np.stack([resize(film, model.side) for film in films]))
    try:
        with torch.inference_mode():
            out = model.eval()(network_input(small[:, None].to(device)))
            class_logits, mask_logits, saliency = (part.float().cpu() for part in out)  # autocast may narrow them
            probabilities, lung = class_logits.softmax(1), torch.sigmoid(mask_logits)
    finally:
        model.train(was_training)
    return [Prediction(name, film, dict(zip(CLASSES, p.tolist())), enlarge(m, film.shape), enlarge(s, film.shape),
                       doubts(film, m)) for name, film, p, m, s in zip(names, films, probabilities, lung, saliency)]


def enlarge(map: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """(1, side, side) to (H, W), bilinear."""
    return F.interpolate(map[None], shape, mode="bilinear", align_corners=False)[0, 0].numpy()


def doubts(film: np.ndarray, lung: Tensor) -> tuple[str, ...]:
    """Plain sentences about what makes a film unlike those that the network has learnt from."""
    found = []
    if min(film.shape) < 128:
        found.append(f"The film is tiny ({film.shape[1]} x {film.shape[0]} pixels): details are lost.")
    if looks_inverted(film):
        found.append("The film looks inverted, with air bright: turn its grey values round.")
    darkest, brightest = np.percentile(film, (1, 99))
    if brightest - darkest < 40:
        found.append("The film has little contrast: it may be empty or badly exposed.")
    share = (lung > 0.5).float().mean().item()
    if not 0.08 < share < 0.6:
        found.append(f"The lungs fill {share:.0%} of the film, which is implausible: is it a frontal chest film?")
    return tuple(found)
