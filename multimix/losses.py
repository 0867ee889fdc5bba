"""The loss terms besides cross-entropy, as pure functions (paper, section 2.2; the last is the
improved recipe's).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_loss(mask_logits: Tensor, masks: Tensor, smooth: float = 1.0) -> Tensor:
    """Soft Dice loss, one film at a time, then the mean: a scalar in [0, 1].

    `mask_logits` and `masks` (0 or 1) are (N, 1, H, W); `smooth` is added to both sides of the
    fraction, so that an empty mask met by an empty prediction costs nothing.
    """
    probability, masks = (
        torch.sigmoid(mask_logits).flatten(1),
        masks.to(mask_logits.dtype).flatten(1),
    )
    overlap = (probability * masks).sum(1)
    return (1 - (2 * overlap + smooth) / (probability.sum(1) + masks.sum(1) + smooth)).mean()


def pseudo_label_loss(
    weak_logits: Tensor, strong_logits: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the strong views against what the network is sure of in the weak views.

    Both (N, C), film i against film i. Films whose largest weak probability reaches `threshold`
    count, the others add 0 to the mean over all N. No gradient reaches the weak views. Returns the
    loss and the share of films kept.
    """
    confidence, pseudo_labels = weak_logits.detach().softmax(1).max(1)
    kept = (confidence >= threshold).to(strong_logits.dtype)
    return (
        kept * F.cross_entropy(strong_logits, pseudo_labels, reduction="none")
    ).mean(), kept.mean()


def mask_consistency_loss(labelled_logits: Tensor, unlabelled_logits: Tensor) -> Tensor:
    """KL(labelled || unlabelled) between two Bernoulli maps, pixel by pixel, film i against film i,
    then the mean.

    Both (N, 1, H, W). The published code took a softmax over the one channel, which is constantly
    1, so that its term was always 0; two outcomes a pixel, lung and not lung, make it the
    divergence that the paper describes.
    """
    lung = torch.sigmoid(labelled_logits)
    if_lung = F.logsigmoid(labelled_logits) - F.logsigmoid(unlabelled_logits)
    if_not = F.logsigmoid(-labelled_logits) - F.logsigmoid(-unlabelled_logits)
    return (lung * if_lung + (1 - lung) * if_not).mean()


def pixel_consistency_loss(
    guess: Tensor, film: Tensor, mask_logits: Tensor, threshold: float
) -> Tensor:
    """Binary cross-entropy of a strong view's mask against what is sure in the plain film's, the
    mean over all pixels.

    `guess` (N, 1, H, W) is the plain film's lung probability, moved to where the view is; pixels
    count where it is at least `threshold` sure either way and `film` (bool) is true. No gradient
    reaches the guess. (UniMatch, Yang 2023.)
    """
    guess = guess.detach()
    sure = film & ((guess - 0.5).abs() >= threshold - 0.5)
    loss = F.binary_cross_entropy_with_logits(
        mask_logits, (guess > 0.5).to(mask_logits.dtype), reduction="none"
    )
    return (sure * loss).mean()
