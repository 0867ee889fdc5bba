"""The fast step against the published one: the same loss, the same gradients."""

import copy

import pytest
import torch
from helpers import SIDE, TINY
from literal import literal_loss

from multimix.batches import Loader
from multimix.config import Config
from multimix.model import MultiMix
from multimix.runtime.device import to_device
from multimix.trainer import Trainer
from multimix.training_step import train_step


@pytest.mark.parametrize("kind, tolerance", ((torch.float32, 2e-3), (torch.float64, 1e-6)))
@pytest.mark.parametrize("micro_batch", (1, 3, 10))
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


def test_a_run_adds_the_slices_up(films):
    found = []
    for micro_batch in (2, 10):
        config = Config(side=SIDE, widths=TINY, micro_batch=micro_batch)
        run = Trainer(config, films, torch.device("cpu"))
        run.model.eval()
        terms = run.optimise(Loader(films, run.config)(0))
        found.append((terms, torch.cat([p.grad.flatten() for p in run.model.parameters()])))
    (terms, gradient), (whole_terms, whole_gradient) = found
    assert terms == pytest.approx(whole_terms, rel=1e-4)
    assert (gradient - whole_gradient).norm() < 2e-3 * whole_gradient.norm()
