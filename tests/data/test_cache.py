"""Reduced films are kept under a name that a changed film does not have."""

import os

import numpy as np
import pytest
from helpers import harmed

from multimix.data.cache import name_cache_file, read_cache, write_cache
from multimix.data.film_set import Film

STACK = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)


@pytest.mark.parametrize("stack", (STACK, STACK > 100, STACK[:0]))
def test_a_stack_is_mapped_as_it_was_written(tmp_path, stack):
    path = tmp_path / "cache" / "films.npy"
    assert read_cache(path, len(stack)) is None
    write_cache(path, stack)
    assert list(path.parent.iterdir()) == [path]
    again = read_cache(path, len(stack))
    assert isinstance(again, np.memmap) and again.dtype == stack.dtype
    assert np.array_equal(again, stack) and read_cache(path, len(stack) + 1) is None


def test_a_changed_film_has_another_name(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path in paths:
        path.write_bytes(bytes(100))
    films = [Film(path, path.name) for path in paths]

    def name(films: list[Film]) -> str:
        return name_cache_file(tmp_path, films, "a-kind").name

    before = name(films)
    assert before == name(films) and before.startswith("a-kind-") and before.endswith(".npy")
    assert name([Film(paths[0], "0", masks=(paths[1],))]) != name(films[:1])
    status = paths[3].stat()
    os.utime(paths[3], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    changed = name(films)
    paths[3].write_bytes(bytes(101))
    os.utime(paths[3], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert len({before, changed, name(films), name(films[:5])}) == 4
    for none in ([], [Film(np.zeros((4, 4)), "pixels")], [Film(tmp_path / "none.png", "none")]):
        assert name_cache_file(tmp_path, none, "films") is None
    assert name_cache_file(None, films, "films") is None


def test_a_cache_that_was_harmed_is_not_used(tmp_path, capsys):
    path = tmp_path / "films.npy"
    write_cache(path, STACK)
    whole = path.read_bytes()
    said = f"multimix: the cache {path} is damaged, so its films are read again.\n"
    for content in (b"", b"nonsense", whole[:20], *(harmed(whole, seed) for seed in range(20))):
        path.write_bytes(content)
        again = read_cache(path, 6)
        assert (again is None) == (content != whole)
        assert capsys.readouterr().err == (said if again is None else "")
    write_cache(tmp_path / "others.npy", STACK[::-1].copy())
    (tmp_path / "others.npy").replace(path)  # another cache under this name
    assert read_cache(path, 6) is None
