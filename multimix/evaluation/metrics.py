"""Every metric of the paper and its supplement, from probabilities, log-odds and masks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy

REFERENCE_SIDE = 256  # px: distances are given at this film side
BINS = 15  # of the calibration error

# In the order of the tables: `predict`, what no threshold changes, raw probabilities, lungs.
DEFINITIONS = {
    "calibrated_sensitivity": "share of PNEUMONIA films that predict labels PNEUMONIA",
    "calibrated_specificity": "share of NORMAL films that predict labels NORMAL",
    "calibrated_accuracy": "share of films that predict labels correctly",
    "calibrated_balanced_accuracy": "mean of calibrated sensitivity and specificity",
    "auc": "area under the ROC curve of the probability of PNEUMONIA",
    "average_precision": "mean precision of PNEUMONIA over its recall, film by film",
    "sensitivity_at_90": "largest sensitivity of a threshold with a specificity of at least 0.9",
    "calibrated_brier": "Brier score of the calibrated probability",
    "calibrated_ece": "calibration error of the calibrated probability (classes equally frequent)",
    "sensitivity": "share of PNEUMONIA films with a raw probability of 0.5 or more",
    "specificity": "share of NORMAL films with a raw probability below 0.5",
    "accuracy": "share of films with the correct class at raw probability 0.5",
    "balanced_accuracy": "mean of sensitivity and specificity at raw probability 0.5",
    "f1_normal": "harmonic mean of precision and recall of NORMAL at raw probability 0.5",
    "f1_pneumonia": "harmonic mean of precision and recall of PNEUMONIA at raw probability 0.5",
    "brier": "mean squared difference of the raw probability of PNEUMONIA from 0 or 1",
    "ece": f"mean |share of PNEUMONIA - mean raw probability| over {BINS} equal bins",
    "dice": "2 |A and B| / (|A| + |B|) of each film at 0.5, then the mean; 1 if both are empty",
    "jaccard": "|A and B| / |A or B| of each film, then the mean; 1 if both are empty",
    "precision": "share of the predicted lung that is lung, then the mean; 1 if both are empty",
    "recall": "share of the lung that is predicted, then the mean; 1 if both are empty",
    "ssim": "structural similarity of the two masks (range 1, Gaussian sigma 1.5), then the mean",
    "asd": "average surface distance, both ways, px at 256, then the mean (the paper's 'HD')",
    "hd95": "95th percentile of the surface distances, the larger way, px at 256, then the mean",
    "area_difference": "Bland-Altman: mean of predicted minus true lung area, % of the film",
    "area_limits": "Bland-Altman: 1.96 standard deviations of that difference, % of the film",
}
CALIBRATED = ("sensitivity", "specificity", "accuracy", "balanced_accuracy", "brier", "ece")
RAW = (*CALIBRATED, "f1_normal", "f1_pneumonia")  # metrics that the calibration would change
FILM_METRICS = ("dice", "jaccard", "precision", "recall", "ssim", "asd", "hd95")


def classification_metrics(probability: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """AUC, accuracies, rates and F1 at 0.5, Brier score; those that need both classes only then.

    `probability` (N,) is of PNEUMONIA; `labels` (N,) are 1 for PNEUMONIA, 0 for NORMAL.
    scikit-learn takes ten times as long in a bootstrap.
    """
    positive, called = labels == 1, probability >= 0.5
    in_bin = np.minimum((probability * BINS).astype(int), BINS - 1)  # Naeini 2015
    tn, fp, fn, tp = np.bincount(2 * positive + called, minlength=4).tolist()
    found = {
        "accuracy": (tp + tn) / len(labels),
        "brier": float(np.square(probability - positive).mean()),
        "ece": float(np.abs(np.bincount(in_bin, labels - probability)).sum() / len(labels)),
    }
    if tn + fp:
        found["specificity"] = tn / (tn + fp)
    if tp + fn:
        found["sensitivity"] = tp / (tp + fn)
    if (tn + fp) and (tp + fn):
        true, false = counts_at_thresholds(probability, positive)
        recall, gains = true / true[-1], np.diff(true, prepend=0) / true[-1]
        false_rate = false / false[-1]
        # AUC: each gain in recall times the false rate, its mean over the step.
        found |= {
            "auc": 1 - float((gains * (false_rate + np.append(0, false_rate)[:-1])).sum()) / 2,
            "average_precision": float((gains * true / (true + false)).sum()),
            "sensitivity_at_90": float(recall[false_rate <= 0.1 + 1e-9].max(initial=0)),
            "f1_normal": 2 * tn / max(2 * tn + fp + fn, 1),
            "f1_pneumonia": 2 * tp / max(2 * tp + fp + fn, 1),
            "balanced_accuracy": (found["specificity"] + found["sensitivity"]) / 2,
        }
    return found


def counts_at_thresholds(probability: np.ndarray, positive: np.ndarray) -> list[np.ndarray]:
    """Numbers of true and of false positives, (M,), as the threshold falls over M values."""
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.diff(probability[order]) != 0, True)
    return [np.cumsum(films[order])[ends] for films in (positive, ~positive)]


def placements(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each film, the share of the other class's films that are ordered right against it, (N,).

    A tie counts a half. Their mean is the AUC (DeLong 1988). Films of both classes are needed.
    """
    found, ranks = np.empty(len(labels)), scipy.stats.rankdata(probability)
    for label in (0, 1):
        same = labels == label
        others = len(labels) - same.sum()
        below = (ranks[same] - scipy.stats.rankdata(probability[same])) / others
        found[same] = below if label else 1 - below
    return found


def overlap(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Dice, Jaccard, precision and recall of each film, (N,), from masks (N, H, W) bool."""
    both, a, b = (stack.sum((1, 2)) for stack in (predicted & truth, predicted, truth))

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.where(a + b == 0, 1.0, part / np.maximum(whole, 1))

    return {
        "dice": share(2 * both, a + b),
        "jaccard": share(both, a + b - both),
        "precision": share(both, a),
        "recall": share(both, b),
    }


def film_metrics(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """`FILM_METRICS`, 'area' and 'true_area' (% of the film), (N,), from masks (N, H, W) bool."""
    from skimage.metrics import structural_similarity  # slow to import

    values = overlap(predicted, truth)
    window = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)
    floats = zip(predicted.astype(np.float32), truth.astype(np.float32))
    values["ssim"] = np.array([structural_similarity(a, b, **window) for a, b in floats])
    distances = np.array([surface_distances(a, b) for a, b in zip(predicted, truth)])
    values["asd"], values["hd95"] = distances.T * (REFERENCE_SIDE / predicted.shape[-1])
    values["area"], values["true_area"] = (100 * stack.mean((1, 2)) for stack in (predicted, truth))
    return values


def surface_distances(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Average surface distance and HD95 between two masks (H, W) bool, in pixels.

    A surface is the pixels of a mask that share an edge with its outside or with the film's border.
    The average is over both surfaces; HD95 is the larger of the two 95th percentiles. (0, 0) if
    both masks are empty, the film's diagonal if one is.
    """
    if not (a.any() and b.any()):
        distance = float(np.hypot(*a.shape)) if a.any() or b.any() else 0.0
        return distance, distance
    of_a, of_b = (mask & ~scipy.ndimage.binary_erosion(mask) for mask in (a, b))
    to_b = scipy.ndimage.distance_transform_edt(~of_b)[of_a]
    to_a = scipy.ndimage.distance_transform_edt(~of_a)[of_b]
    hd95 = max(np.percentile(to_b, 95), np.percentile(to_a, 95))
    return float(np.concatenate([to_b, to_a]).mean()), float(hd95)


def segmentation_metrics(films: Mapping[str, np.ndarray], index: Any = ...) -> dict[str, float]:
    """Means of `film_metrics` over the films of `index`, and Bland and Altman's of their areas."""
    films = {name: values[index] for name, values in films.items()}
    results = {name: float(films[name].mean()) for name in FILM_METRICS}
    difference = films["area"] - films["true_area"]
    results["area_difference"] = float(difference.mean())
    if len(difference) > 1:
        results["area_limits"] = float(1.96 * difference.std(ddof=1))
    return results


def intervals(
    measure: Callable[[np.ndarray], dict[str, float]], patients: Sequence[str], draws: int = 1000
) -> dict[str, tuple[float, float]]:
    """95% bootstrap interval of each metric, over patients, with a fixed seed.

    `measure` gives the metrics of films, from their indices (M,); all films of a patient are drawn
    together. The calibration error has no interval: a film that is drawn twice raises it.
    """
    names, owner = np.unique(patients, return_inverse=True)
    films_of = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    choices = np.random.default_rng(0).integers(len(names), size=(draws, len(names)))
    drawn = [measure(np.concatenate([films_of[i] for i in chosen])) for chosen in choices]
    ends = pd.DataFrame(drawn).quantile([0.025, 0.975])
    return {name: tuple(ends[name].tolist()) for name in ends if not name.endswith("ece")}
