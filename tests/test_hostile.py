"""Files at their worst: a right answer or one clear sentence, quickly, in little memory, and
nothing of them is run.
"""

import contextlib
import io
import os
import pickle
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import KINDS, SIDE, TINY, dicom, harmed, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from multimix.apps.cli import main
from multimix.data import phantom
from multimix.images.formats import picture_size
from multimix.images.reading import read_film
from multimix.inference import load_model, predict
from multimix.model import MultiMix
from multimix.runtime.checkpoint import save_checkpoint

SECONDS = 10
DRAWN = phantom.draw(5, 1, 64)[0]


@pytest.fixture
def weights(tmp_path, model) -> str:
    save_checkpoint(
        tmp_path / "weights.pth",
        {"weights": model.state_dict(), "config": {"side": SIDE, "widths": TINY}},
    )
    return str(tmp_path / "weights.pth")


def answered(path: Path) -> str:
    """'' where the film is read, else the sentence; whatever else happens fails the test."""
    try:
        film = read_film(path)
    except ValueError as error:
        sentence = str(error)
        assert str(path) in sentence and sentence.endswith(".") and "\n" not in sentence, sentence
        return sentence
    assert film.dtype == np.uint8 and film.ndim == 2 and min(film.shape) >= 2
    return ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(24))
@pytest.mark.filterwarnings("ignore")  # decoders warn of what they meet
def test_damaged_films(tmp_path, whole, kind, seed):
    path = tmp_path / f"film.{kind}"
    path.write_bytes(harmed(whole[kind], seed))
    quickly(answered, path)


@pytest.mark.parametrize("ending", ("png", "jpg", "tiff", "gif", "bmp", "dcm", "img", "pth"))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_wrong_endings(tmp_path, whole, kind, ending):
    path = tmp_path / f"film.{ending}"
    path.write_bytes(whole[kind])
    sentence = answered(path)
    assert bool(sentence) == (ending == "img" or (ending == "dcm") != (kind == "dcm")) or (
        kind,
        ending[:3],
    ) == ("dcm", ending[:3])


def png(width: int, height: int, *, body: bytes = b"", interlaced: bool = False) -> bytes:
    """A PNG whose header claims what it likes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced))
        + chunk(b"IDAT", zlib.compress(body))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "width, height", ((20_000, 20_000), (100_000, 100_000), (1, 5_000), (0, 10), (2**31 - 1, 1))
)
@pytest.mark.filterwarnings("error")
def test_claimed_sizes(tmp_path, width, height):
    path = tmp_path / "film.png"
    path.write_bytes(png(width, height))
    with bounded_memory():
        assert quickly(answered, path)


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "film.png"  # 400 million pixels in half a megabyte
    path.write_bytes(png(20_000, 20_000, body=bytes(20_001 * 20_000)))
    with bounded_memory():
        assert "million pixels" in quickly(answered, path)


def pictures() -> dict[str, Image.Image | np.ndarray]:
    """Films of every odd but honest kind."""
    film = Image.fromarray(DRAWN)
    clear = film.convert("RGBA")
    clear.putalpha(Image.fromarray(255 - DRAWN))
    palette = film.convert("P")
    palette.info["transparency"] = 0
    return {
        "16 bits": Image.fromarray(DRAWN.astype(np.uint16) * 257),
        "floats": Image.fromarray(DRAWN / np.float32(255)),
        "inks": film.convert("CMYK"),
        "palette": palette,
        "transparent": clear,
        "bits": film.convert("1"),
        "32 bits": Image.fromarray(DRAWN.astype(np.int32) * 1000),
        "lab": film.convert("RGB").convert("LAB"),
    }


@pytest.mark.parametrize("name", pictures())
def test_odd_pictures_are_read(tmp_path, name):
    path = tmp_path / f"film.{'png' if name == 'palette' else 'tif'}"
    pictures()[name].save(path)
    assert answered(path) == "" and read_film(path).shape == (64, 64)


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
def test_floats_that_are_no_numbers(tmp_path, value):
    floats = DRAWN / np.float32(255)
    floats[3, 4] = value
    Image.fromarray(floats).save(tmp_path / "film.tif")
    with pytest.raises(ValueError, match=r"values that are not numbers"):
        read_film(tmp_path / "film.tif")


def test_interlaced_animated_and_constant_films(model, tmp_path):
    film = Image.fromarray(DRAWN)
    adam7 = (
        (0, 8, 0, 8),
        (0, 8, 4, 8),
        (4, 8, 0, 4),
        (0, 4, 2, 4),
        (2, 4, 0, 2),
        (0, 2, 1, 2),
        (1, 2, 0, 1),
    )
    body = b"".join(
        b"\0" + row.tobytes()
        for top, down, left, right in adam7
        for row in DRAWN[top::down, left::right]
    )
    (tmp_path / "film.png").write_bytes(png(64, 64, body=body, interlaced=True))
    assert np.array_equal(read_film(tmp_path / "film.png"), DRAWN)
    film.save(
        tmp_path / "film.gif", save_all=True, append_images=[film.rotate(90)] * 3, interlace=True
    )
    assert np.array_equal(read_film(tmp_path / "film.gif"), DRAWN)  # the first picture
    for grey in (0, 128, 255):
        save(tmp_path / f"{grey}.png", np.full((200, 300), grey, dtype=np.uint8))
        p = predict(model, tmp_path / f"{grey}.png")
        assert np.isfinite([p.probability, p.lung_share]).all() and any(
            "contrast" in text for text in p.warnings
        )


@pytest.mark.parametrize("shape", ((1, 1), (1, 5000), (5000, 1), (2, 5000), (3, 2)))
def test_thin_films(model, tmp_path, shape):
    save(tmp_path / "film.png", np.resize(DRAWN, shape))
    if min(shape) < 2:
        with pytest.raises(ValueError, match="at least 2 x 2 are needed"):
            predict(model, tmp_path / "film.png")
    else:
        assert predict(model, tmp_path / "film.png").mask.shape == shape


@pytest.mark.parametrize(
    "changes",
    (
        dict(PhotometricInterpretation="PALETTE COLOR"),
        dict(PhotometricInterpretation="YBR_FULL"),
        dict(PhotometricInterpretation="NONSENSE"),
        dict(PhotometricInterpretation=None),
        dict(Rows=0),
        dict(Rows=60_000),
        dict(Columns=65_535),
        dict(BitsAllocated=12),
        dict(BitsStored=0),
        dict(SamplesPerPixel=3),
        dict(NumberOfFrames=0),
        dict(NumberOfFrames=2),
        dict(PixelData=b""),
        dict(WindowWidth=0, WindowCenter=5),
        dict(RescaleSlope="nan"),
        dict(WindowWidth=[1, 2, 3], WindowCenter=[1]),
        dict(PixelRepresentation=1),
        dict(HighBit=15),
    ),
)
@pytest.mark.filterwarnings("ignore")
def test_odd_dicom(tmp_path, changes):
    try:
        path = dicom(tmp_path / "film.dcm", DRAWN.astype(np.uint16) * 16, **changes)
    except (TypeError, ValueError, struct.error, AttributeError):
        pytest.skip("pydicom does not write such a file")
    quickly(answered, path)


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
    folder = tmp_path / "films"
    folder.mkdir()
    path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else os.fsencode(name))
    with open(path, "wb") as file:
        Image.fromarray(DRAWN).save(file, "PNG")
    assert (
        main(
            [
                "predict",
                str(folder),
                "--weights",
                weights,
                "--out",
                str(tmp_path / "out"),
                "--no-figures",
            ]
        )
        == 0
    )
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == 1
    assert {item.name for item in tmp_path.iterdir()} <= {
        "films",
        "out",
        "weights.pth",
    }  # nothing beside them


def test_outputs_stay_in_their_folder(tmp_path, weights):
    for name in ("..png", "...png", "..%2f..png"):
        (tmp_path / "films").mkdir(exist_ok=True)
        with open(tmp_path / "films" / name, "wb") as file:
            Image.fromarray(DRAWN).save(file, "PNG")
    main(
        [
            "predict",
            *map(str, (tmp_path / "films").iterdir()),
            "--weights",
            weights,
            "--no-figures",
            "--out",
            str(tmp_path / "a" / "out"),
        ]
    )
    assert {item.name for item in (tmp_path / "a").iterdir()} == {"out"}
    assert {item.name for item in tmp_path.iterdir()} <= {"a", "films", "weights.pth"}


def test_paths_that_are_no_files(tmp_path, weights, capsys):
    (tmp_path / "films" / "folder.png").mkdir(parents=True)
    (tmp_path / "films" / "loop.png").symlink_to(tmp_path / "films" / "loop.png")
    (tmp_path / "films" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "films" / "pipe.png")
    save(tmp_path / "films" / "good.png", DRAWN)
    command = [
        "predict",
        str(tmp_path / "films"),
        "--weights",
        weights,
        "--out",
        str(tmp_path / "out"),
        "--no-figures",
    ]
    assert quickly(main, command) == 2
    printed = capsys.readouterr()
    assert "good.png" in printed.out and printed.err.count("multimix: ") == printed.err.count("\n")
    for name in ("loop", "broken", "pipe"):
        assert f"{name}.png" in printed.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_films(tmp_path):
    save(tmp_path / "film.png", DRAWN)
    (tmp_path / "film.png").chmod(0)
    assert "film.png" in answered(tmp_path / "film.png")


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def weights_files() -> dict[str, object]:
    """Things that are no weights of ours."""
    tensors = MultiMix(TINY).state_dict()
    broken = {name: tensor.clone() for name, tensor in tensors.items()}
    broken["encoder.fc.bias"][0] = torch.nan
    return {
        "code": Evil(),
        "code inside": {"weights": {**tensors, "x": Evil()}},
        "code beside": {"weights": tensors, "note": Evil()},
        "list": [1, 2],
        "text": "weights",
        "nothing": {},
        "numbers": {"encoder.fc.bias": 3.0},
        "another network": torch.nn.Linear(3, 3).state_dict(),
        "a part": dict(list(tensors.items())[:5]),
        "wrong shape": {**tensors, "encoder.fc.bias": torch.zeros(7)},
        "no numbers": broken,
        "odd config": {"weights": tensors, "config": "none"},
        "odd side": {"weights": tensors, "config": {"side": -3}},
        "odd calibration": {
            "weights": tensors,
            "calibration": {"temperature": 0.0, "operating_point": 2},
        },
        "whole numbers": {name: tensor.long() for name, tensor in tensors.items()},
        "sparse": {**tensors, "encoder.fc.bias": torch.zeros(2).to_sparse()},
    }


@pytest.mark.parametrize("name", weights_files())
def test_weights_that_are_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    torch.save(weights_files()[name], tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth") as caught:
        load_model(tmp_path / "a.pth", "cpu")
    assert "\n" not in str(caught.value) and not (tmp_path / "executed").exists()


def test_a_bare_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ValueError, match=r"a\.pth holds program code"):
        load_model(tmp_path / "a.pth", "cpu")
    (tmp_path / "b.pth").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"b\.pth is not a weights file"):
        load_model(tmp_path / "b.pth", "cpu")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("seed", range(30))
def test_damaged_weights(tmp_path, seed):
    buffer = io.BytesIO()
    torch.save({"weights": MultiMix(TINY).state_dict(), "config": {"side": 32}}, buffer)
    (tmp_path / "a.pth").write_bytes(harmed(buffer.getvalue(), seed))
    try:
        model = load_model(tmp_path / "a.pth", "cpu")
    except ValueError as error:
        assert "a.pth" in str(error) and "\n" not in str(error)
    else:  # what was harmed did not matter
        assert all(p.isfinite().all() for p in model.parameters())


def test_a_folder_of_a_thousand_with_twenty_bad_ones(tmp_path, weights, capsys):
    for i in range(980):
        save(tmp_path / "films" / f"good{i:03d}.png", DRAWN[: 32 + i % 8])
    for i in range(20):
        (tmp_path / "films" / f"bad{i:02d}.png").write_bytes(
            (b"", b"text", png(9, 9), DRAWN.tobytes())[i % 4]
        )
    assert (
        main(
            [
                "predict",
                str(tmp_path / "films"),
                "--weights",
                weights,
                "--out",
                str(tmp_path / "out"),
                "--no-figures",
            ]
        )
        == 2
    )
    printed = capsys.readouterr()
    assert printed.out.count("good") == 980 == len(list((tmp_path / "out").glob("*_mask.png")))
    reasons = [line for line in printed.err.splitlines() if line.startswith("multimix: ")]
    assert len(reasons) == 20 and all(
        any(f"bad{i:02d}.png" in line for line in reasons) for i in range(20)
    )


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kind=st.sampled_from(KINDS),
    edits=st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=12)), max_size=6),
    end=st.integers(0, 6000),
)
@pytest.mark.filterwarnings("ignore")
def test_fuzzed_films(tmp_path, whole, kind, edits, end):
    content = bytearray(whole[kind])
    for place, piece in edits:
        content[place % len(content) : place % len(content) + len(piece)] = piece
    path = tmp_path / f"fuzzed.{kind}"
    path.write_bytes(bytes(content[: max(1, len(content) - end)]) if end > 3000 else bytes(content))
    answered(path)


def quickly(work, *arguments):
    """What `work` returns or raises, if it ends in time."""
    found = {}

    def attempt():
        try:
            found["answer"] = work(*arguments)
        except BaseException as error:  # noqa: BLE001  (handed on below)
            found["error"] = error

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive(), f"still at work after {SECONDS} seconds"
    if "error" in found:
        raise found["error"]
    return found["answer"]


class bounded_memory:
    """At most 2 GiB more of address space than now."""

    def __enter__(self) -> None:
        import resource

        self.before = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**31, self.before[1]))

    def __exit__(self, *_) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, self.before)


@pytest.mark.filterwarnings("ignore")
def test_no_program_is_started_for_a_film(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript, and knows many more formats that no film has."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "film.png").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
    )
    assert "is not a picture that can be read" in answered(tmp_path / "film.png")
    assert not (tmp_path / "started").exists()
    for ending in ("webp", "dds", "ppm", "jp2"):
        with contextlib.suppress(KeyError, OSError):  # where Pillow was built without it
            Image.fromarray(DRAWN).convert("RGB").save(tmp_path / f"film.{ending}")
            (tmp_path / f"film.{ending}").rename(tmp_path / "film.png")
            assert "is not a picture that can be read" in answered(tmp_path / "film.png")


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.filterwarnings("ignore")
def test_damaged_exif(tmp_path, seed):
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010E: "a film", 0x011A: 72.0, 0x0132: "2026:01:01 00:00:00"})
    Image.fromarray(DRAWN).save(tmp_path / "film.jpeg", exif=exif)
    content = bytearray((tmp_path / "film.jpeg").read_bytes())
    rng, start = np.random.default_rng(seed), content.index(b"Exif")
    for place in start + 6 + rng.integers(0, 90, 6):
        content[place] = rng.integers(0, 256)
    (tmp_path / "film.jpeg").write_bytes(content)
    quickly(answered, tmp_path / "film.jpeg")
    picture_size(tmp_path / "film.jpeg")


def test_films_larger_than_any_detectors(tmp_path):
    Image.new("L", (8000, 8000)).save(tmp_path / "film.png")
    with bounded_memory():
        assert "more than 50 million pixels" in quickly(answered, tmp_path / "film.png")
    assert "more than 50 million pixels" in quickly(
        answered, dicom(tmp_path / "a.dcm", DRAWN.astype(np.uint16), Rows=60_000, Columns=60_000)
    )


def test_a_deflated_dicom_is_not_inflated(tmp_path):
    import pydicom

    path = dicom(tmp_path / "film.dcm", DRAWN.astype(np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert "deflated as a whole" in answered(path)


def test_pipes_are_no_files(tmp_path, masked, kaggle, weights, capsys):
    """Opening one waits for who writes to it, for ever."""
    (masked / "masks" / "film03.png").unlink()
    for path in (
        masked / "masks" / "film03.png",
        tmp_path / "manifest.csv",
        tmp_path / "films.csv",
    ):
        os.mkfifo(path)
    assert quickly(main, ["doctor", str(masked)]) == 2
    assert quickly(main, ["evaluate", "--segmentation", str(masked), "--weights", weights]) == 2
    assert (
        quickly(
            main,
            [
                "evaluate",
                "--classification",
                str(kaggle),
                "--weights",
                weights,
                "--manifest",
                str(tmp_path / "manifest.csv"),
            ],
        )
        == 2
    )
    assert quickly(main, ["doctor", str(tmp_path / "films.csv")]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("harm", ("expanded", "meta", "wide", "flat", "side", "seed", "numberless"))
def test_weights_that_claim_more_than_they_hold(tmp_path, model, harm):
    tensors, config = dict(model.state_dict()), {"side": SIDE}
    name = "encoder.dconv_down5.0.weight"
    if harm == "expanded":
        tensors[name] = torch.zeros(1).expand(10**6, 10**6, 1, 1)
    elif harm == "meta":
        tensors[name] = tensors[name].to("meta")
    elif harm == "wide":
        tensors[name] = torch.zeros(20_000, 1, 1, 1)
    elif harm == "flat":
        tensors[name] = torch.tensor(1.0)
    elif harm == "numberless":
        tensors = {name: tensor * 0 + 1e30 for name, tensor in tensors.items()}
    else:
        config[harm] = 10**9 if harm == "side" else "x"
    torch.save({"weights": tensors, "config": config}, tmp_path / "weights.pth")
    with bounded_memory(), pytest.raises(ValueError, match=r"\.$"):
        quickly(lambda: predict(load_model(tmp_path / "weights.pth", "cpu"), DRAWN))


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


@pytest.mark.parametrize(
    "source", (None, 3, np.zeros((0, 0, 3)), np.full((9, 9), np.nan), ["x", None])
)
def test_what_is_no_film(model, source):
    with pytest.raises(ValueError, match=r"\.$"):
        predict(model, source)
