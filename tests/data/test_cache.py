"""Films are read once; what cannot be read is named."""

import os

import numpy as np
import pytest
from helpers import harmed, save

from multimix.data.cache import name_cache_file, read_cache, read_films
from multimix.data.found_films import Film
from multimix.images.reading import read_film

SIDE = 8


@pytest.fixture
def films(tmp_path) -> list[Film]:
    """Six films of one grey value each: 0, 10, ... 50."""
    found = []
    for i in range(6):
        path = tmp_path / "films" / f"{i}.png"
        save(path, np.full((SIDE, SIDE), 10 * i, dtype=np.uint8))
        found.append(Film(path, path.name))
    return found


def read(film: Film) -> np.ndarray:
    return read_film(film.source)


def fail(film: Film) -> np.ndarray:
    raise AssertionError(f"{film.name} is read")


def greys_of(stack: np.ndarray) -> list[int]:
    return stack[:, 0, 0].tolist()


def test_films_are_stacked_in_their_order(films):
    stack, found = read_films(films, read, "films", False, None, None)
    assert stack.shape == (6, SIDE, SIDE) and stack.dtype == np.uint8 and found == films
    assert greys_of(stack) == [0, 10, 20, 30, 40, 50]
    stack, found = read_films([], read, "films", False, None, None)
    assert len(stack) == 0 and found == []


def test_damaged_films_are_refused_or_left_out(films, tmp_path):
    (tmp_path / "films" / "2.png").write_text("broken")
    with pytest.raises(ValueError, match=r"2\.png is not a picture"):
        read_films(films, read, "films", False, None, None)
    skipped = []
    cache_file = tmp_path / "cache" / "films.npy"
    stack, found = read_films(films, read, "films", False, cache_file, skipped)
    assert greys_of(stack) == [0, 10, 30, 40, 50] and found == films[:2] + films[3:]
    assert len(skipped) == 1 and "2.png is not a picture" in skipped[0]
    assert not cache_file.exists()  # the film may be mended
    for film in films:
        film.source.write_text("broken")
    with pytest.raises(ValueError, match=r"None of the 6 films of lungs .*0\.png is not a picture"):
        read_films(films, read, "lungs", False, None, [])


def test_the_second_time_films_are_mapped_from_the_cache(films, tmp_path):
    cache_file = name_cache_file(tmp_path / "cache", films, "films")
    first = read_films(films, read, "films", False, cache_file, None)[0]
    assert list(cache_file.parent.iterdir()) == [cache_file]
    again, found = read_films(films, fail, "films", False, cache_file, None)
    assert isinstance(again, np.memmap) and found == films
    assert again.dtype == first.dtype and np.array_equal(again, first)


def test_masks_stay_bool_in_the_cache(films, tmp_path):
    cache_file = tmp_path / "cache" / "masks.npy"
    for reading in (lambda film: read(film) > 20, fail):
        stack = read_films(films, reading, "masks", False, cache_file, None)[0]
        assert stack.dtype == np.bool_ and greys_of(stack) == [False] * 3 + [True] * 3


def test_a_changed_film_has_another_cache(films, tmp_path):
    def name(films: list[Film]) -> str:
        return name_cache_file(tmp_path, films, "a kind").name

    before = name(films)
    assert before == name(films) and before.startswith("a-kind-") and before.endswith(".npy")
    assert before != name(films[:5])
    path = films[3].source
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert before != name(films)
    masked = [Film(films[0].source, "0", masks=(films[1].source,))]
    assert name(masked) != name(films[:1])


def test_what_is_no_file_has_no_cache(films, tmp_path):
    assert name_cache_file(None, films, "films") is None
    assert name_cache_file(tmp_path, [], "films") is None
    assert name_cache_file(tmp_path, [Film(np.zeros((4, 4)), "pixels")], "films") is None
    assert name_cache_file(tmp_path, [Film(tmp_path / "none.png", "none")], "films") is None


def test_a_damaged_cache_is_read_again(films, tmp_path):
    cache_file = tmp_path / "films.npy"
    stack = read_films(films, read, "films", False, cache_file, None)[0]
    whole = cache_file.read_bytes()
    for content in (whole[:200], whole[:20], b"", b"nonsense"):
        cache_file.write_bytes(content)
        assert read_cache(cache_file, 6) is None
        assert np.array_equal(read_films(films, read, "films", False, cache_file, None)[0], stack)
        assert cache_file.read_bytes() == whole
    assert read_cache(cache_file, 5) is None and read_cache(tmp_path / "none.npy", 6) is None
    np.save(cache_file, stack.astype(float))
    assert read_cache(cache_file, 6) is None


@pytest.mark.parametrize("seed", range(40))
def test_a_cache_that_was_harmed_anywhere_is_read_again(films, tmp_path, seed, capsys):
    cache_file = tmp_path / "films.npy"
    stack = read_films(films, read, "films", False, cache_file, None)[0]
    whole = cache_file.read_bytes()
    cache_file.write_bytes(harmed(whole, seed))
    same = cache_file.read_bytes() == whole
    again = read_films(films, read, "films", False, cache_file, None)[0]
    assert np.array_equal(again, stack) and cache_file.read_bytes() == whole
    said = f"multimix: the cache {cache_file} is damaged, so its films are read again.\n"
    assert capsys.readouterr().err == ("" if same else said)


def test_another_cache_under_this_name_is_not_taken(films, tmp_path):
    stack = read_films(films, read, "films", False, tmp_path / "films.npy", None)[0]
    read_films(films[::-1], read, "films", False, tmp_path / "others.npy", None)
    (tmp_path / "others.npy").replace(tmp_path / "films.npy")
    again = read_films(films, read, "films", False, tmp_path / "films.npy", None)[0]
    assert np.array_equal(again, stack)
    np.save(tmp_path / "films.npy", stack[::-1])  # whole, but not written by this program
    again = read_films(films, read, "films", False, tmp_path / "films.npy", None)[0]
    assert np.array_equal(again, stack)


@pytest.mark.parametrize("size, place", ((100, 50), (2**20, 2**19), (2**21, 0), (2**21, 2**21 - 1)))
def test_another_content_of_the_same_size_and_time_has_another_cache(tmp_path, size, place):
    path = tmp_path / "film.bmp"
    path.write_bytes(bytes(size))
    status = path.stat()
    film = Film(path, path.name)
    before = name_cache_file(tmp_path, [film], "films")
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == size and path.stat().st_mtime_ns == status.st_mtime_ns
    assert name_cache_file(tmp_path, [film], "films") != before
