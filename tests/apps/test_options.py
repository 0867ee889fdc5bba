"""The command line's options: their published names, and every field of Config there and back."""

import argparse
from dataclasses import Field, fields

import pytest
from helpers import ROOT, TINY

from multimix.apps.cli import PARSER, main
from multimix.apps.options import COMMANDS, changes_of, config_arguments
from multimix.config import Config
from multimix.data.paths import labels_of
from multimix.recipes import RECIPES, SYSTEMS


def another_value(field: Field, preset: Config) -> object:
    """A value that no system or recipe has; what is on or off is turned over."""
    usual, kind = getattr(preset, field.name), str(field.type)
    values = {"bool": not usual, "float": 0.7 + 1e-12, "int": 7, "int | None": 7}
    if kind == "str":
        return next(value for value in field.metadata["allowed"] if value != usual)
    by_name = {"side": 64, "sides": (32, preset.side), "class_sides": (32,), "widths": TINY}
    return by_name.get(field.name, values.get(kind))


def test_the_published_options_are_there():
    """The file has a line for each command: a name may be added, and never taken away."""
    for line in (ROOT / "tests" / "golden" / "options.txt").read_text().splitlines():
        command, *options = line.split()
        actions = COMMANDS.choices[command]._actions
        assert {*options} <= {name for action in actions for name in action.option_strings}


def parsed(*words: str) -> argparse.Namespace:
    return PARSER.parse_args(["train", "--out", "run", *words])


def config_of(*words: str) -> Config:
    options = parsed(*words)
    return Config.preset(options.system, options.recipe, **changes_of(options))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_field_goes_through_the_command_line(system, recipe):
    preset = Config.preset(system, recipe)
    words = ["--system", system, "--recipe", recipe]
    assert config_arguments(preset, system, recipe) == [] and config_of(*words) == preset
    for field in fields(Config):
        changes = {field.name: another_value(field, preset)}
        if changes in ({"classify": False}, {"segment": False}):
            changes |= {"classify": True, "segment": True, field.name: False}
        config = Config.preset(system, recipe, **changes)
        given = config_arguments(config, system, recipe)
        assert given[0].startswith("--") and config_of(*words, *given) == config


def test_all_and_none_are_values_and_fields_keep_their_earlier_names():
    config = config_of("--class-labels", "all", "--side", "64", "--sides", "none")
    assert (config.class_labels, config.sides, changes_of(parsed())) == (None, (), {})
    assert changes_of(parsed("--films-at-once", "2")) == {"micro_batch": 2}


@pytest.mark.parametrize("command", ("train", "sweep"))
def test_help_explains_every_field_and_names_its_default(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for field in fields(Config):
        if command == "train" or field.name not in ("seed", "class_labels", "masks"):
            option = f"--{field.name.replace('_', '-')}"
            assert f" {option}" in text and f"{field.metadata['help']} (" in text
    assert "films of each of the five kinds in a step (paper: 10; quick: 5; improved: 5)" in text
    assert "the class head (default: on)" in text and "--bridge, --no-bridge " in text
    assert text.startswith("usage: ") and text.index("--recipe") < text.index("--learning-rate")


def test_values_of_another_kind_are_refused(capsys):
    for words, said in (
        ("train --class-labels many", "'many' is not a number of labels, or all"),
        ("sweep --out x --class-labels 1,many", "'many' is not a number of labels, or all"),
        ("train --widths 2,x", "'2,x' is not a list such as 64,96, or none"),
        ("train --steps 1.5", "invalid int value: '1.5'"),
    ):
        with pytest.raises(SystemExit, match=r"^2$"):
            PARSER.parse_args(words.split())
        assert said in capsys.readouterr().err


def test_names_of_classes():
    classes = parsed("--classes", "normal=No Finding, Pneumonia = Viral|Bacterial ").classes
    assert [*labels_of(classes).values()] == [0, 1, 0, 1, 1]
    for words, fault in (
        ("Healthy", "The class '' cannot be 'Healthy'; it can be NORMAL or PNEUMONIA"),
        ("normal=A,pneumonia=B|A", "'A' cannot be 'normal and pneumonia'"),
        ("sick=Viral", "The class 'Viral' cannot be 'sick'"),
    ):
        with pytest.raises(ValueError, match=fault):
            labels_of(parsed("--classes", words).classes)
