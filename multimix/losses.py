"""The loss terms besides cross-entropy, as pure functions (paper, section 2.2; UniMatch)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_loss(mask_logits: Tensor, masks: Tensor, smooth: float = 1.0) -> Tensor:
    """Soft Dice loss, computed for each film and then averaged: a scalar in [0, 1].

    `mask_logits` and `masks` (0 or 1) are (N, 1, H, W). `smooth` is added to numerator and
    denominator, so that the loss is 0 where both the mask and the prediction are empty.
    """
    probability = torch.sigmoid(mask_logits).flatten(1)
    masks = masks.to(mask_logits.dtype).flatten(1)
    overlap = (probability * masks).sum(1)
    return (1 - (2 * overlap + smooth) / (probability.sum(1) + masks.sum(1) + smooth)).mean()


def pseudo_label_loss(
    weak_logits: Tensor, strong_logits: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the strong views, with confident predictions of the weak views as labels.

    Both (N, C), of the same films. A film counts if its largest weak probability is at least
    `threshold`; other films add 0 to the mean over all N. The weak views get no gradient.

    Returns: the loss, and the share of films that count.
    """
    confidence, pseudo_labels = weak_logits.detach().softmax(1).max(1)
    kept = (confidence >= threshold).to(strong_logits.dtype)
    losses = F.cross_entropy(strong_logits, pseudo_labels, reduction="none")
    return (kept * losses).mean(), kept.mean()


def mask_consistency_loss(labelled_logits: Tensor, unlabelled_logits: Tensor) -> Tensor:
    """KL(labelled || unlabelled) of two Bernoulli distributions a pixel, averaged.

    Both (N, 1, H, W); film i is compared with film i. The published code took a softmax over the
    single channel, which is always 1, so that its term was always 0. With two outcomes a pixel,
    lung or not, the term is the divergence that the paper describes.
    """
    lung = torch.sigmoid(labelled_logits)
    if_lung = F.logsigmoid(labelled_logits) - F.logsigmoid(unlabelled_logits)
    if_not = F.logsigmoid(-labelled_logits) - F.logsigmoid(-unlabelled_logits)
    return (lung * if_lung + (1 - lung) * if_not).mean()


def pixel_consistency_loss(
    guess: Tensor, film: Tensor, mask_logits: Tensor, threshold: float
) -> Tensor:
    """Cross-entropy of a moved view's mask, with confident pixels of the plain film as labels.

    The mean over all pixels (UniMatch, Yang 2023). `guess` is the plain film's lung probability,
    moved like the view; it gets no gradient. Pixels count where `film` (bool) is True, and the
    probability of lung or of its absence is at least `threshold`. All are (N, 1, H, W).
    """
    guess = guess.detach()
    sure = film & ((guess - 0.5).abs() >= threshold - 0.5)
    labels = (guess > 0.5).to(mask_logits.dtype)
    losses = F.binary_cross_entropy_with_logits(mask_logits, labels, reduction="none")
    return (sure * losses).mean()
