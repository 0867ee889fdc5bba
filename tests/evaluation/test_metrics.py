"""Hand-computed cases, and agreement with independent libraries."""

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchvision_shim  # noqa: F401  (heals torchvision for torchmetrics)
from drawn import draw

from multimix.evaluation import metrics

# isort: split
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.functional.segmentation.utils import mask_edges, surface_distance


def square(top: int, left: int, size: int, side: int = 32) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[top : top + size, left : left + size] = True
    return mask


@pytest.fixture(scope="module")
def lungs() -> tuple[np.ndarray, np.ndarray]:
    """Eight drawn lungs at 64 px, and the same moved a little, one each way."""
    truth = np.stack([draw(seed, side=64)[1] for seed in range(8)])
    return np.stack([np.roll(mask, (i % 3, i - 4), (0, 1)) for i, mask in enumerate(truth)]), truth


def test_classification_by_hand():
    # One NORMAL called PNEUMONIA; of the 2 x 3 pairs of a NORMAL and a PNEUMONIA, five are in the
    # right order.
    probability, labels = np.array([0.1, 0.7, 0.6, 0.8, 0.9]), np.array([0, 0, 1, 1, 1])
    assert metrics.classification_metrics(probability, labels) == pytest.approx(
        {
            "accuracy": 4 / 5,
            "balanced_accuracy": (1 / 2 + 1) / 2,
            "f1_normal": 2 / 3,
            "f1_pneumonia": 6 / 7,
            "auc": 5 / 6,
            "specificity": 1 / 2,
            "sensitivity": 1,
            "ece": (0.1 + 0.7 + 0.4 + 0.2 + 0.1) / 5,  # each in a bin of its own
            "brier": (0.1**2 + 0.7**2 + 0.4**2 + 0.2**2 + 0.1**2) / 5,
            "average_precision": (1 + 1 + 3 / 4) / 3,
            "sensitivity_at_90": 2 / 3,  # with 0.6 comes 0.7, which is NORMAL
        }
    )
    assert metrics.placements(probability, labels) == pytest.approx([1, 2 / 3, 1 / 2, 1, 1])


def test_one_class_has_no_auc():
    found = metrics.classification_metrics(np.array([0.1, 0.7]), np.array([1, 1]))
    assert set(found) == {"accuracy", "brier", "ece", "sensitivity"}


@pytest.mark.parametrize("seed", range(20))
def test_classification_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, 40), [0, 1])
    probability = np.round(rng.random(42), 1 + seed % 3)  # rounded, so that there are ties
    called = (probability >= 0.5).astype(int)
    f1_normal, f1_pneumonia = sklearn.metrics.f1_score(labels, called, average=None)
    false_rate, true_rate, _ = sklearn.metrics.roc_curve(labels, probability)
    expected = {
        "brier": sklearn.metrics.brier_score_loss(labels, probability),
        "average_precision": sklearn.metrics.average_precision_score(labels, probability),
        "sensitivity_at_90": true_rate[1 - false_rate >= 0.9].max(),
        "auc": sklearn.metrics.roc_auc_score(labels, probability),
        "accuracy": sklearn.metrics.accuracy_score(labels, called),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(labels, called),
        "sensitivity": sklearn.metrics.recall_score(labels, called),
        "specificity": sklearn.metrics.recall_score(labels, called, pos_label=0),
        "f1_normal": f1_normal,
        "f1_pneumonia": f1_pneumonia,
    }
    found = metrics.classification_metrics(probability, labels)
    assert found.pop("ece") >= 0
    assert found == pytest.approx(expected, abs=1e-12)
    assert metrics.placements(probability, labels).mean() == pytest.approx(expected["auc"])


def test_overlap_of_squares_by_hand():
    a, b = square(0, 0, 8), square(0, 4, 8)  # 64 pixels each, 32 shared
    empty = np.zeros_like(a)
    found = metrics.overlap(
        np.stack([a, a, empty, empty, a]), np.stack([b, a, empty, a, square(16, 16, 4)])
    )
    assert found["dice"] == pytest.approx([1 / 2, 1, 1, 0, 0])
    assert found["jaccard"] == pytest.approx([1 / 3, 1, 1, 0, 0])
    inner = metrics.overlap(square(2, 2, 4)[None], a[None])  # 16 of 64
    assert (inner["precision"], inner["recall"]) == (1, 1 / 4)
    assert inner["dice"] == pytest.approx(2 * 16 / 80)


def test_surface_distances_by_hand():
    a = square(4, 4, 10)
    assert metrics.surface_distances(a, a) == (0, 0)
    # Moved 3 to the right: of 36 edge pixels, the left and right columns' 10 are 3 off, less where
    # a row is nearer.
    average, hd95 = metrics.surface_distances(a, square(4, 7, 10))
    row = [3, 2, 1] + [0] * 7  # of top and bottom, from the end that sticks out
    inner = [3, 3, 3, 3, 3, 3, 3, 3]  # of the column that sticks out
    other = [3, 3, 3, 3, 3, 3, 3, 3]  # of the opposite column, inside
    other[0] = other[-1] = 1  # a row of the other square's edge is one away
    other[1] = other[-2] = 2
    assert average == pytest.approx(np.mean([*row, *row, *inner, *other]))
    assert hd95 == 3
    empty = np.zeros((3, 4), dtype=bool)
    assert metrics.surface_distances(empty, empty) == (0, 0)
    assert metrics.surface_distances(empty, ~empty) == (5, 5)


def test_surface_distances_agree_with_torchmetrics(lungs):
    for a, b in zip(*lungs):
        of_a, _ = mask_edges(torch.from_numpy(a), torch.from_numpy(b))
        of_b, _ = mask_edges(torch.from_numpy(b), torch.from_numpy(a))
        to_b = surface_distance(of_a.bool(), of_b.bool()).numpy()
        to_a = surface_distance(of_b.bool(), of_a.bool()).numpy()
        average = np.concatenate([to_b, to_a]).mean()
        hd95 = max(np.percentile(to_b, 95), np.percentile(to_a, 95))
        assert metrics.surface_distances(a, b) == pytest.approx((average, hd95), abs=1e-6)


def test_ssim_agrees_with_torchmetrics(lungs):
    predicted, truth = (torch.from_numpy(stack[:, None]).double() for stack in lungs)
    _, maps = structural_similarity_index_measure(
        predicted, truth, data_range=1.0, reduction="none", return_full_image=True
    )
    # torchmetrics counts the border, where the window sticks out.
    inside = maps[:, 0, 5:-5, 5:-5].mean((1, 2))
    assert metrics.film_metrics(*lungs)["ssim"] == pytest.approx(inside.numpy(), abs=1e-6)


def test_distances_are_told_at_256(lungs):
    small = metrics.film_metrics(*lungs)
    larger = [stack.repeat(4, 1).repeat(4, 2) for stack in lungs]
    large = metrics.film_metrics(*larger)
    assert large["asd"].mean() == pytest.approx(small["asd"].mean(), rel=0.1)
    assert large["dice"] == pytest.approx(small["dice"])


def test_bland_altman_by_hand():
    area = {name: np.zeros(3) for name in metrics.FILM_METRICS}
    area |= {"area": np.array([11.0, 22, 33]), "true_area": np.array([10.0, 20, 30])}
    results = metrics.segmentation_metrics(area)
    assert results["area_difference"] == 2 and results["area_limits"] == pytest.approx(1.96)


def test_intervals_draw_patients_not_films():
    rng = np.random.default_rng(0)
    singles = tuple(str(i) for i in range(400))
    tens = tuple(str(i // 10) for i in range(400))

    def interval(values, patients):
        found = metrics.intervals(
            lambda index: {"mean": values[index].mean()}, patients, draws=1000
        )
        return found["mean"]

    def width(values, patients):
        low, high = interval(values, patients)
        return high - low

    values = rng.normal(size=400)
    assert width(values, singles) == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    values = np.repeat(rng.normal(size=40), 10)  # ten equal films of each of 40 patients
    ratio = width(values, tens) / width(values, singles)
    assert ratio == pytest.approx(10**0.5, rel=0.15)
    assert interval(values, tens) == interval(values, tens)
