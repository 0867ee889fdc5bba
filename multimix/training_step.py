"""One step of training: the paper's equations 1 to 3, on one batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from multimix import losses
from multimix.batches import Batch
from multimix.config import Config
from multimix.joint_augment import warp
from multimix.model import MultiMix


def train_step(
    model: MultiMix, batch: Batch, config: Config, teacher: MultiMix | None = None
) -> dict[str, Tensor]:
    """The loss of one step: every term by name, each a mean over films, and their sum, 'total'.

    total = classification + lambda * pseudo_label + alpha * dice + beta * mask_consistency; the
    improved recipe may add 'mask_bce' and 'pixel_consistency'. Terms that the system does not use
    are absent; terms of unlabelled films that have not joined yet are 0. 'kept' is the share of
    unlabelled films with a confident pseudo-label.

    Arguments:
        model: the network, in training mode.
        batch: from `Loader`, or a slice of it.
        config: the weights of the terms, and the thresholds.
        teacher: the network that gives the pseudo-labels; without one, the model itself.
    """
    teacher = teacher or model
    terms: dict[str, Tensor] = {}
    if batch.class_films is not None:
        terms |= class_terms(model, batch, config, teacher)
    if batch.mask_films is not None:
        terms |= mask_terms(model, batch, config, teacher)
    weights = {
        "classification": 1.0,
        "pseudo_label": config.pseudo_label_weight,  # lambda
        "dice": config.dice_weight,  # alpha
        "mask_bce": config.bce_weight,
        "mask_consistency": config.mask_consistency_weight,  # beta
        "pixel_consistency": config.pixel_consistency_weight,
    }
    weighted = [weights[name] * term for name, term in terms.items() if name != "kept"]
    return {**terms, "total": sum(weighted[1:], weighted[0])}


def class_terms(
    model: MultiMix, batch: Batch, config: Config, teacher: MultiMix
) -> dict[str, Tensor]:
    """Equation 2: cross-entropy of labelled films, and of strong views with pseudo-labels."""
    assert batch.class_films is not None and batch.labels is not None
    if batch.strong is None or batch.weak is None:
        logits = model.classify(batch.class_films).float()  # (N, 2)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        later = ("pseudo_label", "kept") if config.pseudo_labels else ()
        return {**terms, **{name: logits.new_zeros(()) for name in later}}
    films = torch.cat([batch.class_films, batch.strong])  # one pass for both: (2N, 1, H, W)
    logits, strong_logits = model.classify(films).float().tensor_split([len(batch.class_films)])
    with torch.no_grad():
        weak_logits = teacher.classify(batch.weak).float()
    classification = F.cross_entropy(logits, batch.labels)
    pseudo_label, kept = losses.pseudo_label_loss(weak_logits, strong_logits, config.threshold)
    return {"classification": classification, "pseudo_label": pseudo_label, "kept": kept}


def mask_terms(
    model: MultiMix, batch: Batch, config: Config, teacher: MultiMix
) -> dict[str, Tensor]:
    """Equation 3: Dice of the films with masks, and the KL term with the unlabelled films."""
    assert batch.mask_films is not None and batch.masks is not None
    films, unlabelled = batch.mask_films, batch.unlabelled_mask_films
    if unlabelled is not None:
        films = torch.cat([films, unlabelled])  # one pass for both: (2N, 1, H, W)
    mask_logits = model(films).mask_logits.float()
    logits, unlabelled_logits = mask_logits.tensor_split([len(batch.mask_films)])
    terms = {"dice": losses.dice_loss(logits, batch.masks)}
    if config.bce_weight:
        terms["mask_bce"] = F.binary_cross_entropy_with_logits(logits, batch.masks)
    if unlabelled is not None:
        terms["mask_consistency"] = losses.mask_consistency_loss(logits, unlabelled_logits)
    elif config.mask_consistency:
        terms["mask_consistency"] = logits.new_zeros(())  # so that all rows of the log have it
        if config.pixel_consistency_weight:
            terms["pixel_consistency"] = logits.new_zeros(())
    if batch.plain_mask_films is not None and batch.affine is not None:
        with torch.no_grad():
            plain_logits = teacher(batch.plain_mask_films).mask_logits.float()
        guess, is_film = warp(torch.sigmoid(plain_logits), batch.affine)
        terms["pixel_consistency"] = losses.pixel_consistency_loss(
            guess, is_film, unlabelled_logits, config.pixel_threshold
        )
    return terms
