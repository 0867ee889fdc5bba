import pytest
import torch
import torch.nn.functional as F

from multimix.layers import InstanceNorm, dropout


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
    values = dropped.unique().tolist()
    assert values == [0, pytest.approx(4 / 3)]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.005)  # 5 deviations
    dropped.sum().backward()
    assert torch.equal(ones.grad, dropped) and dropout(ones, 0.25, False) is ones
    assert not torch.equal(dropout(ones, 0.25, True), dropped)
    assert dropout(ones.bfloat16(), 0.25, True).dtype == torch.bfloat16
