"""Films with something wrong in them: read, or refused in one sentence, quickly and in silence.

    PYTHONPATH=.:tests python tests/fuzz/films.py [NUMBER] [SEED]

Harms so many films (2,000), of every kind of file by turns, and prints what the sentences begin
with. A film that breaks a rule is kept, and named.
"""

import io
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import tifffile
from helpers import dicom, harmed
from hostile_helpers import DRAWN, SECONDS, png
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from multimix.images.reading import read_film

MOST = 300  # characters of a sentence, the path in it left out
MOST_MEMORY = 2**30  # bytes more than before
DEEP = DRAWN.astype(np.uint16) * 16
COLOURS = np.dstack([DEEP] * 3)
PICTURES = {  # of one format each: what is written, and how
    "png": (DRAWN, {}),
    "palette.png": (Image.fromarray(DRAWN).convert("P"), {}),
    "deep.png": (DEEP, {}),
    "jpeg": (DRAWN, {}),
    "progressive.jpeg": (DRAWN, dict(progressive=True)),
    "cmyk.jpeg": (Image.fromarray(DRAWN).convert("CMYK"), {}),
    "bmp": (DRAWN, {}),
    "gif": (DRAWN, {}),
    "webp": (DRAWN, dict(lossless=True)),
    "lossy.webp": (DRAWN, {}),
    "tif": (DRAWN, {}),
    "lzw.tif": (DEEP, dict(compression="tiff_lzw", tiffinfo={262: 0})),
    "jpeg.tif": (DRAWN, dict(compression="jpeg")),
}
TIFFS = {
    "float64.tif": (DEEP / 7, {}),
    "int8.tif": ((DRAWN // 2).astype(np.int8), dict(compression="zlib")),
    "tiles.tif": (COLOURS, dict(tile=(32, 32), photometric="rgb")),
    "planes.tif": (np.moveaxis(COLOURS, 2, 0), dict(photometric="rgb", planarconfig="separate")),
}


def whole_films(folder: Path) -> dict[str, bytes]:
    """The content of one whole film of each kind, by its ending."""
    for kind, (film, options) in PICTURES.items():
        picture = film if isinstance(film, Image.Image) else Image.fromarray(film)
        picture.save(folder / f"film.{kind}", **options)
    for kind, (film, options) in TIFFS.items():
        tifffile.imwrite(folder / f"film.{kind}", film, **options)
    (folder / "film.interlaced.png").write_bytes(png(64, 64, body=bytes(8000), interlaced=True))
    np.save(folder / "film.npy", DEEP)
    dicoms(folder)
    return {path.name[5:]: path.read_bytes() for path in sorted(folder.iterdir())}


def dicoms(folder: Path) -> None:
    """DICOM files of every way to write their pixels."""
    window = dict(WindowCenter=[2048, 1000], WindowWidth=[4000, 2000], PixelPaddingValue=0)
    path = dicom(folder / "film.dcm", DEEP, RescaleSlope=2, RescaleIntercept=-9, **window)
    for name, syntax in (("j2k", JPEG2000Lossless), ("rle", RLELossless)):
        dataset = dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(folder / f"film.{name}.dcm")
    dataset, content = dcmread(path), io.BytesIO()
    Image.fromarray(DRAWN).save(content, "JPEG")
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate([content.getvalue()])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(folder / "film.jpeg.dcm")
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(folder / "film.plain.dcm")
    (folder / "film.unmarked.dcm").write_bytes((folder / "film.dcm").read_bytes()[132:])


def fault_of(path: Path) -> tuple[str, str]:
    """How reading a film breaks the rules, '' where it does not; what its sentence begins with."""
    began, before = time.monotonic(), memory()
    try:
        film = read_film(path)
        sentence = "" if film.dtype == np.uint8 and film.ndim == 2 else "is not grey"
    except ValueError as error:
        sentence = str(error).replace(str(path), "")
        if len(sentence) > MOST or "\n" in sentence or not sentence.endswith("."):
            return f"sentence: {sentence}", sentence[:40]
    except Exception as error:  # noqa: BLE001  (this is what is looked for)
        return f"{type(error).__name__}: {error}", ""
    if time.monotonic() - began > SECONDS:
        return "slow", sentence[:40]
    return "large" if memory() - before > MOST_MEMORY else "", sentence[:40]


def memory() -> int:
    """The peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def harm(content: bytes, seed: int) -> bytes:
    """Harm a file: its bits and length, or also a number in it, set to an end of its range."""
    rng = np.random.default_rng(seed)
    harmed_content = bytearray(harmed(content, seed))
    if seed % 4 == 0:
        size = int(rng.choice([1, 2, 4]))
        place = int(rng.integers(0, max(1, min(len(harmed_content), 900) - size)))
        value = int(rng.choice([0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 60_000]))
        order = "little" if rng.integers(0, 2) else "big"
        number = (value % 2 ** (8 * size)).to_bytes(size, order)
        harmed_content[place : place + size] = number
    return bytes(harmed_content)


def main(number: int = 2000, seed: int = 0) -> int:
    """Harm and read so many films. Returns how many broke a rule."""
    found, broken = Counter(), 0
    said = os.dup(1)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as errors:
        films = whole_films(Path(folder))
        os.dup2(errors.fileno(), 2)  # what C libraries print as well
        for i in range(number):
            kind = sorted(films)[i % len(films)]
            path = Path(tempfile.mkdtemp(prefix=f"harmed-{seed + i}-")) / f"film.{kind}"
            path.write_bytes(harm(films[kind], seed + i))
            fault, sentence = fault_of(path)
            if errors.seek(0, os.SEEK_END):
                errors.seek(0)
                fault = fault or f"printed {errors.read()[:300]!r}"
                errors.truncate(0)
            found[sentence or "read"] += 1
            if fault:
                broken += 1
                os.write(said, f"{path}: {fault}\n".encode())
            else:
                path.unlink()
                path.parent.rmdir()
    for sentence, count in found.most_common():
        print(f"{count:6} {sentence}")
    print(f"{broken} of {number} broke a rule.")
    return broken


if __name__ == "__main__":
    sys.exit(min(1, main(*map(int, sys.argv[1:]))))
