"""Sets are views: choosing copies no pixel."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from multimix.data.film_set import Films
from multimix.model import TASKS

PLACES = torch.tensor([7, 0, 4, 5, 4, -1])
INDICES = (slice(3, 7), slice(None, None, 3), slice(0), 2, PLACES, PLACES[:0], torch.arange(40) > 9)


@pytest.mark.parametrize("index", INDICES)
def test_a_stack_is_like_one_tensor(films, index):
    stack, whole = films.classification.pixels, films.classification.pixels.pictures
    assert torch.equal(stack[index], whole[index]) and len(list(stack)) == 40
    assert np.array_equal(stack.numpy(), whole.numpy())
    assert torch.equal(torch.cat(list(stack.split(7))), whole)
    with pytest.raises(IndexError):
        stack[40]


@pytest.mark.parametrize("task", TASKS)
def test_splitting_sets_copies_no_pixel(films, task):
    part = getattr(films, task)
    val = part.split("val")
    assert val.pixels.pictures is part.pixels.pictures
    assert val.names == val.patients == part.names[32:36] and val.splits == ("val",) * 4
    assert torch.equal(val.pixels[:], part.pixels[32:36])
    assert torch.equal(val.targets[:], part.targets[32:36])
    assert torch.equal(part[PLACES][torch.tensor([2])].pixels[0], part.pixels[4])


def test_a_set_tells_what_it_holds(films):
    part = films.classification
    assert part.counts() == "32 train, 4 val, 4 test" and part.split("all") is part
    assert str(part) == "40 films of 32 px (32 train, 4 val, 4 test), 40 with a class"
    assert str(films.segmentation).endswith("40 with a mask")
    part = part[torch.arange(40) % 10 == 0]
    part.labelled[1:] = False
    assert part.with_labels().names == ("classification/film00",)
    assert part[torch.tensor([1, 3])].with_labels() is None
    both = Films(part, None, ("why",)).labelled("train")
    assert both.classification.names == ("classification/film00",)
    assert both.segmentation is None and both.skipped == ("why",)


@pytest.mark.parametrize("task", TASKS)
def test_a_set_feeds_a_data_loader(films, task):
    part = getattr(films, task)
    batch = next(iter(DataLoader(part, batch_size=3)))
    assert batch["film"].shape == (3, 1, 32, 32) and batch["labelled"].all()
    assert torch.equal((batch["film"] + 1).mul(127.5).round()[:, 0], part.pixels[:3].float())
    targets = batch["target"] if task == TASKS[0] else batch["target"][:, 0].bool()
    assert torch.equal(targets, part.targets[:3])
