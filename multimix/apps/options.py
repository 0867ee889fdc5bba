"""What may be written behind `python -m multimix`."""

from __future__ import annotations

import argparse
from pathlib import Path

from multimix.config import PRECISIONS, RECIPES, SYSTEMS
from multimix.data.dataset_layouts import LAYOUTS
from multimix.inference import INVERT

# Fields of Config that have an option of their own.
CHANGES = {
    "steps": int,
    "batch": int,
    "side": int,
    "validate_every": int,
    "learning_rate": float,
    "precision": str,
    "patience": int,
    "gradient_clip": float,
    "micro_batch": int,
}
SYSTEM_HELP = (
    "of the paper: unet has lungs alone, enc the class alone, umtl both; with _ssl unlabelled "
    "films, with _s the saliency bridge; multimix has all (default)"
)
RECIPE_HELP = "paper: as published (default); improved: that of the bundled weights"
WEIGHTS_HELP = "multimix (default), multimix_100_10, or a .pth file"


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        "python -m multimix", description="Without arguments: predict the sample films."
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("predict", help="predict films: class, lungs, saliency")
    command.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="films, or folders of films"
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("predictions"),
        help="folder for overlays, masks and table (default: predictions)",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.add_argument(
        "--no-figures", action="store_true", help="masks and table alone: many times faster"
    )
    command.add_argument(
        "--resume",
        action="store_true",
        help="go on: leave out what the folder's predictions.csv has",
    )
    command.add_argument("--precision", default="float32", choices=PRECISIONS)
    command.add_argument(
        "--invert", default="auto", choices=INVERT, help="turn the grey values round"
    )
    add_manner(command)
    add_weights(command)

    command = commands.add_parser("evaluate", help="measure a network on films with known answers")
    add_films(command)
    command.add_argument("--split", default="test", choices=("train", "val", "test", "all"))
    command.add_argument(
        "--json", type=Path, metavar="FILE", help="write all, with a row for each film, and a .csv"
    )
    command.add_argument("--figures", type=Path, metavar="DIR", help="draw what was found")
    add_manner(command)
    add_weights(command)

    command = commands.add_parser(
        "doctor", help="tell what folders hold, and whether they are fit to train on"
    )
    command.add_argument("folders", nargs="+", metavar="FOLDER")
    command.add_argument("--layout", default="auto", choices=("auto", *LAYOUTS))

    add_sweep(commands.add_parser("sweep", help="train and compare systems: the paper's table 2"))

    command = commands.add_parser("train", help="train a network on folders of films")
    add_films(command)
    command.add_argument("--out", type=Path, required=True, help="folder for weights and log")
    command.add_argument("--system", default="multimix", choices=SYSTEMS, help=SYSTEM_HELP)
    command.add_argument("--recipe", default="paper", choices=RECIPES, help=RECIPE_HELP)
    command.add_argument(
        "--class-labels",
        type=budget,
        default="all",
        metavar="N",
        help="films that keep their class",
    )
    command.add_argument(
        "--masks", type=budget, default="all", metavar="N", help="films that keep their mask"
    )
    command.add_argument("--seed", type=int, default=0)
    add_changes(command)
    command.add_argument("--resume", action="store_true", help="continue what is in the folder")
    command.add_argument("--compile", action="store_true", help="have torch compile the network")
    command.add_argument("--init", metavar="WEIGHTS", help="a network's name or file to start from")
    command.add_argument("--device", default="auto")

    command = commands.add_parser(
        "export", help="write a network as an ONNX file, the saliency bridge inside"
    )
    command.add_argument("out", type=Path, metavar="FILE", help="such as multimix.onnx")
    command.add_argument("--weights", default="multimix", help=WEIGHTS_HELP)
    return root


def add_sweep(command: argparse.ArgumentParser) -> None:
    add_folders(command)
    for task in ("classification", "segmentation"):
        command.add_argument(
            f"--cross-{task}", nargs="+", default=[], metavar="FOLDER", help="films from elsewhere"
        )
    command.add_argument(
        "--out", type=Path, required=True, help="folder for the runs, the table and the figures"
    )
    command.add_argument(
        "--quick", action="store_true", help="on a few small phantoms, unless told otherwise"
    )
    command.add_argument(
        "--systems",
        type=lambda text: text.split(","),
        metavar="A,B",
        help=f"of {', '.join(SYSTEMS)} (default: all)",
    )
    command.add_argument("--recipe", default="paper", choices=RECIPES, help=RECIPE_HELP)
    for name, example in (("class-labels", "100,1000,all"), ("masks", "10,50,all")):
        command.add_argument(
            f"--{name}",
            type=lambda text: [budget(part) for part in text.split(",")],
            metavar="N,N",
            help=f"such as {example}",
        )
    command.add_argument("--seeds", type=int, help="trainings of each (default: 5)")
    command.add_argument(
        "--jobs", type=int, default=0, help="trainings at once (default: as many as fit)"
    )
    add_changes(command)
    command.add_argument("--device", default="auto")


def add_folders(command: argparse.ArgumentParser) -> None:
    for task, example in (
        ("classification", "{train,val,test}/{NORMAL,PNEUMONIA}"),
        ("segmentation", "images/ and masks/"),
    ):
        command.add_argument(
            f"--{task}",
            nargs="+",
            default=[],
            metavar="FOLDER",
            help=f"{example}, any other layout, or phantom://400",
        )
    command.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep the reduced films there for the next time"
    )


def add_films(command: argparse.ArgumentParser) -> None:
    add_folders(command)
    for task in ("classification", "segmentation"):
        command.add_argument(f"--{task}-layout", default="auto", choices=("auto", *LAYOUTS))
    command.add_argument(
        "--skip-damaged", action="store_true", help="leave out films that cannot be read"
    )
    command.add_argument(
        "--manifest", type=Path, metavar="FILE", help="splits and labels of an earlier run"
    )


def add_changes(command: argparse.ArgumentParser) -> None:
    for name, kind in CHANGES.items():
        command.add_argument(
            f"--{name.replace('_', '-')}", type=kind, help="instead of the recipe's"
        )


def changes_of(options: argparse.Namespace) -> dict:
    return {name: getattr(options, name) for name in CHANGES if getattr(options, name) is not None}


def add_manner(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--flip", action="store_true", help="average with the mirrored film: twice the time"
    )
    command.add_argument("--raw", action="store_true", help="keep specks and holes of the lungs")


def add_weights(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights", default="multimix", help=WEIGHTS_HELP)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def budget(text: str) -> int | None:
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number of labels; write a number, or all")
    return None if text == "all" else int(text)
