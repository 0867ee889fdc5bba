import math

import pytest
import torch

from multimix import losses


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_dice_by_hand():
    # Probability .5 everywhere, one of 4 pixels is lung: 1 - (2 * .5 + 1) / (2 + 1 + 1) = .5
    masks = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert losses.dice_loss(torch.zeros(1, 1, 2, 2), masks).item() == pytest.approx(0.5)
    # Per film: a perfect one costs 0, an inverted one 1 - (0 + 1) / (3 + 1 + 1) = .8
    logits = torch.cat([masks * 200 - 100, 100 - masks * 200])
    assert losses.dice_loss(logits, masks.repeat(2, 1, 1, 1)).item() == pytest.approx(0.4)
    assert losses.dice_loss(masks * 0 - 100, masks * 0).item() == pytest.approx(0)  # all is empty


def test_pseudo_labels_by_hand():
    # The first film is confident (.8 >= .7), the second is not (.6); the mean is over both.
    weak = torch.tensor([[logit(0.2), 0.0], [logit(0.6), 0.0]], requires_grad=True)
    strong = torch.tensor([[logit(0.5), 0.0], [logit(0.1), 0.0]], requires_grad=True)
    loss, kept = losses.pseudo_label_loss(weak, strong, 0.7)
    assert loss.item() == pytest.approx(math.log(2) / 2) and kept.item() == 0.5
    loss.backward()
    assert weak.grad is None and strong.grad.abs().sum() > 0
    even = torch.zeros(1, 2)
    assert losses.pseudo_label_loss(even, even, 0.5)[1] == 1  # at the threshold
    assert losses.pseudo_label_loss(even, even, 0.51) == (0, 0)


def test_consistency_by_hand():
    # KL between coins of .8 and .5: .8 ln(.8/.5) + .2 ln(.2/.5)
    labelled = torch.full((1, 1, 2, 2), logit(0.8), requires_grad=True)
    unlabelled = torch.zeros(1, 1, 2, 2, requires_grad=True)
    loss = losses.mask_consistency_loss(labelled, unlabelled)
    assert loss.item() == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4), rel=1e-5)
    loss.backward()
    assert labelled.grad.abs().sum() > 0 and unlabelled.grad.abs().sum() > 0
    assert losses.mask_consistency_loss(labelled, labelled).item() == 0
    sure = torch.full((1, 1, 2, 2), 500.0)
    assert losses.mask_consistency_loss(sure, -sure).isfinite()


def test_pixel_consistency_by_hand():
    # Surely lung, not sure, surely not lung, outside the film.
    guess = torch.tensor([[[[0.95, 0.6], [0.02, 0.95]]]], requires_grad=True)
    film = torch.tensor([[[[True, True], [True, False]]]])
    logits = torch.tensor([[[[0.0, 5.0], [math.log(3), -9.0]]]], requires_grad=True)
    loss = losses.pixel_consistency_loss(guess, film, logits, 0.9)
    expected = (math.log(2) + math.log(4)) / 4  # -ln .5 and -ln .25, over four pixels
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert guess.grad is None and (logits.grad != 0).sum() == 2
    assert losses.pixel_consistency_loss(guess, film, logits, 1.0) == 0
