"""Commands about odd names, pipes, damaged films and absurd numbers end in one clear sentence."""

import os
from pathlib import Path

import pytest
from helpers import save
from hostile_helpers import DRAWN, bounded_memory, quickly
from PIL import Image

from multimix.apps.cli import main


def predict_command(weights: str, out: Path, *films: Path) -> list[str]:
    """Of the command line: films to predictions without figures."""
    paths = [str(film) for film in films]
    return ["predict", *paths, "--weights", weights, "--out", str(out), "--no-figures"]


NAMES = ["with spaces.png", "a\nmultimix: forged.png", "tab\t.png", "ünïcödé.png", "-dash.png"]
NAMES += ["'quote\".png", "<b>.png", "%s{0}.png", "$(touch x).png", "a" * 251 + ".png"]
NAMES += [b"\xff\xfe.png", "..png", "...png", "..%2f..png", "\x1b[2J.png"]


def test_names_of_films(tmp_path, weights, capsys):
    folder, out = tmp_path / "films", tmp_path / "a" / "out"
    folder.mkdir()
    for name in NAMES:
        with open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb") as file:
            Image.fromarray(DRAWN).save(file, "PNG")
    (folder / "b\nmultimix: evil.png").write_bytes(b"")
    assert main(predict_command(weights, out, *folder.iterdir())) == 2
    assert len(list(out.glob("*_mask.png"))) == len(NAMES)
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["out"]  # nothing beside it
    assert {item.name for item in tmp_path.iterdir()} == {"films", "a"}
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if not line.lstrip().startswith("! ")]
    assert len(said.err.splitlines()) == 1 and "\x1b" not in said.out
    assert len(lines) == 1 + len(NAMES) + 2  # a head, an empty line, and where the files are


def test_paths_that_are_no_files(tmp_path, weights, capsys):
    folder = tmp_path / "films"
    (folder / "folder.png").mkdir(parents=True)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "broken.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    save(folder / "good.png", DRAWN)
    assert quickly(main, predict_command(weights, tmp_path / "out", folder)) == 2
    printed = capsys.readouterr()
    assert "good.png" in printed.out and printed.err.count("multimix: ") == printed.err.count("\n")
    for name in ("loop", "broken", "pipe"):
        assert f"{name}.png" in printed.err


def test_pipes_are_no_files(tmp_path, sets, masked, weights, capsys):
    """Opening one waits for who writes to it, for ever."""
    mask, manifest, films = masked / "masks" / "film03.png", tmp_path / "a.csv", tmp_path / "b.csv"
    mask.unlink()
    for path in (mask, manifest, films):
        os.mkfifo(path)
    evaluate = ["evaluate", "--weights", weights]
    classes = [*sets[:2], "--manifest", str(manifest)]
    for path, command in (
        (mask, ["doctor", str(masked)]),
        (mask, [*evaluate, "--segmentation", str(masked)]),
        (manifest, [*evaluate, *classes]),
        (films, ["doctor", str(films)]),
    ):
        assert quickly(main, command) == 2
        printed = capsys.readouterr()
        assert path.name in printed.out + printed.err and "Traceback" not in printed.err


@pytest.mark.parametrize(
    "arguments",
    (
        ["train", "--recipe", "paper", "--seed", str(2**63)],
        ["train", "--recipe", "paper", "--side", str(10**9)],
        ["train", "--recipe", "paper", "--batch", str(10**9)],
        ["train", "--recipe", "paper", "--learning-rate", "inf"],
        ["train", "--classification", "x" * 5000],
        ["predict", "x" * 5000, "--weights", "{weights}"],
    ),
)
def test_options_out_of_all_bounds(tmp_path, weights, capsys, arguments):
    arguments = [word.format(weights=weights) for word in arguments]
    out = ["--out", str(tmp_path / "out")]
    with bounded_memory():
        assert quickly(main, [*arguments, *out]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("multimix: ") and said[0].endswith(".")
