"""Predict many films into a folder: a mask and a figure for each, and `predictions.csv`."""

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from multimix.data.film_folder import FilmFolder, expand, look_through
from multimix.images.formats import stem_of
from multimix.images.reading import read_mask
from multimix.inference import predict_iter
from multimix.model import CLASSES, MultiMix
from multimix.predictions import output_folder
from multimix.predictions.dicom_seg import check_highdicom
from multimix.predictions.lungs import dice_with
from multimix.predictions.output_folder import MEASURES, OutputFolder, Row, film_id, film_version
from multimix.predictions.prediction import Prediction
from multimix.runtime.device import micro_batch_size
from multimix.runtime.files import printable
from multimix.runtime.stop_signal import StopSignal

Paths = str | os.PathLike | Iterable[str | os.PathLike]
Report = Callable[[str], object]  # is called with a sentence


def predict_folder(
    model: MultiMix,
    films: Paths,
    out: str | os.PathLike,
    *,
    recursive: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    figures: bool = True,
    arrays: bool = False,
    label_mask: bool = False,
    dicom_seg: bool = False,
    precision: str = "float32",
    flip: bool = False,
    clean: bool = True,
    invert: str = "auto",
    on_error: Report | None = None,
    on_left_out: Report = warnings.warn,
) -> list[Row]:
    """Predict any number of films into a folder, as `python -m multimix predict` does.

    Arguments:
        films: a file, a folder, a pattern, or a list of such.
        out: a folder that is new, empty, or has this program's table; other films' rows stay.
        recursive: also read the folders below a folder.
        resume: skip films that the same weights predicted with the same options.
        overwrite: with `resume`, predict films again that other weights or options predicted.
        figures, arrays, label_mask, dicom_seg: the files of each film, as for `Prediction.save`.
        precision: 'float32' or 'bfloat16'.
        flip, clean, invert: as for `predict`.
        on_error, on_left_out: called with a sentence for each film that could not be predicted,
            and for other files in the folders.

    Returns: the table's rows of these films, by column; numbers are floats, None where unknown.
        `probability` is that of PNEUMONIA.

    Errors: OSError; KeyboardInterrupt after a signal; ValueError where the folder has other files
        or rows of other weights, or films were not predicted and there is no `on_error`.
    """
    if dicom_seg:
        check_highdicom()
    faults: list[str] = []
    report, device = on_error or faults.append, next(model.parameters()).device
    found = find_films(films, recursive, report, on_left_out)
    files = dict(figure=figures, arrays=arrays, label_mask=label_mask, dicom_seg=dicom_seg)
    flags = {"flip": flip, "raw": not clean, "label-mask": label_mask}
    how = " ".join([f"invert-{invert}", precision, *(name for name in flags if flags[name])])
    made: Row = {"weights": output_folder.weights_hash(model), "how": how}
    options: Any = dict(flip=flip, clean=clean, invert=invert, explanation=figures or arrays)
    narrow = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    with StopSignal() as stop, output_folder.open_folder(Path(out)) as folder, narrow:
        done = {path for path in found if resume and is_done(folder, path, files, made, overwrite)}
        todo = [path for path in found if path not in done]
        versions, truths = {path: film_version(path) for path in todo}, truths_beside(todo)
        options["on_error"] = lambda error: report(str(error))
        size, new = micro_batch_size(device, model.info.side), set[Path]()
        for prediction, seconds in timed(predict_iter(model, todo, **options), size, stop):
            path = Path(prediction.source or "")
            label, mask = truths.get(path, ("", None))
            more = made | {"film_version": versions[path], "seconds": seconds, "truth": label}
            try:
                write_film(folder, prediction, found[path], files, mask, more)
                new.add(path)
            except ValueError as error:  # no DICOM Segmentation is possible
                report(str(error))
    if stop.came:
        raise KeyboardInterrupt("stopped; the same command with --resume continues from there")
    ready = new | done
    made_now_or_before = (path for path in found if path in ready)
    rows = [folder.rows[film_id(path)] | {"is_new": path in new} for path in made_now_or_before]
    if faults:
        count = f"{len(faults)} of {len(faults) + len(rows)}"
        raise ValueError(f"{count} films could not be predicted: {'; '.join(faults[:3])}")
    for row in rows:
        row |= {kind: str(folder.path / row[kind]) for kind in ("mask", "overlay") if row[kind]}
    return rows


def timed(
    predictions: Iterator[Prediction], size: int, stop: StopSignal
) -> Iterator[tuple[Prediction, float]]:
    """Each prediction and its part of the seconds of its batch; no new batch after a signal."""
    while not stop.came:
        began = time.perf_counter()
        if not (batch := list(islice(predictions, size))):
            break
        seconds = (time.perf_counter() - began) / len(batch)
        yield from ((prediction, seconds) for prediction in batch)


def find_films(paths: Paths, recursive: bool, report: Report, left_out: Report) -> dict[Path, str]:
    """The films of files, patterns and folders, each with the wanted name of its outputs."""
    films: dict[str, tuple[Path, str]] = {}  # by film_id: a film may be named twice
    for given in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        try:
            places = expand(given)
        except ValueError as error:
            report(str(error))
            continue
        for path in places:
            found = look_through(path, recursive) if path.is_dir() else FilmFolder([path])
            for film in found.films:
                name = "_".join([*film.relative_to(path).parent.parts, stem_of(film)])
                films.setdefault(film_id(film), (film, name))
            for folder in found.unreadable:
                report(f"{folder} cannot be read: no permission.")
            found.unreadable, found.tables = [], []  # films.csv is read, others are not for this
            if sentence := found.left_out():
                left_out(f"left out of {path}: {sentence}.")
    return dict(films.values())


def is_done(folder: OutputFolder, film: Path, files: dict, made: Row, overwrite: bool) -> bool:
    """Whether the folder has a film's row and files, made of the same file in the same way.

    ValueError where other weights or options made the row, without `overwrite`.
    """
    row = folder.rows.get(film_id(film))
    if not row or row["film_version"] != film_version(film):
        return False
    same = all(row[name] == made[name] for name in made)
    if not same and not overwrite:
        raise ValueError(
            f"{folder.table} has predictions of weights {row['weights']} '{row['how']}', and these "
            f"would be of {made['weights']} '{made['how']}'; give the earlier options, another "
            "--out, or --overwrite."
        )
    kinds, paths = files | {"mask": bool(row["mask"])}, folder.paths(row["name"])
    return same and all(paths[kind].is_file() for kind in paths if kinds.get(kind))


def write_film(
    out: OutputFolder, prediction: Prediction, wish: str, files: dict, mask: Path | None, more: Row
) -> None:
    """Write a film's files and row, which has `more` cells and, with a `mask` by hand, the Dice."""
    film, truth = film_id(prediction.source, prediction.film), None
    if mask and prediction.segmented:
        try:
            truth = hand_outline(mask, prediction.film.shape)
        except ValueError as error:  # the prediction does not need it
            prediction = replace(prediction, warnings=(*prediction.warnings, str(error)))
    name = out.choose_name(film, wish)
    contents = replace(prediction, name=name).contents(files, truth)
    dice = None if truth is None else dice_with(prediction.mask, truth)
    row = prediction.row(name, contents) | more | {"film_id": film, "dice": dice}
    out.add(row, contents)


def as_json(rows: Sequence[Row]) -> str:
    """The rows for programs; `probability` is that of the label."""
    columns = ("file", *MEASURES, "quality", "truth", "dice", "seconds", "mask", "overlay")
    films = []
    for row in rows:
        found = {"label": row["label"] or None, "probability": row.get(row["label"])}
        found["probabilities"] = {name: row[name] for name in CLASSES if row[name] is not None}
        found["warnings"] = list(filter(None, row["warnings"].split(output_folder.BETWEEN)))
        films.append({name: row[name] for name in columns} | found)
    return json.dumps(films, indent=2)


def summary(rows: Sequence[Row], out: Path, figures: bool) -> str:
    """The films that were predicted now, and where the files are; there is at least one row."""
    new, place = [row for row in rows if row["is_new"]], out / "predictions.csv"
    if not new:
        return f"Nothing to do: all {len(rows)} films have been predicted; see {place}."
    names = [Path(row["file"]).name for row in new]
    names = names if len({*names}) == len(names) else [row["file"] for row in new]
    table = pd.DataFrame(new, list(map(printable, names))).rename_axis(columns="film")
    table = table.rename(columns={"lung_share": "lungs", "dice": "Dice"})
    table["probability"] = [row.get(row["label"]) for row in new]
    table["label"] = table["label"].replace("", "no class")
    columns = ["label", "probability", "truth", "lungs", "Dice", "quality", "seconds"]
    table = table[columns].replace("", None).dropna(axis="columns", how="all")
    forms = {"probability": "{:.3f}", "lungs": "{:.1%}", "Dice": "{:.3f}", "seconds": "{:.2f}"}
    formatters = {name: form.format for name, form in forms.items() if name in table}
    head, *lines = table.to_string(formatters=formatters, na_rep="").splitlines()
    text, indent = [head], " " * max(map(len, table.index))
    for line, row in zip(lines, new):
        warnings = filter(None, row["warnings"].split(output_folder.BETWEEN))
        text += [line, *(f"{indent}  ! {printable(warning)}" for warning in warnings)]
    files = "Masks, overlays (film, lungs, explanation)" if figures else "Masks"
    earlier = f" Predicted before: {len(rows) - len(new)} more." if len(rows) > len(new) else ""
    end = f"{files} and {place.name} are in {out}.{earlier} For research, not for diagnosis."
    return "\n".join([*(line.rstrip() for line in text), "", end])


def truths_beside(films: Iterable[Path]) -> dict[Path, tuple[str, Path | None]]:
    """Class ('' if unknown) and outline by hand of films in a `films.csv` beside or above them.

    Its columns are `path`, and `truth`, `label` or `mask`. Other tables are ignored.
    """
    found: dict[Path, tuple[str, Path | None]] = {}
    tables = {folder / "films.csv" for film in films for folder in film.parents[:2]}
    nearest_first = sorted(filter(Path.is_file, tables), key=lambda table: -len(table.parts))
    for table in nearest_first:  # a pipe of this name would never end
        with suppress(ValueError, KeyError, OSError):
            for row in pd.read_csv(table, dtype=str, keep_default_na=False).to_dict("records"):
                label, mask = row.get("truth", row.get("label", "")).upper(), row.get("mask")
                known = label if label in CLASSES else "", table.parent / mask if mask else None
                found.setdefault(table.parent / row["path"], known)
    return found


def hand_outline(mask: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The lungs outlined by hand, (H, W) bool at the film's size; ValueError if unreadable."""
    square = Image.fromarray(read_mask([mask], max(shape)))
    return np.asarray(square.resize((shape[1], shape[0])))
