"""What several test files need besides fixtures."""

import functools
from datetime import datetime, timezone
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
import pytest
import torch
from drawn import draw
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from multimix.apps.panel import Panel
from multimix.config import Config
from multimix.data.film_set import FilmSet
from multimix.model import MultiMix
from multimix.training import train

ROOT = Path(__file__).parent.parent
SIDE = 32
TINY = (2, 3, 4, 5, 6)
SPLITS = ("train",) * 32 + ("val",) * 4 + ("test",) * 4
CONFIG = Config(side=SIDE, widths=TINY, batch=4, steps=6, validate_every=2, learning_rate=1e-3)
newer_torch = pytest.mark.skipif(torch.__version__ < "2.9", reason="this torch cannot export")
drawn = functools.cache(draw)


def film_set(task: str, side: int = SIDE) -> FilmSet:
    """Forty drawn films with their classes, or with their masks."""
    first = 0 if task == "classification" else 40
    pictures, masks = (
        np.stack(part) for part in zip(*(drawn(first + i, i % 2, side) for i in range(40)))
    )
    names = tuple(f"{task}/film{i:02}" for i in range(40))
    targets = torch.arange(40) % 2 if task == "classification" else torch.from_numpy(masks)
    known = torch.ones(40, dtype=torch.bool)
    return FilmSet(torch.from_numpy(pictures), targets, known, names, names, SPLITS)


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def dicom(path, pixels, photometric="MONOCHROME2", **more):
    """A DICOM file of 16-bit grey values."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = more.pop("syntax", ExplicitVRLittleEndian)
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    if pixels is not None:
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.PixelRepresentation = 0
        dataset.PixelData = pixels.astype("<u2").tobytes()
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def harmed(content: bytes, seed: int) -> bytes:
    """Cut short, or with some bits turned, or with some bytes overwritten, by turns."""
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        return content[: rng.integers(1, len(content))]
    changed = np.frombuffer(content, dtype=np.uint8).copy()
    reach = min(len(changed), 400 if seed % 2 else len(changed))  # headers, often
    places = rng.integers(0, reach, rng.integers(1, 9))
    if seed % 3 == 1:
        changed[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
    else:
        changed[places] = rng.integers(0, 256)
    return changed.tobytes()


def upload(panel: Panel, *files: object, to: ipywidgets.FileUpload | None = None) -> None:
    """Upload a name and a content, or several such pairs, as the browser does."""
    pairs = dict(files if isinstance(files[0], tuple) else [files])
    value: dict | tuple
    if ipywidgets.__version__.startswith("7."):
        value = {name: {"metadata": {}, "content": content} for name, content in pairs.items()}
    else:
        more = {"type": "", "last_modified": datetime.now(timezone.utc)}
        value = tuple(
            {"name": name, "size": len(content), "content": memoryview(content), **more}
            for name, content in pairs.items()
        )
    (to or panel.upload).set_trait("value", value)


def quietly(config, films, out, **options) -> MultiMix:
    return train(config, films, out, device="cpu", progress=False, **options)


def read_log(out: Path) -> list[dict[str, str]]:
    return pd.read_csv(out / "log.csv", dtype=str, keep_default_na=False).to_dict("records")
