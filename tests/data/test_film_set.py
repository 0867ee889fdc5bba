"""Sets are views: choosing and joining copy no pixel."""

import numpy as np
import pytest
import torch
from torch import Tensor

from multimix.data.film_set import NO_PICTURE, Films, FilmSet, FilmStack, concatenate

SIDE = 4


def pictures(count: int, first: int = 0) -> Tensor:
    """(count, SIDE, SIDE) uint8, each of one grey value: first, first + 1, and so on."""
    greys = torch.arange(first, first + count, dtype=torch.uint8)
    return greys[:, None, None].expand(count, SIDE, SIDE).contiguous()


def greys_of(pixels: Tensor) -> list[int]:
    """The grey value of each picture."""
    assert (pixels == pixels[:, :1, :1]).all()
    return pixels[:, 0, 0].tolist()


def addresses(stack: FilmStack) -> list[int]:
    """Where the pixels lie in memory."""
    return [part.data_ptr() for part in stack.parts]


@pytest.fixture
def stack() -> FilmStack:
    """Eight pictures in two tensors, of grey 0 to 7."""
    return FilmStack([pictures(5), pictures(3, first=5)])


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
    assert stack.dtype == torch.uint8 and stack.nbytes == 8 * SIDE * SIDE
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


@pytest.mark.parametrize("index", (0, 4, 5, 7, -1, -8))
def test_one_picture(stack, index):
    assert torch.equal(stack[index], pictures(8)[index])


def test_an_index_out_of_range_is_refused(stack):
    for index in (8, -9):
        with pytest.raises(IndexError):
            stack[index]


def test_pictures_are_read_some_at_a_time(stack):
    assert [greys_of(part) for part in stack.split(3)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [len(part) for part in stack.view(slice(0)).split(3)] == []


def test_choosing_and_joining_copy_no_pixel(stack):
    chosen = stack.view(torch.tensor([6, 1]))
    assert addresses(chosen) == addresses(stack) and greys_of(chosen[:]) == [6, 1]
    again = chosen.view(torch.tensor([1]))
    assert addresses(again) == addresses(stack) and greys_of(again[:]) == [1]
    other = FilmStack([pictures(2, first=20)])
    joined = FilmStack.join([chosen, other, stack])
    assert addresses(joined) == addresses(chosen) + addresses(other) + addresses(stack)
    assert greys_of(joined[:]) == [6, 1, 20, 21, *range(8)]


def test_what_is_read_is_a_copy(stack):
    stack[:].zero_()
    stack[2].zero_()
    assert greys_of(stack[:]) == list(range(8))


def test_a_row_without_picture_reads_as_zeros():
    rows = torch.tensor([1, NO_PICTURE, 0])
    stack = FilmStack([pictures(2, first=5)], rows)
    assert greys_of(stack[:]) == [6, 0, 5] and not stack[1].any() and stack[0].all()
    joined = FilmStack.join([FilmStack([pictures(3, first=1)]), stack])
    assert greys_of(joined[:]) == [1, 2, 3, 6, 0, 5]
    assert greys_of(joined.view(torch.tensor([4, 3]))[:]) == [0, 6]


@pytest.mark.parametrize("masks", (False, True))
def test_splitting_and_joining_sets_copies_no_pixel(masks):
    first, second = film_set("a", 8, masks), film_set("b", 4, masks)
    both = concatenate([first, second])
    train = both.split("train")
    for field in ("pixels", "targets") if masks else ("pixels",):
        parts = addresses(getattr(first, field)) + addresses(getattr(second, field))
        assert addresses(getattr(both, field)) == addresses(getattr(train, field)) == parts
    assert train.names == ("a/0", "a/1", "a/4", "a/5", "b/0", "b/1")
    assert train.patients == ("a/p0", "a/p0", "a/p2", "a/p2", "b/p0", "b/p0")
    assert greys_of(train.pixels[:]) == [0, 1, 4, 5, 0, 1]
    targets = train.targets[:][:, 0, 0] if masks else train.targets
    assert targets.tolist() == [0, 1, 0, 1, 0, 1]


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


def test_of_no_set_there_is_none_and_of_two_of_one_name_an_error():
    assert concatenate([]) is None
    with pytest.raises(ValueError, match="a/0 comes twice"):
        concatenate([film_set("a", 2), film_set("a", 2)])
