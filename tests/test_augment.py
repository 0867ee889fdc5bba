import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from multimix import augment

LOW, HIGH = torch.zeros(4, 1, 1, 1), torch.ones(4, 1, 1, 1)


def chance(seed: int = 0, count: int = 16) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + film) for film in range(count)]


@pytest.fixture
def views() -> torch.Tensor:
    """Four 48 x 64 films of 8-bit grey values, from dark to bright across."""
    ramp = torch.linspace(0.2, 0.8, 64).expand(4, 1, 48, 64)
    films = (ramp + 0.1 * torch.rand(4, 1, 48, 64, generator=chance()[0])).clamp(0, 1)
    return (films * 255).round() / 255


@pytest.mark.parametrize("name", augment.OPERATIONS)
@pytest.mark.parametrize("strength", (LOW, HIGH))
def test_every_operation_keeps_shape_and_range(views, name, strength):
    before = views.clone()
    after = augment.OPERATIONS[name](views, strength, strength)
    assert after.shape == views.shape and after.dtype == views.dtype
    assert after.min() >= 0 and after.max() <= 1
    assert torch.equal(views, before)
    nothing = {"identity", "solarize"} if strength is HIGH else {"identity"}  # no pixel is 1
    assert torch.equal(after, views) == (name in nothing)


@pytest.mark.parametrize(
    "name, reference",
    (
        ("autocontrast", ImageOps.autocontrast),
        ("equalize", ImageOps.equalize),
        ("brightness", lambda film: ImageEnhance.Brightness(film).enhance(0.95)),
        ("contrast", lambda film: ImageEnhance.Contrast(film).enhance(0.95)),
        ("sharpness", lambda film: ImageEnhance.Sharpness(film).enhance(0.95)),
        ("posterize", lambda film: ImageOps.posterize(film, 7)),
        ("solarize", lambda film: ImageOps.solarize(film, 255)),
    ),
)
@pytest.mark.parametrize("flat", (False, True))
def test_operations_agree_with_pillow(views, name, reference, flat):
    films = views * 0 + 0.4 if flat else views
    for film, after in zip(films, augment.OPERATIONS[name](films, HIGH, HIGH)):
        picture = Image.fromarray((film[0] * 255).round().to(torch.uint8).numpy())
        expected = np.asarray(reference(picture), dtype=np.float32) / 255
        rounding = 0.51 if name == "equalize" else 2.01  # Pillow rounds on its way
        assert np.abs(after[0].numpy() - expected).max() <= rounding / 255


def test_strengths_by_hand(views):
    ramp = torch.linspace(0, 1, 256).view(1, 1, 16, 16)
    for strength, levels in ((0.0, 16), (0.3, 32), (0.6, 64), (1.0, 128)):
        assert len(augment.posterize(ramp, torch.tensor(strength)).unique()) == levels
    film, half = torch.tensor([0.2, 0.9]).view(1, 1, 1, 2), torch.tensor(0.5)
    after = augment.OPERATIONS["solarize"](film, half, half)
    assert torch.allclose(after.flatten(), torch.tensor([0.2, 0.1]))
    strength = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(4, 1, 1, 1)  # one for each film
    after = augment.OPERATIONS["brightness"](views, strength, strength)
    assert torch.allclose(after, views * (0.05 + 0.9 * strength))


def test_movements_by_hand():
    film = torch.zeros(1, 1, 40, 40)
    film[0, 0, 10, 20] = 1
    shift, turn = {"right": 0.25, "down": 0.1}, {"angle": torch.pi / 2}
    turned = {(19, 10), (20, 10), (19, 29), (20, 29)}
    for values, places in ((shift, {(14, 30)}), (turn, turned)):
        affine = {name: torch.tensor([[[[value]]]]) for name, value in values.items()}
        assert divmod(augment.moved(film, **affine).argmax().item(), 40) in places


def test_outside_is_grey_and_no_movement_changes_nothing(views):
    assert torch.allclose(augment.moved(views), views, atol=1e-6)
    after = augment.moved(views, right=HIGH / 2)
    assert torch.allclose(after[..., :30], torch.full_like(after[..., :30], augment.FILL))


def test_weak_is_flip_and_crop_of_the_padded_film(views):
    film = views[:1]
    padded = torch.nn.functional.pad(film, (8, 8, 6, 6), mode="reflect")
    crops = padded[0, 0].unfold(0, 48, 1).unfold(1, 64, 1)  # (13, 17, 48, 64)
    seen = set()
    for seed in range(40):
        view = augment.weak(film, chance(seed, 1))[0, 0]
        for mirrored in (False, True):
            same = (crops == (view.flip(1) if mirrored else view)).flatten(2).all(2)
            seen |= {(seed, mirrored, *place) for place in same.nonzero().tolist()}
    assert len(seen) == 40 and len({place[1:] for place in seen}) > 30
    assert 10 < sum(mirrored for _, mirrored, *_ in seen) < 30


def test_views_follow_from_their_films_generator_alone(views):
    same = views[:1].repeat(16, 1, 1, 1)
    for view in (augment.weak, augment.strong):
        assert torch.equal(view(views, chance(3, 4)), view(views, chance(3, 4)))
        alone = view(views[2:3], chance(3, 4)[2:3])
        assert torch.allclose(view(views, chance(3, 4))[2:3], alone, atol=1e-6)
        assert len({film.numpy().tobytes() for film in view(same, chance())}) > 10


def test_a_quarter_of_the_strong_views_have_no_operation():
    # Each of two operations is applied with probability 1/2, and one in eleven is the identity.
    films = torch.rand(1, 1, 16, 16, generator=chance()[0]).repeat(3000, 1, 1, 1)
    strong, weak = augment.strong(films, chance(5, 3000)), augment.weak(films, chance(5, 3000))
    untouched = (strong == weak).flatten(1).all(1).float().mean().item()
    assert untouched == pytest.approx((0.5 + 0.5 / 11) ** 2, abs=0.05)
