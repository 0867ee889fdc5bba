"""Every metric of the paper and its supplement, from probabilities, log-odds and masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy

from multimix.evaluation.calibration import calibrated_log_odds

REFERENCE_SIDE = 256  # px: the film side that distances are told at
BINS = 15  # of the calibration error
MIN_PATIENTS = 10  # of fewer, no value can be trusted
BOOTSTRAP_DRAWS = 1000
FIXED_SPECIFICITY = 0.9

# In the order of the tables: what does not depend on the share of each class comes first.
DEFINITIONS = {
    "auc": "area under the ROC curve of the probability of PNEUMONIA",
    "balanced_accuracy": "mean of sensitivity and specificity",
    "accuracy": "share of films whose more probable class is right (raw probability 0.5)",
    "sensitivity": "share of PNEUMONIA films called so at 0.5",
    "specificity": "share of NORMAL films called so at 0.5",
    "f1_normal": "harmonic mean of precision and recall of NORMAL at 0.5",
    "f1_pneumonia": "harmonic mean of precision and recall of PNEUMONIA at 0.5",
    "average_precision": "mean precision of PNEUMONIA over its recall, in the steps of the films' "
    "probabilities",
    "sensitivity_at_90": "largest sensitivity of a threshold whose specificity is "
    f"{FIXED_SPECIFICITY} or more",
    "brier": "Brier score: mean squared difference of the probability of PNEUMONIA from 0 or 1",
    "ece": "expected calibration error: mean |share of PNEUMONIA - mean probability| over "
    f"{BINS} equal bins",
    "calibrated_accuracy": "accuracy of the calibrated probability: temperature and operating "
    "point from validation films",
    "calibrated_balanced_accuracy": "balanced accuracy of the calibrated probability",
    "calibrated_brier": "Brier score of the calibrated probability",
    "calibrated_ece": "calibration error of the calibrated probability, which takes both classes "
    "as equally frequent",
    "dice": "2 |A and B| / (|A| + |B|) a film at probability 0.5, then the mean; 1 where both are "
    "empty",
    "jaccard": "|A and B| / |A or B| a film, then the mean; 1 where both are empty",
    "precision": "share of the predicted lung that is lung, a film, then the mean; 1 where both "
    "are empty",
    "recall": "share of the lung that is predicted, a film, then the mean; 1 where both are empty",
    "ssim": "structural similarity of the two masks (0 or 1, range 1, Gaussian window of sigma "
    "1.5), then the mean",
    "asd": f"average surface distance, both ways, px at {REFERENCE_SIDE}, then the mean (the "
    "paper's 'HD'); the diagonal where only one is empty",
    "hd95": "95th percentile of the surface distances, the larger way, px at "
    f"{REFERENCE_SIDE}, then the mean",
    "area_difference": "Bland-Altman: mean of predicted minus true lung area, % of the film",
    "area_limits": "Bland-Altman: 1.96 standard deviations of that difference, % of the film",
}
FILM_METRICS = ("dice", "jaccard", "precision", "recall", "ssim", "asd", "hd95")


def classification_metrics(probability: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """AUC, accuracies, rates and F1 at 0.5, Brier score; what needs both classes only then.

    The AUC is the rank sum of Mann and Whitney, exact where films tie; scikit-learn's, which the
    tests compare with, takes ten times as long, and a bootstrap asks a thousand times.

    Arguments:
        probability: (N,) of PNEUMONIA.
        labels: (N,), 1 for PNEUMONIA, 0 for NORMAL.
    """
    called = probability >= 0.5
    positive = labels == 1
    # Counts of NORMAL called so, NORMAL called PNEUMONIA, and the same of PNEUMONIA.
    tn, fp, fn, tp = np.bincount(2 * positive + called, minlength=4).tolist()
    results = {
        "accuracy": (tp + tn) / len(labels),
        "brier": float(np.square(probability - positive).mean()),
        "ece": calibration_error(probability, labels),
    }
    if tn + fp:
        results["specificity"] = tn / (tn + fp)
    if tp + fn:
        results["sensitivity"] = tp / (tp + fn)
    if (tn + fp) and (tp + fn):
        rank_sum = scipy.stats.rankdata(probability)[positive].sum()
        pairs_in_order = rank_sum - (tp + fn) * (tp + fn + 1) / 2
        results["auc"] = float(pairs_in_order / ((tp + fn) * (tn + fp)))
        results |= threshold_metrics(probability, positive)
        results["f1_normal"] = 2 * tn / max(2 * tn + fp + fn, 1)
        results["f1_pneumonia"] = 2 * tp / max(2 * tp + fp + fn, 1)
        results["balanced_accuracy"] = (results["specificity"] + results["sensitivity"]) / 2
    return results


def threshold_metrics(probability: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """What follows from all thresholds together, of films (N,) of both classes."""
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.diff(probability[order]) != 0, True)  # no threshold parts films that tie
    tp, fp = (np.cumsum(kind[order])[ends] for kind in (positive, ~positive))
    recall, specificity = tp / tp[-1], 1 - fp / fp[-1]
    steps = np.diff(recall, prepend=0)
    return {
        "average_precision": float((steps * tp / (tp + fp)).sum()),
        "sensitivity_at_90": float(recall[specificity >= FIXED_SPECIFICITY].max(initial=0)),
    }


def calibration_error(probability: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Naeini 2015) of probabilities of PNEUMONIA, (N,), over BINS."""
    edges = np.linspace(0, 1, BINS + 1)
    in_bin = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, BINS - 1)
    confidence = np.bincount(in_bin, probability, BINS)
    positives = np.bincount(in_bin, labels, BINS)
    return float(np.abs(positives - confidence).sum() / len(labels))


def calibrated_metrics(
    log_odds: np.ndarray, labels: np.ndarray, calibration: dict[str, float]
) -> dict[str, float]:
    """The metrics 'calibrated_...': at the temperature and operating point of `calibrate`."""
    probability = scipy.special.expit(calibrated_log_odds(log_odds, calibration))
    found = classification_metrics(probability, labels)
    names = ("accuracy", "balanced_accuracy", "brier", "ece")
    return {f"calibrated_{name}": found[name] for name in names if name in found}


def placements(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each film the share of the other class's films that it is ordered right against, (N,).

    A tie counts a half. Their mean is the AUC, so that AUCs can be compared film by film (DeLong
    1988). Both classes are needed.
    """
    found, ranks = np.empty(len(labels)), scipy.stats.rankdata(probability)
    for label in (0, 1):
        mine = labels == label
        others = len(labels) - mine.sum()
        below = (ranks[mine] - scipy.stats.rankdata(probability[mine])) / others
        found[mine] = below if label else 1 - below
    return found


def overlap(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Dice, Jaccard, precision and recall of each film, (N,).

    Arguments:
        predicted, truth: two stacks of masks, (N, H, W) bool.
    """
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise ValueError(
            f"The predicted masks are {predicted.shape} and the true ones {truth.shape}; two "
            "stacks of one shape (films, height, width) are needed: resize one of them."
        )
    both, a, b = (stack.sum((1, 2)) for stack in (predicted & truth, predicted, truth))

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        # 0 of nothing, but 1 where both masks are empty.
        return np.where(a + b == 0, 1.0, part / np.maximum(whole, 1))

    return {
        "dice": share(2 * both, a + b),
        "jaccard": share(both, a + b - both),
        "precision": share(both, a),
        "recall": share(both, b),
    }


def film_metrics(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """`FILM_METRICS` of each film, (N,), and 'area' and 'true_area', % of the film.

    Arguments:
        predicted, truth: two stacks of masks, (N, H, W) bool.
    """
    values = overlap(predicted, truth)
    pairs = list(zip(predicted, truth))
    values["ssim"] = np.array([mask_similarity(a, b) for a, b in pairs])
    distances = np.array([surface_distances(a, b) for a, b in pairs]).reshape(-1, 2)
    values["asd"], values["hd95"] = distances.T * (REFERENCE_SIDE / predicted.shape[-1])
    values["area"], values["true_area"] = (100 * stack.mean((1, 2)) for stack in (predicted, truth))
    return values


def mask_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of two masks (H, W) bool."""
    from skimage.metrics import structural_similarity  # slow to import

    return structural_similarity(
        a.astype(np.float32),
        b.astype(np.float32),
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


def surface_distances(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Average surface distance and HD95 between two masks (H, W) bool, in pixels.

    A surface is the pixels of a mask that touch its outside by an edge, or the film's border. The
    average is over the pixels of both surfaces; HD95 is the larger of both ways' 95th percentiles.
    (0, 0) where both masks are empty, the film's diagonal where one is.
    """
    if not a.any() and not b.any():
        return 0.0, 0.0
    if not a.any() or not b.any():
        diagonal = float(np.hypot(*a.shape))
        return diagonal, diagonal
    of_a, of_b = (mask & ~scipy.ndimage.binary_erosion(mask) for mask in (a, b))
    to_b = scipy.ndimage.distance_transform_edt(~of_b)[of_a]
    to_a = scipy.ndimage.distance_transform_edt(~of_a)[of_b]
    hd95 = max(np.percentile(to_b, 95), np.percentile(to_a, 95))
    return float(np.concatenate([to_b, to_a]).mean()), float(hd95)


def segmentation_metrics(films: dict[str, np.ndarray]) -> dict[str, float]:
    """The means over films of `film_metrics`, and Bland and Altman's comparison of the areas."""
    results = {name: float(films[name].mean()) for name in FILM_METRICS}
    difference = films["area"] - films["true_area"]
    results["area_difference"] = float(difference.mean())
    if len(difference) > 1:
        results["area_limits"] = float(1.96 * difference.std(ddof=1))
    return results


def intervals(
    measure: Callable[[np.ndarray], dict[str, float]],
    patients: Sequence[str],
    draws: int = BOOTSTRAP_DRAWS,
) -> dict[str, tuple[float, float]]:
    """95% bootstrap interval of each metric, over patients; always the same draws.

    The calibration error has none: a film drawn twice raises it, so its draws lie beside it.

    Arguments:
        measure: from indices of films, (M,), all those of a patient or none, to metrics.
        patients: whose each film is.
        draws: of as many patients as there are, with replacement.
    """
    names, owner = np.unique(patients, return_inverse=True)
    films_of = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    generator = np.random.default_rng(0)
    values: dict[str, list[float]] = {}
    for _ in range(draws):
        chosen = generator.integers(len(names), size=len(names))
        for name, value in measure(np.concatenate([films_of[i] for i in chosen])).items():
            if not name.endswith("ece"):
                values.setdefault(name, []).append(value)
    found = {}
    for name, drawn in values.items():
        low, high = np.percentile(drawn, (2.5, 97.5))
        found[name] = (float(low), float(high))
    return found


def check_metrics(results: Mapping[str, float]) -> dict[str, float]:
    """The metrics that `DEFINITIONS` has, in its order.

    Errors: ValueError where one is not a number, or no masks can have them.
    """
    for name, value in results.items():
        if not np.isfinite(value):
            raise ValueError(f"{name} is {value}, not a number; measure the network again.")
    if results.get("jaccard", 0) > results.get("dice", 1) + 1e-9:
        raise ValueError(
            f"A Jaccard of {results['jaccard']:.4f} above a Dice of {results['dice']:.4f} is "
            "impossible; measure the network again."
        )
    return {name: results[name] for name in DEFINITIONS if name in results}
