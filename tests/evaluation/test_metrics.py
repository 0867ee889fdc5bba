"""Hand-computed cases, and agreement with independent libraries."""

import numpy as np
import pytest
import sklearn.metrics
import torch
from drawn import draw

from multimix.evaluation import metrics
from multimix.runtime import torchvision_shim  # noqa: F401  (heals torchvision for torchmetrics)

# isort: split
from torchmetrics.functional.image import structural_similarity_index_measure


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
    # right order. All other metrics are compared with scikit-learn's below.
    probability, labels = np.array([0.1, 0.7, 0.6, 0.8, 0.9]), np.array([0, 0, 1, 1, 1])
    found = metrics.classification_metrics(probability, labels)
    assert (found["auc"], found["specificity"]) == pytest.approx((5 / 6, 1 / 2))
    assert found["ece"] == pytest.approx((0.1 + 0.7 + 0.4 + 0.2 + 0.1) / 5)  # one in each bin
    assert found["sensitivity_at_90"] == 2 / 3  # with 0.6 comes 0.7, which is NORMAL
    assert metrics.placements(probability, labels) == pytest.approx([1, 2 / 3, 1 / 2, 1, 1])


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
    a, b, c = square(0, 0, 8), square(0, 4, 8), square(16, 16, 4)  # a and b share 32 of 64 pixels
    empty = np.zeros_like(a)
    found = metrics.overlap(np.stack([a, a, empty, empty, a]), np.stack([b, a, empty, a, c]))
    assert found["dice"] == pytest.approx([1 / 2, 1, 1, 0, 0])
    assert found["jaccard"] == pytest.approx([1 / 3, 1, 1, 0, 0])
    inner = metrics.overlap(square(2, 2, 4)[None], a[None])  # 16 of 64
    assert (inner["precision"], inner["recall"]) == (1, 1 / 4)
    assert inner["dice"] == pytest.approx(2 * 16 / 80)


def test_surface_distances_by_hand():
    a = square(4, 4, 10)
    assert metrics.surface_distances(a, a) == (0, 0)
    inner = square(5, 5, 8)  # 28 pixels 1 px inside of 36, four of which are corners
    assert metrics.surface_distances(a, inner)[0] == pytest.approx((60 + 4 * 2**0.5) / 64)
    one, other = np.zeros((2, 9, 9), dtype=bool)
    one[4, 1], other[4, 1], other[4, 7] = True, True, True  # 0 and 6 px away; 0 from the other
    assert metrics.surface_distances(one, other) == pytest.approx((2, 5.7))
    empty = np.zeros((3, 4), dtype=bool)
    assert metrics.surface_distances(empty, empty) == (0, 0)
    assert metrics.surface_distances(empty, ~empty) == (5, 5)


def test_ssim_agrees_with_torchmetrics_and_distances_are_told_at_256(lungs):
    predicted, truth = (torch.from_numpy(stack[:, None]).double() for stack in lungs)
    _, maps = structural_similarity_index_measure(
        predicted, truth, data_range=1.0, reduction="none", return_full_image=True
    )
    # torchmetrics counts the border, where the window sticks out.
    inside = maps[:, 0, 5:-5, 5:-5].mean((1, 2))
    small = metrics.film_metrics(*lungs)
    assert small["ssim"] == pytest.approx(inside.numpy(), abs=1e-6)
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
    values = np.repeat(np.random.default_rng(0).normal(size=40), 10)  # ten equal films of each

    def width(patients):
        draw = lambda index: {"mean": values[index].mean()}  # noqa: E731
        low, high = metrics.intervals(draw, patients, draws=1000)["mean"]
        return high - low

    single = width([str(i) for i in range(400)])
    assert single == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert width([str(i // 10) for i in range(400)]) == pytest.approx(10**0.5 * single, rel=0.15)
