"""The command line: python -m multimix COMMAND. Without arguments it predicts the sample films."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import torch

from multimix.config import PRECISIONS, RECIPES, SYSTEMS, Config
from multimix.data import Films, load_films
from multimix.evaluate import as_table, evaluate, write_results
from multimix.layouts import LAYOUTS
from multimix.manifest import apply_manifest
from multimix.parallel import ranks_of, speaks
from multimix.predict import INVERT, Manner, bundled, load_model, pictures_in
from multimix.table import as_json, as_text, predict_to
from multimix.train import train

# Fields of Config that have an option of their own.
CHANGES = {"steps": int, "batch": int, "side": int, "validate_every": int, "learning_rate": float,
           "precision": str, "patience": int, "gradient_clip": float, "films_at_once": int}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when all is well, 2 with one sentence on standard error when not, 130 when stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):  # file names may be bytes that no text encoding knows
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments or ["predict", str(bundled("sample_data"))])
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"multimix: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"multimix: {str(stop) or 'stopped'}.", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser("python -m multimix", description=__doc__)
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("predict", help="predict films: class, lungs, saliency")
    command.set_defaults(run=run_predict)
    command.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="films, or folders of films")
    command.add_argument("--out", type=Path, default=Path("predictions"), help="folder for the overlays and masks")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.add_argument("--no-figures", action="store_true", help="masks and table alone: many times faster")
    command.add_argument("--resume", action="store_true", help="leave out what the folder's predictions.csv has")
    command.add_argument("--precision", default="float32", choices=PRECISIONS)
    command.add_argument("--invert", default="auto", choices=INVERT, help="turn the grey values round")
    add_manner(command)
    add_weights(command)

    command = commands.add_parser("evaluate", help="measure a network on films with known answers")
    command.set_defaults(run=run_evaluate)
    add_films(command)
    command.add_argument("--split", default="test", choices=("train", "val", "test", "all"))
    command.add_argument("--json", type=Path, metavar="FILE", help="write all, with a row for each film, and a .csv")
    command.add_argument("--figures", type=Path, metavar="DIR", help="draw what was found")
    add_manner(command)
    add_weights(command)

    command = commands.add_parser("doctor", help="tell what folders hold, and whether they are fit to train on")
    command.set_defaults(run=run_doctor)
    command.add_argument("folders", nargs="+", metavar="FOLDER")
    command.add_argument("--layout", default="auto", choices=("auto", *LAYOUTS))

    add_sweep(commands.add_parser("sweep", help="train and compare systems: the paper's table 2"))

    command = commands.add_parser("train", help="train a network on folders of films")
    command.set_defaults(run=run_train)
    add_films(command)
    command.add_argument("--out", type=Path, required=True, help="folder for weights and log")
    command.add_argument("--system", default="multimix", choices=SYSTEMS)
    command.add_argument("--recipe", default="paper", choices=RECIPES)
    command.add_argument("--class-labels", type=budget, default="all", metavar="N", help="films that keep their class")
    command.add_argument("--masks", type=budget, default="all", metavar="N", help="films that keep their mask")
    command.add_argument("--seed", type=int)
    add_changes(command)
    command.add_argument("--resume", action="store_true", help="continue what is in the folder")
    command.add_argument("--compile", action="store_true", help="have torch compile the network")
    command.add_argument("--init", metavar="WEIGHTS", help="a network's name or file to start from")
    command.add_argument("--device", default="auto")
    return root


def add_sweep(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=run_sweep)
    add_folders(command)
    for task in ("classification", "segmentation"):
        command.add_argument(f"--cross-{task}", nargs="+", default=[], metavar="FOLDER", help="films from elsewhere")
    command.add_argument("--out", type=Path, required=True, help="folder for the runs, the table and the figures")
    command.add_argument("--quick", action="store_true", help="on a few small phantoms, unless told otherwise")
    command.add_argument("--systems", type=lambda text: text.split(","), metavar="A,B",
                         help=f"of {', '.join(SYSTEMS)} (default: all)")
    command.add_argument("--recipe", default="paper", choices=RECIPES)
    for name, example in (("class-labels", "100,1000,all"), ("masks", "10,50,all")):
        command.add_argument(f"--{name}", type=lambda text: [budget(part) for part in text.split(",")], metavar="N,N",
                             help=f"such as {example}")
    command.add_argument("--seeds", type=int, help="trainings of each (default: 5)")
    command.add_argument("--jobs", type=int, default=0, help="trainings at once (default: as many as fit)")
    add_changes(command)
    command.add_argument("--device", default="auto")


def add_folders(command: argparse.ArgumentParser) -> None:
    for task, example in (("classification", "{train,val,test}/{NORMAL,PNEUMONIA}"),
                          ("segmentation", "images/ and masks/")):
        command.add_argument(f"--{task}", nargs="+", default=[], metavar="FOLDER",
                             help=f"{example}, any other layout, or phantom://400")
    command.add_argument("--cache", type=Path, metavar="DIR", help="keep the reduced films there for the next time")


def add_films(command: argparse.ArgumentParser) -> None:
    add_folders(command)
    for task in ("classification", "segmentation"):
        command.add_argument(f"--{task}-layout", default="auto", choices=("auto", *LAYOUTS))
    command.add_argument("--skip-damaged", action="store_true", help="leave out films that cannot be read")
    command.add_argument("--manifest", type=Path, metavar="FILE", help="splits and labels of an earlier run")


def add_changes(command: argparse.ArgumentParser) -> None:
    for name, kind in CHANGES.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=kind, help="instead of the recipe's")


def changes_of(options: argparse.Namespace) -> dict:
    return {name: getattr(options, name) for name in CHANGES if getattr(options, name) is not None}


def films_of(options: argparse.Namespace, side: int, seed: int = 0) -> Films:
    """The films that the options name; what was left out is said on standard error."""
    films = load_films(options.classification, options.segmentation, side, seed, sys.stderr.isatty() and speaks(),
                       cache=options.cache, classification_layout=options.classification_layout,
                       segmentation_layout=options.segmentation_layout, skip_damaged=options.skip_damaged)
    for fault in films.skipped if speaks() else ():
        print(f"multimix: left out: {fault}", file=sys.stderr)
    return apply_manifest(films, options.manifest) if options.manifest else films


def add_manner(command: argparse.ArgumentParser) -> None:
    command.add_argument("--flip", action="store_true", help="average with the mirrored film: twice the time")
    command.add_argument("--raw", action="store_true", help="keep specks and holes of the lungs")


def add_weights(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights", default="multimix", help="a bundled network's name, or a .pth file")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def budget(text: str) -> int | None:
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number of labels; write a number, or all")
    return None if text == "all" else int(text)


def run_predict(options: argparse.Namespace) -> int:
    """Predict film by film, so that a folder of any size fits into memory; bad films are named at the end."""
    model = load_model(options.weights, options.device)
    device = next(model.parameters()).device
    paths = [film for path in options.paths for film in pictures_in(path)]
    with ranks_of(device) as ranks, torch.autocast(device.type, torch.bfloat16,
                                                   enabled=options.precision == "bfloat16"):
        manner = Manner(options.flip, not options.raw, options.invert)
        rows, faults = predict_to(options.out, model, paths, ranks, manner, options.resume, not options.no_figures)
    if ranks.first:
        if options.json or rows:
            print(as_json(rows) if options.json else as_text(rows, options.out))
        for fault in faults:
            print(f"multimix: {fault}", file=sys.stderr)
    return 2 if faults else 0


def run_evaluate(options: argparse.Namespace) -> int:
    model = load_model(options.weights, options.device)
    films = films_of(options, model.side)
    results = evaluate(model, films, options.split, sys.stderr.isatty(), flip=options.flip, clean=not options.raw)
    print(as_table(results))
    if options.json:
        write_results(results, options.json)
    if options.figures:
        from multimix.plot import save_evaluation

        print(f"\nDrawn: {', '.join(map(str, save_evaluation(results, options.figures)))}")
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """0 when every folder is fit to train on, 2 when one is not."""
    from multimix.doctor import examine

    fit = True
    for folder in options.folders:
        report = examine(folder, options.layout, progress=sys.stderr.isatty())
        print(f"{folder}\n{report}\n")
        fit &= report.fit
    return 0 if fit else 2


def run_train(options: argparse.Namespace) -> int:
    config = Config.preset(options.system, options.recipe, class_labels=options.class_labels, masks=options.masks,
                           seed=options.seed or 0, **changes_of(options))
    if not config.classify:
        options.classification = []
    if not config.segment:
        options.segmentation = []
    films = films_of(options, config.side, config.seed)
    for task in ("classification", "segmentation"):
        if getattr(films, task) and speaks():
            print(f"{task}: {getattr(films, task).counts()}")
    train(config, films, options.out, resume=options.resume, start=options.init and load_model(options.init, "cpu"),
          device=options.device, compile=options.compile)
    if speaks():
        print(f"The best network is in {options.out / 'best.pth'}; see it with: python -m multimix predict FILM "
              f"--weights {options.out / 'best.pth'}")
    return 0


def run_sweep(options: argparse.Namespace) -> int:
    """0 when every run is done, 2 when one failed."""
    from multimix.compare import collect
    from multimix.plot import save_figure
    from multimix.report import draw, report
    from multimix.sweep import QUICK, Sources, grid, sweep

    for name, value in (QUICK if options.quick else {"seeds": 5}).items():
        if getattr(options, name) in (None, []):
            setattr(options, name, value)
    sources = Sources(tuple(options.classification), tuple(options.segmentation), tuple(options.cross_classification),
                      tuple(options.cross_segmentation), str(options.cache or options.out / "cache"))
    jobs = grid(options.systems or list(SYSTEMS), options.class_labels or [None], options.masks or [None],
                options.seeds, options.recipe, sources, **changes_of(options))
    faults = sweep(jobs, options.out, options.jobs, options.device)
    print(report(collect(jobs, options.out), options.out))
    drawn = [save_figure(figure, options.out / f"{name}.png") for name, figure in draw(options.out).items()]
    print(f"This is {options.out / 'table.md'}; every run: {options.out / 'runs.csv'}; drawn: "
          f"{', '.join(path.name for path in drawn)}")
    for fault in faults:
        print(f"multimix: {fault}", file=sys.stderr)
    return 2 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
