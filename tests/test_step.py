"""The fast step against the published one: the same loss, the same gradients."""

import copy

import pytest
import torch
from conftest import SIDE, TINY
from literal import literal_loss

from multimix.batches import Batch, Loader
from multimix.config import Config
from multimix.model import MultiMix, place
from multimix.trainer import Run, train_step


@pytest.mark.parametrize("kind, tolerance", ((torch.float32, 2e-3), (torch.float64, 1e-6)))
@pytest.mark.parametrize("films_at_once", (1, 3, 10))
def test_slices_have_the_literal_loss_and_gradients(films, kind, tolerance, films_at_once):
    # Rounding alone takes the literal float32 gradient farther from the exact one than ours is.
    config = Config(side=SIDE, widths=TINY, threshold=0.5)
    batch = Batch(
        *(
            part.to(kind) if part is not None and part.is_floating_point() else part
            for part in Loader(films, config)(0)
        )
    )
    torch.manual_seed(0)
    literal = MultiMix(TINY).to(kind)
    ours = place(copy.deepcopy(literal), torch.device("cpu")).eval()
    expected = literal_loss(literal, batch, config, dropout=False)
    expected.backward()
    total = 0.0
    for part in batch.slices(films_at_once):
        share = train_step(ours, part, config)["total"] * (len(part.weak) / config.batch)
        share.backward()
        total += share.item()
    assert total == pytest.approx(expected.item(), rel=1e-5)
    theirs, mine = (
        torch.cat([p.grad.flatten() for p in model.parameters()]) for model in (literal, ours)
    )
    assert (theirs - mine).norm() < tolerance * theirs.norm()


def test_a_run_adds_the_slices_up(films):
    found = []
    for films_at_once in (2, 10):
        run = Run(Config(side=SIDE, widths=TINY, films_at_once=films_at_once), torch.device("cpu"))
        run.model.eval()
        terms = run.optimise(Loader(films, run.config)(0))
        found.append((terms, torch.cat([p.grad.flatten() for p in run.model.parameters()])))
    (terms, gradient), (whole_terms, whole_gradient) = found
    assert terms == pytest.approx(whole_terms, rel=1e-4)
    assert (gradient - whole_gradient).norm() < 2e-3 * whole_gradient.norm()


def test_bfloat16_is_near(films):
    config = Config(side=SIDE, widths=TINY)
    totals = {}
    for precision in ("float32", "bfloat16"):
        run = Run(Config(side=SIDE, widths=TINY, precision=precision), torch.device("cpu"))
        run.model.eval()
        totals[precision] = run.optimise(Loader(films, config)(0))["total"]
        assert all(p.dtype == torch.float32 for p in run.model.parameters())
    assert totals["bfloat16"] == pytest.approx(totals["float32"], rel=0.02)
