"""Films in, predictions out: load a network, and predict."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from multimix.data.film_folder import is_one_film, sources_of
from multimix.evaluation.calibration import calibrated_log_odds
from multimix.images import quality
from multimix.images.preparation import WHOLE, Box
from multimix.images.reading import LoadedImage, Source, load_image, resize
from multimix.images.recognition import NOT_RECOGNISED, TWO_FILMS, holds_two_films, is_frontal_chest
from multimix.model import CLASSES, TASKS, MultiMix
from multimix.predictions.lungs import SENTENCES, expected_dice, outline_quality
from multimix.predictions.output_folder import weights_hash
from multimix.predictions.outputs import eval_mode, explain, films_for, run_network
from multimix.predictions.prediction import Prediction
from multimix.runtime.checkpoint import model_from_checkpoint, read_checkpoint
from multimix.runtime.device import choose_device, micro_batch_size, to_device
from multimix.runtime.files import bundled

INVERT = ("auto", "never", "always")
NOT_LEARNT = {
    "classification": "The network has not learnt the classes: there is no label.",
    "segmentation": "The network has not learnt the lungs: there is no mask.",
}


def load_model(weights: str | os.PathLike = "multimix", device: str = "auto") -> MultiMix:
    """Load a network, in eval mode.

    Arguments:
        weights: the name of a bundled network ('multimix', trained with all labels, or
            'multimix_100_10', trained with 100 classes and 10 masks), or the path of a checkpoint
            of `train` or of the authors. Anything with a dot or a slash is a path.
        device: 'auto' (CUDA, else MPS, else the CPU), 'cpu', 'cuda' or 'mps'.

    Errors: ValueError where there is no such network or device, or the file is not a network's.
    """
    path = weights_file(weights)
    with torch.inference_mode(False):  # saliency needs ordinary tensors
        model = model_from_checkpoint(read_checkpoint(path), path)
        to_device(model, choose_device(device))
    model.info.name = "/".join(Path(weights).parts[-2:])
    return model


def weights_file(weights: str | os.PathLike) -> Path:
    """The file of a bundled network's name or of a path. ValueError for anything else."""
    if isinstance(weights, os.PathLike) or {".", "/", os.sep} & set(str(weights)):
        return Path(weights)
    path = bundled("weights") / f"{weights}.pth"
    if not path.is_file():
        known = sorted(path.stem for path in bundled("weights").glob("*.pth"))
        raise ValueError(
            f"There is no bundled network '{weights}'; choose {' or '.join(known)}, or give a path."
        )
    return path


def predict(
    model: MultiMix,
    films: Source | Iterable[Source],
    *,
    flip: bool = False,
    clean: bool = True,
    invert: str = "auto",
) -> Prediction | list[Prediction]:
    """Predict films; masks and saliency have the film's own size.

    Each prediction takes about 13 bytes a pixel: for many films use `predict_iter`.

    Arguments:
        model: from `load_model` or `train`; its mode does not change.
        films: a film, a list of films, a folder of them, or a batch (N, 1, H, W). A film is the
            path of a picture (PNG, JPEG, TIFF, BMP, GIF, WebP), DICOM, .npy or raw JSRT file; an
            open file or bytes of one; a PIL image, a pydicom data set, or an array or tensor (H, W)
            with 1, 3 or 4 channels before or behind: uint8, floats in [0, 1], or any other numbers,
            which are stretched from the smallest to the largest.
        flip: average with the mirrored film, in twice the time.
        clean: post-process the lungs: at most two, without holes.
        invert: the grey values: 'auto' if the film looks inverted, 'never', 'always'.

    Returns: a `Prediction`; a list of them for a list, a folder or a batch.

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
    explanation: bool = True,
    on_error: Callable[[ValueError], None] | None = None,
) -> Iterator[Prediction]:
    """Predict any number of films one after another, with few of them in memory.

    For more than eight films a terminal or notebook shows a bar.

    Arguments:
        model, films, flip, clean, invert: as for `predict`; `films` may be a generator.
        explanation: compute `Prediction.explanation`, which takes about a third of the time.
        on_error: called with the error of each film that cannot be read, which is then skipped;
            without it that error is raised.

    Returns: a generator of `Prediction`.
    """
    if invert not in INVERT:
        raise ValueError(f"invert is '{invert}'; {' or '.join(INVERT)} is needed.")
    sources = sources_of(films)

    def predictions() -> Iterator[Prediction]:
        with eval_mode(model) as network:
            size = micro_batch_size(network.encoder.fc.weight.device, network.info.side)
            weights = weights_hash(network)
        few = isinstance(sources, Sized) and len(sources) <= 8
        watched = sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")
        bar = tqdm(sources, "predicting", unit="film", disable=few or not watched)
        films_read = read_ahead(bar, size)
        while batch := list(islice(films_read, size)):
            images = []
            for film in batch:
                try:
                    images.append(film.result())
                except ValueError as error:
                    if on_error is None:
                        raise
                    on_error(error)
            for found in predict_batch(model, images, flip, clean, invert, explanation):
                yield replace(found, weights=weights)

    return predictions()


def read_ahead(sources: Iterable[Source], ahead: int) -> Iterator[Future[LoadedImage]]:
    """Films in their order, the next `ahead` files of which are read while one is predicted."""

    def read(number: int, source: Source) -> LoadedImage:
        image = load_image(source)
        return image if image.name else image._replace(name=f"film-{number}")

    with ThreadPoolExecutor(1) as reader:
        waiting: deque[Future[LoadedImage]] = deque()
        for number, source in enumerate(sources, start=1):
            waiting.append(reader.submit(read, number, source))
            if not isinstance(source, (str, os.PathLike)):
                wait(waiting)  # a generator may change or close it
            if len(waiting) > ahead:
                yield waiting.popleft()
        yield from waiting


def predict_batch(
    model: MultiMix,
    images: Sequence[LoadedImage],
    flip: bool,
    clean: bool,
    invert: str,
    explanation: bool,
) -> Iterator[Prediction]:
    """Predict films from `load_image`, in one pass. Arguments: as for `predict_iter`."""
    if not images:
        return
    with eval_mode(model) as network:
        info = network.info
        classes, lungs = (task in info.tasks for task in TASKS)
        inverted = find_inverted(network, [image.box.of(image.grey) for image in images])
        corrected = [invert == "always" or (invert == "auto" and looks) for looks in inverted]
        films = [255 - image.grey if fix else image.grey for image, fix in zip(images, corrected)]
        parts = [image.box.of(film) for image, film in zip(images, films)]  # without plain borders
        small, x = reduced(network, parts)
        output = run_network(network, x, flip, clean)
        maps = {"mask_probability": output.lung} if lungs else {}
        if classes:
            maps["saliency"] = output.saliency
        if classes and explanation:
            maps["explanation"] = explain(network, x, flip)
    if not all(part.isfinite().all() for part in output):
        raise ValueError("The network's outputs are not numbers (NaN); use other weights.")
    pneumonia = torch.sigmoid(calibrated_log_odds(output.log_odds, info.calibration)).tolist()
    not_learnt = [text for task, text in NOT_LEARNT.items() if task not in info.tasks]
    for i, (image, film) in enumerate(zip(images, films)):
        lung = output.lung[i, 0].numpy() if lungs else None
        looks = dict(inverted=inverted[i], corrected=corrected[i])
        is_frontal, dice, warnings = judge(image, parts[i], small[i], lung, **looks)
        probabilities = dict(zip(CLASSES, (1 - pneumonia[i], pneumonia[i])))
        full: Any = {name: enlarge(map[i], film.shape, image.box) for name, map in maps.items()}
        yield Prediction(
            name=image.name,
            film=film,
            probabilities=probabilities if classes and is_frontal else {},
            warnings=(*warnings, *not_learnt),
            source=image.source,
            size_cm=image.size_cm,
            network=info.name,
            expected_dice=dice,
            quality=outline_quality(dice) if lungs else "",
            **full,
        )


def judge(
    image: LoadedImage, film: np.ndarray, small: np.ndarray, lung: np.ndarray | None, **looks: bool
) -> tuple[bool, float, list[str]]:
    """Whether a film is a frontal chest film, the expected Dice of its outline, and warnings.

    `small` and `lung` (None if it is not learnt) are at the network's side; see `quality_warnings`.
    """
    mask = None if lung is None else lung > 0.5
    warnings = [*quality.quality_warnings(image, film, mask, **looks)]
    is_frontal = is_frontal_chest(film)
    if holds_two_films(film):
        warnings.append(TWO_FILMS)
    elif not is_frontal:
        warnings.append(NOT_RECOGNISED)
    dice = 0.0 if lung is None or not is_frontal else expected_dice(small, lung)
    if lung is not None and is_frontal and outline_quality(dice) != "good":
        warnings.append(SENTENCES[outline_quality(dice)])
    return is_frontal, dice, warnings


def find_inverted(network: MultiMix, films: Sequence[np.ndarray]) -> list[bool]:
    """Which films, each (H, W) uint8, are inverted; the network is run on doubtful negatives."""
    suspicions = [quality.inversion_suspicion(film) for film in films]
    inverted = [False] * len(films)
    if suspects := [i for i, s in enumerate(suspicions) if s > quality.DOUBTFUL_SUSPICION]:
        negatives, x = reduced(network, [255 - films[i] for i in suspects])
        lungs = run_network(network, x, clean=True).lung[:, 0].numpy()
        for i, negative, lung in zip(suspects, negatives, lungs):
            inverted[i] = quality.is_negative(suspicions[i], negative, lung)
    return inverted


def reduced(network: MultiMix, films: Sequence[np.ndarray]) -> tuple[np.ndarray, Tensor]:
    """Films, each (H, W) uint8, at the network's side: (N, side, side) uint8, and as its input."""
    small = np.stack([resize(film, network.info.side) for film in films])
    return small, films_for(network, torch.from_numpy(small))


def enlarge(picture: Tensor, shape: tuple[int, ...], box: Box = WHOLE) -> np.ndarray:
    """(1, h, w) to the part of (H, W) inside a box, bilinear; 0 outside."""
    whole = np.zeros(shape, dtype=np.float32)
    part = box.of(whole)
    part[:] = F.interpolate(picture[None], part.shape, mode="bilinear")[0, 0].numpy()
    return whole
