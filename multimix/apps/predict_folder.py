"""Predict many films into a folder: a mask and a figure for each, and `predictions.csv`."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from multimix.apps.prediction_table import Truths, truths_beside
from multimix.data.film_folder import expand, look_through
from multimix.images.formats import FilmError, stem_of
from multimix.images.reading import read_mask
from multimix.inference import predict_iter, with_bar
from multimix.model import MultiMix
from multimix.predictions.dicom_seg import check_highdicom
from multimix.predictions.lungs import dice_with
from multimix.predictions.output_folder import (
    OutputFolder,
    Row,
    film_id,
    film_version,
    open_folder,
    weights_hash,
)
from multimix.runtime.device import micro_batch_size
from multimix.runtime.stop_signal import StopSignal

# By `film_id`: a film's file, and the name that its files should have.
FilmsToPredict = dict[str, tuple[Path, str]]


def predict_folder(
    model: MultiMix,
    films: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    *,
    recursive: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    figures: bool = True,
    arrays: bool = False,
    label_mask: bool = False,
    dicom_seg: bool = False,
    flip: bool = False,
    clean: bool = True,
    invert: str = "auto",
    precision: str = "float32",
    on_error: Callable[[str], object] | None = None,
    on_left_out: Callable[[str], object] = warnings.warn,
) -> list[Row]:
    """Predict any number of films into a folder, as `python -m multimix predict` does.

    Arguments:
        films: a file, a folder, a pattern, or a list of such.
        out: a folder that is new, empty, or has this program's table; other films' rows stay.
        recursive: also read the folders below a folder.
        resume: skip films that the same weights predicted with the same options.
        overwrite: with `resume`, predict films again that other weights or options predicted.
        figures, arrays, label_mask, dicom_seg: as for `Prediction.save`.
        flip, clean, invert: as for `predict`; precision: 'float32' or 'bfloat16'.
        on_error, on_left_out: called with a sentence for each film that could not be predicted,
            and for other files in the folders.

    Returns: the table's rows of these films, by column; numbers are floats, None where unknown.

    Errors: OSError; KeyboardInterrupt after a signal; ValueError where the folder has other files
        or rows of other weights, or films were not predicted and there is no `on_error`.
    """
    files = {"figure": figures, "arrays": arrays, "label_mask": label_mask, "dicom_seg": dicom_seg}
    options = {"flip": flip, "clean": clean, "invert": invert}
    films = [films] if isinstance(films, (str, os.PathLike)) else films
    found, left_out, faults = films_to_predict(films, recursive)
    for sentence in left_out:
        on_left_out(sentence)
    rows = Job(model, Path(out), options, files, precision, faults).run(found, resume, overwrite)
    if faults and not on_error:
        count = f"{len(faults)} of {len(faults) + len(rows)}"
        raise ValueError(f"{count} films could not be predicted: {'; '.join(faults[:3])}")
    if on_error:
        for fault in faults:
            on_error(fault)
    return rows


def films_to_predict(
    paths: Iterable[str | os.PathLike], recursive: bool
) -> tuple[FilmsToPredict, list[str], list[str]]:
    """The films of files, patterns and folders, each once; what is left out; what is unreadable."""
    films: FilmsToPredict = {}
    left_out, faults = [], []
    for given in paths:
        try:
            expanded = expand(given)
        except ValueError as error:
            faults.append(str(error))
            continue
        for path in expanded:
            if not path.is_dir():
                films.setdefault(film_id(path), (path, stem_of(path)))
                continue
            found = look_through(path, recursive)
            for film in found.films:
                name = "_".join([*film.relative_to(path).parent.parts, stem_of(film)])
                films.setdefault(film_id(film), (film, name))
            faults += [f"{folder} cannot be read: no permission." for folder in found.unreadable]
            if sentence := replace(found, unreadable=[]).left_out():
                left_out.append(f"left out of {path}: {sentence}.")
    return films, left_out, faults


@dataclass(frozen=True)
class Job:
    """One call of `predict_folder`; `faults` are sentences about films that were not predicted."""

    model: MultiMix
    out: Path
    options: dict
    files: dict
    precision: str
    faults: list[str]

    @cached_property
    def made(self) -> Row:
        """The cells of a row that tell how it was made."""
        flags = {"flip": self.options["flip"], "raw": not self.options["clean"]}
        flags |= {"label-mask": self.files["label_mask"]}
        words = f"invert-{self.options['invert']}", self.precision
        how = " ".join([*words, *(name for name, is_on in flags.items() if is_on)])
        return {"weights": weights_hash(self.model), "how": how}

    def run(self, films: FilmsToPredict, resume: bool, overwrite: bool) -> list[Row]:
        """Predict films; a signal ends it after a batch. Returns their rows, also earlier ones."""
        if self.files["dicom_seg"]:
            check_highdicom()
        device = next(self.model.parameters()).device
        size = micro_batch_size(device, self.model.info.side)
        narrow = torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16")
        with StopSignal() as stop, open_folder(self.out) as folder, narrow:
            found: dict[str, Row] = {}
            for film, (path, _) in films.items() if resume else ():
                if self.is_done(folder, film, path, overwrite):
                    found[film] = folder.rows[film] | {"is_new": False}
            todo = [(film, *films[film]) for film in films if film not in found]
            truths = truths_beside(path for _, path, _ in todo)
            waiting = iter(with_bar(todo))
            while (batch := list(islice(waiting, size))) and not stop.came:
                for row in self.predict_batch(folder, batch, truths):
                    found[row["film_id"]] = row | {"is_new": True}
        if batch:
            raise KeyboardInterrupt("stopped; the same command with --resume continues from there")
        rows = [found[film] for film in films if film in found]
        for row in rows:
            row |= {kind: str(self.out / row[kind]) for kind in ("mask", "overlay") if row[kind]}
        return rows

    def is_done(self, folder: OutputFolder, film: str, path: Path, overwrite: bool) -> bool:
        """Whether the folder has this film's row and files, made of the same file in the same way.

        ValueError where other weights or options made the row, without `overwrite`.
        """
        row = folder.rows.get(film)
        if not row or row["film_version"] != film_version(path):
            return False
        if any(row[name] != self.made[name] for name in self.made):
            if overwrite:
                return False
            raise ValueError(
                f"{folder.table} has predictions of weights {row['weights']} '{row['how']}', "
                f"and these would be of {self.made['weights']} '{self.made['how']}'; give the "
                "same options, or another folder (--out), or --overwrite to predict them again."
            )
        kinds, paths = self.files | {"mask": bool(row["mask"])}, folder.paths(row["name"])
        return all(paths[kind].is_file() for kind in paths if kinds.get(kind))

    def predict_batch(
        self, folder: OutputFolder, batch: list[tuple[str, Path, str]], truths: Truths
    ) -> Iterator[Row]:
        """Predict films, each given by `film_id`, file and wanted name; write files and rows."""
        began = time.perf_counter()
        known = {path: (film, wish, film_version(path)) for film, path, wish in batch}
        options = self.options | {"on_error": lambda error: self.faults.append(str(error))}
        predictions = list(predict_iter(self.model, list(known), **options))
        seconds = (time.perf_counter() - began) / max(len(predictions), 1)
        for prediction in predictions:
            path = Path(prediction.source or "")
            film, wish, version = known[path]
            label, mask = truths.get(path, ("", None))
            by_hand, dice, name = None, None, folder.choose_name(film, wish)
            if mask and prediction.segmented:
                try:
                    square = Image.fromarray(read_mask([mask], max(prediction.film.shape)))
                    by_hand = np.asarray(square.resize(prediction.film.shape[::-1]))
                    dice = dice_with(prediction.mask, by_hand)
                except ValueError as error:
                    told = (*prediction.warnings, str(error))
                    prediction = replace(prediction, warnings=told)
            try:
                contents = replace(prediction, name=name).contents(self.files, by_hand)
            except FilmError as error:  # no Segmentation is possible
                self.faults.append(str(error))
                continue
            row = prediction.row(name, contents) | self.made | {"film_id": film, "dice": dice}
            row |= {"film_version": version, "truth": label, "seconds": seconds}
            folder.add(row, contents)
            yield row
