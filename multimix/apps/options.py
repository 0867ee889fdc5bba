"""The options of the command line: tables that read like their help, and the fields of Config."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import multimix
from multimix.config import PRECISIONS, RENAMED, Config
from multimix.data.dataset_layouts import LAYOUTS
from multimix.inference import INVERT
from multimix.recipes import RECIPES, SYSTEMS
from multimix.runtime.files import printable

Run = Callable[[argparse.Namespace], int | None]  # returns the exit code; None is 0

# Parts of tables.
SYSTEM_NAMES = ",".join(SYSTEMS)
PRECISION_NAMES, INVERT_NAMES = ",".join(PRECISIONS), ",".join(INVERT)
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
--classification-layout {LAYOUT}  refuse folders of another layout
--segmentation-layout {LAYOUT}  refuse folders of another layout
{CLASS_NAMES}
--skip-damaged  leave out films that cannot be read
--manifest FILE  splits and labels of an earlier run
"""
METHOD = f"""
--recipe {{{",".join(RECIPES)}}}=quick  quick: better than the paper in minutes (default);\
 paper: as published; improved: better, slower
"""

# Titles of the groups of options, each before the field that begins it.
GROUPS = {
    "classify": "parts of the method (instead of the system's)",
    "pseudo_label_weight": "losses",
    "class_labels": "labels that training may see",
    "steps": "optimisation",
    "mask_augmentation": "what the improved recipe adds",
    "side": "other settings",
}
VALUES = {"int": "N", "float": "X", "int | None": "N|all", "tuple[int, ...]": "N,N,..."}

PARSER = argparse.ArgumentParser(
    "python -m multimix", description="Without arguments: predict the samples."
)
PARSER.add_argument("--version", action="version", version=f"multimix {multimix.__version__}")
COMMANDS = PARSER.add_subparsers(dest="command", required=True, metavar="COMMAND")


def command(table: str) -> Callable[[Run], Run]:
    """Make a function a command.

    The table's first line has the command's name and help; each further line has an option, its
    value (... several, ! needed, = and the default), two spaces, and its help. A line with a colon
    at its end is the title of a group; 'fields of Config without NAME ...' is all their options.
    {NAME} stands for a constant of this file.
    """
    first, *lines = filter(None, table.format_map(globals()).splitlines())
    name, help = first.split(": ", 1)
    usage = f"{PARSER.prog} {name} [options]" if "fields of Config" in table else None  # so many
    parser = COMMANDS.add_parser(name, help=help, usage=usage)
    group: Any = parser
    for line in lines:
        if line.startswith("fields of Config"):
            add_fields(parser, without=line.split()[4:])
        elif line.endswith(":"):
            group = parser.add_argument_group(line[:-1])
        else:
            add_option(group, line)

    def register(run: Run) -> Run:
        parser.set_defaults(run=run)
        return run

    return register


def add_option(group: argparse.ArgumentParser, line: str) -> None:
    """Add the option of a line of a table."""
    words, help = re.split("  +", line, maxsplit=1)
    name, _, value = words.partition(" ")
    value, _, default = value.partition("=")
    metavar = value.rstrip(".!")
    how: dict[str, Any] = {"default": default or None}
    if not value:
        how = {"action": "store_true"}
    elif value.startswith("{"):
        how["choices"] = value[1:-1].split(",")
    else:
        how |= {"metavar": metavar, "type": TYPES.get(metavar, str)}
    if "..." in value:
        how |= {"nargs": "+" if name.startswith("--") or "!" in value else "*", "default": []}
    if "!" in value and name.startswith("--"):
        how["required"] = True
    group.add_argument(name, help=help, **how)


def add_fields(parser: argparse.ArgumentParser, without: list[str]) -> None:
    """Add an option for each field of Config but `without`; the recipes have the defaults."""
    group: Any = parser
    for field in fields(Config):
        name = field.name
        if name in GROUPS:
            group = parser.add_argument_group(GROUPS[name])
        if name in without:
            continue
        values = [in_words(getattr(Config.preset(recipe=recipe), name)) for recipe in RECIPES]
        default = "; ".join(f"{recipe}: {value}" for recipe, value in zip(RECIPES, values))
        default = f"default: {values[0]}" if len({*values}) == 1 else default
        how: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if field.type != "bool":
            value = VALUES.get(str(field.type)) or "|".join(field.metadata["allowed"])
            how = {"metavar": value, "type": TYPES.get(value, str)}
        how["help"] = f"{field.metadata['help']} ({default})".replace("%", "%%")
        names = [name, *(old for old in RENAMED if RENAMED[old] == name)]
        options = [f"--{each.replace('_', '-')}" for each in names]
        group.add_argument(*options, dest=name, default=argparse.SUPPRESS, **how)


def in_words(value: object) -> str:
    """A field's value in help texts and command lines."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return "all" if value is None else str(value)


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of Config that were given on the command line."""
    names = [field.name for field in fields(Config)]
    return {name: value for name, value in vars(options).items() if name in names}


def config_arguments(config: Config, system: str, recipe: str) -> list[str]:
    """The words of `train` that change a system's and a recipe's config to this one."""
    usual = asdict(Config.preset(system, recipe, side=config.side))
    usual["side"] = Config.preset(system, recipe).side
    words = []
    for name, value in asdict(config).items():
        option = name.replace("_", "-")
        if value != usual[name] and isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif value != usual[name]:
            words += [f"--{option}", in_words(value)]
    return words


def complain(sentences: Iterable[object]) -> None:
    """A line on standard error for each sentence, whatever characters a file's name has."""
    for sentence in sentences:
        print(f"multimix: {printable(str(sentence))}", file=sys.stderr)


def class_names(text: str) -> dict[str, str]:
    """Class names on disk, each with ours: 'normal=Healthy,pneumonia=Viral|Bacterial'."""
    found: dict[str, str] = {}
    for ours, _, names in (part.partition("=") for part in text.split(",")):
        for name in map(str.strip, names.split("|")):  # one that is in both classes is refused
            found[name] = f"{found[name]} and {ours}" if name in found else ours
    return found


def count_or_all(text: str) -> int | None:
    """A number of labels; None for 'all'."""
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of labels, or all")
    return None if text == "all" else int(text)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas, or 'none'."""
    try:
        return () if text == "none" else tuple(map(int, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list such as 64,96, or none") from None


TYPES: dict[str, Callable[[str], Any]] = {  # by the name of the value; others are texts
    # ~ is the home folder also where no shell has replaced it.
    **dict.fromkeys(("FOLDER", "FILE"), lambda text: Path(os.path.expanduser(text))),
    **{"WEIGHTS": os.path.expanduser, "NAMES": class_names},
    **{"N": int, "X": float, "N|all": count_or_all, "N,N,...": whole_numbers},
    "N,N": lambda text: [count_or_all(part) for part in text.split(",")],
}
