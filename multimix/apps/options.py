"""The commands of the command line and their options, as tables that read like their help."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import multimix
from multimix.config import PRECISIONS
from multimix.data.dataset_layouts import LAYOUTS
from multimix.inference import INVERT
from multimix.model import CLASSES
from multimix.recipes import RECIPES, SYSTEMS
from multimix.runtime.config_options import Option, count_or_all
from multimix.runtime.files import printable

Run = Callable[[argparse.Namespace], int]  # returns the exit code

# A line has an option, its value (... several, ! needed, = and the default), two spaces, its help.
# A line with a colon at its end is the title of a group.
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
PREDICT = f"""predict films: class, lungs, explanation
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
{MEASURING}"""
EVALUATE = f"""measure a network on films with known classes or masks
{FILMS}
measurement:
--split {{train,val,test,all}}=test  default: test
--json FILE  write everything, with a row for each film, and a .csv
--figures FOLDER  draw the results
--subgroups NAME...  a CSV and its columns, such as age: measure the class in each of their groups
{MEASURING}"""
DOCTOR = f"""tell what folders have in them, and whether they are fit to train on
folders FOLDER...  default: the small set
--layout {LAYOUT}  what the folders must have
{CLASS_NAMES}"""
TRAIN = f"""train a network on folders of films, or on the small set
--out FOLDER  for weights and log (default for the small set: runs/quick)
--system {{{",".join(SYSTEMS)}}}=multimix  of the paper: unet has lungs alone, enc the class alone,\
 umtl both; with _ssl unlabelled films, with _s the saliency bridge; multimix has all (default)
{METHOD}
{DEVICE}
--resume  continue what is in the folder
--init WEIGHTS  a network's name or file to start from
--compile  have torch compile the network
{FILMS}"""
SWEEP = f"""train and compare systems: the paper's table 2
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
"""
CALIBRATE = f"""fit a network's threshold to films of your own site
classification FOLDER...!  films with labels
--out FILE!  the new weights file, a .pth
{CLASS_NAMES}
--layout {LAYOUT}  what the folders must have
{NETWORK}"""
EXPORT = """write a network as an ONNX file, the saliency bridge inside
out FILE!  such as multimix.onnx
--weights WEIGHTS=multimix  multimix (default), multimix_100_10, or a .pth file
--precision {float32,float16}=float32  of weights
"""

PARSER = argparse.ArgumentParser(
    "python -m multimix", description="Without arguments: predict the samples."
)
PARSER.add_argument("--version", action="version", version=f"multimix {multimix.__version__}")
COMMANDS = PARSER.add_subparsers(dest="command", required=True, metavar="COMMAND")


def command(name: str, table: str, fields: Iterable[str | Option] = ()) -> Callable[[Run], Run]:
    """Make a function a command: a table of its help and options, and fields of Config."""
    help, *lines = filter(None, table.splitlines())
    usage = f"{PARSER.prog} {name} [options]" if fields else None  # there are too many to show
    parser = COMMANDS.add_parser(name, help=help, usage=usage)
    group: Any = parser
    for each in (*map(option_of, lines), *fields):
        if isinstance(each, str):  # a title
            group = parser.add_argument_group(each)
        else:
            group.add_argument(*each[0], **each[1])

    def register(run: Run) -> Run:
        parser.set_defaults(run=run)
        return run

    return register


def option_of(line: str) -> str | Option:
    """The arguments of `add_argument` for a line of a table; or the title of a group."""
    if line.endswith(":"):
        return line[:-1]
    names, help = re.split("  +", line, maxsplit=1)
    name, _, value = names.partition(" ")
    value, _, default = value.partition("=")
    metavar = value.rstrip(".!")
    settings: dict[str, Any] = {"help": help, "default": default or None}
    if not value:
        settings = {"help": help, "action": "store_true"}
    elif value.startswith("{"):
        settings["choices"] = value[1:-1].split(",")
    else:
        settings |= {"metavar": metavar, "type": TYPES.get(metavar, str)}
    if "..." in value:
        settings |= {"nargs": "+" if name.startswith("--") or "!" in value else "*", "default": []}
    if "!" in value and name.startswith("--"):
        settings["required"] = True
    return (name,), settings


def complain(sentences: Iterable[object]) -> None:
    """A line on standard error for each sentence, whatever characters a file's name has."""
    for sentence in sentences:
        print(f"multimix: {printable(str(sentence))}", file=sys.stderr)


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


def budgets(text: str) -> list[int | None]:
    """Numbers of labels between commas."""
    return [count_or_all(part) for part in text.split(",")]


TYPES = {"FOLDER": Path, "FILE": Path, "PATH": Path, "N": int, "N,N": budgets, "NAMES": class_names}
