"""The films that are given to be predicted, and what in a folder is no film."""

from pathlib import Path

import numpy as np
import pytest
import torch
from layout_helpers import touch

from multimix.data.film_folder import counted, expand, is_one_film, look_through, sources_of


def test_folders_and_their_films(tmp_path):
    touch(tmp_path, "{b,a,deep/er/c,.hidden,__MACOSX/d}.png")
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    found = look_through(tmp_path)
    assert [path.name for path in found.films] == ["a.png", "b.png"]
    assert "1 folder (deep) below it, which --recursive reads" in found.left_out()
    names = [str(path.relative_to(tmp_path)) for path in look_through(tmp_path, True).films]
    assert names == ["a.png", "b.png", "deep/er/c.png"]
    with pytest.raises(ValueError, match=r"There are no films in .*2 folders \(er, up\) below"):
        look_through(tmp_path / "deep")


def test_what_this_program_wrote_is_not_predicted(tmp_path):
    touch(tmp_path, "{a,a_mask,b_mask,b2,c}.png")
    (tmp_path / "predictions.csv").write_text("file,mask,overlay\nx/b.png,b_mask.png,b2.png\n")
    found = look_through(tmp_path)
    assert [path.name for path in found.films] == ["a.png", "c.png"]
    assert [path.name for path in found.outputs] == ["a_mask.png", "b2.png", "b_mask.png"]
    (tmp_path / "predictions.csv").write_text('"')
    assert len(look_through(tmp_path).films) == 4


@pytest.mark.filterwarnings("error")
def test_files_that_might_be_films_are_warned_of(tmp_path):
    touch(tmp_path, "a.png", "notes.txt", "below/c.png")
    assert sources_of(tmp_path) == [tmp_path / "a.png"]
    touch(tmp_path, "b.heic")
    with pytest.warns(UserWarning, match=r"1 file \(b.heic\) of kinds that are not read"):
        sources_of(str(tmp_path))
    names = [Path("x" * 200), Path("b"), Path("c"), Path("d")]
    assert counted(names, "file") == f"4 files ({'x' * 30}..., b, c, ...)"


@pytest.mark.parametrize(
    "given, names",
    (
        ("films/*.png", ["[x].png", "a.png", "b.png"]),
        ("~/films/a.*", ["a.png"]),
        ("films/[x].png", ["[x].png"]),
        ("~/films", ["films"]),
    ),
)
def test_patterns_and_the_home_folder(tmp_path, monkeypatch, given, names):
    touch(tmp_path, "films/{a,b,[x]}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [path.name for path in expand(given)] == names
    assert is_one_film(given) == (given != "~/films" and not set("*?") & set(given))


def test_what_is_no_film():
    for given in ({"image": 1}, 3.5):
        with pytest.raises(ValueError, match=r"A (dict|float) is not a film; a path, a PIL image"):
            sources_of(given)


@pytest.mark.parametrize("kind", (np.zeros, torch.zeros))
def test_a_batch_is_several_films(kind):
    batch = kind((5, 1, 40, 30))
    assert not is_one_film(batch) and [f.shape[-2:] for f in sources_of(batch)] == [(40, 30)] * 5
    for shape in ((40, 30), (1, 40, 30), (3, 40, 30), (40, 30, 3)):
        assert is_one_film(kind(shape)) and len(sources_of(kind(shape))) == 1
