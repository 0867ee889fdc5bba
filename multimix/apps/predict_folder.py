"""Many films to a folder: a mask and a figure for each, and a table, `predictions.csv`."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from multimix.apps.prediction_table import (
    BETWEEN,
    COLUMNS,
    Row,
    append,
    as_text,
    cell,
    check_how,
    how_in_words,
    name_of_row,
    read_table,
)
from multimix.evaluation.dicom_seg import check_highdicom
from multimix.evaluation.prediction import Prediction
from multimix.images.answers import (
    MASK,
    NAME_BYTES,
    AnswerFiles,
    AnswerNames,
    film_id,
    marked_film,
)
from multimix.images.film_folder import look_through
from multimix.images.formats import FilmError, stem_of
from multimix.inference import PredictOptions, predict_batches, shown
from multimix.model import MultiMix
from multimix.runtime.distributed import SINGLE, World
from multimix.runtime.files import csv_text, lock_folder, write_text
from multimix.runtime.stop_signal import StopSignal

SHOWN_FAULTS = 3  # of those that one error names

# By `film_id`: a film's file, and what its answer is called unless another film has that name.
FilmsToPredict = dict[str, tuple[Path, str]]


def films_to_predict(paths: Iterable[Path], recursive: bool) -> tuple[FilmsToPredict, list[str]]:
    """The films of files and folders, each once.

    Arguments:
        paths: as they were given.
        recursive: go into the folders below a folder.

    Returns: the films, and a sentence for each folder of which something is left out.

    Errors: ValueError where a folder has no film.
    """
    films: FilmsToPredict = {}
    sentences = []
    for path in paths:
        if not os.path.isdir(path):  # nor is a name that is too long
            films.setdefault(film_id(path), (path, stem_of(path)))
            continue
        found = look_through(path, recursive)
        for film in found.films:
            films.setdefault(film_id(film), (film, stem_below(path, film)))
        if left_out := found.left_out():
            sentences.append(f"left out of {path}: {left_out}.")
    return films, sentences


def stem_below(folder: Path, film: Path) -> str:
    """A film's name with the folders between: `NORMAL_1` of FOLDER/NORMAL/1.png."""
    stem = stem_of(film)
    whole = "_".join([*film.relative_to(folder).parent.parts, stem])
    return whole if len(os.fsencode(whole)) <= NAME_BYTES else stem


class Outcome(NamedTuple):
    """What became of the films that were asked for."""

    new: list[Row]  # of films predicted now
    rows: list[Row]  # with those predicted before, in the order of the films
    faults: list[str]  # a sentence for each film that could not be read
    stopped: bool  # by a signal, before all were predicted


class Plan(NamedTuple):
    """What there is to do."""

    kept: list[Row]  # of the table: all other films, and those done
    done: dict[str, Row]  # by `film_id`
    todo: list[tuple[Path, str]]  # films, and what their files are called


@dataclass(frozen=True)
class PredictionFolder:
    """A folder that films are predicted into.

    A film's row is written after its files, so a film that has a row is done: a run that was
    interrupted goes on from there.

    Attributes:
        out: the folder; it is made if it is missing.
        model: what `load_model` gave.
        options: how to predict.
        how: network and options in words, for the table.
        files: which are written for each film.
    """

    out: Path
    model: MultiMix
    options: PredictOptions
    how: str
    files: AnswerFiles

    @property
    def table(self) -> Path:
        """The file with a row for each film."""
        return self.out / "predictions.csv"

    def predict(
        self, films: FilmsToPredict, world: World = SINGLE, resume: bool = False
    ) -> Outcome:
        """Predict films; what the folder has of other films stays.

        A signal ends this after the batch that is being predicted.

        Arguments:
            films: what to predict.
            world: the processes that share the work.
            resume: leave out what the table has, instead of predicting it again.

        Errors: ValueError where the films to leave out are of another network or other options,
            another process writes into the folder, highdicom is wanted and missing, or a file that
            is none of this program's for that film would be overwritten: then nothing is written;
            OSError.
        """
        if self.files.dicom_seg:
            check_highdicom()
        lock = lock_folder(self.out) if world.is_main else nullcontext()
        with lock, StopSignal() as stop:
            plan = self.plan(films, resume)
            world.barrier()  # all have read the table
            if world.is_main:
                write_text(self.table, csv_text(plan.kept, COLUMNS))
            world.barrier()
            share = [plan.todo[index] for index in world.share(len(plan.todo))]
            rows, faults = self.predict_share(share, world.is_main, stop)
            stopped = len(rows) + len(faults) < len(share)
            new, all_faults = [], []
            for other_rows, other_faults, other_stopped in world.gather((rows, faults, stopped)):
                new += other_rows
                all_faults += other_faults
                stopped |= other_stopped
            by_film = plan.done | {film_id(Path(row["file"])): row for row in new}
            in_order = [by_film[film] for film in films if film in by_film]
            return Outcome(new, in_order, all_faults, stopped)

    def plan(self, films: FilmsToPredict, resume: bool) -> Plan:
        """What is done, what there is to do, and what its files are called; errors: `predict`'s."""
        kept, before = [], {}
        for row in read_table(self.table):
            film = film_id(Path(row["file"]))
            if film in films and marked_film(self.mask_of(row)) in ("", film):
                before[film] = row
            else:
                kept.append(row)
        done = {}
        for film, row in before.items():
            if resume and self.is_done(row):
                check_how(self.table, row, self.how)
                done[film] = row
        kept += done.values()
        names = AnswerNames(self.out, self.files.endings, map(name_of_row, kept))
        todo = []
        for film, (path, stem) in films.items():
            if film not in done:
                wished = name_of_row(before[film]) if film in before else stem
                todo.append((path, names.choose(wished, film)))
        return Plan(kept, done, todo)

    def mask_of(self, row: Row) -> Path:
        """The mask of a film that is done, wherever the folder has been moved to."""
        return self.out / f"{name_of_row(row)}{MASK}"

    def is_done(self, row: Row) -> bool:
        """Whether all files that are wanted of a film are there."""
        name = name_of_row(row)
        return all((self.out / f"{name}{ending}").is_file() for ending in self.files.endings)

    def predict_share(
        self, films: Sequence[tuple[Path, str]], is_main: bool, stop: StopSignal
    ) -> tuple[list[Row], list[str]]:
        """Predict this process's films, a batch at a time, and add their rows to the table."""
        rows: list[Row] = []
        errors: list[ValueError] = []
        counted = shown(films, len(films), progress=is_main)
        start = time.perf_counter()
        for batch in predict_batches(self.model, counted, self.options, errors.append):
            seconds = (time.perf_counter() - start) / max(len(batch), 1)
            new = []
            for prediction in batch:
                try:
                    new.append(self.save(prediction, seconds))
                except FilmError as error:  # a film of which there can be no Segmentation
                    errors.append(error)
            append(self.table, new)
            rows += new
            if stop.came:
                break
            start = time.perf_counter()
        return rows, [str(error) for error in errors]

    def save(self, prediction: Prediction, seconds: float) -> Row:
        """Write a film's files; its row."""
        saved = prediction.write(self.out, prediction.name, self.files)
        row = {"file": str(prediction.source), "label": prediction.label}
        row |= {name: cell(number) for name, number in prediction.numbers.items()}
        row["seconds"] = f"{seconds:.3f}"
        row["warnings"] = BETWEEN.join(prediction.warnings)
        row["mask"] = str(self.out / f"{prediction.name}{MASK}")
        row["overlay"] = str(saved) if self.files.figure else ""
        row["how"] = self.how
        return row

    def summary(self, outcome: Outcome) -> str:
        """What was predicted and where it is, for the terminal; there is at least one row."""
        earlier = len(outcome.rows) - len(outcome.new)
        if not outcome.new:
            what = "No new ones:" if outcome.faults else "Nothing to do: all"
            return f"{what} {earlier} films have been predicted; see {self.table}."
        files = "Masks, overlays (film, lungs, saliency)" if self.files.figure else "Masks"
        where = f"{files} and {self.table.name} are in {self.out}."
        if earlier:
            where += f" Predicted before: {earlier} more."
        return f"{as_text(outcome.new)}\n\n{where} For research, not for diagnosis."


def predict_folder(
    model: MultiMix,
    films: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    *,
    recursive: bool = False,
    resume: bool = False,
    figures: bool = True,
    flip: bool = False,
    clean: bool = True,
    invert: str = "auto",
    on_error: Callable[[str], None] | None = None,
) -> list[Row]:
    """Predict any number of films into a folder, as `python -m multimix predict` does.

    The folder gets a mask and a figure for each film, and the table `predictions.csv`; what it has
    of other films stays. A bar shows how far it is.

    Arguments:
        model: what `load_model` gave.
        films: a file, a folder, or a list of such.
        out: the folder; it is made if it is missing.
        recursive: go into the folders below a folder.
        resume: leave out the films that the table has.
        figures: False writes masks and table alone, which is faster.
        flip, clean, invert: as for `predict`.
        on_error: called with a sentence for each film that could not be predicted.

    Returns: the table's rows of these films, by column, as text.

    Warns: of what else a folder has.

    Errors: ValueError where films could not be predicted and nobody takes `on_error`, after all
        others were; and as for `PredictionFolder.predict`. KeyboardInterrupt where a signal ended
        it: `resume` goes on.
    """
    paths = [films] if isinstance(films, (str, os.PathLike)) else list(films)
    found, sentences = films_to_predict([Path(path) for path in paths], recursive)
    for sentence in sentences:
        warnings.warn(sentence, stacklevel=2)
    options = PredictOptions(flip, clean, invert)
    how = how_in_words(model.name or "a network", options)
    folder = PredictionFolder(Path(out), model, options, how, AnswerFiles(figures))
    outcome = folder.predict(found, resume=resume)
    if outcome.stopped:
        raise KeyboardInterrupt("stopped; resume=True goes on from there")
    if on_error is not None:
        for fault in outcome.faults:
            on_error(fault)
    elif outcome.faults:
        named = "; ".join(fault.rstrip(".") for fault in outcome.faults[:SHOWN_FAULTS])
        raise ValueError(
            f"{len(outcome.faults)} of {len(found)} films could not be predicted: {named}. The "
            f"others are in {folder.table}; give on_error to go on without."
        )
    return outcome.rows
