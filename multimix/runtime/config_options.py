"""Each field of Config as an option of the command line, and a Config as words of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from multimix.config import RENAMED, Config
from multimix.recipes import RECIPES

Option = tuple[tuple[str, ...], dict[str, Any]]  # the arguments of `add_argument`

FIELDS = {field.name: field for field in fields(Config)}
# Titles of the groups of options, each before the field that begins it.
GROUPS = {
    "classify": "parts of the method (instead of the system's)",
    "pseudo_label_weight": "losses",
    "class_labels": "labels that training may see",
    "steps": "optimisation",
    "mask_augmentation": "what the improved recipe adds",
    "side": "other settings",
}


def field_options(without: Sequence[str]) -> list[str | Option]:
    """The options of all fields of Config `without` some, each group after its title."""
    found: list[str | Option] = []
    for name in FIELDS:
        found += [GROUPS[name]] if name in GROUPS else []
        found += [field_option(name)] if name not in without else []
    return found


def field_option(name: str) -> Option:
    """The option of one field, by its present and earlier names; no default, as recipes differ."""
    field, names = FIELDS[name], [name, *(old for old, new in RENAMED.items() if new == name)]
    text = f"{field.metadata['help']} ({default_words(name)})".replace("%", "%%")
    settings: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": name, "help": text}
    if field.type == "bool":
        settings["action"] = argparse.BooleanOptionalAction
    else:
        settings["type"], settings["metavar"] = VALUES[str(field.type)]
    if field.type == "str":
        settings["metavar"] = "|".join(field.metadata["allowed"])
    return tuple(map(option_of, names)), settings


def default_words(name: str) -> str:
    """A field's value where no option gives one; for each recipe, if they differ."""
    values = [in_words(getattr(Config.preset(recipe=recipe), name)) for recipe in RECIPES]
    if len(set(values)) == 1:
        return f"default: {values[0]}"
    return "; ".join(f"{recipe}: {value}" for recipe, value in zip(RECIPES, values))


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
    return {name: value for name, value in vars(options).items() if name in FIELDS}


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
    if text == "all":
        return None
    if not text.isdecimal():
        sentence = f"'{text}' is not a number of labels; write a number, or all"
        raise argparse.ArgumentTypeError(sentence)
    return int(text)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas, or 'none'."""
    return () if text == "none" else tuple(map(int, text.split(",")))


# How the values of a type of field are read, and their name in help texts.
VALUES: dict[str, tuple[Callable[[str], object], str]] = {
    "int": (int, "N"),
    "float": (float, "X"),
    "str": (str, ""),
    "int | None": (count_or_all, "N|all"),
    "tuple[int, ...]": (whole_numbers, "N,N,..."),
}
