"""Films in, answers out: load a network, predict, and hold what it said at the film's own size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from multimix.evaluation.outputs import answer, calibrated
from multimix.images.formats import film_paths
from multimix.images.quality import doubts
from multimix.images.reading import Look, Source, look_at, looks_inverted, network_input, resize
from multimix.model import CLASSES, MultiMix, choose_device, films_at_once, place
from multimix.runtime.checkpoint import network_of, read_checkpoint, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bundled(name: str) -> Path:
    """A file or folder that comes with the project: inside an installed package, beside it in a
    checkout.
    """
    package = Path(__file__).parent
    return package / name if (package / name).exists() else package.parent / name


def load_model(weights: str | os.PathLike = "multimix", device: str = "auto") -> MultiMix:
    """A network in eval mode: a bundled one by its name, one that `train` wrote, or the authors'
    own checkpoint.

    'multimix' has learnt from all labels, 'multimix_100_10' from 100 classes and 10 masks; anything
    with a dot or a slash is a path. `device` is auto (CUDA, else MPS, else the CPU), cpu, cuda or
    mps. ValueError, in one sentence, where there is no such network, or the file is damaged, of
    another architecture, or holds program code.
    """
    if not isinstance(weights, (str, os.PathLike)):
        raise ValueError(
            f"A {type(weights).__name__} names no network; give a bundled one's name or a path."
        )
    if isinstance(weights, str) and not {".", "/", os.sep} & set(weights):
        known = sorted(path.stem for path in bundled("weights").glob("*.pth"))
        if weights not in known:
            raise ValueError(
                f"There is no bundled network '{weights}'; choose {' or '.join(known)}, or give "
                "the path "
                "of a .pth file."
            )
        weights = bundled(f"weights/{weights}.pth")
        check_sum(weights)
    return place(network_of(read_checkpoint(weights), weights), choose_device(device))


def check_sum(weights: Path) -> None:
    """ValueError where a bundled file is not the one that SHA256SUMS beside it names; others are
    not looked at.
    """
    sums = dict(
        reversed(line.split()) for line in weights.with_name("SHA256SUMS").read_text().splitlines()
    )
    if sums.get(weights.name, found := hashlib.sha256(weights.read_bytes()).hexdigest()) != found:
        raise ValueError(
            f"{weights} is not the file that was published: its SHA-256 differs. Check it out "
            "again, or "
            "give its path instead of its name to use it all the same."
        )


@dataclass(frozen=True)
class Prediction:
    """What the network says about one film of H x W pixels. For research, not for diagnosis."""

    name: str  # file name without folder and ending, or film-1, film-2, …
    film: np.ndarray = field(repr=False)  # (H, W) uint8, as it was read
    # {'NORMAL': 0.03, 'PNEUMONIA': 0.97}; where validation films gave the weights a temperature and
    # an operating point, after both: what the network believes where both classes are equally
    # frequent.
    probabilities: dict[str, float]
    mask_probability: np.ndarray = field(
        repr=False
    )  # (H, W) float32 in [0, 1]: probability of lung
    saliency: np.ndarray = field(repr=False)  # (H, W) float32, >= 0: what moved the class score
    warnings: tuple[str, ...] = ()  # plain sentences: what makes this film a doubtful one
    disagreement: np.ndarray | None = field(
        default=None, repr=False
    )  # (H, W) float32, with `flip` alone
    source: Path | None = field(default=None, repr=False)  # the film's file, if it came from one

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

    def plot(self) -> Figure:
        """The film, its lungs and its saliency side by side, as a matplotlib figure."""
        from multimix.evaluation.figures import (
            plot_prediction,
        )  # matplotlib is slow to import and not always wanted

        return plot_prediction(self)

    def save(self, out: str | os.PathLike, figure: bool = True) -> Path:
        """Write `<name>.png` (the figure) and `<name>_mask.png` (0 or 255, the film's size) into a
        folder.

        Without `figure` the mask alone, which is many times faster. Returns the path of the figure,
        else of the mask. ValueError where that would overwrite the film itself.
        """
        out = Path(out)
        mask, overlay = out / f"{self.name}_mask.png", out / f"{self.name}.png"
        if self.source and os.path.realpath(self.source) in map(os.path.realpath, (mask, overlay)):
            raise ValueError(
                f"{self.source} would be overwritten by its own answer; choose another folder."
            )
        out.mkdir(parents=True, exist_ok=True)
        with whole_file(mask, durable=False) as file:
            Image.fromarray(self.mask.astype(np.uint8) * 255).save(file, "PNG")
        if not figure:
            return mask
        from multimix.evaluation.figures import save_figure

        return save_figure(self.plot(), overlay)


INVERT = ("auto", "never", "always")


@dataclass(frozen=True)
class Manner:
    """How to predict."""

    flip: bool = False  # average with the mirrored film: twice the time
    clean: bool = True  # at most two lungs, without holes
    invert: str = (
        "auto"  # turn a film's grey values round: auto if it looks inverted, never, always
    )

    def __post_init__(self) -> None:
        if self.invert not in INVERT:
            raise ValueError(
                f"invert is '{self.invert}'; {', '.join(INVERT[:-1])} or {INVERT[-1]} is needed."
            )


def predict(
    model: MultiMix,
    films: Source | Iterable[Source],
    *,
    flip: bool = False,
    clean: bool = True,
    invert: str = "auto",
) -> Prediction | list[Prediction]:
    """Predict one film, or a list of films, or every picture in a folder (a list each).

    A film is a path, a PIL image or an array as `read_film` takes it; masks and saliency come back
    at its own size. `flip` averages with the mirrored film and tells where the two disagree, in
    twice the time; `clean` leaves at most two lungs and no holes; `invert` turns the grey values
    round: 'auto' if the film looks inverted, 'never', 'always'. ValueError, in one sentence, where
    a film cannot be read.
    """
    manner = Manner(flip, clean, invert)
    if isinstance(films, (str, os.PathLike)) and Path(films).is_dir():
        films = pictures_in(Path(films))
    single = isinstance(films, (str, os.PathLike, Image.Image, np.ndarray))
    if not single and not isinstance(films, Iterable):
        raise ValueError(
            f"A {type(films).__name__} is no film; a path, a PIL image, an array, or a list of "
            "them is "
            "needed."
        )
    sources = [films] if single else list(films)
    pictures = [look_at(source) for source in sources]
    names = [name_of(source, number) for number, source in enumerate(sources, start=1)]
    size = films_at_once(next(model.parameters()).device, model.side)
    found = [
        prediction
        for first in range(0, len(sources), size)
        for prediction in predict_batch(
            model, pictures[first : first + size], names[first : first + size], manner
        )
    ]
    found = [
        replace(p, source=Path(source)) if isinstance(source, (str, os.PathLike)) else p
        for p, source in zip(found, sources)
    ]
    return found[0] if single else found


def pictures_in(path: Path) -> list[Path]:
    """The pictures of a folder, at least one; of anything else, itself."""
    films = film_paths(path) if path.is_dir() else [path]
    if not films:
        raise ValueError(
            f"There are no films in {path}; PNG, JPEG, BMP, TIFF, GIF or DICOM files are needed, "
            "in the "
            "folder itself, as those below it are not looked through."
        )
    return films


def name_of(source: Source, number: int) -> str:
    return Path(source).stem if isinstance(source, (str, os.PathLike)) else f"film-{number}"


def predict_batch(
    model: MultiMix, looks: list[Look], names: list[str], manner: Manner
) -> list[Prediction]:
    """Predict films that `look_at` has read, in one pass. The network's mode is left as it was."""
    device, was_training = next(model.parameters()).device, model.training
    inverted = [looks_inverted(look.grey) for look in looks]
    turned = [
        manner.invert == "always" or (manner.invert == "auto" and looks_so) for looks_so in inverted
    ]
    films = [255 - look.grey if turn else look.grey for look, turn in zip(looks, turned)]
    small = torch.from_numpy(np.stack([resize(film, model.side) for film in films]))
    try:
        with torch.inference_mode():
            found = answer(
                model.eval(), network_input(small[:, None].to(device)), manner.flip, manner.clean
            )
    finally:
        model.train(was_training)
    if not all(part.isfinite().all() for part in (found.margin, found.lung, found.saliency)):
        raise ValueError(
            "The network answers with values that are not numbers; take other weights."
        )
    pneumonia = torch.sigmoid(calibrated(found.margin, model.calibration)).tolist()
    return [
        Prediction(
            name,
            film,
            dict(zip(CLASSES, (1 - pneumonia[i], pneumonia[i]))),
            enlarge(found.lung[i], film.shape),
            enlarge(found.saliency[i], film.shape),
            doubts(
                film,
                found.lung[i, 0].numpy() > 0.5,
                inverted=inverted[i],
                turned=turned[i],
                coloured=looks[i].coloured,
                first_of_several=looks[i].first_of_several,
            ),
            None if found.disagreement is None else enlarge(found.disagreement[i], film.shape),
        )
        for i, (name, film) in enumerate(zip(names, films))
    ]


def enlarge(map: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """(1, side, side) to (H, W), bilinear."""
    return F.interpolate(map[None], shape, mode="bilinear", align_corners=False)[0, 0].numpy()
