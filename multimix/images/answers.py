"""The files that this program writes for films, marked so that no others are overwritten."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import PngImagePlugin

from multimix.images.opened import without_decoder_warnings

SOFTWARE = "multimix"
NAME_BYTES = 200  # of a film's name, so that the endings fit into a file's name
# The ends of the names of a film's files.
MASK, FIGURE, ARRAYS, SEGMENTATION = "_mask.png", ".png", ".npz", "_seg.dcm"


@dataclass(frozen=True)
class AnswerFiles:
    """Which files are written for a film beside its mask, as `Prediction.save` explains them."""

    figure: bool = True
    arrays: bool = False
    label_mask: bool = False
    dicom_seg: bool = False

    @property
    def endings(self) -> list[str]:
        """The ends of the files' names."""
        wanted = {FIGURE: self.figure, ARRAYS: self.arrays, SEGMENTATION: self.dicom_seg}
        return [MASK, *(ending for ending, is_wanted in wanted.items() if is_wanted)]


def film_id(source: Path | None, film: np.ndarray | None = None) -> str:
    """What tells a film from all others: its file's place; its pixels where it came from none."""
    content = hashlib.sha256()
    if source is not None:
        content.update(os.fsencode(os.path.abspath(source)))
    elif film is not None:
        content.update(str(film.shape).encode() + np.ascontiguousarray(film).tobytes())
    return content.hexdigest()[:16]


def mark_of(film: str) -> dict[str, str]:
    """The texts inside a PNG file that say whose answer it is; `film` is a `film_id`."""
    return {"Software": SOFTWARE, "Source": film}


def mark_line(film: str) -> str:
    """The same in one line, for files that hold one text."""
    return " ".join(mark_of(film).values())


def marked_film(path: Path) -> str:
    """The `film_id` in the mark of a file that this program wrote; '' for any other file."""
    if path.is_symlink() or not path.is_file():
        return ""
    try:
        with without_decoder_warnings():
            software, film = read_mark(path)
    except Exception:  # noqa: BLE001  (readers raise many kinds; this is no file of ours)
        return ""
    return film if software == SOFTWARE else ""


def read_mark(path: Path) -> list[str]:
    """What `mark_of` wrote into a file. Any error where it is none of ours."""
    if path.name.endswith(ARRAYS):
        with ZipFile(path) as archive:
            return archive.comment.decode().split()
    if path.name.endswith(SEGMENTATION):
        import pydicom  # slow to import, and few folders have such a file

        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["ImageComments"])
        return str(found.ImageComments).split()
    with PngImagePlugin.PngImageFile(path) as picture:
        return [str(picture.info.get(name, "")) for name in mark_of("")]


class AnswerNames:
    """Names for the films' files in a folder.

    Arguments:
        out: the folder.
        endings: of the files that are written for each film.
        taken: names that other films have.
    """

    def __init__(self, out: Path, endings: Iterable[str], taken: Iterable[str] = ()):
        self.out = out
        self.endings = list(endings)
        self.taken: set[str] = set()
        for name in taken:
            self._take(name)

    def choose(self, stem: str, film: str) -> str:
        """A name like `stem`, numbered where another film has it.

        Arguments:
            stem: what the files had best be called.
            film: the film's `film_id`.

        Errors: ValueError where a file is in the way that is no answer of this program.
        """
        stem = os.fsdecode(os.fsencode(stem)[:NAME_BYTES])
        name, number = stem, 2
        while not self._is_free(name, film):
            name, number = f"{stem}-{number}", number + 1
        self._take(name)
        return name

    def _take(self, name: str) -> None:
        """Keep a name, and that of its mask, from other films."""
        self.taken |= {alike(name), alike(f"{name}_mask")}

    def _is_free(self, name: str, film: str) -> bool:
        """Whether a film may have this name."""
        if {alike(name), alike(f"{name}_mask")} & self.taken:
            return False
        owners = []
        for ending in self.endings:
            path = self.out / f"{name}{ending}"
            if os.path.lexists(path):
                owners.append(marked_film(path))
                if not owners[-1]:
                    raise ValueError(
                        f"{path} would be overwritten by an answer; choose another folder (--out; "
                        "in Python: out), or move it away."
                    )
        return all(owner == film for owner in owners)


def alike(name: str) -> str:
    """The same for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()
