from dataclasses import replace

import pytest
import torch
from helpers import SIDE, TINY

from multimix import augment
from multimix.batches import Loader
from multimix.config import Config
from multimix.data.film_set import FilmSet
from multimix.data.films import load_films
from multimix.data.label_budget import sample_budget
from multimix.images.reading import network_input
from multimix.recipes import SYSTEMS

CONFIG = Config(side=SIDE, widths=TINY, batch=4)


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_gets_what_it_uses(films, system):
    config = Config.preset(system, side=SIDE, widths=TINY, batch=4)
    batch = Loader(films, config)(0)
    assert (batch.mask_films is not None) == config.segment
    assert (batch.unlabelled_mask_films is not None) == (config.segment and config.mask_consistency)
    assert (batch.class_films is not None) == config.classify
    assert (
        (batch.weak is not None)
        == (batch.strong is not None)
        == (config.classify and config.pseudo_labels)
    )
    for part in batch:
        assert part is None or len(part) == 4
    for part in (batch.mask_films, batch.class_films, batch.weak, batch.strong):
        assert part is None or (
            part.shape == (4, 1, SIDE, SIDE) and part.min() >= -1 and part.max() <= 1
        )


def test_batches_depend_on_seed_and_step_alone(films):
    loader, again = Loader(films, CONFIG), Loader(films, CONFIG)
    again(11)
    for first, second in zip(loader(5), again(5)):
        assert first is second is None or torch.equal(first, second)
    assert not torch.equal(loader(5).weak, loader(6).weak)
    assert not torch.equal(loader(5).weak, Loader(films, replace(CONFIG, seed=1))(5).weak)


def test_every_film_of_a_step_is_at_its_side(films):
    changes = dict(side=SIDE + 16, sides=(SIDE, SIDE + 16), side_schedule="progressive", steps=2)
    changes |= dict(unlabelled_from=0)
    config = Config.preset("multimix", "improved", widths=TINY, batch=4, **changes)
    larger = load_films("phantom://20", "phantom://20", SIDE + 16, progress=False)
    loader = Loader(larger, config)
    for step in range(2):
        batch = loader(step)
        views = (batch.mask_films, batch.masks, batch.unlabelled_mask_films, batch.strong)
        for part in (*views, batch.plain_mask_films, batch.class_films, batch.weak):
            assert part.shape == (4, 1, *[config.side_at(step)] * 2)
        assert set(batch.masks.unique().tolist()) == {0, 1}


def test_unlabelled_films_join_after_their_share_of_the_steps(films):
    config = replace(CONFIG, steps=10, unlabelled_from=0.3, pixel_consistency_weight=1.0)
    loader = Loader(films, config)
    for step in range(10):
        batch = loader(step)
        for part in (batch.weak, batch.strong, batch.unlabelled_mask_films, batch.plain_mask_films):
            assert (part is None) == (step < 3)
        assert len(batch.class_films) == len(batch.masks) == 4


def test_both_views_show_the_same_films(films, monkeypatch):
    monkeypatch.setattr(augment, "weak", lambda x, chance: x)
    monkeypatch.setattr(augment, "strong", lambda x, chance: 1 - x)
    batch = Loader(films, CONFIG)(3)
    assert torch.allclose(batch.weak, -batch.strong, atol=1e-6)


def test_every_film_comes_once_a_pass_in_fresh_order(films):
    loader = Loader(films, CONFIG)
    for count in (10, 3):  # more films than a batch holds, and fewer
        passes = torch.cat([loader._pick(count, step, stream=4) for step in range(15)]).view(
            -1, count
        )
        assert all(sorted(order) == list(range(count)) for order in passes.tolist())
        assert len({tuple(order) for order in passes.tolist()}) > 3
    assert not torch.equal(loader._pick(30, 0, stream=1), loader._pick(30, 0, stream=2))


def test_films_meet_their_own_targets(films):
    batch = Loader(films, replace(CONFIG, mask_augmentation=False))(2)
    pixels = network_input(films.segmentation.pixels[:][:, None])
    for film, mask in zip(batch.mask_films, batch.masks):
        index = (pixels == film).flatten(1).all(1).nonzero().item()
        assert films.segmentation.splits[index] == "train"
        assert torch.equal(mask[0].bool(), films.segmentation.targets[index])


def test_augmented_masks_differ_from_the_plain_ones(films):
    plain, moved = (Loader(films, replace(CONFIG, mask_augmentation=on))(2) for on in (False, True))
    assert not torch.equal(plain.masks, moved.masks) and not torch.equal(
        plain.mask_films, moved.mask_films
    )


def test_balanced_batches_have_as_many_of_each_class(films, monkeypatch):
    config = replace(CONFIG, balanced_classes=True)
    labels = [Loader(few_normal(films), config)(step).labels.tolist() for step in range(4)]
    assert labels == [[0, 1, 0, 1]] * 4
    odd = [
        Loader(few_normal(films), replace(config, batch=3))(step).labels.tolist() for step in (0, 1)
    ]
    assert odd == [[0, 1, 0], [1, 0, 1]]  # over two batches as many again
    monkeypatch.setattr(augment, "weak", lambda x, chance: x)
    batch = Loader(few_normal(films), config)(0)
    pixels = network_input(films.classification.pixels[:][:, None])
    for film, label in zip(batch.class_films, batch.labels):
        index = (pixels == film).flatten(1).all(1).nonzero().item()
        assert (
            films.classification.splits[index] == "train"
            and films.classification.targets[index] == label
        )


def few_normal(films):
    """The films with no more than two NORMAL ones to train on."""
    part = films.classification
    normal = (
        ((part.targets == 0) & torch.tensor([split == "train" for split in part.splits]))
        .nonzero()
        .flatten()
    )
    return replace(
        films, classification=replace(part, labelled=part.labelled.index_fill(0, normal[2:], False))
    )


def test_class_films_serve_as_mask_films(films):
    config = replace(CONFIG, class_films_for_masks=True, pixel_consistency_weight=1.0)
    batch = Loader(films, config)(1)
    sets = [
        network_input(part.pixels[:][:, None])
        for part in (films.segmentation, films.classification)
    ]
    for slot, film in enumerate(batch.plain_mask_films):
        assert [(films_ == film).flatten(1).all(1).any().item() for films_ in sets] == [
            slot % 2 == 0,
            slot % 2 == 1,
        ]
    assert torch.equal(batch.plain_mask_films, batch.unlabelled_mask_films)  # without augmentation
    moved = Loader(films, replace(config, mask_augmentation=True))(1)
    assert torch.equal(moved.plain_mask_films, batch.plain_mask_films)
    assert all(column.shape == (4, 1, 1, 1) for column in moved.affine)
    assert not torch.equal(moved.unlabelled_mask_films, batch.unlabelled_mask_films)
    assert (
        len(
            Loader(
                replace(films, classification=None),
                Config.preset("unet", "improved", side=SIDE, widths=TINY, batch=4),
            )(0).mask_films
        )
        == 4
    )  # none there, none used


def test_half_of_the_augmented_class_films_differ_from_the_weak_views(films):
    weak, broad = (Loader(films, replace(CONFIG, class_augmentation=on))(2) for on in (False, True))
    assert torch.equal(weak.labels, broad.labels)
    assert [torch.equal(a, b) for a, b in zip(weak.class_films, broad.class_films)] == [
        True,
        True,
        False,
        False,
    ]


def labels(count: int, patients_of: int = 1) -> FilmSet:
    """`count` films, a quarter of them NORMAL, `patients_of` films a patient."""
    names = tuple(f"film{i}" for i in range(count))
    targets = torch.arange(count) * 4 // count
    return FilmSet(
        torch.zeros(count, 32, 32, dtype=torch.uint8),
        (targets > 0).long(),
        torch.ones(count, dtype=torch.bool),
        names,
        tuple(f"p{i // patients_of}" for i in range(count)),
        ("train",) * count,
    )


def test_budgets_keep_the_class_shares():
    films = labels(400)
    for budget in (2, 10, 99, 100, 399):
        chosen = sample_budget(films, budget, seed=0)
        assert len(chosen) == len(set(chosen.tolist())) == budget
        assert abs(films.targets[chosen].float().mean().item() - 0.75) <= 0.5 / budget + 1e-6
    assert len(sample_budget(films, None, 0)) == len(sample_budget(films, 400, 0)) == 400


def test_budgets_are_drawn_by_patient_and_seed():
    films = labels(400, patients_of=5)
    chosen = sample_budget(films, 100, seed=0)
    assert len({films.patients[i] for i in chosen}) <= 22  # 20 patients, and one cut in each class
    assert torch.equal(chosen, sample_budget(films, 100, seed=0))
    assert not torch.equal(chosen, sample_budget(films, 100, seed=1))


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


def test_the_smallest_budget_has_both_classes():
    films = labels(40)
    few = replace(films, targets=(torch.arange(40) > 3).long())  # a tenth is NORMAL
    assert few.targets[sample_budget(few, 2, 0)].tolist() == [0, 1]
    assert few.targets[sample_budget(few, 20, 0)].tolist().count(0) == 2
