import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from multimix import augment
from multimix.augment import AffineParameters

LOW, HIGH = torch.zeros(4, 1, 1, 1), torch.ones(4, 1, 1, 1)


def chance(seed: int = 0, count: int = 16) -> list[torch.Generator]:
    """A generator for each of `count` films."""
    return [torch.Generator().manual_seed(1000 * seed + film) for film in range(count)]


@pytest.fixture
def views() -> torch.Tensor:
    """Four 48 x 64 films of 8-bit grey values, from dark to bright across."""
    ramp = torch.linspace(0.2, 0.8, 64).expand(4, 1, 48, 64)
    films = (ramp + 0.1 * torch.rand(4, 1, 48, 64, generator=chance()[0])).clamp(0, 1)
    return (films * 255).round() / 255


def pil(film: torch.Tensor) -> Image.Image:
    return Image.fromarray((film[0] * 255).round().to(torch.uint8).numpy())


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
    ),
)
def test_operations_agree_with_pillow(views, name, reference):
    ours = augment.OPERATIONS[name](views, HIGH, HIGH)
    for film, after in zip(views, ours):
        expected = np.asarray(reference(pil(film)), dtype=np.float32) / 255
        assert np.abs(after[0].numpy() - expected).max() <= 2.01 / 255  # Pillow rounds on its way


def test_posterize_keeps_4_to_7_bits(views):
    for strength, levels in ((0.0, 16), (0.3, 32), (0.6, 64), (1.0, 128)):
        ramp = torch.linspace(0, 1, 256).view(1, 1, 16, 16)
        after = augment.posterize(ramp, torch.tensor(strength))
        assert len(after.unique()) == levels


def test_solarize_inverts_bright_pixels():
    film = torch.tensor([0.2, 0.9]).view(1, 1, 1, 2)
    after = augment.OPERATIONS["solarize"](film, torch.tensor(0.5), torch.tensor(0.5))
    assert torch.allclose(after.flatten(), torch.tensor([0.2, 0.1]))


def test_strengths_are_per_film(views):
    strength = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(4, 1, 1, 1)
    after = augment.OPERATIONS["brightness"](views, strength, strength)
    assert torch.allclose(after[:2], views[:2] * 0.05)
    assert torch.allclose(after[2:], views[2:] * 0.95)


def test_translate_moves_right_and_down():
    film = torch.zeros(1, 1, 40, 40)
    film[0, 0, 10, 20] = 1
    after = augment.transform(film, AffineParameters(right=0.25, down=0.1))
    assert divmod(after.argmax().item(), 40) == (14, 30)


def test_rotate_turns_about_the_centre():
    film = torch.zeros(1, 1, 40, 40)
    film[0, 0, 19:21, 35] = 1
    after = augment.transform(film, AffineParameters(angle=torch.pi / 2))
    row, column = divmod(after.argmax().item(), 40)
    assert column in (19, 20) and row in (4, 35)


def test_outside_is_grey_and_no_movement_changes_nothing(views):
    assert torch.allclose(augment.transform(views, AffineParameters()), views, atol=1e-6)
    after = augment.transform(views, AffineParameters(right=0.5))
    assert torch.allclose(after[..., :30], torch.full_like(after[..., :30], augment.FILL))


def test_weak_is_flip_and_crop_of_the_padded_film(views):
    film = views[:1]
    padded = torch.nn.functional.pad(film, (8, 8, 6, 6), mode="reflect")
    places = {
        (top, left): padded[0, 0, top : top + 48, left : left + 64]
        for top in range(13)
        for left in range(17)
    }
    seen = set()
    for seed in range(40):
        view = augment.weak(film, chance(seed, 1))[0, 0]
        hits = [offset for offset, crop in places.items() if torch.equal(crop, view)]
        mirrored = [offset for offset, crop in places.items() if torch.equal(crop.flip(1), view)]
        assert hits or mirrored
        seen.add((bool(mirrored), *(hits or mirrored)))
    assert len(seen) > 30 and {flipped for flipped, _ in seen} == {True, False}


def test_half_of_all_films_are_flipped():
    films = torch.linspace(0, 1, 32).expand(2000, 1, 2, 32)
    flipped = (augment.flip(films, chance(0, 2000))[:, 0, 0, 0] > 0.5).float().mean()
    assert 0.45 < flipped < 0.55


@pytest.mark.parametrize("view", (augment.weak, augment.strong))
def test_same_seed_same_views(views, view):
    assert torch.equal(view(views, chance(3, 4)), view(views, chance(3, 4)))
    assert not torch.equal(view(views, chance(3, 4)), view(views, chance(4, 4)))


def test_views_of_a_batch_differ_from_film_to_film(views):
    same = views[:1].repeat(16, 1, 1, 1)
    for view in (augment.weak, augment.strong):
        assert len({v.numpy().tobytes() for v in view(same, chance())}) > 10


def test_a_quarter_of_the_strong_views_have_no_operation():
    # Each of two operations is applied with probability 1/2, and one in eleven is the identity.
    films = torch.rand(1, 1, 16, 16, generator=chance()[0]).repeat(3000, 1, 1, 1)
    strong, weak = augment.strong(films, chance(5, 3000)), augment.weak(films, chance(5, 3000))
    untouched = (strong == weak).flatten(1).all(1).float().mean().item()
    assert untouched == pytest.approx((0.5 + 0.5 / 11) ** 2, abs=0.05)
