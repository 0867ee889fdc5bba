"""The command line's options: their published names, and every field of Config there and back."""

import argparse
from dataclasses import fields

import pytest
from helpers import TINY

from multimix.apps.cli import PARSER, main
from multimix.config import RENAMED, Config
from multimix.recipes import RECIPES, SYSTEMS
from multimix.runtime.config_options import changes_of, config_arguments

# A value of each field that no system or recipe has; those that are on or off are turned over.
OTHER = dict(
    pseudo_label_weight=0.3,
    threshold=1 / 3,
    dice_weight=1e-7,
    mask_consistency_weight=0.02,
    class_labels=100,
    masks=10,
    steps=7,
    batch=3,
    learning_rate=1e-12,
    schedule={"staircase": "cosine", "cosine": "staircase"},
    decay_steps=5,
    ema_decay=0.999,
    gradient_clip=1.5,
    patience=2,
    bce_weight=0.1,
    pixel_consistency_weight=0.2,
    pixel_threshold=0.95,
    unlabelled_from=0.25,
    side=64,
    sides=(32, 64),
    side_schedule={"multi-scale": "progressive", "progressive": "multi-scale"},
    class_sides=(32,),
    widths=TINY,
    precision="bfloat16",
    seed=9,
    validate_every=11,
    micro_batch=4,
)


# Published: a name may be added, and never taken away.
METHOD = """
    --classify --no-classify --segment --no-segment --bridge --no-bridge --pseudo-labels
    --no-pseudo-labels --mask-consistency --no-mask-consistency --pseudo-label-weight --threshold
    --dice-weight --mask-consistency-weight --steps --batch --learning-rate --schedule
    --decay-steps --ema-decay --gradient-clip --patience --mask-augmentation
    --no-mask-augmentation --class-augmentation --no-class-augmentation --balanced-classes
    --no-balanced-classes --bce-weight --pixel-consistency-weight --pixel-threshold
    --class-films-for-masks --no-class-films-for-masks --opacities --no-opacities
    --unlabelled-from --side --sides --side-schedule --class-sides --widths --precision
    --validate-every --micro-batch --films-at-once --class-labels --masks --balanced-sets
    --no-balanced-sets """
PUBLISHED = {
    "predict": """--out --recursive --json --no-figures --arrays --label-mask --dicom-seg --resume
        --overwrite --precision --invert --flip --raw --weights --device""",
    "evaluate": """--classification --segmentation --cache --classification-layout
        --segmentation-layout --classes --skip-damaged --manifest --split --json --figures
        --subgroups --flip --raw --weights --device""",
    "doctor": "--layout --classes",
    "train": METHOD
    + """--out --system --recipe --seed --device --resume --init --compile --classification
        --segmentation --cache --classification-layout --segmentation-layout --classes
        --skip-damaged --manifest""",
    "sweep": METHOD
    + """--out --quick --systems --recipe --seeds --jobs --device --classification
        --segmentation --cache --cross-classification --cross-segmentation""",
    "calibrate": "--out --classes --layout --weights --device",
    "export": "--weights",
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


def parsed(*words: str):
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
        usual = getattr(preset, field.name)
        other = not usual if isinstance(usual, bool) else OTHER[field.name]
        if isinstance(other, dict):
            other = other[usual]
        changes = {field.name: (32, preset.side) if field.name == "sides" else other}
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


def test_earlier_names_of_options_go_on_working():
    assert RENAMED == {"films_at_once": "micro_batch"}
    options = PARSER.parse_args(["sweep", "--out", "runs", "--films-at-once", "2"])
    assert changes_of(options)["micro_batch"] == 2


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
        (("--class-labels", "many"), "invalid count_or_all value: 'many'"),
        (("--widths", "2,x"), "invalid whole_numbers value: '2,x'"),
        (("--steps", "1.5"), "invalid int value: '1.5'"),
        (("--classes", "Healthy"), "'Healthy' names no classes, or one twice; write for example "),
        (("--classes", "normal=A,pneumonia=B|A"), "names no classes, or one twice"),
        (("--classes", "normal=A|"), "names no classes, or one twice"),
        (("--classes", "sick=Viral"), "'sick=Viral' names no classes"),
    ),
)
def test_values_of_another_kind_are_refused(words, said, capsys):
    with pytest.raises(SystemExit) as end:
        parsed(*words)
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_names_of_classes():
    classes = parsed("--classes", "normal=No Finding, Pneumonia = Viral|Bacterial ").classes
    assert classes == {"No Finding": "NORMAL", "Viral": "PNEUMONIA", "Bacterial": "PNEUMONIA"}
    assert parsed().classes is None
