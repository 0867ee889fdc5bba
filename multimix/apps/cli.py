"""The command line: python -m multimix COMMAND. Without arguments it predicts the sample films."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from pathlib import Path

import torch

from multimix.apps.options import changes_of, parser
from multimix.apps.predict_folder import as_json, as_text, predict_to
from multimix.config import SYSTEMS, Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.data.manifest import apply_manifest
from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.results import as_table, table_beside, write_results
from multimix.images.formats import film_files
from multimix.inference import PredictOptions, load_model
from multimix.runtime.distributed import connect, is_main
from multimix.runtime.files import bundled, printable
from multimix.training import train


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when all is well, 2 with one sentence on standard error when not, 130 when
    stopped.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    prepare_streams()
    options = parser().parse_args(arguments or ["predict", str(bundled("sample_data"))])
    try:
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
        return 130


def complain(sentence: object) -> None:
    """One line on standard error, whatever a file's name holds."""
    print(f"multimix: {printable(str(sentence))}", file=sys.stderr)


def prepare_streams() -> None:
    """Standard output and error that are there, and take any file name."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (to the end)
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # names may be bytes that no text encoding knows


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
        skip_damaged=options.skip_damaged,
    )
    for fault in films.skipped if is_main() else ():
        complain(f"left out: {fault}")
    return apply_manifest(films, options.manifest) if options.manifest else films


def run_predict(options: argparse.Namespace) -> int:
    """Predict film by film, so that a folder of any size fits into memory; bad films are named at
    the end.
    """
    model = load_model(options.weights, options.device)
    device = next(model.parameters()).device
    paths = [film for path in options.paths for film in film_files(path)]
    with (
        connect(device) as world,
        torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bfloat16"),
    ):
        predict_options = PredictOptions(options.flip, not options.raw, options.invert)
        how = " ".join(
            [
                options.weights,
                f"invert-{options.invert}",
                options.precision,
                *(name for name in ("flip", "raw") if getattr(options, name)),
            ]
        )
        try:
            rows, faults = predict_to(
                options.out,
                model,
                paths,
                world,
                predict_options,
                how,
                options.resume,
                not options.no_figures,
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                "stopped; the same command with --resume goes on from there"
            ) from None
    if world.is_main:
        if options.json or rows:
            print(as_json(rows) if options.json else as_text(rows, options.out))
        for fault in faults:
            complain(fault)
    return 2 if faults else 0


def run_evaluate(options: argparse.Namespace) -> int:
    model = load_model(options.weights, options.device)
    given = {
        Path(path).resolve()
        for path in (*options.classification, *options.segmentation, options.manifest or "")
    }
    if options.json and table_beside(options.json).resolve() in given:
        raise ValueError(
            f"{options.json} would have its table beside it, over one that is given; choose "
            "another name."
        )
    films = films_of(options, model.side, model.seed)
    results = evaluate(
        model, films, options.split, sys.stderr.isatty(), flip=options.flip, clean=not options.raw
    )
    print(as_table(results))
    if options.json:
        write_results(results, options.json)
    if options.figures:
        from multimix.evaluation.figures import save_evaluation

        print(f"\nDrawn: {', '.join(map(str, save_evaluation(results, options.figures)))}")
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """0 when every folder is fit to train on, 2 when one is not."""
    from multimix.apps.check_data import examine

    fit = True
    for folder in options.folders:
        report = examine(folder, options.layout, progress=sys.stderr.isatty())
        print(f"{folder}\n{report}\n")
        fit &= report.fit
    return 0 if fit else 2


def run_train(options: argparse.Namespace) -> int:
    config = Config.preset(
        options.system,
        options.recipe,
        class_labels=options.class_labels,
        masks=options.masks,
        seed=options.seed,
        **changes_of(options),
    )
    if not config.classify:
        options.classification = []
    if not config.segment:
        options.segmentation = []
    films = films_of(options, config.side, config.seed)
    for task in ("classification", "segmentation"):
        if getattr(films, task) and is_main():
            print(f"{task}: {getattr(films, task).counts()}")
    start = None if options.init is None else load_model(options.init, "cpu")
    train(
        config,
        films,
        options.out,
        resume=options.resume,
        init_from=start,
        device=options.device,
        compile=options.compile,
    )
    if is_main():
        print(
            f"The best network is in {options.out / 'best.pth'}; see it with: python -m multimix "
            f"predict FILM --weights {options.out / 'best.pth'}"
        )
    return 0


def run_export(options: argparse.Namespace) -> int:
    from multimix.apps.export import export

    found = export(
        load_model(options.weights, "cpu"), options.out, film_files(bundled("sample_data"))
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
    from multimix.evaluation.film_figures import save_figure
    from multimix.study.paired_tests import collect
    from multimix.study.report import draw, report
    from multimix.study.sweep import QUICK, Sources, grid, sweep

    for name, value in (QUICK if options.quick else {"seeds": 5}).items():
        if getattr(options, name) in (None, []):
            setattr(options, name, value)
    sources = Sources(
        tuple(options.classification),
        tuple(options.segmentation),
        tuple(options.cross_classification),
        tuple(options.cross_segmentation),
        str(options.cache or options.out / "cache"),
    )
    jobs = grid(
        options.systems or list(SYSTEMS),
        options.class_labels or [None],
        options.masks or [None],
        options.seeds,
        options.recipe,
        sources,
        **changes_of(options),
    )
    faults = sweep(jobs, options.out, options.jobs, options.device)
    print(report(collect(jobs, options.out), options.out))
    drawn = [
        save_figure(figure, options.out / f"{name}.png")
        for name, figure in draw(options.out).items()
    ]
    print(
        f"This is {options.out / 'table.md'}; every run: {options.out / 'runs.csv'}; drawn: "
        f"{', '.join(path.name for path in drawn)}"
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
    "export": run_export,
}

if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as Ctrl-C: nothing is left half-written
    sys.exit(main())
