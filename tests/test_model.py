import pytest
import torch
import torch.nn.functional as F
from helpers import SIDE, TINY

from multimix.model import InstanceNorm, MultiMix, bridge_maps, dropout


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last))
def test_the_norm_is_torchs(layout):
    x = torch.randn(3, 5, 12, 9).mul(3).add(2).to(memory_format=layout).requires_grad_()
    ours, theirs = InstanceNorm()(x), F.instance_norm(x)
    assert torch.allclose(ours, theirs, atol=1e-5)
    weights = torch.randn_like(ours)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (ours, theirs)]
    assert torch.allclose(*gradients, atol=1e-4)


def test_dropout_takes_a_quarter_and_keeps_the_mean():
    torch.manual_seed(0)
    ones = torch.ones(3, 5, 101, 101, requires_grad=True)  # not a multiple of 8 elements
    dropped = dropout(ones, 0.25, True)
    assert dropped.unique().tolist() == [0, pytest.approx(4 / 3)]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.005)  # 5 deviations
    dropped.sum().backward()
    assert torch.equal(ones.grad, dropped) and dropout(ones, 0.25, False) is ones
    assert not torch.equal(dropout(ones, 0.25, True), dropped)


def test_the_full_network_has_the_published_size():
    model = MultiMix()
    count = sum(p.numel() for p in model.parameters())
    assert count == 1_965_173 - 18  # the authors' file has two unused tensors, of 18 numbers
    assert len(model.state_dict()) == 42 - 2
    assert model.decoder.dconv_up4[0].weight.shape == (128, 386, 3, 3)
    with pytest.raises(ValueError, match="five positive"):
        MultiMix((1, 2, 3))


def test_shapes_for_any_multiple_of_16(model):
    for out in (model(torch.zeros(2, 1, 48, 80)), model.train()(torch.zeros(2, 1, 48, 80))):
        assert out.class_logits.shape == (2, 2)
        assert out.mask_logits.shape == out.saliency.shape == (2, 1, 48, 80)


def test_other_shapes_are_refused(model):
    for shape in ((1, 32, 32), (2, 3, 32, 32), (2, 1, 40, 32), (2, 1, 16, 16), (0, 1, 32, 32)):
        for call in (model, model.classify):
            with pytest.raises(ValueError, match="The network was given"):
                call(torch.zeros(shape))


def test_eval_is_repeatable_and_grad_modes_make_no_difference(model, x):
    plain, again = model(x), model(x)
    with torch.no_grad():
        no_grad = model(x)
    with torch.inference_mode():
        inference = model(x * 1)  # an inference tensor goes in
    for values in zip(plain, again, no_grad, inference):
        assert all(torch.equal(values[0].detach(), other.detach()) for other in values[1:])
    assert not no_grad.class_logits.requires_grad and not no_grad.mask_logits.requires_grad


def test_saliency_is_the_gradient_of_the_winning_logit(model, x):
    films = x.clone().requires_grad_()
    logits = model.classify(films)
    (expected,) = torch.autograd.grad(logits.gather(1, logits.argmax(1, keepdim=True)).sum(), films)
    assert torch.allclose(model(x).saliency, expected.abs())
    model(films).mask_logits.sum().backward()  # films that need a gradient have one
    assert films.grad.abs().sum() > 0
    double, film = model.double(), x[:1].double()  # and by finite differences
    saliency = double(film).saliency[0, 0]
    row, column = divmod(saliency.argmax().item(), SIDE)
    step = torch.zeros_like(film)
    step[0, 0, row, column] = 1e-6
    slope = (double.classify(film + step).max() - double.classify(film - step).max()) / 2e-6
    assert slope.abs().item() == pytest.approx(saliency.max().item(), rel=1e-4)


def test_training_drops_out_but_its_saliency_does_not(model, x):
    calm = model(x).saliency
    first, second = model.train()(x), model(x)
    assert not torch.equal(first.class_logits, second.class_logits)
    assert not torch.equal(first.mask_logits, second.mask_logits)
    assert torch.equal(first.saliency, calm) and torch.equal(second.saliency, calm)


def test_the_bridge_carries_film_and_saliency_to_the_decoder(model, x):
    out = model(x)
    joined = bridge_maps(x, out.saliency)
    assert joined.shape == (3, 2, SIDE // 8, SIDE // 8)
    corner = torch.cat([x, out.saliency], 1)[:, :, 0, 0]
    assert torch.equal(joined[:, :, 0, 0], corner)  # corners are aligned
    _, maps = model.encoder(x)
    assert torch.allclose(model.decoder(maps, joined), out.mask_logits)
    assert not torch.allclose(model.decoder(maps, torch.zeros_like(joined)), out.mask_logits)


def test_without_the_bridge_training_takes_no_saliency(x):
    model = MultiMix(TINY, bridge=False)
    assert model.train()(x).saliency is None
    assert model.eval()(x).saliency.shape == x.shape
    assert model.decoder.dconv_up4[0].weight.shape[1] == TINY[4] + TINY[3]
