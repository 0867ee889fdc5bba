"""The commands of `python -m multimix`: the options of each, and the function that runs it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from multimix.apps.calibrate import run_calibrate
from multimix.apps.options import (
    CLASSES_OPTION,
    FILMS,
    FOLDERS,
    MEASURING,
    NETWORK,
    RECIPE,
    command,
    complain,
    flag,
    folders_of,
    layout_of,
    notes_on,
    option,
    path,
)
from multimix.apps.predict_folder import predict_folder
from multimix.apps.prediction_table import as_json, summary
from multimix.apps.quick_start import show_test
from multimix.config import PRECISIONS, Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.data.manifest import apply_manifest
from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.results import as_table, table_beside, write_results
from multimix.evaluation.subgroups import subgroups
from multimix.images.formats import film_paths
from multimix.inference import INVERT, load_model
from multimix.model import TASKS
from multimix.recipes import SYSTEMS
from multimix.runtime.config_options import changes_of, count_or_all, field_option, field_options
from multimix.runtime.device import best_precision
from multimix.runtime.distributed import is_main
from multimix.runtime.files import bundled
from multimix.training import train


def films_of(options: argparse.Namespace, side: int, seed: int = 0) -> Films:
    """The films of the options, with sentences on standard error about what to know of them."""
    folders, progress = (options.classification, options.segmentation), sys.stderr.isatty()
    names = ("cache", "classification_layout", "segmentation_layout", "classes", "skip_damaged")
    more = {name: getattr(options, name) for name in names}
    films = load_films(*folders, side, seed, progress=progress and is_main(), **more)
    if options.manifest:
        films = apply_manifest(films, options.manifest)
    complain(notes_on(films) if is_main() else [])
    return films


@command(
    "predict",
    "predict films: class, lungs, saliency",
    option("paths", "films, or folders of films", nargs="+", type=Path, metavar="PATH"),
    path("--out", "for overlays, masks and table", default=Path("predictions")),
    flag("--recursive", "films in the folders below a folder, too"),
    flag("--json", "print JSON instead of a table"),
    flag("--no-figures", "masks and table alone: faster"),
    flag("--arrays", "an .npz of lung probability and saliency, too"),
    flag("--label-mask", "masks of 0, 1 (right lung) and 2 (left)"),
    flag("--dicom-seg", "a DICOM Segmentation of each DICOM film: pip install multimix[dicom-seg]"),
    flag("--resume", "skip films that predictions.csv has, of the same weights and options"),
    flag("--overwrite", "with --resume: predict again what other weights or options predicted"),
    option("--precision", "of convolutions", default="float32", choices=PRECISIONS),
    option("--invert", "the grey values: if they look so", default="auto", choices=INVERT),
    *MEASURING,
)
def predict_command(options: argparse.Namespace) -> int:
    """2 where films could not be predicted; they are named at the end."""
    model = load_model(options.weights, options.device)
    faults: list[str] = []
    device = next(model.parameters()).device
    rows = predict_folder(
        model,
        options.paths,
        options.out,
        recursive=options.recursive,
        resume=options.resume,
        overwrite=options.overwrite,
        figures=not options.no_figures,
        arrays=options.arrays,
        label_mask=options.label_mask,
        dicom_seg=options.dicom_seg,
        flip=options.flip,
        clean=not options.raw,
        invert=options.invert,
        precision=best_precision(device) if options.precision == "auto" else options.precision,
        on_error=faults.append,
        on_left_out=lambda sentence: complain([sentence]),
    )
    if options.json:
        print(as_json(rows))
    elif rows:
        print(summary(rows, options.out, not options.no_figures))
    complain(faults)
    return 2 if faults else 0


@command(
    "evaluate",
    "measure a network on films with known classes or masks",
    *FILMS,
    "measurement",
    option("--split", "default: test", default="test", choices=("train", "val", "test", "all")),
    path("--json", "write everything, with a row for each film, and a .csv", "FILE"),
    path("--figures", "draw the results"),
    option(
        "--subgroups",
        "measure the class in each group of a CSV's columns, such as age",
        nargs="+",
        metavar=("TABLE", "COLUMN"),
    ),
    *MEASURING,
)
def evaluate_command(options: argparse.Namespace) -> int:
    """Measure a network; print, and if wanted write and draw, the results."""
    model = load_model(options.weights, options.device)
    if options.json:
        table_beside(options.json)  # its errors come before the work
    films, is_shown = films_of(options, model.info.side, model.info.seed), sys.stderr.isatty()
    how = dict(flip=options.flip, clean=not options.raw)
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


@command(
    "doctor",
    "tell what folders have in them, and whether they are fit to train on",
    option("folders", "default: the small set", nargs="*", metavar="FOLDER"),
    layout_of("--layout"),
    CLASSES_OPTION,
)
def doctor_command(options: argparse.Namespace) -> int:
    """0 when every folder is fit to train on, 2 when one is not."""
    from multimix.apps.check_data import examine

    fit = True
    for folder in options.folders or [bundled("sample_data") / "small"]:
        findings = examine(folder, options.layout, sys.stderr.isatty(), options.classes)
        print(f"{folder}\n{findings}\n")
        fit &= findings.fit
    return 0 if fit else 2


@command(
    "train",
    "train a network on folders of films, or on the small set",
    path("--out", "for weights and log (default for the small set: runs/quick)"),
    option(
        "--system",
        "of the paper: unet has lungs alone, enc the class alone, umtl both; with _ssl unlabelled "
        "films, with _s the saliency bridge; multimix has all (default)",
        default="multimix",
        choices=SYSTEMS,
    ),
    RECIPE,
    field_option("seed"),
    NETWORK[1],
    flag("--resume", "continue what is in the folder"),
    option("--init", "a network's name or file to start from", metavar="WEIGHTS"),
    flag("--compile", "have torch compile the network"),
    *FILMS,
    *field_options(without=("seed",)),
)
def train_command(options: argparse.Namespace) -> int:
    """Train on the films of the tasks that the system has; on the small set, show the result."""
    small = not options.classification and not options.segmentation
    if not small and options.out is None:
        raise ValueError("There is no folder for the weights and the log; name one with --out.")
    out = options.out or Path("runs/quick")
    few = {"class_labels": 100, "masks": 10} if small else {}
    config = Config.preset(options.system, options.recipe, **{**few, **changes_of(options)})
    for task, learnt in zip(TASKS, (config.classify, config.segment)):
        if not learnt and not small:
            setattr(options, task, [])
    if not (small or options.classification or options.segmentation):
        raise ValueError("No films for the tasks of this system were given; name their folders.")
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


def budgets(text: str) -> list[int | None]:
    """Numbers of labels between commas."""
    return [count_or_all(part) for part in text.split(",")]


@command(
    "sweep",
    "train and compare systems: the paper's table 2",
    path("--out", "for the runs, the table and the figures", required=True),
    flag("--quick", "short trainings on the small set, unless other options say otherwise"),
    option("--systems", f"of {', '.join(SYSTEMS)} (default: all)", metavar="A,B"),
    RECIPE,
    option("--class-labels", "such as 100,1000,all (default: all)", metavar="N,N", type=budgets),
    option("--masks", "such as 10,50,all (default: all)", metavar="N,N", type=budgets),
    option("--seeds", "trainings of each (default: 5; with --quick: 2)", type=int, metavar="N"),
    option("--jobs", "at once (default: one a core)", type=int, default=0, metavar="N"),
    NETWORK[1],
    "films",
    *FOLDERS,
    folders_of("cross-classification", "films from elsewhere"),
    folders_of("cross-segmentation", "films from elsewhere"),
    *field_options(without=("seed", "class_labels", "masks")),
)
def sweep_command(options: argparse.Namespace) -> int:
    """0 when every run is done, 2 when one failed."""
    from multimix.apps.sweep import QUICK, sweep

    if not options.quick and not options.classification and not options.segmentation:
        raise ValueError("No films were given; name their folders, or take the small set: --quick.")
    for name, value in QUICK.items() if options.quick else ():
        if getattr(options, name, None) in (None, []):
            setattr(options, name, value)
    changes = changes_of(options)
    changes["class_labels"] = options.class_labels or [None]
    changes["masks"] = options.masks or [None]
    test = options.classification, options.segmentation
    cross = options.cross_classification, options.cross_segmentation
    faults = sweep(
        options.out,
        {"test": test, "cross": cross},
        systems=options.systems.split(",") if options.systems else tuple(SYSTEMS),
        seeds=5 if options.seeds is None else options.seeds,
        at_once=options.jobs,
        **{name: getattr(options, name) for name in ("recipe", "device", "cache")},
        **changes,
    )
    complain(faults)
    return 2 if faults else 0


command(
    "calibrate",
    "fit a network's threshold to films of your own site",
    option("classification", "films with labels", nargs="+", metavar="FOLDER"),
    path("--out", "the new weights file, a .pth", "FILE", required=True),
    CLASSES_OPTION,
    layout_of("--layout"),
    *NETWORK,
)(run_calibrate)


@command(
    "export",
    "write a network as an ONNX file, the saliency bridge inside",
    path("out", "such as multimix.onnx", "FILE"),
    NETWORK[0],
    option("--precision", "of weights", default="float32", choices=("float32", "float16")),
)
def export_command(options: argparse.Namespace) -> int:
    """Print the file's size and its difference from torch."""
    from multimix.apps.export import export

    samples = film_paths(bundled("sample_data"))
    found = export(load_model(options.weights, "cpu"), options.out, samples, options.precision)
    off = ", ".join(f"{name} {value:.1g}" for name, value in found.items())
    print(f"Written: {options.out}, {options.out.stat().st_size / 1e6:.1f} MB.")
    print(f"Off from torch in float64 on the sample films: {off}.")
    return 0
