"""Sets are views: choosing and joining copy no pixel."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from multimix.data.film_set import NO_PICTURE, Films, FilmSet, FilmStack

SIDE = 4


def pictures(count: int, first: int = 0) -> Tensor:
    """(count, SIDE, SIDE) uint8, each of one grey value: first, first + 1, and so on."""
    greys = torch.arange(first, first + count, dtype=torch.uint8)
    return greys[:, None, None].expand(count, SIDE, SIDE).contiguous()


def greys_of(pixels: Tensor) -> list[int]:
    """The grey value of each picture."""
    assert (pixels == pixels[:, :1, :1]).all()
    return pixels[:, 0, 0].tolist()


@pytest.fixture
def stack() -> FilmStack:
    """Eight pictures, of grey 0 to 7."""
    return FilmStack(pictures(8))


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


def test_a_stack_is_like_one_tensor(stack):
    assert len(stack) == 8 and stack.shape == (8, SIDE, SIDE) and stack.ndim == 3
    assert stack.dtype == torch.uint8
    assert greys_of(stack[:]) == list(range(8))
    assert stack.numpy().dtype == np.uint8 and np.array_equal(stack.numpy(), pictures(8).numpy())
    assert [int(picture[0, 0]) for picture in stack] == list(range(8))


@pytest.mark.parametrize(
    "index",
    (
        slice(3, 7),
        slice(None, None, 3),
        slice(-2, None),
        slice(0),
        torch.tensor([7, 0, 4, 5, 4]),
        torch.tensor([-1, -8]),
        torch.arange(8) % 2 == 1,
        torch.zeros(8, dtype=torch.bool),
        torch.tensor([], dtype=torch.int64),
    ),
)
def test_an_index_takes_what_it_takes_of_a_tensor(stack, index):
    assert torch.equal(stack[index], pictures(8)[index])
    assert torch.equal(stack.view(index)[:], pictures(8)[index])


def test_an_index_out_of_range_is_refused(stack):
    for index in (8, -9):
        with pytest.raises(IndexError):
            stack[index]


def test_choosing_copies_no_pixel(stack):
    chosen = stack.view(torch.tensor([6, 1]))
    assert chosen.pictures is stack.pictures and greys_of(chosen[:]) == [6, 1]
    again = chosen.view(torch.tensor([1]))
    assert again.pictures is stack.pictures and greys_of(again[:]) == [1]


def test_what_is_read_is_a_copy(stack):
    stack[:].zero_()
    stack[2].zero_()
    assert greys_of(stack[:]) == list(range(8))


def test_a_row_without_picture_reads_as_zeros():
    stack = FilmStack(pictures(2, first=5), torch.tensor([1, NO_PICTURE, 0]))
    assert greys_of(stack[:]) == [6, 0, 5] and not stack[1].any() and stack[0].all()
    assert greys_of(stack.view(torch.tensor([1, 0]))[:]) == [0, 6]


@pytest.mark.parametrize("masks", (False, True))
def test_splitting_sets_copies_no_pixel(masks):
    films = film_set("a", 8, masks)
    train = films.split("train")
    assert train.pixels.pictures is films.pixels.pictures
    assert train.names == ("a/0", "a/1", "a/4", "a/5")
    assert train.patients == ("a/p0", "a/p0", "a/p2", "a/p2")
    assert greys_of(train.pixels[:]) == [0, 1, 4, 5]
    targets = train.targets[:][:, 0, 0] if masks else train.targets
    assert targets.tolist() == [0, 1, 0, 1]


def test_a_set_tells_what_it_holds():
    films = film_set("a", 8)
    assert films.counts() == "4 train, 2 val, 2 test" and films.split("all") is films
    assert str(films) == "8 films of 4 px (4 train, 2 val, 2 test), 5 with a class"
    assert str(film_set("a", 8, masks=True)).endswith("5 with a mask")
    assert films.with_labels().names == ("a/1", "a/2", "a/4", "a/5", "a/7")
    assert films[torch.tensor([0, 3])].with_labels() is None
    assert len(films.split("val")[torch.tensor([], dtype=torch.int64)]) == 0


def test_targets_are_labels_or_masks():
    classes, masks = film_set("a", 4), film_set("b", 4, masks=True)
    assert classes.labels.tolist() == [0, 1, 0, 1] and len(masks.masks) == 4
    with pytest.raises(AssertionError):
        _ = classes.masks
    with pytest.raises(AssertionError):
        _ = masks.labels


def test_labelled_films_of_both_tasks():
    films = Films(film_set("a", 8), None, ("why",))
    labelled = films.labelled("train")
    assert labelled.classification.names == ("a/1", "a/4", "a/5")
    assert labelled.segmentation is None and labelled.skipped == ("why",)
    assert len(films.labelled("all").classification) == 5


@pytest.mark.parametrize("masks", (False, True))
def test_a_set_goes_into_a_data_loader(masks):
    films = film_set("a", 8, masks)
    batch = next(iter(DataLoader(films.split("train"), batch_size=3)))
    assert batch["film"].shape == (3, 1, SIDE, SIDE) and batch["film"].dtype == torch.float32
    assert batch["film"][2, 0, 0, 0] == 4 / 255 * 2 - 1
    assert batch["labelled"].tolist() == [False, True, True]
    assert batch["target"].shape == ((3, 1, SIDE, SIDE) if masks else (3,))
    assert len(list(films)) == 8
    with pytest.raises(IndexError):
        films[8]
