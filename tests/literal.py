"""The training step as it was published, on this project's modules: to compare ours with."""

import torch.nn.functional as F
from torch import Tensor

from multimix.batches import Batch
from multimix.config import Config
from multimix.losses import dice_loss, mask_consistency_loss, pseudo_label_loss
from multimix.model import MultiMix, bridge_maps


def literal_forward(model: MultiMix, x: Tensor, dropout: bool) -> tuple[Tensor, Tensor]:
    """Class and mask logits, by two passes through the encoder and one gradient into everything."""
    x = x.clone().requires_grad_()
    model.encoder(x, drop=False)[0].max(1).values.sum().backward()
    logits, maps = model.encoder(x.detach(), drop=dropout)
    return logits, model.decoder(maps, bridge_maps(x.detach(), x.grad.abs()), drop=dropout)


def literal_loss(model: MultiMix, batch: Batch, config: Config, dropout: bool = True) -> Tensor:
    films, unlabelled, classes = batch.mask_films, batch.unlabelled_mask_films, batch.class_films
    (_, masks), (_, other_masks), (labelled, _), (weak, _), (strong, _) = (
        literal_forward(model, x, dropout)
        for x in (films, unlabelled, classes, batch.weak, batch.strong)
    )
    model.zero_grad()
    pseudo, _ = pseudo_label_loss(weak, strong, config.threshold)
    return (
        F.cross_entropy(labelled, batch.labels)
        + config.pseudo_label_weight * pseudo
        + config.dice_weight * dice_loss(masks, batch.masks)
        + config.mask_consistency_weight * mask_consistency_loss(masks, other_masks)
    )
