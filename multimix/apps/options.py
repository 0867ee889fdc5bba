"""Options of the command line that several commands have, and the list of all commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from multimix.data.dataset_layouts import LAYOUTS
from multimix.data.film_set import Films
from multimix.data.mask_faults import mask_faults
from multimix.model import CLASSES
from multimix.recipes import RECIPES
from multimix.runtime.config_options import Option
from multimix.runtime.files import printable

Run = Callable[[argparse.Namespace], int]  # returns the exit code

COMMANDS: dict[str, tuple[str, tuple[str | Option, ...], Run]] = {}


def command(name: str, text: str, *options: str | Option) -> Callable[[Run], Run]:
    """Make a function a command, with a help text and options; a string begins a group of them."""

    def register(run: Run) -> Run:
        COMMANDS[name] = text, options, run
        return run

    return register


def option(name: str, help: str = "", **settings: Any) -> Option:
    """An option, or a positional argument."""
    return (name,), {"help": help, **settings}


def flag(name: str, help: str) -> Option:
    """An option without a value."""
    return option(name, help, action="store_true")


def path(name: str, help: str, metavar: str = "FOLDER", **settings: Any) -> Option:
    """An option that takes a path."""
    return option(name, help, type=Path, metavar=metavar, **settings)


def complain(sentences: Iterable[object]) -> None:
    """A line on standard error for each sentence, whatever characters a file's name has."""
    for sentence in sentences:
        print(f"multimix: {printable(str(sentence))}", file=sys.stderr)


def notes_on(films: Films) -> list[str]:
    """What to know of films: those that were left out, odd masks, and how the splits were made."""
    known = films.segmentation.with_labels() if films.segmentation else None
    faults = mask_faults(known.masks, known.names) if known else []
    skipped = [f"left out: {fault}" for fault in films.skipped]
    return [*skipped, *films.left_out, *faults, *(f"splits: {rule}" for rule in films.split_rules)]


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


def folders_of(task: str, example: str) -> Option:
    help = f"{example}, or any other layout"
    return option(f"--{task}", help, nargs="+", default=[], metavar="FOLDER")


def layout_of(name: str) -> Option:
    help, choices = f"auto (default), {', '.join(LAYOUTS)}", ("auto", *LAYOUTS)
    return option(name, help, default="auto", choices=choices, metavar="NAME")


CLASS_NAMES = 'what folders or a table call the classes: "normal=Healthy,pneumonia=Viral|Bacterial"'
CLASSES_OPTION = option("--classes", CLASS_NAMES, type=class_names, metavar="NAMES")
FOLDERS: tuple[Option, ...] = (
    folders_of("classification", "{train,val,test}/{NORMAL,PNEUMONIA}"),
    folders_of("segmentation", "images/, masks/"),
    path("--cache", "keep the reduced films there for the next time"),
)
FILMS: tuple[str | Option, ...] = (
    "films (without any folder: the small set of real films that comes with multimix)",
    *FOLDERS,
    layout_of("--classification-layout"),
    layout_of("--segmentation-layout"),
    CLASSES_OPTION,
    flag("--skip-damaged", "leave out films that cannot be read"),
    path("--manifest", "splits and labels of an earlier run", "FILE"),
)
NETWORK: tuple[Option, ...] = (
    option("--weights", "multimix (default), multimix_100_10, or a .pth file", default="multimix"),
    option("--device", "auto (default), cpu, cuda or mps", default="auto"),
)
MEASURING: tuple[Option, ...] = (
    flag("--flip", "average with the mirrored film: twice the time"),
    flag("--raw", "keep specks and holes of the lungs"),
    *NETWORK,
)
RECIPE = option(
    "--recipe",
    "quick: better than the paper's figures in minutes (default); paper: as published; improved: "
    "better, slower",
    default="quick",
    choices=RECIPES,
)
