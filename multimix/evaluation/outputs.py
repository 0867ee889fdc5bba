"""The network's outputs as they are used: averaged with the mirrored film's, and post-processed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from multimix.model import MultiMix


class InferenceOutput(NamedTuple):
    """What the network says of N films, on the CPU."""

    log_odds: Tensor  # (N,) float64: logit of PNEUMONIA minus that of NORMAL
    lung: Tensor  # (N, 1, H, W): probability of lung
    saliency: Tensor  # (N, 1, H, W)
    disagreement: Tensor | None  # (N, 1, H, W): |lung - that of the mirrored film|, in [0, 1]


def run_network(
    model: MultiMix, x: Tensor, flip: bool = False, clean: bool = False
) -> InferenceOutput:
    """Ask a network in eval mode.

    Arguments:
        x: films (N, 1, H, W) in [-1, 1].
        flip: average with what it says of the mirrored film.
        clean: post-process the lungs: at most two, without holes.
    """
    log_odds, lung, saliency = ask(model, x)
    disagreement = None
    if flip:
        mirrored_log_odds, mirrored_lung, mirrored_saliency = ask(model, x.flip(3))
        disagreement = (lung - mirrored_lung.flip(3)).abs()
        log_odds = (log_odds + mirrored_log_odds) / 2
        lung = (lung + mirrored_lung.flip(3)) / 2
        saliency = (saliency + mirrored_saliency.flip(3)) / 2
    return InferenceOutput(log_odds, post_process(lung) if clean else lung, saliency, disagreement)


def ask(model: MultiMix, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-odds (N,), lung probability and saliency (N, 1, H, W), as full floats on the CPU."""
    # Autocast may have narrowed them; a network in eval mode always gives a saliency.
    class_logits, mask_logits, saliency = (
        part.float().cpu() for part in model(x) if part is not None
    )
    return log_odds_of(class_logits), torch.sigmoid(mask_logits), saliency


def class_log_odds(model: MultiMix, x: Tensor, flip: bool = False) -> Tensor:
    """`run_network(...).log_odds` alone, which needs neither decoder nor saliency."""
    log_odds = log_odds_of(model.classify(x).cpu())
    if not flip:
        return log_odds
    return (log_odds + log_odds_of(model.classify(x.flip(3)).cpu())) / 2


def log_odds_of(class_logits: Tensor) -> Tensor:
    """(N, 2) -> (N,) float64: logit of PNEUMONIA minus that of NORMAL."""
    normal, pneumonia = class_logits.double().unbind(1)
    return pneumonia - normal


def post_process(lung: Tensor) -> Tensor:
    """Lung probabilities (N, 1, H, W) with at most two lungs and no holes in them.

    Only the two largest connected parts above 0.5 stay there, and what they enclose joins them: the
    probabilities p of the other pixels concerned become 1 - p.
    """
    processed = []
    for p in lung[:, 0].numpy():
        mask = p > 0.5
        parts, count = ndimage.label(mask)
        sizes = np.bincount(parts.flat, minlength=count + 1)[1:]
        largest = np.argsort(-sizes, kind="stable")[:2] + 1
        wanted = ndimage.binary_fill_holes(np.isin(parts, largest))
        processed.append(np.where(wanted != mask, 1 - p, p))
    return torch.from_numpy(np.stack(processed))[:, None]
