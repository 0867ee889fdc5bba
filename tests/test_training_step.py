"""One step of training: its terms, and the published step, literally, as the reference."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import CONFIG, SIDE, TINY
from literal import literal_loss

from multimix.batches import Loader
from multimix.config import Config
from multimix.losses import dice_loss, mask_consistency_loss, pseudo_label_loss
from multimix.model import MultiMix
from multimix.recipes import SYSTEMS
from multimix.runtime.device import to_device
from multimix.trainer import Trainer
from multimix.training_step import train_step

PARTS = {  # of a system: its films in a batch, and its terms
    "classify": ("class_films labels", "classification"),
    "pseudo_labels": ("weak strong", "pseudo_label kept"),
    "segment": ("mask_films masks", "dice"),
    "mask_consistency": ("unlabelled_mask_films", "mask_consistency"),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_has_its_films_and_terms_and_trains_its_parts(films, system):
    config = Config.preset(system, side=SIDE, widths=TINY, batch=4, threshold=0.5)
    batch, model = Loader(films, config)(0), MultiMix(TINY, config.bridge).train()
    terms = train_step(model, batch, config)
    named = [PARTS[name] for name in PARTS if getattr(config, name)]
    given, expected = (" ".join(names).split() for names in zip(*named))
    parts = {name: part for name, part in batch._asdict().items() if part is not None}
    assert parts.keys() == {*given} and terms.keys() == {*expected, "total"}
    for name, part in parts.items():
        assert part.shape == ((4,) if name == "labels" else (4, 1, SIDE, SIDE))
        assert part.min() >= -1 and part.max() <= 1
    terms["total"].backward()
    assert (model.encoder.fc.weight.grad is not None) == config.classify
    assert (model.decoder.conv_last.weight.grad is not None) == config.segment
    assert model.encoder.dconv_down1[0].weight.grad.abs().sum() > 0


def test_the_total_is_the_weighted_sum(films, model):
    changes = dict(mask_augmentation=True, bce_weight=2.0, pixel_threshold=0.5, threshold=0.5)
    config = Config(**{**CONFIG.as_dict(), **changes, "pixel_consistency_weight": 3.0})
    batch = Loader(films, config)(0)
    terms = train_step(model, batch, config)  # in eval mode: no dropout
    assert terms["kept"] == 1 and all(term > 0 for term in terms.values())
    logits = model(batch.mask_films).mask_logits
    unlabelled = model(batch.unlabelled_mask_films).mask_logits
    expected = (
        F.cross_entropy(model.classify(batch.class_films), batch.labels)
        + 0.25 * pseudo_label_loss(model.classify(batch.weak), model.classify(batch.strong), 0.5)[0]
        + 5 * dice_loss(logits, batch.masks)
        + 0.01 * mask_consistency_loss(logits, unlabelled)
        + 2 * F.binary_cross_entropy_with_logits(logits, batch.masks)
        + 3 * terms["pixel_consistency"]
    )
    assert terms["total"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_weak_views_leave_no_gradient_and_the_teacher_gives_the_labels(films, model):
    batch = Loader(films, CONFIG)(0)
    batch.weak.requires_grad_()
    sure = MultiMix(TINY).eval()
    with torch.no_grad():
        sure.encoder.fc.weight.zero_()
        sure.encoder.fc.bias.copy_(torch.tensor([9.0, 0.0]))  # calls everything NORMAL
    terms = train_step(model, batch, CONFIG, teacher=sure)
    terms["total"].backward()
    assert batch.weak.grad is None and sure.encoder.fc.weight.grad is None
    normal = torch.zeros(4, dtype=torch.long)
    expected = F.cross_entropy(model.classify(batch.strong), normal).item()
    assert terms["kept"] == 1 and terms["pseudo_label"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind, tolerance", ((torch.float32, 2e-3), (torch.float64, 1e-6)))
@pytest.mark.parametrize("micro_batch", (3, 10))
def test_slices_have_the_literal_loss_and_gradients(films, kind, tolerance, micro_batch):
    # Rounding alone takes the literal float32 gradient farther from the exact one than ours is.
    config = Config(side=SIDE, widths=TINY, threshold=0.5)
    batch = Loader(films, config)(0)
    floats = ("mask_films", "masks", "unlabelled_mask_films", "class_films", "weak", "strong")
    batch = batch._replace(**{name: getattr(batch, name).to(kind) for name in floats})
    torch.manual_seed(0)
    literal = MultiMix(TINY).to(kind)
    ours = copy.deepcopy(literal).eval()
    to_device(ours, torch.device("cpu"))
    expected = literal_loss(literal, batch, config, dropout=False)
    expected.backward()
    total = 0.0
    for part in batch.slices(micro_batch):
        share = train_step(ours, part, config)["total"] * (part.films_each / config.batch)
        share.backward()
        total += share.item()
    assert total == pytest.approx(expected.item(), rel=1e-5)
    theirs, mine = (
        torch.cat([p.grad.flatten() for p in model.parameters()]) for model in (literal, ours)
    )
    assert (theirs - mine).norm() < tolerance * theirs.norm()


def test_the_trainer_adds_the_slices_up(films):
    found = []
    for micro_batch in (2, 10):
        config = Config(side=SIDE, widths=TINY, micro_batch=micro_batch)
        trainer = Trainer(config, films, torch.device("cpu"))
        trainer.model.eval()
        terms = trainer.optimise(Loader(films, trainer.config)(0))
        gradients = [p.grad.flatten() for p in trainer.model.parameters()]
        found.append((terms, torch.cat(gradients)))
    (terms, gradient), (whole_terms, whole_gradient) = found
    assert terms == pytest.approx(whole_terms, rel=1e-4)
    assert (gradient - whole_gradient).norm() < 2e-3 * whole_gradient.norm()
