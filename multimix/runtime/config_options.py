"""Each field of Config as an option of the command line, and a Config as words of it."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import asdict, fields
from typing import Any

from multimix.config import RENAMED, Config
from multimix.recipes import RECIPES

# Titles of the groups of options, each before the field that begins it.
GROUPS = {
    "classify": "parts of the method (instead of the system's)",
    "pseudo_label_weight": "losses",
    "class_labels": "labels that training may see",
    "steps": "optimisation",
    "mask_augmentation": "what the improved recipe adds",
    "side": "other settings",
}


def add_fields(parser: argparse.ArgumentParser, without: Collection[str] = ()) -> None:
    """Give a parser an option for each field of Config, `without` some, also by earlier names.

    The options have no defaults, as those of the recipes differ.
    """
    group: Any = parser
    for field in fields(Config):
        kind, name = str(field.type), field.name
        if name in GROUPS:
            group = parser.add_argument_group(GROUPS[name])
        if name in without:
            continue
        values = [in_words(getattr(Config.preset(recipe=recipe), name)) for recipe in RECIPES]
        default = "; ".join(f"{recipe}: {value}" for recipe, value in zip(RECIPES, values))
        default = f"default: {values[0]}" if len({*values}) == 1 else default
        how: dict[str, Any] = {"help": f"{field.metadata['help']} ({default})".replace("%", "%%")}
        if kind == "bool":
            how["action"] = argparse.BooleanOptionalAction
        else:
            how["type"], how["metavar"] = TYPES[kind]
            how["metavar"] = how["metavar"] or "|".join(field.metadata["allowed"])
        names = [option_of(name), *(option_of(old) for old in RENAMED if RENAMED[old] == name)]
        group.add_argument(*names, dest=name, default=argparse.SUPPRESS, **how)


def in_words(value: object) -> str:
    """A field's value in help texts and command lines."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return "all" if value is None else str(value)


def option_of(name: str) -> str:
    """'--learning-rate' for 'learning_rate'."""
    return f"--{name.replace('_', '-')}"


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
        if value != usual[name] and isinstance(value, bool):
            words.append(option_of(name if value else f"no_{name}"))
        elif value != usual[name]:
            words += [option_of(name), in_words(value)]
    return words


def count_or_all(text: str) -> int | None:
    """A number of labels; None for 'all'."""
    return None if text == "all" else int(text)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas, or 'none'."""
    return () if text == "none" else tuple(map(int, text.split(",")))


# How the values of a type of field are read, and their name in help texts.
TYPES = {
    "int": (int, "N"),
    "float": (float, "X"),
    "str": (str, ""),
    "int | None": (count_or_all, "N|all"),
    "tuple[int, ...]": (whole_numbers, "N,N,..."),
}
