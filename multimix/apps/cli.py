"""The command line: python -m multimix COMMAND. Without arguments it predicts the sample films.

Each command stands below the table of its options, which `options.command` reads.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from multimix.apps.check_data import examine
from multimix.apps.options import PARSER, changes_of, command, complain
from multimix.apps.predict_folder import as_json, predict_folder, summary
from multimix.apps.sweep import sweep
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
from multimix.runtime.device import RANK, best_precision
from multimix.runtime.files import bundled
from multimix.runtime.stop_signal import STOPPED
from multimix.training import train


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


@command("""predict: predict films: class, lungs, explanation
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
--precision {{{PRECISION_NAMES}}}=float32  of convolutions
--invert {{{INVERT_NAMES}}}=auto  the grey values; auto: if a film looks inverted
{MEASURING}""")
def predict_command(options: argparse.Namespace) -> int:
    """2 where films could not be predicted; they are named at the end."""
    model, faults = load_model(options.weights, options.device), list[str]()
    if options.precision == "auto":
        options.precision = best_precision(next(model.parameters()).device)
    names = ("recursive", "resume", "overwrite", "arrays", "label_mask", "dicom_seg", "precision")
    how = {name: getattr(options, name) for name in (*names, "flip", "invert")}
    how |= {"figures": not options.no_figures, "clean": not options.raw}
    how |= {"on_error": faults.append, "on_left_out": lambda sentence: complain([sentence])}
    rows = predict_folder(model, options.paths, options.out, **how)
    if options.json:
        print(as_json(rows))
    elif rows:
        print(summary(rows, options.out, not options.no_figures))
    complain(faults)
    return 2 if faults else 0


@command("""evaluate: measure a network on films with known classes or masks
{FILMS}
measurement:
--split {{train,val,test,all}}=test  default: test
--json FILE  write everything, with a row for each film, and a .csv
--figures FOLDER  draw the results
--subgroups NAME...  a CSV and its columns, such as age: measure the class in each of their groups
{MEASURING}""")
def evaluate_command(options: argparse.Namespace) -> None:
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


@command("""doctor: tell what folders have in them, and whether they are fit to train on
folders FOLDER...  default: the small set
--layout {LAYOUT}  what the folders must have
{CLASS_NAMES}""")
def doctor_command(options: argparse.Namespace) -> int:
    """0 when every folder is fit to train on, 2 when one is not."""
    fit = True
    for folder in options.folders or [bundled("sample_data") / "small"]:
        findings = examine(folder, options.layout, sys.stderr.isatty(), options.classes)
        print(f"{folder}\n{findings}\n")
        fit &= findings.fit
    return 0 if fit else 2


@command("""train: train a network on folders of films, or on the small set
--out FOLDER  for weights and log (default for the small set: runs/quick)
--system {{{SYSTEM_NAMES}}}=multimix  of the paper: unet has lungs alone, enc the class alone,\
 umtl both; with _ssl unlabelled films, with _s the saliency bridge; multimix has all (default)
{METHOD}
{DEVICE}
--resume  continue what is in the folder
--init WEIGHTS  a network's name or file to start from
--compile  have torch compile the network
{FILMS}
fields of Config""")
def train_command(options: argparse.Namespace) -> None:
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
    if RANK == 0:
        if small:
            show_test(model, films, out)
        print(f"The best network is in {best}; use it with: ", end="")
        print(f"python -m multimix predict FILM --weights {best}")


def show_test(model: MultiMix, films: Films, out: Path) -> None:
    """Print the test films' AUC, accuracy and Dice, and draw eight of them with their lungs."""
    from multimix.evaluation.figures import plot_overlays, save_figure  # slow to import

    results = evaluate(model, films, "test")
    names = [name for name in ("auc", "accuracy", "dice") if name in results]
    print(f"test films: {', '.join(f'{name} {results[name]:.3f}' for name in names)}")
    if results.segmentation is not None:
        picture = save_figure(plot_overlays(results), out / "test_films.png")
        print(f"Eight of them, with true (green) and found (red) outlines: {picture}")


@command("""sweep: train and compare systems: the paper's table 2
--out FOLDER!  for the runs and the tables
--quick  short trainings on the small set, unless other options say otherwise
--systems A,B  of {SYSTEM_NAMES} (default: all; with --quick: unet,enc,multimix)
{METHOD}
--class-labels N,N  such as 100,1000,all (default: all)
--masks N,N  such as 10,50,all (default: all)
--seeds N  trainings of each (default: 5; with --quick: 1)
--jobs N  at once (default: one a core)
{DEVICE}
films:
{FOLDERS}
--cross-classification FOLDER...  films of other hospitals, in any layout: measured only
--cross-segmentation FOLDER...  films of other hospitals, in any layout: measured only
fields of Config without seed class_labels masks""")
def sweep_command(options: argparse.Namespace) -> int:
    """0 when every run is done, 2 when one failed."""
    complain(faults := sweep(options))
    return 2 if faults else 0


@command("""calibrate: fit a network's threshold to films of your own site
classification FOLDER...!  films with labels
--out FILE!  the new weights file, a .pth
{CLASS_NAMES}
--layout {LAYOUT}  what the folders must have
{NETWORK}""")
def calibrate_command(options: argparse.Namespace) -> None:
    """Write the network of `--weights` with a calibration that fits the given folders' films."""
    out = options.out
    if out.exists():
        raise ValueError(f"{out} exists already; give another name for the new file.")
    model, progress = load_model(options.weights, options.device), sys.stderr.isatty()
    layout = {"classification_layout": options.layout, "classes": options.classes}
    place = (options.classification, (), model.info.side, model.info.seed)
    found, note = calibrate_to_site(model, load_films(*place, progress, **layout), progress)
    content = read_checkpoint(weights_file(options.weights))
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out, {**content, "calibration": found})
    before = model.info.calibration.get("operating_point")
    earlier = "none before" if before is None else f"{before:.3f} before"
    values = "Operating point {operating_point:.3f} ({}), temperature {temperature:.2f}."
    print(note, values.format(earlier, **found), f"Use it with: --weights {out}")


@command("""export: write a network as an ONNX file, the saliency bridge inside
out FILE!  such as multimix.onnx
--weights WEIGHTS=multimix  multimix (default), multimix_100_10, or a .pth file
--precision {{float32,float16}}=float32  of weights""")
def export_command(options: argparse.Namespace) -> None:
    """Print the file's size and its difference from torch."""
    from multimix.apps.export import export

    out, samples = options.out, film_paths(bundled("sample_data"))
    if out.exists():
        raise ValueError(f"{out} exists already; give another name for the new file.")
    found = export(load_model(options.weights, "cpu"), out, samples, options.precision)
    off = ", ".join(f"{name} {value:.1g}" for name, value in found.items())
    print(f"Written: {out}, {out.stat().st_size / 1e6:.1f} MB.")
    print(f"Off from torch in float64 on the sample films: {off}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error of the program becomes one sentence on standard error.

    `arguments` are the words behind `python -m multimix`; None takes those of this process.
    Returns the exit code: 0, 2 after an error, 130 when stopped, 141 when nobody reads the output.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may be any bytes
    arguments = sys.argv[1:] if arguments is None else arguments
    samples = map(str, film_paths(bundled("sample_data")))
    options = PARSER.parse_args(arguments or ["predict", *samples])
    code, sentence = 2, ""
    try:
        code = options.run(options) or 0
        print(end="", flush=True)  # a full disk shows here, not after the end
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141  # a shell's code for SIGPIPE
    except OSError as error:
        code, name, reason = 2, error.filename or "A file", error.strerror or error
        sentence = f"{name} could not be read or written ({reason}); earlier files are whole."
    except ValueError as error:
        sentence = str(error)
    except (MemoryError, RuntimeError) as error:
        kinds = MemoryError, torch.cuda.OutOfMemoryError  # of other memory torch has no class
        if not isinstance(error, kinds) and "can't allocate memory" not in str(error):
            raise
        sentence = (
            "There is too little memory; reduce the films, or close other programs; train with "
            "--micro-batch 1, a smaller --side, or films kept on the disk (--cache FOLDER)."
        )
    except KeyboardInterrupt as stop:
        code, sentence = STOPPED, f"{str(stop) or 'stopped'}."
    with suppress(OSError):  # a closed terminal
        complain([sentence] if sentence else [])
    return code
