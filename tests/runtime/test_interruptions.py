"""Where results go, and how processes end: full disks, forbidden folders, closed pipes, signals,
two at once.
"""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import KINDS, ROOT, SIDE, TINY, harmed, newer_torch, save, upload
from PIL import Image

from multimix.apps.cli import main
from multimix.apps.panel import Panel
from multimix.data import phantom
from multimix.inference import load_model, predict
from multimix.runtime.checkpoint import save_checkpoint
from multimix.runtime.files import bundled, lock_folder

PHANTOMS = ["--classification", "phantom://20", "--segmentation", "phantom://20"]
TRAINING = [
    "train",
    *PHANTOMS,
    "--side",
    str(SIDE),
    "--batch",
    "2",
    "--steps",
    "2",
    "--validate-every",
    "1",
]
FULL = "No space left on device"


@pytest.fixture
def weights(tmp_path, model) -> str:
    save_checkpoint(
        tmp_path / "weights.pth",
        {"weights": model.state_dict(), "config": {"side": SIDE, "widths": TINY}},
    )
    return str(tmp_path / "weights.pth")


@pytest.fixture
def films(tmp_path) -> Path:
    for i in range(60):
        save(tmp_path / "films" / f"film{i:02d}.png", phantom.draw(i, 0, 200)[0])
    return tmp_path / "films"


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 256 KiB, where this process may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("no disk may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def start(*arguments: object, **streams) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "multimix", *map(str, arguments)],
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **{"stderr": subprocess.PIPE, **streams},
    )


def whole_pictures(folder: Path) -> int:
    """How many pictures lie there, each of which can be read to its end."""
    pictures = list(folder.glob("*.png"))
    for path in pictures:
        Image.open(path).load()
    return len(pictures)


def test_a_full_disk_ends_predicting_and_resume_goes_on(tiny_disk, films, weights, capsys):
    command = ["predict", str(films), "--weights", weights, "--out", str(tiny_disk / "out")]
    assert main(command) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and FULL in said[0] and str(tiny_disk / "out") in said[0]
    with open(tiny_disk / "out" / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(Path(row["mask"]).exists() and Path(row["overlay"]).exists() for row in rows)
    assert whole_pictures(tiny_disk / "out") > 0 and not list(tiny_disk.rglob("*.part"))
    shutil.copytree(tiny_disk / "out", films.parent / "larger")
    assert main([*command[:-1], str(films.parent / "larger"), "--resume", "--no-figures"]) == 0
    assert len(list((films.parent / "larger").glob("*_mask.png"))) == 60


@pytest.mark.parametrize(
    "command",
    (
        [*TRAINING, "--out", "{disk}/run"],
        pytest.param(["export", "{disk}/a.onnx"], marks=newer_torch),
        [
            "evaluate",
            *PHANTOMS,
            "--weights",
            "{weights}",
            "--json",
            "{disk}/a.json",
            "--figures",
            "{disk}/figures",
        ],
        [
            "evaluate",
            *PHANTOMS,
            "--weights",
            "{weights}",
            "--cache",
            "{disk}/cache",
            "--json",
            "{disk}/b.json",
        ],
    ),
)
def test_a_full_disk_is_one_sentence(tiny_disk, weights, capsys, command):
    with open(tiny_disk / "filled", "wb", buffering=0) as file:
        while file.write(bytes(1000)) == 1000:
            pass
    assert main([part.format(disk=tiny_disk, weights=weights) for part in command]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("multimix: ")]
    assert len(said) == 1 and FULL in said[0]
    assert not [
        path
        for path in tiny_disk.rglob("*")
        if path.is_file() and path.name not in ("filled", ".lock")
    ]


@pytest.mark.parametrize(
    "command",
    (
        ["predict", "{films}", "--weights", "{weights}", "--out", "{file}/out"],
        ["predict", "{films}", "--weights", "{weights}", "--out", "{file}"],
        [*TRAINING, "--out", "{file}"],
        ["sweep", "--quick", "--out", "{file}"],
        ["evaluate", *PHANTOMS, "--weights", "{weights}", "--json", "{file}/a.json"],
        ["evaluate", *PHANTOMS, "--weights", "{weights}", "--figures", "{file}"],
        pytest.param(["export", "{file}/a.onnx"], marks=newer_torch),
        ["predict", "{films}", "--weights", "{weights}", "--out", "/proc/none"],
    ),
)
def test_a_file_in_the_way_of_a_folder(tmp_path, films, weights, capsys, command):
    (tmp_path / "file").write_text("precious")
    named = {"films": films / "film00.png", "weights": weights, "file": tmp_path / "file"}
    assert main([part.format(**named) for part in command]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("multimix: ")]
    assert len(said) == 1 and (str(tmp_path / "file") in said[0] or "/proc/none" in said[0])
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path, films, weights, capsys):
    (tmp_path / "out").mkdir(mode=0o500)
    assert main(["predict", str(films), "--weights", weights, "--out", str(tmp_path / "out")]) == 2
    assert "Permission denied" in capsys.readouterr().err and not list((tmp_path / "out").iterdir())


def test_readers_that_go_away(tmp_path, films, weights):
    """`| head`, `>&-` and a full standard output."""
    command = ["predict", films, "--weights", weights, "--no-figures", "--out", tmp_path / "out"]
    with start(*command, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(60) == 141
    with open("/dev/full", "w") as full, start(*command, stdout=full) as process:
        assert (
            FULL in (said := process.stderr.read())
            and said.count("\n") == 1
            and process.wait(60) == 2
        )
    closed = [
        sys.executable,
        "-c",
        "import os, sys; os.close(1); os.close(2); os.execv(sys.argv[1], sys.argv[1:])",
        sys.executable,
        "-m",
        "multimix",
        *map(str, command),
    ]
    assert subprocess.run(closed, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode == 0
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == 60


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_an_interrupted_prediction_leaves_whole_files_and_goes_on(tmp_path, films, weights, number):
    command = ["predict", films, "--weights", weights, "--out", tmp_path / "out"]
    with start(*command, stdout=subprocess.PIPE) as process:
        while not list((tmp_path / "out").glob("*_mask.png")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert (
            process.stderr.read()
            == "multimix: stopped; the same command with --resume goes on from there.\n"
        )
        assert process.wait(60) == 130
    assert 0 < whole_pictures(tmp_path / "out") < 120 and not list(
        (tmp_path / "out").glob("*.part")
    )
    assert main([*map(str, command), "--resume", "--no-figures"]) == 0
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == 60


def test_two_runs_do_not_share_a_folder(tmp_path, films, weights, capsys):
    for command in (["predict", str(films), "--weights", weights, "--out"], [*TRAINING, "--out"]):
        out = tmp_path / command[0]
        with lock_folder(out):
            process = start(*command, out, stdout=subprocess.PIPE)
            assert f"Another process is writing to {out}" in process.communicate(timeout=120)[1]
            assert process.returncode == 2 and [path.name for path in out.iterdir()] == [".lock"]
        assert main([*command, str(out)]) == 0


@pytest.fixture
def corpus(tmp_path, whole) -> Path:  # noqa: F811
    """Kaggle's layout with twenty good films of each class, and sixty damaged ones among them."""
    for i in range(40):
        save(
            tmp_path / "set" / ("NORMAL", "PNEUMONIA")[i % 2] / f"person{i}_good.png",
            phantom.draw(i, i % 2, SIDE)[0],
        )
    for i in range(60):
        kind = KINDS[i % len(KINDS)]
        folder = tmp_path / "set" / ("NORMAL", "PNEUMONIA")[i % 2]
        (folder / f"person{100 + i}_bad.{kind}").write_bytes(
            harmed(whole[kind], 3 * i)
        )  # cut short
    return tmp_path / "set"


@pytest.mark.filterwarnings("ignore")
def test_training_and_doctor_on_damaged_films(tmp_path, corpus, capsys):
    assert main(["doctor", str(corpus)]) == 2
    printed = capsys.readouterr()
    assert (
        " cannot be read: " in printed.out
        and "Not fit to train on" in printed.out
        and printed.err == ""
    )
    command = [
        "train",
        "--classification",
        str(corpus),
        *TRAINING[3:],
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(command) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "_bad." in said[0] and not (tmp_path / "run").exists()
    assert main([*command, "--skip-damaged"]) == 0
    left_out = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("multimix: left out: ")
    ]
    assert 30 <= len(left_out) <= 60 and all("_bad." in line for line in left_out)


@pytest.mark.filterwarnings("ignore")
def test_the_panel_takes_anything(corpus, weights):
    panel = Panel(weights=weights)
    for path in sorted(corpus.rglob("*_bad.*")):
        upload(panel, path.name, path.read_bytes())
        if panel.prediction is None:
            assert path.name in panel.answer.value and panel.picture.layout.display == "none"
        else:
            assert "mask.png" in panel.download.value
    for name in (
        "<script>alert(1)</script>.png",
        "../../x.png",
        "a" * 300 + ".png",
        "\n.png",
        ".",
        "",
        "x.png\0",
    ):
        upload(panel, name, (corpus / "NORMAL" / "person0_good.png").read_bytes())
        assert "<script" not in panel.answer.value + panel.download.value


def test_a_bundled_file_that_was_changed_is_not_loaded(tmp_path, monkeypatch):
    shutil.copytree(bundled("weights"), tmp_path / "weights")
    with open(tmp_path / "weights" / "multimix.pth", "ab") as file:
        file.write(b"x")
    monkeypatch.setattr(sys.modules["multimix.inference"], "bundled", lambda name: tmp_path / name)
    with pytest.raises(
        ValueError, match=r"multimix\.pth is not the file that was published: its SHA-256 differs"
    ):
        load_model("multimix", "cpu")


def test_no_film_is_overwritten(films, weights, model, capsys):
    before = {path: path.read_bytes() for path in films.iterdir()}
    assert main(["predict", str(films), "--weights", weights, "--out", str(films)]) == 2
    assert "would be overwritten by an answer; choose another folder" in capsys.readouterr().err
    with pytest.raises(ValueError, match="would be overwritten by its own answer"):
        predict(model, films / "film00.png").save(films)
    (films / "set.csv").write_text(
        "path,label\n" + "\n".join(f"film{i:02d}.png,{i % 2}" for i in range(60))
    )
    before[films / "set.csv"] = (films / "set.csv").read_bytes()
    for name in ("film00.png", "set.json", "set.csv", ".json"):
        assert (
            main(
                [
                    "evaluate",
                    "--weights",
                    weights,
                    "--classification",
                    str(films / "set.csv"),
                    "--split",
                    "all",
                    "--json",
                    str(films / name),
                ]
            )
            == 2
        )
    assert {path: path.read_bytes() for path in before} == before


def test_no_answer_is_overwritten_by_another_films(tmp_path, weights):
    """Not by one of the same name in another folder when a run goes on, nor by one whose name is
    that of a mask.
    """
    one, other = (tmp_path / name / "a.png" for name in ("one", "other"))
    save(one, phantom.draw(1, 0, 64)[0])
    save(other, phantom.draw(2, 1, 96)[0])
    save(tmp_path / "one" / "a_mask.png", phantom.draw(3, 1, 128)[0])
    command = ["predict", "--weights", weights, "--out", str(tmp_path / "out")]
    assert (
        main([*command, str(one.parent)])
        == main([*command, str(other), str(one.parent), "--resume"])
        == 0
    )
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len({row[kind] for row in rows.values() for kind in ("mask", "overlay")}) == 6
    for path, row in rows.items():
        with Image.open(row["mask"]) as mask, Image.open(path) as film:
            assert mask.size == film.size


def test_one_table_does_not_take_two_networks_answers(tmp_path, films, weights, capsys):
    command = [
        "predict",
        str(films),
        "--weights",
        weights,
        "--no-figures",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(command) == 0 and main([*command, "--resume"]) == 0
    table = (tmp_path / "out" / "predictions.csv").read_bytes()
    assert main([*command, "--raw", "--resume"]) == 2
    assert "float32 raw'; give the same options, or another folder" in capsys.readouterr().err
    other = table.replace(b"PNEUMONIA,0", b"CAT,0").replace(b"NORMAL,0", b"CAT,0")
    for foreign in (b"overlay\nx\n", b"\xef\xbb\xbf" + table, other, b"\0" * 9 + b"\n"):
        (tmp_path / "out" / "predictions.csv").write_bytes(foreign)
        assert (
            main([*command, "--resume"]) == 2
            and "is not as this program left it" in capsys.readouterr().err
        )
        assert (tmp_path / "out" / "predictions.csv").read_bytes() == foreign


def test_devices_and_links_stay_what_they_are(tmp_path, weights, capsys):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    command = ["evaluate", *PHANTOMS, "--weights", weights, "--json"]
    assert main([*command, str(tmp_path / "pipe.json")]) == 2
    assert "is a device or a pipe; give the name of a file" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "link.json")]) == 0
    assert (tmp_path / "pipe.json").is_fifo() and (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "target.json").stat().st_size > 100


def test_names_of_any_kind_make_one_line_and_one_file(tmp_path, weights, capsys):
    for name in ("a\nmultimix: forged.png", "\x1b[2J.png", "a" * 251 + ".png"):
        save(tmp_path / "films" / name, phantom.draw(1, 0, 64)[0])
    (tmp_path / "films" / "b\nmultimix: evil.png").write_bytes(b"")
    command = [
        "predict",
        str(tmp_path / "films"),
        "--weights",
        weights,
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(command) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1 and "\x1b" not in said.out
    assert len([line for line in said.out.splitlines() if not line.lstrip().startswith("! ")]) == 6
    assert whole_pictures(tmp_path / "out") == 6


def test_a_finished_network_is_not_replaced(tmp_path, capsys):
    (tmp_path / "best.pth").write_text("precious")
    assert main([*TRAINING, "--out", str(tmp_path)]) == 2
    assert (
        "already holds a training" in capsys.readouterr().err
        and (tmp_path / "best.pth").read_text() == "precious"
    )
