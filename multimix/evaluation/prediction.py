"""What the network says about one film, at the film's own size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, PngImagePlugin

from multimix.images.answers import FIGURE, MASK, AnswerNames, film_id, mark_of
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
    """

    name: str
    film: np.ndarray
    probabilities: dict[str, float]
    mask_probability: np.ndarray
    saliency: np.ndarray
    warnings: tuple[str, ...] = ()
    disagreement: np.ndarray | None = None
    source: Path | None = None

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

    def save(self, out: str | os.PathLike, figure: bool = True) -> Path:
        """Write `<name>.png` (the figure) and `<name>_mask.png` (0 or 255, the film's size).

        Where another film's answer has these names, they are numbered: `<name>-2.png`. An earlier
        answer for the same film is replaced.

        Arguments:
            out: a folder; it is made if it is missing.
            figure: False writes the mask alone, which is many times faster.

        Returns: the path of the figure, else of the mask.

        Errors: ValueError where that would overwrite a file that is no answer of this program.
        """
        out = Path(out)
        return self.write(out, AnswerNames(out, figure).choose(self.name, self.film_id), figure)

    @property
    def film_id(self) -> str:
        """What tells this film from all others, kept in the files that `save` writes."""
        return film_id(self.source, self.film)

    def write(self, out: Path, name: str, figure: bool) -> Path:
        """Write as `save` does, under a name that `AnswerNames` chose."""
        make_folder(out)
        mark = mark_of(self.film_id)
        texts = PngImagePlugin.PngInfo()
        for key, text in mark.items():
            texts.add_text(key, text)
        mask = out / f"{name}{MASK}"
        with atomic_write(mask, durable=False) as file:
            Image.fromarray(self.mask.astype(np.uint8) * 255).save(file, "PNG", pnginfo=texts)
        if not figure:
            return mask
        from multimix.evaluation.film_figures import save_figure

        return save_figure(self.plot(), out / f"{name}{FIGURE}", mark)
