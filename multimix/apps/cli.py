"""The command line: python -m multimix COMMAND. Without arguments it predicts the sample films."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from multimix.apps.calibrate import run_calibrate
from multimix.apps.options import parser
from multimix.apps.predict_folder import PredictionFolder, films_to_predict
from multimix.apps.prediction_table import as_json, how_in_words
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.data.manifest import apply_manifest
from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.results import as_table, table_beside, write_results
from multimix.evaluation.subgroups import subgroups
from multimix.images.answers import AnswerFiles
from multimix.images.formats import film_paths
from multimix.inference import PredictOptions, load_model
from multimix.recipes import SYSTEMS
from multimix.runtime.config_options import changes_of
from multimix.runtime.device import memory_in_words
from multimix.runtime.distributed import connect, is_main
from multimix.runtime.files import bundled, printable
from multimix.runtime.stop_signal import STOPPED
from multimix.training import train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Arguments:
        arguments: the words behind `python -m multimix`; None takes those of this process.

    Returns: the exit code: 0 when all is well, 2 with one sentence on standard error when not, 130
        when stopped, 141 when nobody reads what is printed.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    prepare_streams()
    samples = map(str, film_paths(bundled("sample_data")))
    options = parser().parse_args(arguments or ["predict", *samples])
    try:
        with memory_in_words():
            code = RUN[options.command](options)
        print(end="", flush=True)  # a full disk shows here, and not after the end
        return code
    except BrokenPipeError:  # as in `| head`: who read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141  # what a shell makes of SIGPIPE
    except OSError as error:
        complain(
            f"{error.filename or 'A file'} could not be read or written "
            f"({error.strerror or error}); what was written before is whole."
        )
        return 2
    except ValueError as error:
        complain(error)
        return 2
    except KeyboardInterrupt as stop:
        complain(f"{str(stop) or 'stopped'}.")
        return STOPPED


def complain(sentence: object) -> None:
    """One line on standard error, whatever a file's name holds."""
    print(f"multimix: {printable(str(sentence))}", file=sys.stderr)


def prepare_streams() -> None:
    """Standard output and error that are there, and take any file name."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started this
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (to the end)
        elif isinstance(stream, io.TextIOWrapper):
            # Names may be bytes that no text encoding knows.
            stream.reconfigure(errors="backslashreplace")


def films_of(options: argparse.Namespace, side: int, seed: int = 0) -> Films:
    """The films that the options name; what was left out is said on standard error."""
    if not options.classification and not options.segmentation:
        raise ValueError(
            "No films were given; name their folders with --classification, --segmentation, or "
            "both."
        )
    films = load_films(
        options.classification,
        options.segmentation,
        side,
        seed,
        progress=sys.stderr.isatty() and is_main(),
        cache=options.cache,
        classification_layout=options.classification_layout,
        segmentation_layout=options.segmentation_layout,
        classes=options.classes,
        skip_damaged=options.skip_damaged,
    )
    if options.manifest:
        films = apply_manifest(films, options.manifest)
    if is_main():
        for fault in films.skipped:
            complain(f"left out: {fault}")
        for sentence in films.left_out:
            complain(sentence)
        for rule in films.split_rules:
            complain(f"splits: {rule}")
    return films


def run_predict(options: argparse.Namespace) -> int:
    """Predict batch by batch, so that a folder of any size fits into memory.

    Films that cannot be read are named at the end.
    """
    films, sentences = films_to_predict(options.paths, options.recursive)
    model = load_model(options.weights, options.device)
    device = next(model.parameters()).device
    if is_main():
        for sentence in sentences:
            complain(sentence)
    how = PredictOptions(options.flip, not options.raw, options.invert)
    folder = PredictionFolder(
        options.out,
        model,
        how,
        how_in_words(options.weights, how, options.precision, options.label_mask),
        AnswerFiles(not options.no_figures, options.arrays, options.label_mask, options.dicom_seg),
    )
    precision = torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bfloat16")
    with connect(device) as world, precision:
        outcome = folder.predict(films, world, options.resume)
    if world.is_main:
        if options.json:
            print(as_json(outcome.rows))
        elif outcome.rows and not outcome.stopped:
            print(folder.summary(outcome))
        for fault in outcome.faults:
            complain(fault)
    if outcome.stopped:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on from there")
    return 2 if outcome.faults else 0


def run_evaluate(options: argparse.Namespace) -> int:
    """Measure a network; print, and if asked write and draw, what was found."""
    model = load_model(options.weights, options.device)
    if options.json:
        check_table_is_free(options)
    films = films_of(options, model.side, model.seed)
    results = evaluate(
        model, films, options.split, sys.stderr.isatty(), flip=options.flip, clean=not options.raw
    )
    if options.subgroups:
        table, *columns = options.subgroups
        results.subgroups = subgroups(results.rows, table, columns)
    print(as_table(results))
    if options.json:
        write_results(results, options.json)
    if options.figures:
        from multimix.evaluation.figures import save_evaluation

        print(f"\nDrawn: {', '.join(map(str, save_evaluation(results, options.figures)))}")
    return 0


def check_table_is_free(options: argparse.Namespace) -> None:
    """ValueError where the table beside --json would go over one that is given."""
    table = table_beside(options.json).resolve()
    given = [*options.classification, *options.segmentation, options.manifest or ""]
    if table in [Path(path).resolve() for path in given]:
        raise ValueError(
            f"{options.json} would have its table beside it, over one that is given; choose "
            "another name."
        )


def run_doctor(options: argparse.Namespace) -> int:
    """0 when every folder is fit to train on, 2 when one is not."""
    from multimix.apps.check_data import examine

    fit = True
    for folder in options.folders:
        findings = examine(folder, options.layout, sys.stderr.isatty(), options.classes)
        print(f"{folder}\n{findings}\n")
        fit &= findings.fit
    return 0 if fit else 2


def run_train(options: argparse.Namespace) -> int:
    """Train a network on the films of the tasks that its system has."""
    config = Config.preset(options.system, options.recipe, **changes_of(options))
    if not config.classify:
        options.classification = []
    if not config.segment:
        options.segmentation = []
    films = films_of(options, config.side, config.seed)
    if is_main():
        for task in ("classification", "segmentation"):
            film_set = getattr(films, task)
            if film_set:
                print(f"{task}: {film_set.counts()}")
    train(
        config,
        films,
        options.out,
        resume=options.resume,
        init_from=None if options.init is None else load_model(options.init, "cpu"),
        device=options.device,
        compile=options.compile,
    )
    if is_main():
        best = options.out / "best.pth"
        print(
            f"The best network is in {best}; see it with: python -m multimix predict FILM "
            f"--weights {best}"
        )
    return 0


def run_export(options: argparse.Namespace) -> int:
    from multimix.apps.export import export

    found = export(
        load_model(options.weights, "cpu"), options.out, film_paths(bundled("sample_data"))
    )
    off = ", ".join(f"{name} {value:.1g}" for name, value in found.differences.items())
    print(
        f"Written: {options.out}, {options.out.stat().st_size / 1e6:.1f} MB; a film takes "
        f"{found.seconds:.2f} s with onnxruntime, {found.seconds_torch:.2f} s with torch."
    )
    print(f"Off from torch in float64 on the sample films: {off}.")
    return 0


def run_sweep(options: argparse.Namespace) -> int:
    """0 when every run is done, 2 when one failed."""
    from multimix.study.jobs import QUICK, Sources, grid
    from multimix.study.report import write_report
    from multimix.study.sweep import sweep

    defaults = QUICK if options.quick else {"seeds": 5}
    for name, value in defaults.items():
        if getattr(options, name, None) in (None, []):
            setattr(options, name, value)
    sources = Sources(
        tuple(options.classification),
        tuple(options.segmentation),
        tuple(options.cross_classification),
        tuple(options.cross_segmentation),
        str(options.cache or options.out / "cache"),
    )
    changes = changes_of(options)
    class_labels = changes.pop("class_labels", [None])
    masks = changes.pop("masks", [None])
    systems = options.systems or list(SYSTEMS)
    jobs = grid(systems, class_labels, masks, options.seeds, options.recipe, sources, **changes)
    options.out.mkdir(parents=True, exist_ok=True)  # where it cannot be, say so before training
    faults = sweep(jobs, options.out, options.jobs, options.device)
    text, figures = write_report(jobs, options.out)
    print(text)
    drawn = ", ".join(path.name for path in figures)
    print(
        f"This is {options.out / 'table.md'}; every run: {options.out / 'runs.csv'}; drawn: {drawn}"
    )
    for fault in faults:
        complain(fault)
    return 2 if faults else 0


RUN = {
    "predict": run_predict,
    "evaluate": run_evaluate,
    "doctor": run_doctor,
    "train": run_train,
    "sweep": run_sweep,
    "calibrate": run_calibrate,
    "export": run_export,
}
