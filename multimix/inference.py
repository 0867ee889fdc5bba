"""Films in, answers out: load a network, and predict."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from multimix.evaluation.calibration import calibrated_log_odds
from multimix.evaluation.outputs import (
    InferenceOutput,
    asking,
    films_for,
    network_of,
    run_network,
)
from multimix.evaluation.prediction import Prediction
from multimix.images.film_folder import is_one_film, sources_of
from multimix.images.formats import stem_of
from multimix.images.quality import (
    DOUBTFUL_SUSPICION,
    inversion_suspicion,
    is_negative,
    quality_warnings,
)
from multimix.images.reading import LoadedImage, Source, load_image, resize
from multimix.model import CLASSES, MultiMix
from multimix.runtime.checkpoint import check_sha256, model_from_checkpoint, read_checkpoint
from multimix.runtime.device import choose_device, micro_batch_size, to_device
from multimix.runtime.files import bundled

INVERT = ("auto", "never", "always")
FEW_FILMS = 8  # that no bar is shown for

NamedFilm = tuple[Source, str]  # a film, and what its files are called


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
    path = weights_file(weights)
    with torch.inference_mode(False):  # whatever the caller's: saliency needs plain tensors
        model = model_from_checkpoint(read_checkpoint(path), path)
        to_device(model, choose_device(device))
    model.name = "/".join(Path(weights).parts[-2:])
    return model


def weights_file(weights: str | os.PathLike) -> Path:
    """The file of a bundled network's name or of a path. ValueError where no network has it."""
    if not isinstance(weights, (str, os.PathLike)):
        raise ValueError(
            f"A {type(weights).__name__} names no network; give a bundled one's name or a path."
        )
    if not isinstance(weights, str) or {".", "/", os.sep} & set(weights):
        return Path(weights)
    known = sorted(path.stem for path in bundled("weights").glob("*.pth"))
    if weights not in known:
        raise ValueError(
            f"There is no bundled network '{weights}'; choose {' or '.join(known)}, or give the "
            "path of a .pth file."
        )
    path = bundled("weights") / f"{weights}.pth"
    check_sha256(path)
    return path


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

    A list of predictions keeps every map in memory, some 9 bytes a pixel: for many films
    `predict_iter` is the same, film by film.

    Arguments:
        model: what `load_model` or `train` gave; its mode is left as it was.
        films: a film, a list of films, or a folder of them. A film is the path of a picture (PNG,
            JPEG, TIFF, BMP, GIF, WebP), DICOM, .npy or raw JSRT file, such a file open or as bytes,
            a PIL image, a pydicom data set, or an array or tensor (H, W), with 1, 3 or 4 channels
            before or behind: uint8, floats in [0, 1], or any other numbers, which are stretched
            from the smallest to the largest.
        flip: average with the mirrored film, and tell where the two disagree, in twice the time.
        clean: post-process the lungs: at most two, without holes.
        invert: the grey values: 'auto' if the film looks inverted, 'never', 'always'.

    Returns: a `Prediction`; a list of them for a list or a folder.

    Errors: ValueError, in one sentence, where a film cannot be read.
    """
    predictions = predict_iter(model, films, flip=flip, clean=clean, invert=invert)
    return next(predictions) if is_one_film(films) else list(predictions)


def predict_iter(
    model: MultiMix,
    films: Source | Iterable[Source],
    *,
    flip: bool = False,
    clean: bool = True,
    invert: str = "auto",
    on_error: Callable[[ValueError], None] | None = None,
) -> Iterator[Prediction]:
    """Predict any number of films one after another, holding a few in memory.

    A bar shows how far it is, where there are many films and somebody looks.

    Arguments:
        model, films, flip, clean, invert: as for `predict`; `films` may be a generator.
        on_error: called with the error of each film that cannot be read, which is then left out;
            without it that error is raised.

    Returns: a generator of `Prediction`.

    Errors: as for `predict`.
    """
    options = PredictOptions(flip, clean, invert)
    sources = sources_of(films)
    named = ((source, name_of(source, number)) for number, source in enumerate(sources, start=1))
    total = len(sources) if isinstance(sources, Sized) else None
    batches = predict_batches(model, shown(named, total), options, on_error)
    return itertools.chain.from_iterable(batches)


def shown(
    films: Iterable[NamedFilm], total: int | None, progress: bool = True
) -> Iterable[NamedFilm]:
    """The same, with a bar that counts them, where there are many and somebody looks."""
    in_notebook = type(sys.stderr).__module__.startswith("ipykernel")
    looks = in_notebook or sys.stderr.isatty()
    few = total is not None and total <= FEW_FILMS
    hidden = few or not looks or not progress
    return tqdm(films, "predicting", total, unit="film", disable=hidden)


def predict_batches(
    model: MultiMix,
    films: Iterable[NamedFilm],
    options: PredictOptions,
    on_error: Callable[[ValueError], None] | None = None,
) -> Iterator[list[Prediction]]:
    """Predict named films, as many in a pass as the device likes; one that has none is not there.

    Arguments, errors: as for `predict_iter`.
    """
    model = network_of(model)
    size = micro_batch_size(next(model.parameters()).device, model.side)
    waiting = iter(films)
    while batch := list(itertools.islice(waiting, size)):
        loaded = []
        for source, name in batch:
            try:
                loaded.append((load_image(source), source, name))
            except ValueError as error:
                if on_error is None:
                    raise
                on_error(error)
        if loaded:
            images, sources, names = map(list, zip(*loaded))
            predictions = predict_batch(model, images, names, options)
            yield [with_source(*pair) for pair in zip(predictions, sources)]
        else:
            yield []


def with_source(prediction: Prediction, source: Source) -> Prediction:
    """The prediction, with its film's file where it came from one."""
    if isinstance(source, (str, os.PathLike)):
        return replace(prediction, source=Path(source))
    return prediction


def name_of(source: Source, number: int) -> str:
    """What the files of a film's prediction are called."""
    return stem_of(Path(source)) if isinstance(source, (str, os.PathLike)) else f"film-{number}"


def predict_batch(
    model: MultiMix, images: list[LoadedImage], names: list[str], options: PredictOptions
) -> list[Prediction]:
    """Predict films that `load_image` has read, in one pass; leaves the network in its mode."""
    inverted = find_inverted(model, [image.grey for image in images])
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
                size_cm=image.size_cm,
                network=model.name,
            )
        )
    return predictions


def find_inverted(model: MultiMix, films: list[np.ndarray]) -> list[bool]:
    """Which films, each (H, W) uint8, are inverted; the network sees the suspects' negatives."""
    suspicions = [inversion_suspicion(film) for film in films]
    suspects = [i for i, suspicion in enumerate(suspicions) if suspicion > DOUBTFUL_SUSPICION]
    inverted = [False] * len(films)
    if suspects:
        negatives = [255 - films[i] for i in suspects]
        lungs = ask_network(model, negatives, PredictOptions()).lung[:, 0].numpy()
        for i, negative, lung in zip(suspects, negatives, lungs):
            inverted[i] = is_negative(suspicions[i], resize(negative, len(lung)), lung)
    return inverted


def ask_network(
    model: MultiMix, films: list[np.ndarray], options: PredictOptions
) -> InferenceOutput:
    """What the network says of films, each (H, W) uint8. ValueError where it is not numbers."""
    network = network_of(model)
    small = torch.from_numpy(np.stack([resize(film, network.side) for film in films]))
    with asking(network):
        output = run_network(network, films_for(network, small), options.flip, options.clean)
    if not all(part.isfinite().all() for part in output[:3]):
        raise ValueError(
            "The network answers with values that are not numbers; take other weights."
        )
    return output


def enlarge(picture: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """(1, side, side) to (H, W), bilinear."""
    return F.interpolate(picture[None], shape, mode="bilinear", align_corners=False)[0, 0].numpy()
