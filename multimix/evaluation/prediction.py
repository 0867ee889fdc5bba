"""What the network says about one film, at the film's own size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from multimix.evaluation.answer_contents import contents
from multimix.evaluation.lungs import LABELS, Lung, label_lungs, measured
from multimix.images.answers import FIGURE, MASK, AnswerFiles, AnswerNames, film_id
from multimix.images.size import SizeCm
from multimix.runtime.files import atomic_write, make_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Prediction:
    """What the network says about one film of H x W pixels. For research, not for diagnosis.

    Attributes:
        name: the file's name without folder and ending, or film-1, film-2, ...
        film: (H, W) uint8, as it was predicted: inverted, where that was done.
        probabilities: {'NORMAL': .03, 'PNEUMONIA': .97}; calibrated, if the weights are: what the
            network believes where both classes are equally frequent.
        mask_probability: (H, W) float32 in [0, 1], of lung.
        saliency: (H, W) float32, >= 0: what moved the class score.
        warnings: plain sentences about what makes this film unlike those learnt from.
        disagreement: (H, W) float32 in [0, 1], of the mirrored film's lungs; with `flip` alone.
        source: the film's file, if it came from one.
        size_cm: the film's height and width in cm, where its file tells them.
        network: what `load_model` was asked for: a name, or the end of a path.
    """

    name: str
    film: np.ndarray
    probabilities: dict[str, float]
    mask_probability: np.ndarray
    saliency: np.ndarray
    warnings: tuple[str, ...] = ()
    disagreement: np.ndarray | None = None
    source: Path | None = None
    size_cm: SizeCm | None = None
    network: str = ""

    @property
    def label(self) -> str:
        """The more probable class, 'NORMAL' or 'PNEUMONIA'."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])

    @property
    def probability(self) -> float:
        """The probability of `label`, in [0.5, 1]."""
        return self.probabilities[self.label]

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: lung where it is more probable than not."""
        return self.mask_probability > 0.5

    @property
    def lung_share(self) -> float:
        """The part of the film that is lung, in [0, 1]."""
        return float(self.mask.mean())

    @property
    def expected_dice(self) -> float:
        """The Dice of `mask` that the network itself expects, in [0, 1]; 0 where there is no lung.

        2 sum(p m) / (sum(p) + sum(m)), with p `mask_probability` and m `mask`: what Dice would be
        on average if each pixel were lung with its probability. Low values tell of doubtful masks.
        """
        p, m = self.mask_probability, self.mask
        total = float(p.sum(dtype=np.float64)) + int(m.sum())
        return 2 * float(p[m].sum(dtype=np.float64)) / total if total else 0.0

    @cached_property
    def label_mask(self) -> np.ndarray:
        """(H, W) uint8: 1 in the right lung, 2 in the left, 0 elsewhere.

        Right and left are the patient's, who faces the reader: the right lung is on the film's
        left, as long as nobody has mirrored the film.
        """
        return label_lungs(self.mask)

    @cached_property
    def lungs(self) -> dict[str, Lung]:
        """The patient's 'right' and 'left' lung, as in `label_mask`: area, centre and box."""
        return {
            side: measured(self.label_mask, label, self.size_cm) for side, label in LABELS.items()
        }

    @property
    def numbers(self) -> dict[str, float | None]:
        """What `predictions.csv` has of it, by the same names; None where it is not known."""
        right, left = self.lungs["right"], self.lungs["left"]
        return {
            **self.probabilities,
            "lung_share": self.lung_share,
            "right_lung": right.share,
            "left_lung": left.share,
            "right_cm2": right.area_cm2,
            "left_cm2": left.area_cm2,
            "expected_dice": self.expected_dice,
        }

    def __repr__(self) -> str:
        height, width = self.film.shape
        text = (
            f"Prediction of {self.name} ({width} x {height} px): {self.label}, probability "
            f"{self.probability:.2f}; lungs {self.lung_share:.0%} of the film"
        )
        return " ! ".join([text, *self.warnings])

    def plot(self) -> Figure:
        """The film, its lungs and its saliency side by side, as a matplotlib figure."""
        from multimix.evaluation.film_figures import plot_prediction  # matplotlib is slow to import

        return plot_prediction(self)

    def save(
        self,
        out: str | os.PathLike,
        figure: bool = True,
        *,
        arrays: bool = False,
        label_mask: bool = False,
        dicom_seg: bool = False,
    ) -> Path:
        """Write `<name>.png` (the figure) and `<name>_mask.png` (0 or 255, the film's size).

        Where another film's answer has these names, they are numbered: `<name>-2.png`. An earlier
        answer for the same film is replaced.

        Arguments:
            out: a folder; it is made if it is missing.
            figure: False leaves the figure out, which is faster.
            arrays: write `<name>.npz` too: mask_probability and saliency, float32, for numpy.load.
            label_mask: the mask has `label_mask`'s 0, 1 (right lung) and 2 (left), not 0 and 255.
            dicom_seg: write `<name>_seg.dcm` too, a DICOM Segmentation of both lungs that refers to
                the film, which has to be a DICOM file; `pip install multimix[dicom-seg]`.

        Returns: the path of the figure, else of the mask.

        Errors: ValueError where that would overwrite a file that is no answer of this program, or
            no Segmentation can be made; then nothing is written.
        """
        out = Path(out)
        files = AnswerFiles(figure, arrays, label_mask, dicom_seg)
        names = AnswerNames(out, files.endings)
        return self.write(out, names.choose(self.name, self.film_id), files)

    @property
    def film_id(self) -> str:
        """What tells this film from all others, kept in the files that `save` writes."""
        return film_id(self.source, self.film)

    def write(self, out: Path, name: str, files: AnswerFiles) -> Path:
        """Write as `save` does, under a name that `AnswerNames` chose."""
        found = contents(self, files)  # all, before any is written
        make_folder(out)
        for ending, content in found.items():
            with atomic_write(out / f"{name}{ending}", durable=False) as file:
                file.write(content)
        return out / f"{name}{FIGURE if files.figure else MASK}"
