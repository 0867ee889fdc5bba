"""Films in, answers out: load a network, and predict."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from multimix.evaluation.calibration import calibrated_log_odds
from multimix.evaluation.outputs import InferenceOutput, run_network
from multimix.evaluation.prediction import Prediction
from multimix.images.formats import film_files
from multimix.images.quality import looks_inverted, quality_warnings
from multimix.images.reading import LoadedImage, Source, load_image, network_input, resize
from multimix.model import CLASSES, MultiMix
from multimix.runtime.checkpoint import check_sha256, model_from_checkpoint, read_checkpoint
from multimix.runtime.device import choose_device, micro_batch_size, to_device
from multimix.runtime.files import bundled

INVERT = ("auto", "never", "always")


def load_model(weights: str | os.PathLike = "multimix", device: str = "auto") -> MultiMix:
    """A network in eval mode.

    Arguments:
        weights: a bundled network's name ('multimix' has learnt from all labels, 'multimix_100_10'
            from 100 classes and 10 masks), or the path of one that `train` wrote, or of the
            authors' own checkpoint. Anything with a dot or a slash is a path.
        device: 'auto' (CUDA, else MPS, else the CPU), 'cpu', 'cuda' or 'mps'.

    Errors: ValueError where there is no such network or device, or the file is damaged, of another
        architecture, or holds program code.
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
                "the path of a .pth file."
            )
        weights = bundled("weights") / f"{weights}.pth"
        check_sha256(weights)
    model = model_from_checkpoint(read_checkpoint(weights), weights)
    to_device(model, choose_device(device))
    return model


@dataclass(frozen=True)
class PredictOptions:
    """How to predict, as `predict` explains it."""

    flip: bool = False
    clean: bool = True
    invert: str = "auto"

    def __post_init__(self) -> None:
        if self.invert not in INVERT:
            raise ValueError(
                f"invert is '{self.invert}'; {', '.join(INVERT[:-1])} or {INVERT[-1]} is needed."
            )

    def inverts(self, inverted: bool) -> bool:
        """Whether the grey values of a film that looks `inverted`, or not, are inverted."""
        return self.invert == "always" or (self.invert == "auto" and inverted)


def predict(
    model: MultiMix,
    films: Source | Iterable[Source],
    *,
    flip: bool = False,
    clean: bool = True,
    invert: str = "auto",
) -> Prediction | list[Prediction]:
    """Predict films; masks and saliency come back at their own size.

    Arguments:
        model: what `load_model` or `train` gave; its mode is left as it was.
        films: a film, a list of films, or a folder of them. A film is the path of a picture (PNG,
            JPEG, TIFF, BMP, GIF), DICOM or raw JSRT file, a PIL image, or an array (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4): uint8, floats in [0, 1], or any other numbers, which
            are stretched from the smallest to the largest.
        flip: average with the mirrored film, and tell where the two disagree, in twice the time.
        clean: post-process the lungs: at most two, without holes.
        invert: the grey values: 'auto' if the film looks inverted, 'never', 'always'.

    Returns: a `Prediction`; a list of them for a list or a folder.

    Errors: ValueError, in one sentence, where a film cannot be read.
    """
    options = PredictOptions(flip, clean, invert)
    if isinstance(films, (str, os.PathLike)) and Path(films).is_dir():
        return predict_all(model, film_files(Path(films)), options)
    if isinstance(films, (str, os.PathLike, Image.Image, np.ndarray)):
        return predict_all(model, [films], options)[0]
    if not isinstance(films, Iterable):
        raise ValueError(
            f"A {type(films).__name__} is no film; a path, a PIL image, an array, or a list of "
            "them is needed."
        )
    return predict_all(model, list(films), options)


def predict_all(
    model: MultiMix, sources: Sequence[Source], options: PredictOptions
) -> list[Prediction]:
    """Predict a list of films, as many in a pass as the device likes."""
    images = [load_image(source) for source in sources]
    names = [name_of(source, number) for number, source in enumerate(sources, start=1)]
    size = micro_batch_size(next(model.parameters()).device, model.side)
    found: list[Prediction] = []
    for first in range(0, len(sources), size):
        part = slice(first, first + size)
        found += predict_batch(model, images[part], names[part], options)
    for i, source in enumerate(sources):
        if isinstance(source, (str, os.PathLike)):
            found[i] = replace(found[i], source=Path(source))
    return found


def name_of(source: Source, number: int) -> str:
    """What the files of a film's prediction are called."""
    return Path(source).stem if isinstance(source, (str, os.PathLike)) else f"film-{number}"


def predict_batch(
    model: MultiMix, images: list[LoadedImage], names: list[str], options: PredictOptions
) -> list[Prediction]:
    """Predict films that `load_image` has read, in one pass; leaves the network in its mode."""
    inverted = [looks_inverted(image.grey) for image in images]
    films = []
    for image, looks_so in zip(images, inverted):
        films.append(255 - image.grey if options.inverts(looks_so) else image.grey)
    output = ask_network(model, films, options)
    pneumonia = torch.sigmoid(calibrated_log_odds(output.log_odds, model.calibration)).tolist()
    predictions = []
    for i, (image, film) in enumerate(zip(images, films)):
        lungs = output.lung[i, 0].numpy() > 0.5
        disagreement = output.disagreement
        warnings = quality_warnings(
            image, film, lungs, inverted=inverted[i], corrected=options.inverts(inverted[i])
        )
        predictions.append(
            Prediction(
                names[i],
                film,
                dict(zip(CLASSES, (1 - pneumonia[i], pneumonia[i]))),
                enlarge(output.lung[i], film.shape),
                enlarge(output.saliency[i], film.shape),
                warnings,
                None if disagreement is None else enlarge(disagreement[i], film.shape),
            )
        )
    return predictions


def ask_network(
    model: MultiMix, films: list[np.ndarray], options: PredictOptions
) -> InferenceOutput:
    """What the network says of films, each (H, W) uint8. ValueError where it is not numbers."""
    device, was_training = next(model.parameters()).device, model.training
    small = torch.from_numpy(np.stack([resize(film, model.side) for film in films]))
    x = network_input(small[:, None].to(device))  # (N, 1, side, side)
    try:
        with torch.inference_mode():
            output = run_network(model.eval(), x, options.flip, options.clean)
    finally:
        model.train(was_training)
    if not all(part.isfinite().all() for part in output[:3]):
        raise ValueError(
            "The network answers with values that are not numbers; take other weights."
        )
    return output


def enlarge(picture: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """(1, side, side) to (H, W), bilinear."""
    return F.interpolate(picture[None], shape, mode="bilinear", align_corners=False)[0, 0].numpy()
