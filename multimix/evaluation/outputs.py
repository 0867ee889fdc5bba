"""The network's answers as they are used: averaged with the mirrored film's, cleaned, calibrated,
each on request.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from scipy.special import logit
from torch import Tensor

from multimix.model import MultiMix


class Answer(NamedTuple):
    """What the network says of N films."""

    margin: Tensor  # (N,) float64: logit of PNEUMONIA minus that of NORMAL
    lung: Tensor  # (N, 1, H, W): probability of lung
    saliency: Tensor  # (N, 1, H, W)
    disagreement: (
        Tensor | None
    )  # (N, 1, H, W): how far the mirrored film's probability of lung is off, in [0, 1]


def answer(model: MultiMix, x: Tensor, flip: bool = False, clean: bool = False) -> Answer:
    """Ask about films (N, 1, H, W) in [-1, 1], on the CPU afterwards; the network is to be in eval
    mode.

    `flip` averages with what it says of the mirrored film; `clean` as in `cleaned`.
    """
    class_logits, mask_logits, saliency = (
        part.float().cpu() for part in model(x)
    )  # autocast may narrow them
    margin, lung, disagreement = margin_of(class_logits), torch.sigmoid(mask_logits), None
    if flip:
        class_logits, mask_logits, mirrored = (part.float().cpu() for part in model(x.flip(3)))
        other = torch.sigmoid(mask_logits.flip(3))
        disagreement = (lung - other).abs()
        margin, lung = (margin + margin_of(class_logits)) / 2, (lung + other) / 2
        saliency = (saliency + mirrored.flip(3)) / 2
    return Answer(margin, cleaned(lung) if clean else lung, saliency, disagreement)


def class_margin(model: MultiMix, x: Tensor, flip: bool = False) -> Tensor:
    """`answer(…).margin` alone, which needs neither decoder nor saliency."""
    margin = margin_of(model.classify(x).cpu())
    return (margin + margin_of(model.classify(x.flip(3)).cpu())) / 2 if flip else margin


def margin_of(class_logits: Tensor) -> Tensor:
    normal, pneumonia = class_logits.double().unbind(1)
    return pneumonia - normal


def calibrated(margin, calibration: dict[str, float]):
    """The margin after temperature scaling, moved so that 0 is the operating point; unchanged
    without a calibration.

    What the sigmoid makes of it is the probability of PNEUMONIA where both classes are equally
    frequent.
    """
    if not calibration:
        return margin
    return margin / calibration["temperature"] - logit(calibration["operating_point"])


def cleaned(lung: Tensor) -> Tensor:
    """Lung probabilities (N, 1, H, W) with at most two lungs and no holes in them.

    Only the two largest connected parts above 0.5 stay there, and what they enclose joins them: the
    probabilities of the other pixels concerned are turned round 0.5.
    """
    found = []
    for p in lung[:, 0].numpy():
        mask = p > 0.5
        parts, count = ndimage.label(mask)
        largest = (
            np.argsort(-np.bincount(parts.flat, minlength=count + 1)[1:], kind="stable")[:2] + 1
        )
        wanted = ndimage.binary_fill_holes(np.isin(parts, largest))
        found.append(np.where(wanted != mask, 1 - p, p))
    return torch.from_numpy(np.stack(found))[:, None]
