"""Each field of Config as an option of the command line, and a Config as words of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from multimix.config import RENAMED, Config
from multimix.recipes import RECIPES, SYSTEMS

FIELDS = {field.name: field for field in fields(Config)}
# Titles of the groups of Config's options, each by the field that it begins with.
GROUPS = {
    "classify": "parts of the method (instead of the system's)",
    "pseudo_label_weight": "losses",
    "class_labels": "labels that training may see",
    "steps": "optimisation",
    "mask_augmentation": "what the improved recipe adds",
    "side": "other settings",
}


def add_fields(command: argparse.ArgumentParser, but: tuple[str, ...]) -> None:
    """An option for every field of Config `but` those that the command adds by itself."""
    group: argparse._ActionsContainer = command
    for name in FIELDS:
        if name in GROUPS:
            group = command.add_argument_group(GROUPS[name])
        if name not in but:
            add_field(group, name)


def add_field(group: argparse._ActionsContainer, name: str) -> None:
    """An option for one field; it leaves no trace where it is not given, so the recipe's stays."""
    field = FIELDS[name]
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": name}
    if field.type == "bool":
        options["action"] = argparse.BooleanOptionalAction
    else:
        options["type"], options["metavar"] = VALUES[str(field.type)]
    if field.type == "str":
        options["metavar"] = f"{{{','.join(field.metadata['allowed'])}}}"  # Config checks it
    text = f"{field.metadata['help']} ({default_words(name)})"
    group.add_argument(option_of(name), help=text.replace("%", "%%"), **options)
    for earlier, now in RENAMED.items():
        if now == name:
            group.add_argument(option_of(earlier), help=argparse.SUPPRESS, **options)


def default_words(name: str) -> str:
    """A field's value where no option gives one; by system or recipe, where those differ."""
    default = f"default: {in_words(FIELDS[name].default)}"
    changed = [system for system, parts in SYSTEMS.items() if name in parts]
    if changed:
        return f"{default}; {in_words(SYSTEMS[changed[0]][name])} in {', '.join(changed)}"
    by_recipe = {}
    for recipe in RECIPES:
        by_recipe[recipe] = in_words(getattr(Config.preset(recipe=recipe), name))
    if len(set(by_recipe.values())) == 1:
        return default
    return "; ".join(f"{recipe}: {value}" for recipe, value in by_recipe.items())


def in_words(value: object) -> str:
    """A field's value as help and command lines have it."""
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
    given = vars(options)
    return {name: given[name] for name in FIELDS if name in given}


def config_arguments(config: Config, system: str, recipe: str) -> list[str]:
    """The words that make a config of a system and a recipe on the command line of `train`.

    Arguments:
        config: any configuration.
        system, recipe: names that the command line gives with --system and --recipe.

    Returns: for each field that differs from theirs, its option and, if it takes one, its value.
    """
    usual = asdict(Config.preset(system, recipe, side=config.side))
    usual["side"] = Config.preset(system, recipe).side
    words = []
    for name in FIELDS:
        option, value = option_of(name), getattr(config, name)
        if value == usual[name]:
            continue
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, in_words(value)]
    return words


def budget(text: str) -> int | None:
    """A number of labels; None for 'all'."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a number of labels; write a number, or all"
        )
    return int(text)


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers, between commas, or none; Config says which are needed."""
    if text == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a list of whole numbers; write them as 64,96,128"
        ) from None


# How the values of a type of field are read, and what help calls them.
VALUES: dict[str, tuple[Callable[[str], object], str]] = {
    "int": (int, "N"),
    "float": (float, "X"),
    "str": (str, "NAME"),
    "int | None": (budget, "N|all"),
    "tuple[int, ...]": (numbers, "N,N,..."),
}
