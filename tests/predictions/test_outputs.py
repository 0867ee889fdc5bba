import torch

from multimix.images.scaling import rescale
from multimix.predictions.outputs import class_log_odds, post_process, run_network


def test_flipping_averages_with_the_mirrored_film(model, x):
    with torch.no_grad():
        plain = run_network(model, x)
        mirrored = run_network(model, x.flip(3))
        both = run_network(model, x, flip=True)
        again = run_network(model, x.flip(3), flip=True)
    mirrored_lung = mirrored.lung.flip(3)
    assert torch.allclose(both.log_odds, (plain.log_odds + mirrored.log_odds) / 2)
    assert torch.allclose(both.lung, (plain.lung + mirrored_lung) / 2)
    assert torch.allclose(both.disagreement, (plain.lung - mirrored_lung).abs())
    assert torch.allclose(both.log_odds, again.log_odds)
    assert torch.allclose(both.lung, again.lung.flip(3), atol=1e-6)
    assert plain.disagreement is None and both.disagreement.max() > 0


def test_log_odds_alone_are_the_same(model, x):
    with torch.no_grad():
        for flip in (False, True):
            whole = run_network(model, x, flip=flip).log_odds
            assert torch.allclose(class_log_odds(model, x, flip), whole, atol=1e-6)


def test_the_class_is_the_mean_of_the_log_odds_over_the_sides(model, x):
    side = x.shape[-1]
    model.info.class_sides = (32, side, side + 16)
    with torch.no_grad():
        logits = [model.classify(rescale(x, px)) for px in model.info.class_sides]
        each = [(pair[:, 1] - pair[:, 0]).double() for pair in logits]
        output = run_network(model, x)
    torch.testing.assert_close(output.log_odds, torch.stack(each).mean(0))
    torch.testing.assert_close(class_log_odds(model, x), output.log_odds)
    assert output.lung.shape == x.shape  # lungs at the network's side alone
    model.info.class_sides = ()
    with torch.no_grad():
        normal, pneumonia = model.classify(x).double().unbind(1)
        assert torch.equal(class_log_odds(model, x), pneumonia - normal)


def test_post_processing_by_hand():
    p = torch.full((1, 1, 32, 32), 0.1)
    p[..., 2:20, 2:12] = 0.9  # a lung,
    p[..., 8:10, 5:7] = 0.3  # with a hole,
    p[..., 2:20, 18:28] = 0.8  # another one,
    p[..., 25:28, 4:8] = 0.7  # and a speck
    processed = post_process(p)[0, 0]
    assert torch.allclose(processed[8:10, 5:7], torch.tensor(0.7))
    assert torch.allclose(processed[25:28, 4:8], torch.tensor(0.3))
    assert (processed != p[0, 0]).sum() == 4 + 12
    assert torch.equal(post_process(processed[None, None])[0, 0], processed)
    empty = torch.full((2, 1, 32, 32), 0.2)
    assert torch.equal(post_process(empty), empty)
