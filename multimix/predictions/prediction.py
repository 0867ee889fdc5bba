"""The prediction for one film, at the film's own size."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from multimix.images.formats import SizeCm
from multimix.model import CLASSES
from multimix.predictions import output_folder
from multimix.predictions.dicom_seg import film_uids, segmentation
from multimix.predictions.lungs import Lung, label_lungs, measure_lungs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Prediction:
    """The prediction for one film of H x W pixels. For research, not for diagnosis.

    Attributes:
        name: the file's name without folder and ending, or film-1, film-2, ...
        film: (H, W) uint8, as the network saw it: inverted, where that was done.
        probabilities: {'NORMAL': .03, 'PNEUMONIA': .97}; calibrated, if the weights are, for a
            place where both classes are equally frequent. Empty if the network did not learn
            classes, or this is not recognised as a frontal chest film.
        mask_probability: (H, W) float32 in [0, 1], of lung; None if the network did not learn
            lungs.
        saliency: (H, W) float32, >= 0: the size of the class score's gradient, which the network's
            decoder uses; None if the network did not learn classes. It explains little.
        warnings: sentences about how this film differs from those of the training.
        source: the film's file, if it came from one.
        size_cm: the film's height and width in cm, if its file tells them.
        network: the name that `load_model` was given, or the end of its path.
        expected_dice: of `mask` against an outline by hand, in [0, 1], estimated from the network's
            doubt and the outline's shape; 0 without lungs.
        quality: of the lungs' outline: 'good', 'check' or 'poor'; '' if it is not known.
        weights: 12 hexadecimal digits that identify the network's weights.
        explanation: (H, W) float32: what speaks for PNEUMONIA (above 0) and against it (below 0),
            by integrated gradients in 14 x 14 cells; 0 in the film's plain borders, None if the
            network did not learn classes. Blurring 20 % of a film leaves its class a mean
            probability of .42 if the explanation chooses them, .77 if the saliency, .82 if chance.
    """

    name: str
    film: np.ndarray
    probabilities: dict[str, float]
    mask_probability: np.ndarray | None = None
    saliency: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    source: Path | None = None
    size_cm: SizeCm | None = None
    network: str = ""
    expected_dice: float = 0.0
    quality: str = ""
    weights: str = ""
    explanation: np.ndarray | None = None

    @property
    def segmented(self) -> bool:
        """Whether the network learnt lungs; without, `mask` is all False."""
        return self.mask_probability is not None

    @property
    def label(self) -> str | None:
        """The more probable class, 'NORMAL' or 'PNEUMONIA'; None without a class."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=None)

    @property
    def probability(self) -> float | None:
        """The probability of `label`, in [0.5, 1]; None without a class."""
        return max(self.probabilities.values(), default=None)

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: lung where its probability is above 0.5."""
        lung = self.mask_probability
        return np.zeros(self.film.shape, dtype=bool) if lung is None else lung > 0.5

    @property
    def lung_share(self) -> float:
        """The part of the film that is lung, in [0, 1]."""
        return float(self.mask.mean())

    @cached_property
    def label_mask(self) -> np.ndarray:
        """(H, W) uint8: 1 in the patient's right lung (left on the film), 2 in the left, else 0."""
        return label_lungs(self.mask)

    @cached_property
    def lungs(self) -> dict[str, Lung]:
        """The patient's 'right' and 'left' lung, as in `label_mask`: area, centre and box."""
        return measure_lungs(self.label_mask, self.size_cm)

    @property
    def numbers(self) -> dict[str, float | None]:
        """The numbers in `predictions.csv`, by the same names; None where they are not known.

        `probability` is that of PNEUMONIA here, and `threshold` the probability from which `label`
        is PNEUMONIA: calibration moves the operating point to 0.5.
        """
        found: dict[str, float | None] = {name: self.probabilities.get(name) for name in CLASSES}
        found |= {"probability": found["PNEUMONIA"], **dict.fromkeys(output_folder.MEASURES)}
        found["threshold"] = 0.5 if self.probabilities else None
        if self.segmented:
            found |= {"lung_share": self.lung_share, "expected_dice": self.expected_dice}
            for side, lung in self.lungs.items():
                found |= {f"{side}_lung": lung.share, f"{side}_cm2": lung.area_cm2}
        return found

    def __repr__(self) -> str:
        height, width = self.film.shape
        label = f"{self.label}, probability {self.probability:.2f}" if self.label else "no class"
        lungs = f"lungs {self.lung_share:.0%} of the film" if self.segmented else "no lungs"
        text = f"Prediction of {self.name} ({width} x {height} px): {label}; {lungs}"
        return " ! ".join([text, *self.warnings])

    def _repr_png_(self) -> bytes:
        """The overlay, which a notebook shows for a prediction in a cell's last line."""
        return self.contents({"figure": True})["figure"]

    def plot(self) -> Figure:
        """The film, its lungs and its explanation side by side, as a matplotlib figure."""
        from multimix.predictions import pictures  # matplotlib is slow to import

        return pictures.PictureFigure(self)

    def save(
        self,
        out: str | os.PathLike,
        figure: bool = True,
        *,
        arrays: bool = False,
        label_mask: bool = False,
        dicom_seg: bool = False,
    ) -> Path:
        """Write `<name>.png` (the figure), `<name>_mask.png` (0 or 255, the film's size) and a row.

        The row is in the folder's `predictions.csv`. The files of an earlier prediction for the
        same film are replaced. Where another film has the name, it is numbered: `<name>-2.png`.

        Arguments:
            out: a folder that is new, empty, or has a `predictions.csv` of this program.
            figure: False leaves the figure out, which is faster.
            arrays: write `<name>.npz` too, for numpy.load: mask_probability, saliency and
                explanation, float32.
            label_mask: the mask has `label_mask`'s 0, 1 (right lung) and 2 (left), not 0 and 255.
            dicom_seg: write `<name>_seg.dcm` too, a DICOM Segmentation of both lungs that refers to
                the film, which must be a DICOM file; `pip install multimix[dicom-seg]`.

        Returns: the path of the figure, or else of the mask, or else of the table.

        Errors: ValueError where the folder has other files, or no Segmentation can be made; then
            nothing is written.
        """
        files = dict(figure=figure, arrays=arrays, label_mask=label_mask, dicom_seg=dicom_seg)
        film, contents = output_folder.film_id(self.source, self.film), self.contents(files)
        with output_folder.open_folder(Path(out)) as folder:
            row = self.row(folder.choose_name(film, self.name), contents) | {"film_id": film}
            folder.add(row, contents)
        return folder.path / (row["overlay"] or row["mask"] or folder.table.name)

    def contents(self, files: dict[str, bool], truth: np.ndarray | None = None) -> dict[str, bytes]:
        """The files that `save` writes, by the names in `ENDINGS`; the figure shows the `truth`."""
        found = {"dicom_seg": segmentation(self)} if files.get("dicom_seg") else {}
        if self.segmented:
            mask = self.label_mask if files.get("label_mask") else np.uint8(255) * self.mask
            found["mask"] = file_content(Image.fromarray(mask))
        if files.get("arrays"):
            names = ("saliency", "explanation", "mask_probability")
            known: Any = {name: map for name in names if (map := getattr(self, name)) is not None}
            np.savez(file := io.BytesIO(), **known)
            found["arrays"] = file.getvalue()
        if files.get("figure"):
            from multimix.predictions import pictures  # matplotlib is slow to import

            found["figure"] = file_content(pictures.overlay(self, truth))
        return found

    def row(self, name: str, contents: dict[str, bytes]) -> output_folder.Row:
        """The table's row for files of this `name` and `contents`, without the film's identity."""
        row: output_folder.Row = dict.fromkeys(output_folder.COLUMNS, "")
        row |= dict.fromkeys(output_folder.NUMBERS)
        row |= {number: value and round(value, 6) for number, value in self.numbers.items()}
        for kind, column in (("mask", "mask"), ("figure", "overlay")):
            row[column] = name + output_folder.ENDINGS[kind] if kind in contents else ""
        row["study_uid"], row["sop_uid"] = film_uids(self.source)
        row |= {"name": name, "file": str(self.source or self.name), "label": self.label or ""}
        row |= {"quality": self.quality, "warnings": output_folder.BETWEEN.join(self.warnings)}
        return row | {"network": self.network, "weights": self.weights}


def file_content(picture: Image.Image, kind: str = "PNG") -> bytes:
    """A picture as the content of a PNG or JPEG file."""
    picture.save(file := io.BytesIO(), kind, quality=90, compress_level=4)  # half the time of 6
    return file.getvalue()
