import numpy as np
import pytest
import torch
import torch.nn.functional as F
from drawn import draw

from multimix.augment import AffineParameters
from multimix.joint_augment import haze, joint_views, marked, opacities, sample_affine, warp


def chance(seed: int = 0, count: int = 16) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed * 1000 + i) for i in range(count)]


@pytest.fixture(scope="module")
def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    """Sixteen drawn films of 64 px and their lungs, (16, 1, 64, 64)."""
    films, masks = zip(*(draw(seed, side=64) for seed in range(16)))
    films, masks = (torch.from_numpy(np.stack(part))[:, None].float() for part in (films, masks))
    return films / 255, masks


def test_masks_move_with_their_films(drawn):
    _, masks = drawn
    places = sample_affine(chance())
    views, moved = joint_views(masks * 0.6 + 0.2, masks, places, chance(1))
    assert set(moved.unique().tolist()) == {0, 1} and views.min() >= 0 and views.max() <= 1
    for view, mask, original in zip(views, moved, masks):
        # Lungs are bright, or dark in a negative.
        assert abs(view[mask > 0].median() - view[mask == 0].median()) > 0.05
        assert not torch.equal(mask, original)
    guess, inside = warp(masks, places)  # a map that is moved later lies there, too
    assert torch.equal(((guess > 0.5) & inside).float(), moved)


def test_each_film_has_views_of_its_own(drawn):
    films, masks = drawn
    views, moved = joint_views(films, masks, sample_affine(chance()), chance(1))
    alone = joint_views(films[5:6], masks[5:6], sample_affine(chance()[5:6]), chance(1)[5:6])
    assert torch.allclose(views[5:6], alone[0], atol=1e-6) and torch.equal(moved[5:6], alone[1])
    same = films[:1].expand(16, -1, -1, -1)
    views, _ = joint_views(same, masks, sample_affine(chance()), chance(1))
    assert len({view.numpy().tobytes() for view in views}) == 16


def changed(**values: float) -> AffineParameters:
    """One film that stays as it is, but for these values."""
    columns = {name: torch.full((1, 1, 1, 1), value) for name, value in values.items()}
    return AffineParameters.identity(1)._replace(**columns)


def test_moves_by_hand():
    film = torch.zeros(1, 1, 64, 64)
    film[:, :, 28:36, 8:16] = 1
    moves = {"mirrored": (1.0, 32, 52), "down": (0.25, 48, 12)}
    moves |= {"scale": (1.25, 32, 7), "aspect": (1.25, 32, 7)}
    for name, (value, *centre) in moves.items():
        moved, inside = warp(film, changed(**{name: value}))
        pixels = (moved[0, 0] > 0.5).nonzero().float()
        assert (pixels.mean(0) + 0.5).tolist() == pytest.approx(centre, abs=0.1)
        assert inside.all() == (name in ("mirrored", "scale"))


def test_pixels_outside_the_film_are_marked():
    film = torch.ones(1, 1, 64, 64)
    quarter = dict.fromkeys(("frame_left", "frame_top", "frame_right", "frame_bottom"), 0.25)
    assert warp(film, changed(**quarter))[1].float().mean() == pytest.approx(0.25, abs=0.02)
    inside = warp(film, changed(right=0.5))[1]
    assert not inside[0, 0, :, :31].any()  # what comes in from the left


def test_moves_keep_to_their_limits():
    affine = sample_affine(chance(count=500))
    assert affine.mirrored.mean() == pytest.approx(0.5, abs=0.1)
    limits = {"angle": 0.3, "shear": 0.1, "scale": 0.25, "aspect": 0.2, "right": 0.1, "down": 0.1}
    for name, limit in limits.items():
        middle = 1 if name in ("scale", "aspect") else 0
        assert (getattr(affine, name) - middle).abs().max() == pytest.approx(limit, rel=0.05)
    frames = torch.cat(affine[-4:], 1)
    framed = (frames > 0).any(1)
    assert framed.float().mean() == pytest.approx(0.25, abs=0.08) and frames.max() <= 0.12


def test_some_films_are_brighter_near_the_lungs(drawn):
    def marks(films, masks, generators):
        return marked(films, generators)

    films, masks = drawn[0] * 0.8, drawn[1]
    for change, reach, few, many in ((haze, 1, 2, 12), (opacities, 11, 2, 9), (marks, 129, 1, 10)):
        after = change(films, masks, chance())
        far = F.max_pool2d(masks, reach, 1, reach // 2) == 0
        assert torch.equal(after[far], films[far]) and (after >= films).all() and after.max() <= 1
        touched = (after - films).flatten(1).amax(1) > 0.05
        assert few <= touched.sum() <= many


def test_options_add_opacities_and_keep_the_masks(drawn):
    still = AffineParameters.identity(16)
    plain = joint_views(*drawn, still, chance(), opaque=False)[0]
    for options in ({}, {"white_out": True}):
        views, masks = joint_views(*drawn, still, chance(), **options)
        assert torch.equal(masks, drawn[1]) and not torch.equal(views, plain)
