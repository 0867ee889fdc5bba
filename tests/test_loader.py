from dataclasses import replace

import pytest
import torch
from conftest import SIDE, TINY

from multimix import augment
from multimix.config import SYSTEMS, Config
from multimix.data import FilmSet
from multimix.film import network_input
from multimix.loader import Loader, draw_budget

CONFIG = Config(side=SIDE, widths=TINY, batch=4)


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_gets_what_it_uses(films, system):
    config = Config.preset(system, side=SIDE, widths=TINY, batch=4)
    batch = Loader(films, config)(0)
    assert (batch.mask_films is not None) == config.segment
    assert (batch.unlabelled_mask_films is not None) == (config.segment and config.mask_consistency)
    assert (batch.class_films is not None) == config.classify
    assert (batch.weak is not None) == (batch.strong is not None) == (config.classify and config.pseudo_labels)
    for part in batch:
        assert part is None or len(part) == 4
    for part in (batch.mask_films, batch.class_films, batch.weak, batch.strong):
        assert part is None or (part.shape == (4, 1, SIDE, SIDE) and part.min() >= -1 and part.max() <= 1)


def test_batches_depend_on_seed_and_step_alone(films):
    loader, again = Loader(films, CONFIG), Loader(films, CONFIG)
    again(11)
    for first, second in zip(loader(5), again(5)):
        assert torch.equal(first, second)
    assert not torch.equal(loader(5).weak, loader(6).weak)
    assert not torch.equal(loader(5).weak, Loader(films, replace(CONFIG, seed=1))(5).weak)


def test_both_views_show_the_same_films(films, monkeypatch):
    monkeypatch.setattr(augment, "weak", lambda x, chance: x)
    monkeypatch.setattr(augment, "strong", lambda x, chance: 1 - x)
    batch = Loader(films, CONFIG)(3)
    assert torch.allclose(batch.weak, -batch.strong, atol=1e-6)


def test_every_film_comes_once_a_pass_in_fresh_order(films):
    loader = Loader(films, CONFIG)
    for count in (10, 3):  # more films than a batch holds, and fewer
        passes = torch.cat([loader._pick(count, step, stream=4) for step in range(15)]).view(-1, count)
        assert all(sorted(order) == list(range(count)) for order in passes.tolist())
        assert len({tuple(order) for order in passes.tolist()}) > 3
    assert not torch.equal(loader._pick(30, 0, stream=1), loader._pick(30, 0, stream=2))


def test_films_meet_their_own_targets(films):
    batch = Loader(films, replace(CONFIG, mask_augmentation=False))(2)
    pixels = network_input(films.segmentation.pixels[:, None])
    for film, mask in zip(batch.mask_films, batch.masks):
        place = (pixels == film).flatten(1).all(1).nonzero().item()
        assert films.segmentation.splits[place] == "train"
        assert torch.equal(mask[0].bool(), films.segmentation.targets[place])


def test_augmented_masks_differ_from_the_plain_ones(films):
    plain, moved = (Loader(films, replace(CONFIG, mask_augmentation=on))(2) for on in (False, True))
    assert not torch.equal(plain.masks, moved.masks) and not torch.equal(plain.mask_films, moved.mask_films)


def labels(count: int, patients_of: int = 1) -> FilmSet:
    """`count` films, a quarter of them NORMAL, `patients_of` films a patient."""
    names = tuple(f"film{i}" for i in range(count))
    targets = torch.arange(count) * 4 // count
    return FilmSet(torch.zeros(count, 32, 32, dtype=torch.uint8), (targets > 0).long(),
                   torch.ones(count, dtype=torch.bool), names, tuple(f"p{i // patients_of}" for i in range(count)),
                   ("train",) * count)


def test_budgets_keep_the_class_shares():
    films = labels(400)
    for budget in (2, 10, 99, 100, 399):
        chosen = draw_budget(films, budget, seed=0)
        assert len(chosen) == len(set(chosen.tolist())) == budget
        assert abs(films.targets[chosen].float().mean().item() - 0.75) <= 0.5 / budget + 1e-6
    assert len(draw_budget(films, None, 0)) == len(draw_budget(films, 400, 0)) == 400


def test_budgets_are_drawn_by_patient_and_seed():
    films = labels(400, patients_of=5)
    chosen = draw_budget(films, 100, seed=0)
    assert len({films.patients[i] for i in chosen}) <= 22  # 20 patients, and one cut in each class
    assert torch.equal(chosen, draw_budget(films, 100, seed=0))
    assert not torch.equal(chosen, draw_budget(films, 100, seed=1))


def test_training_sees_the_budget_alone(films):
    loader = Loader(films, replace(CONFIG, class_labels=6, masks=3))
    assert len(loader.class_budget) == 6 and len(loader.mask_budget) == 3
    assert len(loader.class_films) == 32  # the rest still serves as unlabelled
    seen = {mask.numpy().tobytes() for step in range(20) for mask in loader(step).masks}
    assert len(seen) == 3


def test_faults_are_named(films):
    with pytest.raises(ValueError, match="99 labelled films are asked for, but there are 32"):
        Loader(films, replace(CONFIG, masks=99))
    with pytest.raises(ValueError, match="no labelled training films for classification"):
        Loader(replace(films, classification=None), CONFIG)
    with pytest.raises(ValueError, match="loaded at 32 px and the training wants 64 px"):
        Loader(films, replace(CONFIG, side=64))
