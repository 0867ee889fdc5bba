import pytest

from multimix.config import RECIPES, SYSTEMS, Config


def test_the_defaults_are_the_papers():
    config = Config()
    assert config == Config.preset("multimix", "paper")
    assert (config.pseudo_label_weight, config.threshold) == (0.25, 0.7)
    assert (config.dice_weight, config.mask_consistency_weight) == (5, 0.01)
    assert (config.batch, config.learning_rate, config.side) == (10, 1e-4, 256)
    assert config.steps == 100 * 522 and config.decay_steps == 8 * 522


def test_the_eight_systems():
    parts = ("classify", "segment", "bridge", "pseudo_labels", "mask_consistency")
    on = {
        name: "".join("+" if getattr(Config.preset(name), part) else "-" for part in parts)
        for name in SYSTEMS
    }
    assert on == {
        "unet": "-+---",
        "enc": "+----",
        "enc_ssl": "+--+-",
        "umtl": "++---",
        "umtl_s": "+++--",
        "umtl_ssl": "++-+-",
        "umtl_ssl_s": "++++-",
        "multimix": "+++++",
    }


def test_changes_win_over_presets():
    assert Config.preset("unet", "improved", steps=7, masks=3).steps == 7
    assert all(Config.preset(system, recipe) for system in SYSTEMS for recipe in RECIPES)


def test_the_staircase_falls_tenfold_every_eight_epochs():
    config = Config()
    assert config.learning_rate_at(0) == config.learning_rate_at(4175) == 1e-4
    assert config.learning_rate_at(4176) == pytest.approx(1e-5)
    assert config.learning_rate_at(3 * 4176) == pytest.approx(1e-7)


def test_the_cosine_warms_up_and_ends_near_zero():
    config = Config(schedule="cosine", steps=200, learning_rate=1.0)
    rates = [config.learning_rate_at(step) for step in range(200)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1 and max(rates) == 1
    assert rates[10:] == sorted(rates[10:], reverse=True) and 0 < rates[-1] < 1e-3
    assert Config(schedule="cosine", steps=1).learning_rate_at(0) > 0


@pytest.mark.parametrize(
    "changes, words",
    (
        (dict(classify=False, segment=False), "at least one task"),
        (dict(schedule="linear"), "schedule is linear; staircase or cosine is needed"),
        (dict(side=100), "side is 100; a multiple of 16"),
        (dict(steps=0, batch=0), "steps is 0.*batch is 0"),
        (dict(widths=(1, 2)), "five positive"),
        (dict(class_labels=1), "class_labels is 1"),
        (dict(threshold=1.5), "threshold is 1.5"),
        (
            dict(pixel_threshold=0.4),
            "pixel_threshold is 0.4; a probability of 0.5 or more is needed",
        ),
    ),
)
def test_impossible_values_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        Config(**changes)


def test_unknown_presets_list_the_known_ones():
    with pytest.raises(ValueError, match="no system 'unets'; choose one of unet, enc"):
        Config.preset("unets")
    with pytest.raises(ValueError, match="no recipe 'best'; choose one of paper, improved"):
        Config.preset("unet", "best")
