"""The command line's options: their published names, and every field of Config there and back."""

import argparse
from dataclasses import Field, fields

import pytest
from helpers import TINY

from multimix.apps.cli import PARSER, main
from multimix.apps.options import changes_of, config_arguments
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


# Published: a name may be added, and never taken away.
ON_OFF = """classify segment bridge pseudo-labels mask-consistency mask-augmentation
    class-augmentation balanced-classes balanced-sets class-films-for-masks opacities"""
METHOD = " ".join(f"--{name} --no-{name}" for name in ON_OFF.split())
METHOD += """ --pseudo-label-weight --threshold --dice-weight --mask-consistency-weight --steps
    --batch --learning-rate --schedule --decay-steps --ema-decay --gradient-clip --patience
    --bce-weight --pixel-consistency-weight --pixel-threshold --unlabelled-from --side --sides
    --side-schedule --class-sides --widths --precision --validate-every --micro-batch
    --films-at-once --class-labels --masks --out --recipe --device """
SETS = " --classification --segmentation --cache "
FILMS = f"{SETS} --classification-layout --segmentation-layout --classes --skip-damaged --manifest "
PUBLISHED = {
    "predict": """--out --recursive --json --no-figures --arrays --label-mask --dicom-seg --resume
        --overwrite --precision --invert --flip --raw --weights --device""",
    "evaluate": f"{FILMS} --split --json --figures --subgroups --flip --raw --weights --device",
    "doctor": "--layout --classes",
    "train": f"{METHOD} {FILMS} --system --seed --resume --init --compile",
    "sweep": f"""{METHOD} {SETS} --quick --systems --seeds --jobs --cross-classification
        --cross-segmentation""",
    "calibrate": "--out --classes --layout --weights --device",
    "export": "--weights --precision",
}


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    (found,) = [action for action in PARSER._actions if action.dest == "command"]
    return found.choices


def test_the_published_options_are_there():
    assert commands().keys() == PUBLISHED.keys()
    for name, command in commands().items():
        found = {option for action in command._actions for option in action.option_strings}
        assert set(PUBLISHED[name].split()) <= found, name


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


def test_options_win_over_system_and_recipe_and_all_is_none():
    config = config_of("--recipe", "improved", "--system", "unet", "--bridge", "--steps", "5")
    found = config.classify, config.bridge, config.steps, config.ema_decay
    assert found == (False, True, 5, 0.995)
    config = config_of("--class-labels", "all", "--side", "64", "--sides", "none")
    assert (config.class_labels, config.sides, changes_of(parsed())) == (None, (), {})
    assert changes_of(parsed("--films-at-once", "2")) == {"micro_batch": 2}  # an earlier name


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


@pytest.mark.parametrize(
    "words, said",
    (
        (("--class-labels", "many"), "'many' is not a number of labels, or all"),
        (("--widths", "2,x"), "invalid whole_numbers value: '2,x'"),
        (("--steps", "1.5"), "invalid int value: '1.5'"),
    ),
)
def test_values_of_another_kind_are_refused(words, said, capsys):
    with pytest.raises(SystemExit) as end:
        parsed(*words)
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_names_of_classes():
    for words, labels in (
        ("normal=No Finding, Pneumonia = Viral|Bacterial ", [0, 1, 0, 1, 1]),
        ("Healthy", "The class '' cannot be 'Healthy'; it can be NORMAL or PNEUMONIA"),
        ("normal=A,pneumonia=B|A", "'A' cannot be 'normal and pneumonia'"),
        ("sick=Viral", "The class 'Viral' cannot be 'sick'"),
    ):
        classes = parsed("--classes", words).classes
        if isinstance(labels, list):
            assert [*labels_of(classes).values()] == labels
        else:
            with pytest.raises(ValueError, match=labels):
                labels_of(classes)
