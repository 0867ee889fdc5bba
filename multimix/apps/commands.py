"""The commands of `python -m multimix`: the options of each, and the function that runs it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from multimix.apps.options import command, complain
from multimix.apps.predict_folder import predict_folder
from multimix.apps.prediction_table import as_json, summary
from multimix.config import PRECISIONS, Config
from multimix.data.dataset_layouts import LAYOUTS
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.data.manifest import apply_manifest
from multimix.data.mask_faults import mask_faults
from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.results import as_table, table_beside, write_results
from multimix.evaluation.site import calibrate_to_site
from multimix.evaluation.subgroups import subgroups
from multimix.images.formats import film_paths
from multimix.inference import INVERT, load_model, weights_file
from multimix.model import TASKS, MultiMix
from multimix.recipes import RECIPES, SYSTEMS
from multimix.runtime.checkpoint import read_checkpoint, save_checkpoint
from multimix.runtime.config_options import changes_of
from multimix.runtime.device import best_precision
from multimix.runtime.distributed import RANK
from multimix.runtime.files import bundled, make_folder
from multimix.training import train

LAYOUT = f"{{{','.join(['auto', *LAYOUTS])}}}=auto"
DEVICE = "--device DEVICE=auto  auto (default), cpu, cuda or mps"
NETWORK = f"""
--weights WEIGHTS=multimix  multimix (default), multimix_100_10, or a .pth file
{DEVICE}"""
MEASURING = f"""
--flip  average with the mirrored film: twice the time
--raw  keep specks and holes of the lungs
{NETWORK}"""
CLASS_NAMES = """
--classes NAMES  what folders or a table call them: "normal=Healthy,pneumonia=Viral|Bacterial"
"""
FOLDERS = """
--classification FOLDER...  {train,val,test}/{NORMAL,PNEUMONIA}, or any other layout
--segmentation FOLDER...  images/, masks/, or any other layout
--cache FOLDER  keep the reduced films there for the next time
"""
FILMS = f"""
films (without any folder: the small set of real films that comes with multimix):
{FOLDERS}
--classification-layout {LAYOUT}  what the folders must have
--segmentation-layout {LAYOUT}  what the folders must have
{CLASS_NAMES}
--skip-damaged  leave out films that cannot be read
--manifest FILE  splits and labels of an earlier run
"""
METHOD = f"""
--recipe {{{",".join(RECIPES)}}}=quick  quick: better than the paper in minutes (default);\
 paper: as published; improved: better, slower
"""


def films_of(options: argparse.Namespace, side: int, seed: int = 0) -> Films:
    """The films of the options, with sentences on standard error about what to know of them."""
    folders, prints = (options.classification, options.segmentation), RANK == 0
    names = ("cache", "classification_layout", "segmentation_layout", "classes", "skip_damaged")
    more = {name: getattr(options, name) for name in names}
    films = load_films(*folders, side, seed, sys.stderr.isatty() and prints, **more)
    if options.manifest:
        films = apply_manifest(films, options.manifest)
    known = films.segmentation.with_labels() if films.segmentation else None
    faults = mask_faults(known.masks, known.names) if known else []
    notes = [*(f"left out: {fault}" for fault in films.skipped), *films.left_out, *faults]
    complain([*notes, *(f"splits: {rule}" for rule in films.split_rules)] if prints else [])
    return films


def new_file(path: Path) -> Path:
    """A path, if there is no such file yet; else ValueError."""
    if path.exists():
        raise ValueError(f"{path} exists already; give another name for the new file.")
    return path


@command(f"""predict: predict films: class, lungs, explanation
paths PATH...!  films, or folders of films
--out FOLDER=predictions  for overlays, masks and table
--recursive  films in the folders below a folder, too
--json  print JSON instead of a table
--no-figures  masks and table alone: faster
--arrays  an .npz of lung probability, saliency and explanation, too
--label-mask  masks of 0, 1 (right lung) and 2 (left)
--dicom-seg  a DICOM Segmentation of each DICOM film: pip install multimix[dicom-seg]
--resume  skip films that predictions.csv has, of the same weights and options
--overwrite  with --resume: predict again what other weights or options predicted
--precision {{{",".join(PRECISIONS)}}}=float32  of convolutions
--invert {{{",".join(INVERT)}}}=auto  the grey values: if they look so
{MEASURING}""")
def predict_command(options: argparse.Namespace) -> int:
    """2 where films could not be predicted; they are named at the end."""
    model, faults = load_model(options.weights, options.device), list[str]()
    if options.precision == "auto":
        options.precision = best_precision(next(model.parameters()).device)
    names = ("recursive", "resume", "overwrite", "arrays", "label_mask", "dicom_seg", "precision")
    rows = predict_folder(
        model,
        options.paths,
        options.out,
        **{name: getattr(options, name) for name in (*names, "flip", "invert")},
        figures=not options.no_figures,
        clean=not options.raw,
        on_error=faults.append,
        on_left_out=lambda sentence: complain([sentence]),
    )
    if options.json:
        print(as_json(rows))
    elif rows:
        print(summary(rows, options.out, not options.no_figures))
    complain(faults)
    return 2 if faults else 0


@command(f"""evaluate: measure a network on films with known classes or masks
{FILMS}
measurement:
--split {{train,val,test,all}}=test  default: test
--json FILE  write everything, with a row for each film, and a .csv
--figures FOLDER  draw the results
--subgroups NAME...  a CSV and its columns, such as age: measure the class in each of their groups
{MEASURING}""")
def evaluate_command(options: argparse.Namespace) -> int:
    """Measure a network; print, and if wanted write and draw, the results."""
    model, clean = load_model(options.weights, options.device), not options.raw
    if options.json:
        table_beside(options.json)  # its errors come before the work
    films, is_shown = films_of(options, model.info.side, model.info.seed), sys.stderr.isatty()
    results = evaluate(model, films, options.split, is_shown, flip=options.flip, clean=clean)
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


@command(f"""doctor: tell what folders have in them, and whether they are fit to train on
folders FOLDER...  default: the small set
--layout {LAYOUT}  what the folders must have
{CLASS_NAMES}""")
def doctor_command(options: argparse.Namespace) -> int:
    """0 when every folder is fit to train on, 2 when one is not."""
    from multimix.apps.check_data import examine

    fit = True
    for folder in options.folders or [bundled("sample_data") / "small"]:
        findings = examine(folder, options.layout, sys.stderr.isatty(), options.classes)
        print(f"{folder}\n{findings}\n")
        fit &= findings.fit
    return 0 if fit else 2


@command(f"""train: train a network on folders of films, or on the small set
--out FOLDER  for weights and log (default for the small set: runs/quick)
--system {{{",".join(SYSTEMS)}}}=multimix  of the paper: unet has lungs alone, enc the class alone,\
 umtl both; with _ssl unlabelled films, with _s the saliency bridge; multimix has all (default)
{METHOD}
{DEVICE}
--resume  continue what is in the folder
--init WEIGHTS  a network's name or file to start from
--compile  have torch compile the network
{FILMS}
fields of Config""")
def train_command(options: argparse.Namespace) -> int:
    """Train on the films of the tasks that the system has; on the small set, show the result."""
    small = not options.classification and not options.segmentation
    if not small and options.out is None:
        raise ValueError("There is no folder for the weights and the log; name one with --out.")
    out = options.out or Path("runs/quick")
    few = {"class_labels": 100, "masks": 10} if small else {}
    config = Config.preset(options.system, options.recipe, **few | changes_of(options))
    learns = dict(zip(TASKS, (config.classify, config.segment)))
    given = [task for task in TASKS if learns[task] and getattr(options, task)]
    if not (small or given):
        needed = " and ".join(f"--{task}" for task in TASKS if learns[task])
        raise ValueError(f"No films for the tasks of this system were given; give {needed}.")
    for task in set(TASKS) - {*given}:
        setattr(options, task, [])
    films = films_of(options, config.side, config.seed)
    for task in TASKS if RANK == 0 else ():
        if film_set := getattr(films, task):
            print(f"{task}: {film_set.counts()}")
    initial = None if options.init is None else load_model(options.init, "cpu")
    how = dict(resume=options.resume, device=options.device, compile=options.compile)
    model, best = train(config, films, out, init_from=initial, **how), out / "best.pth"
    if RANK == 0 and small:
        show_test(model, films, out)
    if RANK == 0:
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


@command(f"""sweep: train and compare systems: the paper's table 2
--out FOLDER!  for the runs and the tables
--quick  short trainings on the small set, unless other options say otherwise
--systems A,B  of {", ".join(SYSTEMS)} (default: all; with --quick: unet,enc,multimix)
{METHOD}
--class-labels N,N  such as 100,1000,all (default: all)
--masks N,N  such as 10,50,all (default: all)
--seeds N  trainings of each (default: 5; with --quick: 1)
--jobs N  at once (default: one a core)
{DEVICE}
films:
{FOLDERS}
--cross-classification FOLDER...  films from elsewhere, or any other layout
--cross-segmentation FOLDER...  films from elsewhere, or any other layout
fields of Config without seed class_labels masks""")
def sweep_command(options: argparse.Namespace) -> int:
    """0 when every run is done, 2 when one failed."""
    from multimix.apps.sweep import sweep

    complain(faults := sweep(options))
    return 2 if faults else 0


@command(f"""calibrate: fit a network's threshold to films of your own site
classification FOLDER...!  films with labels
--out FILE!  the new weights file, a .pth
{CLASS_NAMES}
--layout {LAYOUT}  what the folders must have
{NETWORK}""")
def calibrate_command(options: argparse.Namespace) -> int:
    """Write the network of `--weights` with a calibration that fits the given folders' films."""
    out = new_file(options.out)
    model, progress = load_model(options.weights, options.device), sys.stderr.isatty()
    layout = {"classification_layout": options.layout, "classes": options.classes}
    place = (options.classification, (), model.info.side, model.info.seed)
    found = calibrate_to_site(model, load_films(*place, progress, **layout), progress)
    content = read_checkpoint(weights_file(options.weights))
    make_folder(out.parent)
    save_checkpoint(out, {**content, "calibration": found.values})
    before = model.info.calibration.get("operating_point")
    earlier = "none before" if before is None else f"{before:.3f} before"
    values = "Operating point {operating_point:.3f} ({}), temperature {temperature:.2f}."
    print(found.note, values.format(earlier, **found.values), f"Use it with: --weights {out}")
    return 0


@command("""export: write a network as an ONNX file, the saliency bridge inside
out FILE!  such as multimix.onnx
--weights WEIGHTS=multimix  multimix (default), multimix_100_10, or a .pth file
--precision {float32,float16}=float32  of weights""")
def export_command(options: argparse.Namespace) -> int:
    """Print the file's size and its difference from torch."""
    from multimix.apps.export import export

    out, samples = new_file(options.out), film_paths(bundled("sample_data"))
    found = export(load_model(options.weights, "cpu"), out, samples, options.precision)
    off = ", ".join(f"{name} {value:.1g}" for name, value in found.items())
    print(f"Written: {out}, {out.stat().st_size / 1e6:.1f} MB.")
    print(f"Off from torch in float64 on the sample films: {off}.")
    return 0
