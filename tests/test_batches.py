from dataclasses import replace

import pytest
import torch
from helpers import SIDE, TINY, film_set

from multimix import augment
from multimix.batches import Loader
from multimix.config import Config
from multimix.data.film_set import Films, FilmSet
from multimix.data.training_films import sample_budget
from multimix.images.reading import network_input
from multimix.model import TASKS

CONFIG = Config(side=SIDE, widths=TINY, batch=4)


def test_batches_depend_on_seed_and_step_alone(films):
    loader, again = Loader(films, CONFIG), Loader(films, CONFIG)
    again(11)
    for first, second in zip(loader(5), again(5)):
        assert first is second is None or torch.equal(first, second)
    assert not torch.equal(loader(5).weak, loader(6).weak)
    assert not torch.equal(loader(5).weak, Loader(films, replace(CONFIG, seed=1))(5).weak)


def test_every_film_of_a_step_is_at_its_side():
    how = dict(widths=TINY, batch=4, unlabelled_from=0, steps=2, side_schedule="progressive")
    config = Config.preset(recipe="improved", side=48, sides=(32, 48), **how)
    loader = Loader(Films(*(film_set(task, 48) for task in TASKS)), config)
    for step, side in enumerate((32, 48)):
        batch = loader(step)
        pictures = [part for part in batch._replace(affine=None, labels=None) if part is not None]
        assert [part.shape for part in pictures] == [(4, 1, side, side)] * 7
        assert set(batch.masks.unique().tolist()) == {0, 1}


def test_unlabelled_films_join_after_their_share_of_the_steps(films):
    config = replace(CONFIG, steps=10, unlabelled_from=0.3, pixel_consistency_weight=1.0)
    loader = Loader(films, config)
    for step in (0, 2, 3, 9):
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
    for count in (10, 3):  # more films than a batch has, and fewer
        steps = [loader._pick(count, step, stream=4) for step in range(15)]
        passes = torch.cat(steps).view(-1, count).tolist()
        assert all(sorted(order) == list(range(count)) for order in passes)
        assert len({tuple(order) for order in passes}) > 3
    assert not torch.equal(loader._pick(30, 0, stream=1), loader._pick(30, 0, stream=2))


def index_of(film: torch.Tensor, films: FilmSet) -> int:
    """The place of a network input among plain films, which must be a training film."""
    pixels = network_input(films.pixels[:][:, None])
    index = (pixels == film).flatten(1).all(1).nonzero().item()
    assert films.splits[index] == "train"
    return index


def test_films_meet_their_own_targets_and_augmentation_moves_both(films):
    plain, moved = (Loader(films, replace(CONFIG, mask_augmentation=on))(2) for on in (False, True))
    for film, mask in zip(plain.mask_films, plain.masks):
        own = films.segmentation.targets[index_of(film, films.segmentation)]
        assert torch.equal(mask[0].bool(), own)
    assert not torch.equal(plain.masks, moved.masks)
    assert not torch.equal(plain.mask_films, moved.mask_films)


def test_balanced_batches_have_as_many_of_each_class_and_folder(films, monkeypatch):
    monkeypatch.setattr(augment, "weak", lambda x, chance: x)
    part = films.classification
    training = torch.tensor([split == "train" for split in part.splits])
    normal = ((part.targets == 0) & training).nonzero().flatten()
    labelled = part.labelled.index_fill(0, normal[2:], False)  # two NORMAL films remain
    folders = ("b",) * 28 + ("a",) * 12  # 28 and 4 training films
    two = replace(films.segmentation, sources=folders)
    few = Films(replace(part, labelled=labelled), two)
    for size, expected in ((4, [[0, 1, 0, 1], [0, 1, 0, 1]]), (3, [[0, 1, 0], [1, 0, 1]])):
        config = replace(CONFIG, balanced_classes=True, balanced_sets=True, batch=size)
        loader = Loader(few, config)
        batches = [loader(step) for step in range(2)]
        assert [batch.labels.tolist() for batch in batches] == expected
        for film, label in zip(batches[0].class_films, batches[0].labels):
            assert part.targets[index_of(film, part)] == label
        for batch, turns in zip(batches, expected):
            places = [index_of(film, films.segmentation) for film in batch.mask_films]
            assert [int(place >= 28) for place in places] == turns


def test_class_films_serve_as_mask_films(films):
    config = replace(CONFIG, class_films_for_masks=True, pixel_consistency_weight=1.0)
    batch = Loader(films, config)(1)
    for slot, film in enumerate(batch.plain_mask_films):
        index_of(film, films.classification if slot % 2 else films.segmentation)
    assert torch.equal(batch.plain_mask_films, batch.unlabelled_mask_films)  # without augmentation
    moved = Loader(films, replace(config, mask_augmentation=True))(1)
    assert torch.equal(moved.plain_mask_films, batch.plain_mask_films)
    assert all(column.shape == (4, 1, 1, 1) for column in moved.affine)
    assert not torch.equal(moved.unlabelled_mask_films, batch.unlabelled_mask_films)
    lungs_alone = Config.preset("unet", "improved", side=SIDE, widths=TINY, batch=4)
    assert len(Loader(replace(films, classification=None), lungs_alone)(0).mask_films) == 4


def test_half_of_the_augmented_class_films_differ_from_the_weak_views(films):
    weak, broad = (Loader(films, replace(CONFIG, class_augmentation=on))(2) for on in (False, True))
    same = [torch.equal(a, b) for a, b in zip(weak.class_films, broad.class_films)]
    assert torch.equal(weak.labels, broad.labels) and same == [True, True, False, False]


def test_training_sees_the_budget_alone(films):
    loader = Loader(films, replace(CONFIG, class_labels=6, masks=3))
    assert loader.describe() == (
        "training on 6 of 32 classes (3 NORMAL, 3 PNEUMONIA), 3 of 32 masks; the other films are "
        "unlabelled"
    )
    assert len({mask.numpy().tobytes() for step in range(20) for mask in loader(step).masks}) == 3
    with pytest.raises(ValueError, match="99"):
        Loader(films, replace(CONFIG, masks=99))


def test_budgets_are_drawn_by_class_patient_and_seed():
    labels, pixels = (torch.arange(400) >= 100).long(), torch.zeros(400, 1, 1)  # a quarter NORMAL
    names, patients = (tuple(f"{i // size}" for i in range(400)) for size in (1, 5))
    films = FilmSet(pixels, labels, labels >= 0, names, patients, ("train",) * 400)
    for budget in (2, 10, 99, 100, 399):
        chosen = sample_budget(films, budget, seed=0)
        assert len(chosen) == len(set(chosen.tolist())) == budget
        assert abs(labels[chosen].float().mean().item() - 0.75) <= 0.5 / budget + 1e-6
    assert len(sample_budget(films, None, 0)) == len(sample_budget(films, 400, 0)) == 400
    chosen, again, other = (sample_budget(films, 100, seed) for seed in (0, 0, 1))
    assert torch.equal(chosen, again) and not torch.equal(chosen, other)
    assert len({patients[i] for i in chosen}) <= 22  # 20 patients, and one cut in each class
    few = replace(films, targets=(torch.arange(400) >= 40).long())  # a tenth is NORMAL
    assert few.labels[sample_budget(few, 2, 0)].tolist() == [0, 1]
    assert few.labels[sample_budget(few, 20, 0)].tolist().count(0) == 2
