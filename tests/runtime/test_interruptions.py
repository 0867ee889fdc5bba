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
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import KINDS, ROOT, SIDE, TINY, harmed, newer_torch, save, upload
from PIL import Image

from multimix.apps.cli import main
from multimix.apps.panel import Panel
from multimix.data import phantom
from multimix.inference import load_model, predict
from multimix.runtime.files import bundled, lock_folder

PHANTOMS = ["--classification", "phantom://20", "--segmentation", "phantom://20"]
SMALL = ["--side", str(SIDE), "--widths", ",".join(map(str, TINY)), "--batch", "2"]
SMALL += ["--steps", "2", "--validate-every", "1"]
TRAINING = ["train", *PHANTOMS, *SMALL]
FULL = "No space left on device"


@pytest.fixture(scope="session")
def drawn_films(tmp_path_factory) -> Path:
    """Sixty films, drawn once."""
    folder = tmp_path_factory.mktemp("drawn") / "films"
    for i in range(60):
        save(folder / f"film{i:02d}.png", phantom.draw(i, 0, 200)[0])
    return folder


@pytest.fixture
def films(tmp_path, drawn_films) -> Path:
    """Sixty films of this test's own."""
    return Path(shutil.copytree(drawn_films, tmp_path / "films"))


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 256 KiB, where this process may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@contextmanager
def started(*arguments: object, **streams):
    """The command line in a process of its own, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "multimix", *map(str, arguments)],
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **{"stderr": subprocess.PIPE, **streams},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def sentences(printed: str) -> list[str]:
    """What was said to the user on standard error."""
    return [line for line in printed.splitlines() if line.startswith("multimix: ")]


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


EVALUATE = ["evaluate", *PHANTOMS, "--weights", "{weights}"]


@pytest.mark.parametrize(
    "command",
    (
        [*TRAINING, "--out", "{disk}/run"],
        pytest.param(["export", "{disk}/a.onnx", "--weights", "{weights}"], marks=newer_torch),
        [*EVALUATE, "--json", "{disk}/a.json", "--figures", "{disk}/figures"],
        [*EVALUATE, "--cache", "{disk}/cache", "--json", "{disk}/b.json"],
    ),
)
def test_a_full_disk_is_one_sentence(tiny_disk, weights, capsys, command):
    with open(tiny_disk / "filled", "wb", buffering=0) as file:
        while file.write(bytes(1000)) == 1000:
            pass
    assert main([part.format(disk=tiny_disk, weights=weights) for part in command]) == 2
    said = sentences(capsys.readouterr().err)
    assert len(said) == 1 and FULL in said[0]
    left = {path.name for path in tiny_disk.rglob("*") if path.is_file()}
    assert left <= {"filled", ".lock"}


@pytest.mark.parametrize(
    "command",
    (
        ["predict", "{films}", "--weights", "{weights}", "--out", "{file}/out"],
        ["predict", "{films}", "--weights", "{weights}", "--out", "{file}"],
        [*TRAINING, "--out", "{file}"],
        ["sweep", "--quick", "--out", "{file}"],
        [*EVALUATE, "--json", "{file}/a.json"],
        [*EVALUATE, "--figures", "{file}"],
        pytest.param(["export", "{file}/a.onnx", "--weights", "{weights}"], marks=newer_torch),
        ["predict", "{films}", "--weights", "{weights}", "--out", "/proc/none"],
    ),
)
def test_a_file_in_the_way_of_a_folder(tmp_path, films, weights, capsys, command):
    (tmp_path / "file").write_text("precious")
    named = {"films": films / "film00.png", "weights": weights, "file": tmp_path / "file"}
    assert main([part.format(**named) for part in command]) == 2
    said = sentences(capsys.readouterr().err)
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
    with started(*command, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(60) == 141
    with open("/dev/full", "w") as full, started(*command, stdout=full) as process:
        said = process.stderr.read()
        assert FULL in said and said.count("\n") == 1 and process.wait(60) == 2
    close = "import os, sys; os.close(1); os.close(2); os.execv(sys.argv[1], sys.argv[1:])"
    program = [sys.executable, "-m", "multimix", *map(str, command)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    closed = subprocess.run([sys.executable, "-c", close, *program], env=environment, timeout=120)
    assert closed.returncode == 0 and len(list((tmp_path / "out").glob("*_mask.png"))) == 60


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_an_interrupted_prediction_leaves_whole_files_and_goes_on(tmp_path, films, weights, number):
    command, out = (
        ["predict", films, "--weights", weights, "--out", tmp_path / "out"],
        tmp_path / "out",
    )
    with started(*command, stdout=subprocess.PIPE) as process:
        while not list(out.glob("*_mask.png")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        said = "multimix: stopped; the same command with --resume goes on from there.\n"
        assert process.stderr.read() == said and process.wait(60) == 130
    assert 0 < whole_pictures(out) < 120 and not list(out.glob("*.part"))
    assert main([*map(str, command), "--resume", "--no-figures"]) == 0
    assert len(list(out.glob("*_mask.png"))) == 60


def test_two_runs_do_not_share_a_folder(tmp_path, films, weights):
    prediction = ["predict", str(films), "--weights", weights, "--no-figures"]
    for command in (prediction, TRAINING):
        out = tmp_path / command[0]
        with lock_folder(out), started(*command, "--out", out, stdout=subprocess.PIPE) as process:
            errors = process.communicate(timeout=120)[1]
            assert f"Another process is writing to {out}" in errors and process.returncode == 2
            assert [path.name for path in out.iterdir()] == [".lock"]
        assert main([*command, "--out", str(out)]) == 0


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, whole) -> Path:
    """Kaggle's layout with twenty good films of each class, and sixty damaged ones among them."""
    root = tmp_path_factory.mktemp("corpus") / "set"
    for i in range(40):
        folder = root / ("NORMAL", "PNEUMONIA")[i % 2]
        save(folder / f"person{i}_good.png", phantom.draw(i, i % 2, SIDE)[0])
    for i in range(60):
        kind = KINDS[i % len(KINDS)]
        folder = root / ("NORMAL", "PNEUMONIA")[i % 2]
        cut_short = harmed(whole[kind], 3 * i)
        (folder / f"person{100 + i}_bad.{kind}").write_bytes(cut_short)
    return root


@pytest.mark.filterwarnings("ignore")
def test_training_and_doctor_on_damaged_films(tmp_path, corpus, capsys):
    assert main(["doctor", str(corpus)]) == 2
    printed = capsys.readouterr()
    assert " cannot be read: " in printed.out and "Not fit to train on" in printed.out
    assert printed.err == ""
    masks = PHANTOMS[2:]
    command = ["train", "--classification", str(corpus), *masks, *SMALL]
    command += ["--out", str(tmp_path / "run")]
    assert main(command) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "_bad." in said[0] and not (tmp_path / "run").exists()
    assert main([*command, "--skip-damaged"]) == 0
    said = sentences(capsys.readouterr().err)
    left_out = [line for line in said if line.startswith("multimix: left out: ")]
    assert 30 <= len(left_out) <= 60 and all("_bad." in line for line in left_out)


@pytest.mark.filterwarnings("ignore")
def test_the_panel_takes_anything(corpus, weights):
    panel = Panel(weights=weights)
    for path in sorted(corpus.rglob("*_bad.*")):
        upload(panel, path.name, path.read_bytes())
        if panel.message.value:
            assert path.name in panel.message.value
        else:
            assert f"{panel.prediction.name}_mask.png" in panel.downloads.value
            assert panel.film.file == path.name
    good = (corpus / "NORMAL" / "person0_good.png").read_bytes()
    markup, long = "<script>alert(1)</script>.png", "a" * 300 + ".png"
    for name in (markup, "../../x.png", long, "\n.png", ".", "", "x.png\0"):
        upload(panel, name, good)
        shown = panel.answer.value + panel.downloads.value + panel.message.value
        assert "<script" not in shown + panel.table.value


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
    with pytest.raises(ValueError, match="would be overwritten by an answer; choose another"):
        predict(model, films / "film00.png").save(films)
    rows = [f"film{i:02d}.png,{i % 2}" for i in range(60)]
    (films / "set.csv").write_text("\n".join(["path,label", *rows]))
    before[films / "set.csv"] = (films / "set.csv").read_bytes()
    command = ["evaluate", "--weights", weights, "--classification", str(films / "set.csv")]
    for name in ("film00.png", "set.json", "set.csv", ".json"):
        assert main([*command, "--split", "all", "--json", str(films / name)]) == 2
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
    assert main([*command, str(one.parent)]) == 0
    assert main([*command, str(other), str(one.parent), "--resume"]) == 0
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len({row[kind] for row in rows.values() for kind in ("mask", "overlay")}) == 6
    for path, row in rows.items():
        with Image.open(row["mask"]) as mask, Image.open(path) as film:
            assert mask.size == film.size


def test_one_table_does_not_take_two_networks_answers(tmp_path, films, weights, capsys):
    command = ["predict", str(films), "--weights", weights, "--no-figures"]
    command += ["--out", str(tmp_path / "out")]
    assert main(command) == 0 and main([*command, "--resume"]) == 0
    table = tmp_path / "out" / "predictions.csv"
    content = table.read_bytes()
    assert main([*command, "--raw", "--resume"]) == 2
    assert "float32 raw'; give the same options, or another folder" in capsys.readouterr().err
    other_class = content.replace(b"PNEUMONIA,0", b"CAT,0").replace(b"NORMAL,0", b"CAT,0")
    short_row = content + b"film.png,NORMAL\r\n"
    with_mark = b"\xef\xbb\xbf" + content
    for foreign in (b"overlay\nx\n", with_mark, other_class, short_row, b"\0" * 9 + b"\n"):
        table.write_bytes(foreign)
        assert main([*command, "--resume"]) == 2
        assert "is not as this program left it" in capsys.readouterr().err
        assert table.read_bytes() == foreign


def test_devices_and_links_stay_what_they_are(tmp_path, weights, capsys):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    classes = PHANTOMS[:2]
    command = ["evaluate", *classes, "--weights", weights, "--json"]
    assert main([*command, str(tmp_path / "pipe.json")]) == 2
    assert "is a device or a pipe; give the name of a file" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "link.json")]) == 0
    assert (tmp_path / "pipe.json").is_fifo() and (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "target.json").stat().st_size > 100


def test_names_of_any_kind_make_one_line_and_one_file(tmp_path, weights, capsys):
    for name in ("a\nmultimix: forged.png", "\x1b[2J.png", "a" * 251 + ".png"):
        save(tmp_path / "films" / name, phantom.draw(1, 0, 64)[0])
    (tmp_path / "films" / "b\nmultimix: evil.png").write_bytes(b"")
    films, out = str(tmp_path / "films"), str(tmp_path / "out")
    assert main(["predict", films, "--weights", weights, "--out", out]) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1 and "\x1b" not in said.out
    assert len([line for line in said.out.splitlines() if not line.lstrip().startswith("! ")]) == 6
    assert whole_pictures(tmp_path / "out") == 6


def test_a_finished_network_is_not_replaced(tmp_path, capsys):
    (tmp_path / "best.pth").write_text("precious")
    assert main([*TRAINING, "--out", str(tmp_path)]) == 2
    assert "already holds a training" in capsys.readouterr().err
    assert (tmp_path / "best.pth").read_text() == "precious"
