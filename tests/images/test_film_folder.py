"""What is given to be predicted, and what in a folder is no film."""

import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import save
from PIL import Image

from multimix.data import phantom
from multimix.images.answers import AnswerFiles, AnswerNames, film_id, marked_film
from multimix.images.film_folder import counted, look_through, sources_of

FILM = phantom.draw(1, 0, 40)[0]


def test_folders_and_their_films(tmp_path):
    for name in ("b.png", "a.png", "deep/er/c.png", ".hidden.png", "__MACOSX/d.png"):
        save(tmp_path / name, FILM)
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    found = look_through(tmp_path)
    assert [path.name for path in found.films] == ["a.png", "b.png"]
    assert [path.name for path in found.folders] == ["deep"]
    names = [str(path.relative_to(tmp_path)) for path in look_through(tmp_path, True).films]
    assert names == ["a.png", "b.png", "deep/er/c.png"]
    with pytest.raises(ValueError, match=r"There are no films in .*; 2 folders \(er, up\) below"):
        look_through(tmp_path / "deep")
    with pytest.raises(ValueError, match=r"DICOM files are needed\.$"):
        (tmp_path / "empty").mkdir()
        look_through(tmp_path / "empty")


def test_long_and_many_names_are_cut():
    names = [Path("x" * 200), Path("b"), Path("c"), Path("d")]
    assert counted(names, "file") == f"4 files ({'x' * 30}..., b, c, ...)"


def test_files_that_might_be_films_are_warned_of(tmp_path):
    save(tmp_path / "a.png", FILM)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "below").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sources_of(tmp_path) == [tmp_path / "a.png"]
    (tmp_path / "b.heic").write_text("x")
    with pytest.warns(UserWarning, match=r"1 file \(b.heic\) of kinds that are not read"):
        sources_of(str(tmp_path))


def test_a_film_is_told_from_others_by_its_place_or_its_pixels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert film_id(Path("a.png")) == film_id(tmp_path / "b" / ".." / "a.png")
    ids = {film_id(Path("a.png")), film_id(Path("b.png")), film_id(None, FILM)}
    assert len(ids | {film_id(None, FILM.T), film_id(None, FILM[:20])}) == 5


def test_marks_are_read_from_pictures_of_ours_alone(tmp_path):
    Image.fromarray(FILM).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "link.png").symlink_to("nowhere")
    for name in ("plain.png", "text.png", "link.png", "none.png", "."):
        assert marked_film(tmp_path / name) == ""


def test_names_are_numbered_and_told_apart_by_every_file_system(tmp_path):
    names = AnswerNames(tmp_path, AnswerFiles().endings, taken=["kept"])
    chosen = [names.choose(stem, stem) for stem in ("film", "Film", "film_mask", "kept", "x" * 300)]
    assert chosen == ["film", "Film-2", "film_mask-2", "kept-2", "x" * 200]
    composed, decomposed = "\u00fc", "u\u0308"
    assert [names.choose(stem, stem) for stem in (composed, decomposed)][1] == f"{decomposed}-2"


def test_films_larger_than_any_are_looked_at_without_a_warning(tmp_path):
    Image.fromarray(np.zeros((1, 2), np.uint8)).save(tmp_path / "a.png")
    header = bytearray((tmp_path / "a.png").read_bytes())
    header[16:24] = b"\0\0\x30\0\0\0\x30\0"  # 12,288 x 12,288 pixels
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(header)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert look_through(tmp_path).films == [tmp_path / "a.png"]
