"""Commands about odd names, pipes, damaged films and absurd numbers end in one clear sentence."""

import os
from pathlib import Path

import pytest
from helpers import SIDE, TINY, save
from hostile_helpers import DRAWN, bounded_memory, png, quickly
from PIL import Image

from multimix.apps.cli import main
from multimix.runtime.checkpoint import save_checkpoint


@pytest.fixture
def weights(tmp_path, model) -> str:
    save_checkpoint(
        tmp_path / "weights.pth",
        {"weights": model.state_dict(), "config": {"side": SIDE, "widths": TINY}},
    )
    return str(tmp_path / "weights.pth")


def predict_command(weights: str, out: Path, *films: Path) -> list[str]:
    """Of the command line: films to predictions without figures."""
    paths = [str(film) for film in films]
    return ["predict", *paths, "--weights", weights, "--out", str(out), "--no-figures"]


@pytest.mark.parametrize(
    "name",
    (
        "with spaces.png",
        "new\nline.png",
        "tab\t.png",
        "ünïcödé.png",
        "-dash.png",
        "'quote\".png",
        "<b>.png",
        "%s{0}.png",
        "$(touch x).png",
        "a" * 200 + ".png",
        b"\xff\xfe.png",
    ),
)
def test_names_of_films(tmp_path, weights, capsys, name):
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    path = os.path.join(os.fsencode(folder), os.fsencode(name))
    with open(path, "wb") as file:
        Image.fromarray(DRAWN).save(file, "PNG")
    assert main(predict_command(weights, out, folder)) == 0
    assert len(list(out.glob("*_mask.png"))) == 1
    written = {item.name for item in tmp_path.iterdir()}
    assert written <= {"films", "out", "weights.pth"}  # nothing beside them


def test_outputs_stay_in_their_folder(tmp_path, weights):
    folder, out = tmp_path / "films", tmp_path / "a" / "out"
    folder.mkdir()
    for name in ("..png", "...png", "..%2f..png"):
        with open(folder / name, "wb") as file:
            Image.fromarray(DRAWN).save(file, "PNG")
    main(predict_command(weights, out, *folder.iterdir()))
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["out"]
    assert {item.name for item in tmp_path.iterdir()} <= {"a", "films", "weights.pth"}


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


def test_a_large_folder_with_twenty_bad_films(tmp_path, weights, capsys):
    folder, out = tmp_path / "films", tmp_path / "out"
    for i in range(180):
        save(folder / f"good{i:03d}.png", DRAWN[: 32 + i % 8])
    contents = (b"", b"text", png(9, 9), DRAWN.tobytes())
    for i in range(20):
        (folder / f"bad{i:02d}.png").write_bytes(contents[i % 4])
    assert main(predict_command(weights, out, folder)) == 2
    printed = capsys.readouterr()
    assert printed.out.count("good") == 180 == len(list(out.glob("*_mask.png")))
    reasons = [line for line in printed.err.splitlines() if line.startswith("multimix: ")]
    assert len(reasons) == 20
    for i in range(20):
        assert any(f"bad{i:02d}.png" in line for line in reasons)


def test_pipes_are_no_files(tmp_path, masked, weights, capsys):
    """Opening one waits for who writes to it, for ever."""
    mask, manifest, films = masked / "masks" / "film03.png", tmp_path / "a.csv", tmp_path / "b.csv"
    mask.unlink()
    for path in (mask, manifest, films):
        os.mkfifo(path)
    evaluate = ["evaluate", "--weights", weights]
    classes = ["--classification", "phantom://20", "--manifest", str(manifest)]
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
        ["train", "--classification", "phantom://20", "--device", "cpu:x"],
        ["train", "--resume"],
        ["train", "--classification", "phantom://20", "--seed", "-1"],
        ["train", "--classification", "phantom://20", "--seed", str(2**63)],
        ["train", "--classification", "phantom://20", "--side", str(10**9)],
        ["train", "--classification", "phantom://20", "--batch", str(10**9)],
        ["train", "--classification", "phantom://20", "--learning-rate", "inf"],
        ["train", "--classification", "phantom://20", "--init", ""],
        ["train", "--classification", "phantom://" + "9" * 5000],
        ["train", "--classification", "x" * 5000],
        ["evaluate", "--weights", "{weights}"],
        ["predict", "x" * 5000, "--weights", "{weights}"],
    ),
)
def test_options_out_of_all_bounds(tmp_path, weights, capsys, arguments):
    arguments = [word.format(weights=weights) for word in arguments]
    out = [] if arguments[0] == "evaluate" else ["--out", str(tmp_path / "out")]
    with bounded_memory():
        assert quickly(main, [*arguments, *out]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("multimix: ") and said[0].endswith(".")
