import torch

from multimix.images.reading import rescale
from multimix.predictions.outputs import CELLS, class_log_odds, explain, post_process, run_network


def test_flipping_averages_with_the_mirrored_film(model, x):
    plain, mirrored = run_network(model, x), run_network(model, x.flip(3))
    both = run_network(model, x, flip=True)
    assert torch.allclose(both.log_odds, (plain.log_odds + mirrored.log_odds) / 2)
    assert torch.allclose(both.lung, (plain.lung + mirrored.lung.flip(3)) / 2)
    twice = explain(model, x.flip(3), flip=True).flip(3)
    torch.testing.assert_close(explain(model, x, flip=True), twice, atol=1e-6, rtol=0)
    for flip in (False, True):
        log_odds = run_network(model, x, flip).log_odds
        assert torch.allclose(class_log_odds(model, x, flip), log_odds, atol=1e-6)


def test_the_class_is_the_mean_of_the_log_odds_over_the_sides(model, x):
    side = x.shape[-1]
    model.info.class_sides = (32, side, side + 16)
    logits = [model.classify(rescale(x, px)) for px in model.info.class_sides]
    each = [(pair[:, 1] - pair[:, 0]).double() for pair in logits]
    output = run_network(model, x)
    torch.testing.assert_close(output.log_odds, torch.stack(each).mean(0))
    torch.testing.assert_close(class_log_odds(model, x), output.log_odds)
    assert output.lung.shape == x.shape  # lungs at the network's side alone


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


def test_the_explanation_of_a_linear_network_is_what_the_blurred_film_lacks(model, x, monkeypatch):
    """A network whose log odds are the brightness of the right half less that of the left."""

    def classify(films):
        left, right = films.mean((1, 2)).chunk(2, dim=1)
        return torch.stack([left.sum(1), right.sum(1)], 1)

    monkeypatch.setattr(model, "classify", classify)
    films = torch.full((2, 1, 56, 56), -1.0)
    films[0, :, 40:50, 44:48] = 1  # a spot for PNEUMONIA,
    films[1, :, 40:50, 8:12] = 1  # and one against it
    found = explain(model, films)
    blurred = rescale(rescale(films, CELLS), 56)
    lack = (classify(films) - classify(blurred)).diff(dim=1)[:, 0]
    torch.testing.assert_close(found.sum((1, 2, 3)), lack, atol=1e-4, rtol=0)
    assert (found[0, 0, 10:12, 11] > 0.2).all() and found[0, 0, :7].abs().max() < 1e-6
    torch.testing.assert_close(found[1], -found[0].flip(2))
