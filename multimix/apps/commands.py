"""The commands of `python -m multimix`: the options of each, and the function that runs it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from multimix.apps.options import (
    CALIBRATE,
    DOCTOR,
    EVALUATE,
    EXPORT,
    PREDICT,
    SWEEP,
    TRAIN,
    command,
    complain,
)
from multimix.apps.predict_folder import predict_folder
from multimix.apps.prediction_table import as_json, summary
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.data.training_films import apply_manifest, mask_faults
from multimix.evaluation.evaluator import calibrate_to_site, evaluate
from multimix.evaluation.results import as_table, subgroups, table_beside, write_results
from multimix.images.formats import film_paths
from multimix.inference import load_model, weights_file
from multimix.model import TASKS, MultiMix
from multimix.runtime.checkpoint import read_checkpoint, save_checkpoint
from multimix.runtime.config_options import changes_of, field_options
from multimix.runtime.device import best_precision
from multimix.runtime.distributed import is_main
from multimix.runtime.files import bundled, make_folder
from multimix.training import train


def films_of(options: argparse.Namespace, side: int, seed: int = 0) -> Films:
    """The films of the options, with sentences on standard error about what to know of them."""
    folders, progress = (options.classification, options.segmentation), sys.stderr.isatty()
    names = ("cache", "classification_layout", "segmentation_layout", "classes", "skip_damaged")
    more = {name: getattr(options, name) for name in names}
    films = load_films(*folders, side, seed, progress=progress and is_main(), **more)
    if options.manifest:
        films = apply_manifest(films, options.manifest)
    known = films.segmentation.with_labels() if films.segmentation else None
    faults = mask_faults(known.masks, known.names) if known else []
    notes = [*(f"left out: {fault}" for fault in films.skipped), *films.left_out, *faults]
    complain([*notes, *(f"splits: {rule}" for rule in films.split_rules)] if is_main() else [])
    return films


def new_file(path: Path, ending: str) -> Path:
    """A path, if it is a new file's with this ending; else ValueError."""
    if path.suffix != ending or path.exists():
        reason = "exists already" if path.exists() else f"does not end in {ending}"
        raise ValueError(f"{path} {reason}; give another name for the new file.")
    return path


@command("predict", PREDICT)
def predict_command(options: argparse.Namespace) -> int:
    """2 where films could not be predicted; they are named at the end."""
    model = load_model(options.weights, options.device)
    if options.precision == "auto":
        options.precision = best_precision(next(model.parameters()).device)
    faults: list[str] = []
    names = ("recursive", "resume", "overwrite", "arrays", "label_mask", "dicom_seg", "precision")
    how: dict[str, Any] = {name: getattr(options, name) for name in (*names, "flip", "invert")}
    how |= {"figures": not options.no_figures, "clean": not options.raw}
    how |= {"on_error": faults.append, "on_left_out": lambda sentence: complain([sentence])}
    rows = predict_folder(model, options.paths, options.out, **how)
    if options.json:
        print(as_json(rows))
    elif rows:
        print(summary(rows, options.out, not options.no_figures))
    complain(faults)
    return 2 if faults else 0


@command("evaluate", EVALUATE)
def evaluate_command(options: argparse.Namespace) -> int:
    """Measure a network; print, and if wanted write and draw, the results."""
    model = load_model(options.weights, options.device)
    if options.json:
        table_beside(options.json)  # its errors come before the work
    films, is_shown = films_of(options, model.info.side, model.info.seed), sys.stderr.isatty()
    how = {"flip": options.flip, "clean": not options.raw}
    results = evaluate(model, films, options.split, is_shown, **how)
    if options.subgroups:
        table, *columns = options.subgroups
        results.subgroups = subgroups(results.rows, table, columns)
    print(as_table(results))
    if options.json:
        write_results(results, options.json)
    if options.figures:
        from multimix.evaluation.figures import save_evaluation  # matplotlib is slow to import

        print(f"\nDrawn: {', '.join(map(str, save_evaluation(results, options.figures)))}")
    return 0


@command("doctor", DOCTOR)
def doctor_command(options: argparse.Namespace) -> int:
    """0 when every folder is fit to train on, 2 when one is not."""
    from multimix.apps.check_data import examine

    fit = True
    for folder in options.folders or [bundled("sample_data") / "small"]:
        findings = examine(folder, options.layout, sys.stderr.isatty(), options.classes)
        print(f"{folder}\n{findings}\n")
        fit &= findings.fit
    return 0 if fit else 2


@command("train", TRAIN, field_options(without=()))
def train_command(options: argparse.Namespace) -> int:
    """Train on the films of the tasks that the system has; on the small set, show the result."""
    small = not options.classification and not options.segmentation
    if not small and options.out is None:
        raise ValueError("There is no folder for the weights and the log; name one with --out.")
    out = options.out or Path("runs/quick")
    few = {"class_labels": 100, "masks": 10} if small else {}
    config = Config.preset(options.system, options.recipe, **few | changes_of(options))
    learns = dict(zip(TASKS, (config.classify, config.segment)))
    for task in () if small else [task for task in TASKS if not learns[task]]:
        setattr(options, task, [])
    if not (small or options.classification or options.segmentation):
        needed = " and ".join(f"--{task}" for task in TASKS if learns[task])
        raise ValueError(f"No films for the tasks of this system were given; give {needed}.")
    films = films_of(options, config.side, config.seed)
    for task in TASKS if is_main() else ():
        if film_set := getattr(films, task):
            print(f"{task}: {film_set.counts()}")
    initial = None if options.init is None else load_model(options.init, "cpu")
    how = dict(resume=options.resume, device=options.device, compile=options.compile)
    model, best = train(config, films, out, init_from=initial, **how), out / "best.pth"
    if is_main():
        if small:
            show_test(model, films, out)
        print(f"The best network is in {best}; use it with: ", end="")
        print(f"python -m multimix predict FILM --weights {best}")
    return 0


def show_test(model: MultiMix, films: Films, out: Path) -> None:
    """Print the test films' AUC, accuracy and Dice, and draw eight of them with their lungs."""
    from multimix.evaluation.figures import plot_overlays, save_figure  # slow to import

    results = evaluate(model, films, "test")
    names = [name for name in ("auc", "accuracy", "dice") if name in results]
    print(f"test films: {', '.join(f'{name} {results[name]:.3f}' for name in names)}")
    if results.segmentation is not None:
        picture = save_figure(plot_overlays(results), out / "test_films.png")
        print(f"Eight of them, with true (green) and found (red) outlines: {picture}")


@command("sweep", SWEEP, field_options(without=("seed", "class_labels", "masks")))
def sweep_command(options: argparse.Namespace) -> int:
    """0 when every run is done, 2 when one failed."""
    from multimix.apps.sweep import sweep

    complain(faults := sweep(options))
    return 2 if faults else 0


@command("calibrate", CALIBRATE)
def calibrate_command(options: argparse.Namespace) -> int:
    """Write the network of `--weights` with a calibration that fits the given folders' films."""
    out = new_file(options.out, ".pth")
    model, progress = load_model(options.weights, options.device), sys.stderr.isatty()
    layout = {"classification_layout": options.layout, "classes": options.classes}
    place = (options.classification, (), model.info.side, model.info.seed)
    found, note = calibrate_to_site(model, load_films(*place, progress, **layout), progress)
    content = read_checkpoint(weights_file(options.weights))
    make_folder(out.parent)
    save_checkpoint(out, {**content, "calibration": found})
    before = model.info.calibration.get("operating_point")
    earlier = "none before" if before is None else f"{before:.3f} before"
    values = "Operating point {operating_point:.3f} ({}), temperature {temperature:.2f}."
    print(note, values.format(earlier, **found), f"Use it with: --weights {out}")
    return 0


@command("export", EXPORT)
def export_command(options: argparse.Namespace) -> int:
    """Print the file's size and its difference from torch."""
    from multimix.apps.export import export

    out, samples = new_file(options.out, ".onnx"), film_paths(bundled("sample_data"))
    found = export(load_model(options.weights, "cpu"), out, samples, options.precision)
    off = ", ".join(f"{name} {value:.1g}" for name, value in found.items())
    print(f"Written: {out}, {out.stat().st_size / 1e6:.1f} MB.")
    print(f"Off from torch in float64 on the sample films: {off}.")
    return 0
