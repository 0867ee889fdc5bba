"""Reduced films are kept under a name that a changed film does not have."""

import os

import numpy as np
import pytest
from helpers import harmed

from multimix.data.cache import name_cache_file, read_cache, write_cache
from multimix.data.found_films import Film

STACK = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)


@pytest.fixture
def films(tmp_path) -> list[Film]:
    """Six files."""
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(bytes(100))
    return [Film(tmp_path / f"{i}.png", f"{i}.png") for i in range(6)]


@pytest.mark.parametrize("stack", (STACK, STACK > 100, STACK[:0]))
def test_a_stack_is_mapped_as_it_was_written(tmp_path, stack):
    path = tmp_path / "cache" / "films.npy"
    assert read_cache(path, len(stack)) is None
    write_cache(path, stack)
    assert list(path.parent.iterdir()) == [path]
    again = read_cache(path, len(stack))
    assert isinstance(again, np.memmap) and again.dtype == stack.dtype
    assert np.array_equal(again, stack)
    write_cache(None, stack)  # without a cache nothing is kept
    assert read_cache(None, 6) is None


def test_a_changed_film_has_another_name(films, tmp_path):
    def name(films: list[Film]) -> str:
        return name_cache_file(tmp_path, films, "a-kind").name

    before = name(films)
    assert before == name(films) and before.startswith("a-kind-") and before.endswith(".npy")
    assert before != name(films[:5])
    masked = [Film(films[0].source, "0", masks=(films[1].source,))]
    assert name(masked) != name(films[:1])
    path = films[3].source
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    changed = name(films)
    path.write_bytes(bytes(101))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert len({before, changed, name(films)}) == 3


def test_what_is_no_file_has_no_cache(films, tmp_path):
    assert name_cache_file(None, films, "films") is None
    assert name_cache_file(tmp_path, [], "films") is None
    assert name_cache_file(tmp_path, [Film(np.zeros((4, 4)), "pixels")], "films") is None
    assert name_cache_file(tmp_path, [Film(tmp_path / "none.png", "none")], "films") is None


def test_a_cache_that_was_harmed_is_not_taken(tmp_path, capsys):
    path = tmp_path / "films.npy"
    write_cache(path, STACK)
    whole = path.read_bytes()
    said = f"multimix: the cache {path} is damaged, so its films are read again.\n"
    for content in (b"", b"nonsense", whole[:20], *(harmed(whole, seed) for seed in range(40))):
        path.write_bytes(content)
        again = read_cache(path, 6)
        assert (again is None) == (content != whole)
        assert capsys.readouterr().err == (said if again is None else "")


def test_another_cache_under_this_name_is_not_taken(tmp_path):
    write_cache(tmp_path / "films.npy", STACK)
    assert read_cache(tmp_path / "films.npy", 5) is None
    write_cache(tmp_path / "others.npy", STACK[::-1].copy())
    (tmp_path / "others.npy").replace(tmp_path / "films.npy")
    assert read_cache(tmp_path / "films.npy", 6) is None
    np.save(tmp_path / "films.npy", STACK)  # whole, but not written by this program
    assert read_cache(tmp_path / "films.npy", 6) is None
