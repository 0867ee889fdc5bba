"""Sets are views: choosing copies no pixel."""

import numpy as np
import pytest
import torch
from torch import Tensor

from multimix.data.film_set import Films, FilmSet, FilmStack

SIDE = 4


def pictures(count: int) -> Tensor:
    """(count, SIDE, SIDE) uint8, each of one grey value: 0, 1, and so on."""
    return torch.arange(count, dtype=torch.uint8)[:, None, None].repeat(1, SIDE, SIDE)


def film_set(name: str, count: int, masks: bool = False) -> FilmSet:
    """`count` films, of two train, one val, one test and so on; every third has no target."""
    targets = pictures(count) % 2
    return FilmSet(
        pictures(count),
        targets.bool() if masks else targets[:, 0, 0].long(),
        torch.arange(count) % 3 > 0,
        tuple(f"{name}/{i}" for i in range(count)),
        tuple(f"{name}/p{i // 2}" for i in range(count)),
        tuple(("train", "train", "val", "test")[i % 4] for i in range(count)),
    )


@pytest.mark.parametrize(
    "index",
    (
        slice(3, 7),
        slice(None, None, 3),
        slice(0),
        2,
        torch.tensor([7, 0, 4, 5, 4, -1]),
        torch.arange(8) % 2 == 1,
        torch.tensor([], dtype=torch.int64),
    ),
)
def test_a_stack_is_like_one_tensor(index):
    stack = FilmStack(pictures(8))
    assert torch.equal(stack[index], pictures(8)[index]) and len(list(stack)) == 8
    assert np.array_equal(stack.numpy(), pictures(8).numpy())
    with pytest.raises(IndexError):
        stack[8]


@pytest.mark.parametrize("masks", (False, True))
def test_splitting_sets_copies_no_pixel(masks):
    films = film_set("a", 8, masks)
    train = films.split("train")
    assert train.pixels.pictures is films.pixels.pictures
    assert train.names == ("a/0", "a/1", "a/4", "a/5")
    assert train.patients == ("a/p0", "a/p0", "a/p2", "a/p2")
    assert train.pixels[:][:, 0, 0].tolist() == [0, 1, 4, 5]
    targets = train.masks[:][:, 0, 0] if masks else train.labels
    assert targets.tolist() == [0, 1, 0, 1]


def test_a_set_tells_what_it_holds():
    films = film_set("a", 8)
    assert films.counts() == "4 train, 2 val, 2 test" and films.split("all") is films
    assert str(films) == "8 films of 4 px (4 train, 2 val, 2 test), 5 with a class"
    assert str(film_set("a", 8, masks=True)).endswith("5 with a mask")
    assert films.with_labels().names == ("a/1", "a/2", "a/4", "a/5", "a/7")
    assert films[torch.tensor([0, 3])].with_labels() is None
    both = Films(films, None, ("why",)).labelled("train")
    assert both.classification.names == ("a/1", "a/4", "a/5")
    assert both.segmentation is None and both.skipped == ("why",)
