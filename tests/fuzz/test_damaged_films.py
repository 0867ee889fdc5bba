"""Films with something wrong in them: read, or refused in one sentence, quickly.

    PYTHONPATH=.:tests python tests/fuzz/films.py [NUMBER] [SEED]

Harms so many films (2,000), of every kind of file by turns. A film that breaks a rule is kept, and
named.
"""

import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from helpers import dicom, harmed
from hostile_helpers import DRAWN, SECONDS, png
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from multimix.images.reading import read_film

DEEP = DRAWN.astype(np.uint16) * 16
PICTURES = {  # of one format each: what is written, and how
    "png": (DRAWN, {}),
    "palette.png": (Image.fromarray(DRAWN).convert("P"), {}),
    "deep.png": (DEEP, {}),
    "progressive.jpeg": (DRAWN, dict(progressive=True)),
    "cmyk.jpeg": (Image.fromarray(DRAWN).convert("CMYK"), {}),
    "gif": (DRAWN, {}),
    "webp": (DRAWN, dict(lossless=True)),
    "float.tif": ((DEEP / 7).astype(np.float32), {}),
    "lzw.tif": (DEEP, dict(compression="tiff_lzw", tiffinfo={262: 0})),
    "jpeg.tif": (DRAWN, dict(compression="jpeg")),
}


def whole_films(folder: Path) -> dict[str, bytes]:
    """The content of one whole film of each kind, by its ending."""
    for kind, (film, options) in PICTURES.items():
        picture = film if isinstance(film, Image.Image) else Image.fromarray(film)
        picture.save(folder / f"film.{kind}", **options)
    planes = dict(photometric="rgb", planarconfig="separate", tile=(32, 32))
    tifffile.imwrite(folder / "film.planes.tif", np.stack([DRAWN] * 3), **planes)
    (folder / "film.interlaced.png").write_bytes(png(64, 64, body=bytes(8000), interlaced=True))
    np.save(folder / "film.npy", DEEP)
    window = dict(WindowCenter=[2048, 1000], WindowWidth=[4000, 2000], PixelPaddingValue=0)
    path = dicom(folder / "film.dcm", DEEP, RescaleSlope=2, RescaleIntercept=-9, **window)
    for name, syntax in (("j2k", JPEG2000Lossless), ("rle", RLELossless)):
        dataset = dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(folder / f"film.{name}.dcm")
        assert np.array_equal(read_film(folder / f"film.{name}.dcm"), read_film(path))
    Image.fromarray(DRAWN).save(content := io.BytesIO(), "JPEG")
    compressed(folder / "film.jpeg.dcm", content.getvalue(), JPEGBaseline8Bit)
    (folder / "film.unmarked.dcm").write_bytes(path.read_bytes()[132:])
    return {path.name[5:]: path.read_bytes() for path in sorted(folder.iterdir())}


def compressed(path: Path, frame: bytes, syntax: str, side: int = 64) -> Path:
    """A DICOM file with a compressed picture of 8 bits."""
    dataset = dcmread(dicom(path, np.zeros((side, side), dtype=np.uint16)))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(path)
    return path


def fault_of(path: Path) -> str:
    """How reading a film breaks the rules; '' where it does not."""
    began = time.monotonic()
    try:
        film = read_film(path)
        if film.dtype != np.uint8 or film.ndim != 2:
            return "is not grey"
    except ValueError as error:
        sentence = str(error).replace(str(path), "")
        if len(sentence) > 300 or "\n" in sentence or not sentence.endswith("."):
            return f"sentence: {sentence}"
    except Exception as error:  # noqa: BLE001  (this is what is looked for)
        return f"{type(error).__name__}: {error}"
    return "slow" if time.monotonic() - began > SECONDS else ""


def harm(content: bytes, seed: int) -> bytes:
    """Harm a file: its bits and length, or also a number in it, set to an end of its range."""
    rng = np.random.default_rng(seed)
    harmed_content = bytearray(harmed(content, seed))
    if seed % 4 == 0:
        size = int(rng.choice([1, 2, 4]))
        place = int(rng.integers(0, max(1, min(len(harmed_content), 900) - size)))
        value = int(rng.choice([0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 60_000]))
        order = "little" if rng.integers(0, 2) else "big"
        harmed_content[place : place + size] = (value % 2 ** (8 * size)).to_bytes(size, order)
    return bytes(harmed_content)


def main(number: int = 2000, seed: int = 0) -> int:
    """Harm and read so many films. Returns how many broke a rule."""
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        films = whole_films(Path(folder))
    for i in range(number):
        kind = sorted(films)[i % len(films)]
        path = Path(tempfile.mkdtemp(prefix=f"harmed-{seed + i}-")) / f"film.{kind}"
        path.write_bytes(harm(films[kind], seed + i))
        if fault := fault_of(path):
            broken += 1
            print(f"{path}: {fault}")
        else:
            path.unlink()
            path.parent.rmdir()
    print(f"{broken} of {number} broke a rule.")
    return broken


if __name__ == "__main__":
    sys.exit(min(1, main(*map(int, sys.argv[1:]))))
