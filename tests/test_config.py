import json

import pytest

from multimix.config import Config
from multimix.recipes import RECIPES, SYSTEMS


def test_the_defaults_are_the_papers():
    config = Config()
    assert config == Config.preset("multimix", "paper") and repr(config) == "Config()"
    assert (config.pseudo_label_weight, config.threshold) == (0.25, 0.7)
    assert (config.dice_weight, config.mask_consistency_weight) == (5, 0.01)
    assert (config.batch, config.learning_rate, config.side) == (10, 1e-4, 256)
    assert config.steps == 100 * 522 and config.decay_steps == 8 * 522


def test_the_eight_systems():
    parts = ("classify", "segment", "bridge", "pseudo_labels", "mask_consistency")
    rows = []
    for name in SYSTEMS:
        config = Config.preset(name)
        rows.append(f"{name} " + "".join("-+"[getattr(config, part)] for part in parts))
    assert ", ".join(rows) == (
        "unet -+---, enc +----, enc_ssl +--+-, umtl ++---, umtl_s +++--, umtl_ssl ++-+-, "
        "umtl_ssl_s ++++-, multimix +++++"
    )


def test_the_rate_falls_in_stairs_or_along_a_cosine():
    stairs, cosine = Config(), Config(schedule="cosine", steps=200, learning_rate=1.0)
    expected = {0: 1e-4, 4175: 1e-4, 4176: 1e-5, 3 * 4176: 1e-7}
    assert {step: stairs.learning_rate_at(step) for step in expected} == pytest.approx(expected)
    rates = [cosine.learning_rate_at(step) for step in range(200)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1 and max(rates) == 1
    assert rates[10:] == sorted(rates[10:], reverse=True) and 0 < rates[-1] < 1e-3
    assert Config(schedule="cosine", steps=1).learning_rate_at(0) > 0


@pytest.mark.parametrize(
    "changes, words",
    (
        (dict(classify=False, segment=False), "no task is on; classify, segment or both are"),
        (dict(schedule="linear"), "schedule is 'linear'; staircase or cosine is needed"),
        (dict(side=100), "side is 100; a multiple of 16"),
        (dict(batch=0), "batch is 0; a number from 1 to 10000 is needed"),
        (dict(steps=5.5), "steps is 5.5; a whole number is needed"),
        (dict(steps=None), "steps is None; a whole number is needed"),
        (dict(batch=True), "batch is True; a whole number is needed"),
        (dict(masks="all"), "masks is 'all'; a whole number is needed"),
        (dict(class_labels=1), "class_labels is 1; 2 or more is needed"),
        (dict(widths=(1, 2)), r"widths is \(1, 2\); a tuple of five positive channel numbers is"),
        (dict(widths=(1, 2, 3, 4, 0)), ".*a tuple of five positive channel numbers is needed"),
        (dict(threshold="0.7"), "threshold is '0.7'; a number from 0 to 1 is needed"),
        (dict(pixel_threshold=0.4), "pixel_threshold is 0.4; a number from 0.5 to 1 is needed"),
        (dict(dice_weight=float("nan")), "dice_weight is nan; 0 or more is needed"),
        (dict(learning_rate=0), "learning_rate is 0; a number from 1e-15 to 1 is needed"),
        (dict(sides=(64, 100, 256)), r"sides is \(64, 100, 256\); for each a multiple of 16, 32"),
        (dict(class_sides=64), "class_sides is 64; for each a multiple of 16"),
        (dict(side=64, sides=(64, 96)), "side is 64, .* largest of sides must be 64"),
        (dict(side=64, class_sides=(96,)), "side is 64, .* none of class_sides may be larger"),
        (dict(bridge=1), "bridge is 1; True or False is needed"),
    ),
)
def test_impossible_values_are_named(changes, words):
    with pytest.raises(ValueError, match=f"^Training cannot start: {words}"):
        Config(**changes)


def test_sides_come_one_after_the_other_or_at_random():
    config = Config(side=96, sides=(48, 64, 96, 96), side_schedule="progressive", steps=8)
    assert [config.side_at(step) for step in range(9)] == [48, 48, 64, 64, 96, 96, 96, 96, 96]
    assert Config(side=64).side_at(5) == 64
    first, second = (
        [Config(side=96, sides=(64, 96, 96), seed=seed).side_at(step) for step in range(3000)]
        for seed in (0, 1)
    )
    assert set(first) == {64, 96} and first != second
    assert first.count(96) == pytest.approx(2000, abs=150)  # named twice, twice as often


def test_presets_take_changes_and_their_sides_follow_the_side(monkeypatch):
    assert Config.preset("unet", "improved", steps=7, masks=3).steps == 7
    assert all(Config.preset(system, recipe) for system in SYSTEMS for recipe in RECIPES)
    sides = dict(side=128, sides=(64, 96, 128), class_sides=(96, 128))
    monkeypatch.setitem(RECIPES, "scaled", sides)
    assert Config.preset(recipe="scaled").sides == (64, 96, 128)
    larger = Config.preset(recipe="scaled", side=256)
    assert (larger.sides, larger.class_sides) == ((128, 192, 256), (192, 256))
    smaller = Config.preset(recipe="scaled", side=32, class_sides=())
    assert (smaller.sides, smaller.class_sides) == ((32, 32, 32), ())


def test_unknown_names_are_answered_with_the_known_ones():
    for names, changes, words in (
        (["unets"], {}, "no system 'unets'; choose one of unet, enc"),
        (["unet", "best"], {}, "no recipe 'best'; choose one of paper, quick, improved"),
        (["unet"], {"step": 5}, r"^Config has no field 'step'; did you mean steps\?$"),
        (["unet"], {"zebra": 5}, "no field 'zebra'; see help"),
    ):
        with pytest.raises(ValueError, match=words):
            Config.preset(*names, **changes)


def test_configs_are_written_and_read_also_those_of_earlier_versions():
    assert Config.from_dict({"films_at_once": 5, "side": 64}) == Config(micro_batch=5, side=64)
    config = Config.preset("umtl", "improved", widths=(2, 3, 4, 5, 6), sides=(64,), side=64)
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert eval(repr(config)) == config
    assert repr(Config(steps=7, schedule="cosine")) == "Config(steps=7, schedule='cosine')"
    assert Config(steps=1e3, masks=5.0) == Config(steps=1000, masks=5)
