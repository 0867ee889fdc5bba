"""What may be written behind `python -m multimix`."""

from __future__ import annotations

import argparse
from pathlib import Path

import multimix
from multimix.config import PRECISIONS
from multimix.data.dataset_layouts import LAYOUTS
from multimix.inference import INVERT
from multimix.model import CLASSES
from multimix.recipes import RECIPES, SYSTEMS
from multimix.runtime.config_options import add_field, add_fields, budget, option_of

PROGRAM = "python -m multimix"
TASKS = {"classification": "{train,val,test}/{NORMAL,PNEUMONIA}", "segmentation": "images/, masks/"}
SYSTEM_HELP = (
    "of the paper: unet has lungs alone, enc the class alone, umtl both; with _ssl unlabelled "
    "films, with _s the saliency bridge; multimix has all (default)"
)
RECIPE_HELP = (
    "paper: as published (default); quick: past its figures in minutes; improved: better, slower"
)
WEIGHTS_HELP = "multimix (default), multimix_100_10, or a .pth file"
DEVICE_HELP = "auto (default), cpu, cuda or mps"


def parser() -> argparse.ArgumentParser:
    """The parser of every command; `command` is the name of the one that was given."""
    root = argparse.ArgumentParser(
        PROGRAM, description="Without arguments: predict the sample films."
    )
    root.add_argument("--version", action="version", version=f"multimix {multimix.__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_predict(commands.add_parser("predict", help="predict films: class, lungs, saliency"))
    add_evaluate(
        commands.add_parser("evaluate", help="measure a network on films with known answers")
    )
    add_doctor(
        commands.add_parser(
            "doctor", help="tell what folders hold, and whether they are fit to train on"
        )
    )
    add_train(
        commands.add_parser(
            "train",
            help="train a network on folders of films",
            usage=f"{PROGRAM} train --classification FOLDER --segmentation FOLDER --out FOLDER "
            "[options]",
        )
    )
    add_sweep(
        commands.add_parser(
            "sweep",
            help="train and compare systems: the paper's table 2",
            usage=f"{PROGRAM} sweep --classification FOLDER --segmentation FOLDER --out FOLDER "
            "[options]",
        )
    )
    add_calibrate(
        commands.add_parser("calibrate", help="fit a network's threshold to films of your own site")
    )
    add_export(
        commands.add_parser(
            "export", help="write a network as an ONNX file, the saliency bridge inside"
        )
    )
    return root


def add_predict(command: argparse.ArgumentParser) -> None:
    """Options of `predict`."""
    add = command.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help="films, or folders of films")
    add(
        "--out",
        type=Path,
        default=Path("predictions"),
        help="folder for overlays, masks and table (default: predictions)",
    )
    add("--recursive", action="store_true", help="films in the folders below a folder, too")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--no-figures", action="store_true", help="masks and table alone: faster")
    add("--arrays", action="store_true", help="an .npz of lung probability and saliency, too")
    add("--label-mask", action="store_true", help="masks of 0, 1 (right lung) and 2 (left)")
    add(
        "--dicom-seg",
        action="store_true",
        help="a DICOM Segmentation for each DICOM film, too: pip install multimix[dicom-seg]",
    )
    add(
        "--resume",
        action="store_true",
        help="go on: leave out what the folder's predictions.csv has",
    )
    add(
        "--precision",
        default="float32",
        choices=PRECISIONS,
        help="of convolutions: float32 (default); bfloat16 saves time on newer CPUs",
    )
    add(
        "--invert",
        default="auto",
        choices=INVERT,
        help="invert the grey values: if the film looks inverted (default), never, or always",
    )
    add_predict_options(command)
    add_weights(command)


def add_evaluate(command: argparse.ArgumentParser) -> None:
    """Options of `evaluate`."""
    add_films(command)
    command.add_argument("--split", default="test", choices=("train", "val", "test", "all"))
    command.add_argument(
        "--json", type=Path, metavar="FILE", help="write all, with a row for each film, and a .csv"
    )
    command.add_argument("--figures", type=Path, metavar="DIR", help="draw what was found")
    command.add_argument(
        "--subgroups",
        nargs="+",
        metavar=("TABLE", "COLUMN"),
        help="measure the class in each group that a CSV's columns, such as age, tell apart",
    )
    add_predict_options(command)
    add_weights(command)


def add_calibrate(command: argparse.ArgumentParser) -> None:
    """Options of `calibrate`."""
    command.add_argument(
        "classification", nargs="+", metavar="FOLDER", help="films, with labels or without"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the new weights file, a .pth"
    )
    add_classes(command)
    command.add_argument("--layout", default="auto", choices=("auto", *LAYOUTS))
    add_weights(command)


def add_doctor(command: argparse.ArgumentParser) -> None:
    """Options of `doctor`."""
    command.add_argument("folders", nargs="+", metavar="FOLDER")
    command.add_argument("--layout", default="auto", choices=("auto", *LAYOUTS))
    add_classes(command)


def add_train(command: argparse.ArgumentParser) -> None:
    """Options of `train`: the usual ones first, then films, then every field of Config."""
    add = command.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="for weights and log")
    add("--system", default="multimix", choices=SYSTEMS, help=SYSTEM_HELP)
    add("--recipe", default="paper", choices=RECIPES, help=RECIPE_HELP)
    add_field(command, "seed")
    add("--device", default="auto", help=DEVICE_HELP)
    add("--resume", action="store_true", help="continue what is in the folder")
    add("--init", metavar="WEIGHTS", help="a network's name or file to start from")
    add("--compile", action="store_true", help="have torch compile the network")
    add_films(command.add_argument_group("films"))
    add_fields(command, but=("seed",))


def add_sweep(command: argparse.ArgumentParser) -> None:
    """Options of `sweep`, which takes several systems, label budgets and seeds."""
    add = command.add_argument
    out = "for the runs, the table and the figures"
    add("--out", type=Path, required=True, metavar="FOLDER", help=out)
    add("--quick", action="store_true", help="on a few small phantoms, unless told otherwise")
    systems = f"of {', '.join(SYSTEMS)} (default: all)"
    add("--systems", type=names, metavar="A,B", help=systems)
    add("--recipe", default="paper", choices=RECIPES, help=RECIPE_HELP)
    for name, example in (("class_labels", "100,1000,all"), ("masks", "10,50,all")):
        add(
            option_of(name),
            type=budgets,
            metavar="N,N",
            default=argparse.SUPPRESS,
            help=f"such as {example} (default: all)",
        )
    add("--seeds", type=int, metavar="N", help="trainings of each (default: 5; with --quick: 2)")
    add("--jobs", type=int, default=0, metavar="N", help="at once (default: as many as fit)")
    add("--device", default="auto", help=DEVICE_HELP)
    films = command.add_argument_group("films")
    add_folders(films)
    for task in TASKS:
        films.add_argument(
            f"--cross-{task}", nargs="+", default=[], metavar="FOLDER", help="films from elsewhere"
        )
    add_fields(command, but=("seed", "class_labels", "masks"))


def add_export(command: argparse.ArgumentParser) -> None:
    """Options of `export`."""
    command.add_argument("out", type=Path, metavar="FILE", help="such as multimix.onnx")
    command.add_argument("--weights", default="multimix", help=WEIGHTS_HELP)


def add_folders(group: argparse._ActionsContainer) -> None:
    """Where the films of each task are."""
    for task, example in TASKS.items():
        group.add_argument(
            f"--{task}",
            nargs="+",
            default=[],
            metavar="FOLDER",
            help=f"{example}, any other layout, or phantom://400",
        )
    group.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep the reduced films there for the next time"
    )


def add_films(group: argparse._ActionsContainer) -> None:
    """Where the films are, and how they are read."""
    add_folders(group)
    for task in TASKS:
        group.add_argument(
            f"--{task}-layout",
            default="auto",
            choices=("auto", *LAYOUTS),
            metavar="NAME",
            help=f"auto (default), {', '.join(LAYOUTS)}",
        )
    add_classes(group)
    group.add_argument(
        "--skip-damaged", action="store_true", help="leave out films that cannot be read"
    )
    group.add_argument(
        "--manifest", type=Path, metavar="FILE", help="splits and labels of an earlier run"
    )


def add_classes(group: argparse._ActionsContainer) -> None:
    """What the classes are called on disk."""
    group.add_argument(
        "--classes",
        type=class_names,
        metavar="NAMES",
        help='what folders or a table call the classes: "normal=Healthy,pneumonia=Viral|Bacterial"',
    )


def add_predict_options(command: argparse.ArgumentParser) -> None:
    """How to predict, for the commands that do."""
    command.add_argument(
        "--flip", action="store_true", help="average with the mirrored film: twice the time"
    )
    command.add_argument("--raw", action="store_true", help="keep specks and holes of the lungs")


def add_weights(command: argparse.ArgumentParser) -> None:
    """Which network, and where it runs."""
    command.add_argument("--weights", default="multimix", help=WEIGHTS_HELP)
    command.add_argument("--device", default="auto", help=DEVICE_HELP)


def budgets(text: str) -> list[int | None]:
    """Numbers of labels, between commas."""
    return [budget(part) for part in text.split(",")]


def class_names(text: str) -> dict[str, str]:
    """Class names on disk, each with ours: 'normal=Healthy,pneumonia=Viral|Bacterial'."""
    found: dict[str, str] = {}
    for part in text.split(","):
        ours, _, theirs = part.partition("=")
        for name in map(str.strip, theirs.split("|")):
            known = found.setdefault(name, ours.strip().upper())
            if known not in CLASSES or known != ours.strip().upper() or not name or "=" in name:
                raise argparse.ArgumentTypeError(
                    f"'{text[:60]}' names no classes, or one twice; write for example "
                    '"normal=Healthy,pneumonia=Viral|Bacterial"'
                )
    return found


def names(text: str) -> list[str]:
    """Names, between commas."""
    return text.split(",")
