"""Every metric of the paper and its supplement, from probabilities and masks alone; intervals and
paired tests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from multimix.evaluation.outputs import calibrated

AT = 256  # px: the film side that distances are told at
BINS = 15  # of the calibration error
FEW = 10  # patients: of fewer no value can be trusted
DRAWS = 1000  # of the bootstrap

# In the order of the tables: what does not hang on the share of each class comes first.
DEFINITIONS = {
    "auc": "area under the ROC curve of the probability of PNEUMONIA",
    "balanced_accuracy": "mean of sensitivity and specificity",
    "accuracy": "share of films whose more probable class is right (probability 0.5)",
    "sensitivity": "share of PNEUMONIA films called so at 0.5",
    "specificity": "share of NORMAL films called so at 0.5",
    "f1_normal": "harmonic mean of precision and recall of NORMAL at 0.5",
    "f1_pneumonia": "harmonic mean of precision and recall of PNEUMONIA at 0.5",
    "ece": f"expected calibration error: mean |share of PNEUMONIA - mean probability| over {BINS} "
    "equal bins",
    "tuned_accuracy": "accuracy of the calibrated probability: temperature and operating point "
    "from validation films",
    "tuned_balanced_accuracy": "balanced accuracy of the calibrated probability",
    "tuned_ece": "calibration error of the calibrated probability, which takes both classes as "
    "equally frequent",
    "dice": "2 |A and B| / (|A| + |B|) a film at probability 0.5, then the mean; 1 where both are "
    "empty",
    "jaccard": "|A and B| / |A or B| a film, then the mean; 1 where both are empty",
    "precision": "share of the predicted lung that is lung, a film, then the mean; 1 where both "
    "are empty",
    "recall": "share of the lung that is predicted, a film, then the mean; 1 where both are empty",
    "ssim": "structural similarity of the two masks (0 or 1, range 1, Gaussian window of sigma "
    "1.5), then the mean",
    "asd": f"average surface distance, both ways, px at {AT}, then the mean (the paper's 'HD'); "
    "the diagonal where "
    "only one is empty",
    "hd95": f"95th percentile of the surface distances, the larger way, px at {AT}, then the mean",
    "area_difference": "Bland-Altman: mean of predicted minus true lung area, % of the film",
    "area_limits": "Bland-Altman: 1.96 standard deviations of that difference, % of the film",
}
FILM_METRICS = ("dice", "jaccard", "precision", "recall", "ssim", "asd", "hd95")


def classification_metrics(probability: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """From probabilities of PNEUMONIA and labels (1 for it), both (N,). What needs both classes is
    left out of one.
    """
    from multimix.runtime import torchvision_shim  # noqa: F401  (heals torchvision for torchmetrics; both take a second to import)

    # isort: split
    import torch
    from torchmetrics.functional import classification as metrics

    p, y = (
        torch.from_numpy(np.asarray(probability)).double(),
        torch.from_numpy(np.asarray(labels)).long(),
    )
    called = (p >= 0.5).long()
    results = {
        "accuracy": (called == y).double().mean().item(),
        "ece": metrics.binary_calibration_error(p, y, n_bins=BINS, validate_args=False).item(),
    }
    rates = {"specificity": (called[y == 0] == 0).double(), "sensitivity": called[y == 1].double()}
    results |= {name: rate.mean().item() for name, rate in rates.items() if len(rate)}
    if all(len(rate) for rate in rates.values()):
        f1 = metrics.multiclass_f1_score(called, y, 2, average="none", validate_args=False).tolist()
        results |= {
            "auc": metrics.binary_auroc(p, y, validate_args=False).item(),
            "f1_normal": f1[0],
            "f1_pneumonia": f1[1],
            "balanced_accuracy": (results["specificity"] + results["sensitivity"]) / 2,
        }
    return results


def placements(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each film the share of the other class's films that it is ordered right against, (N,); a
    tie is a half.

    Their mean is the AUC, so that AUCs can be compared film by film (DeLong 1988). Both classes are
    needed.
    """
    found, everyone = np.empty(len(labels)), rankdata(probability)
    for label in (0, 1):
        mine = labels == label
        below = (everyone[mine] - rankdata(probability[mine])) / (
            ~mine
        ).sum()  # share of the others, ties half
        found[mine] = below if label else 1 - below
    return found


def overlap(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Dice, Jaccard, precision and recall of each film, (N,), from two stacks of masks (N, H, W)
    bool.
    """
    check_masks(predicted, truth)
    both, a, b = (stack.sum((1, 2)) for stack in (predicted & truth, predicted, truth))

    def share(
        part: np.ndarray, whole: np.ndarray
    ) -> np.ndarray:  # 0 of nothing, but 1 where both are empty
        return np.where(a + b == 0, 1.0, part / np.maximum(whole, 1))

    return {
        "dice": share(2 * both, a + b),
        "jaccard": share(both, a + b - both),
        "precision": share(both, a),
        "recall": share(both, b),
    }


def film_metrics(predicted: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """`FILM_METRICS` of each film, (N,), and 'area' and 'true_area', % of the film; masks are (N,
    H, W) bool.
    """
    from skimage.metrics import structural_similarity

    values = overlap(predicted, truth)
    values["ssim"] = np.array(
        [
            structural_similarity(
                a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
            for a, b in zip(predicted.astype(np.float32), truth.astype(np.float32))
        ]
    )
    distances = np.array([surface_distances(a, b) for a, b in zip(predicted, truth)]).reshape(-1, 2)
    values["asd"], values["hd95"] = distances.T * (AT / predicted.shape[-1])
    values["area"], values["true_area"] = (100 * stack.mean((1, 2)) for stack in (predicted, truth))
    return values


def check_masks(predicted: np.ndarray, truth: np.ndarray) -> None:
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise ValueError(
            f"The predicted masks are {predicted.shape} and the true ones {truth.shape}; two "
            "stacks of "
            "one shape (films, height, width) are needed: resize one of them."
        )


def surface_distances(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Average surface distance and HD95 between two masks (H, W) bool, in pixels.

    A surface is the pixels of a mask that touch its outside by an edge, or the film's border. The
    average is over the pixels of both surfaces; HD95 is the larger of both ways' 95th percentiles.
    (0, 0) where both masks are empty, the film's diagonal where one is.
    """
    surfaces = [mask & ~binary_erosion(mask) for mask in (a, b)]
    if not all(surface.any() for surface in surfaces):
        return (
            (float(np.hypot(*a.shape)),) * 2
            if any(surface.any() for surface in surfaces)
            else (0.0, 0.0)
        )
    ways = [distance_transform_edt(~other)[one] for one, other in (surfaces, surfaces[::-1])]
    return float(np.concatenate(ways).mean()), float(max(np.percentile(way, 95) for way in ways))


def segmentation_metrics(films: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean over films of what `film_metrics` gave, and Bland and Altman's comparison of the
    areas.
    """
    results = {name: float(films[name].mean()) for name in FILM_METRICS}
    difference = films["area"] - films["true_area"]
    results["area_difference"] = float(difference.mean())
    if len(difference) > 1:
        results["area_limits"] = float(1.96 * difference.std(ddof=1))
    return results


def calibrate(margin: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Temperature and operating point from validation films; {} where they have one class only.

    `margin` is the logit of PNEUMONIA minus that of NORMAL, (N,). They are the T and p that make
    sigmoid(margin / T - logit(p)) the most likely where both classes weigh the same (Platt 1999): p
    is the probability after temperature scaling from which a film counts as PNEUMONIA. T is between
    1/4 and 10. Platt's targets keep few films in perfect order from making the network certain.
    """
    ill = (labels == 1).sum()
    well = len(labels) - ill
    if not (ill and well):
        return {}
    target = np.where(labels == 1, (ill + 1) / (ill + 2), 1 / (well + 2))
    weight = np.where(labels == 1, 1 / ill, 1 / well)

    def surprise(at: np.ndarray) -> float:
        z = margin / np.exp(at[0]) - at[1]
        return (weight * (target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z))).sum()

    log_temperature, shift = minimize(surprise, (0.0, 0.0), bounds=(np.log((0.25, 10)), (-8, 8))).x
    return {"temperature": float(np.exp(log_temperature)), "operating_point": float(expit(shift))}


def tuned(
    margin: np.ndarray, labels: np.ndarray, calibration: dict[str, float]
) -> dict[str, float]:
    """The metrics 'tuned_…': with the temperature and at the operating point that `calibrate`
    found.
    """
    found = classification_metrics(expit(calibrated(margin, calibration)), labels)
    return {
        f"tuned_{name}": found[name]
        for name in ("accuracy", "balanced_accuracy", "ece")
        if name in found
    }


def intervals(
    measure: Callable[[np.ndarray], dict[str, float]], patients: tuple[str, ...], draws: int = DRAWS
) -> dict[str, tuple[float, float]]:
    """95% bootstrap interval of each metric: `measure` is given places of films, all those of a
    patient or none.

    As many patients as there are, drawn with replacement, `draws` times, always the same ones;
    percentiles of what came. The calibration error has none: a film drawn twice raises it, so its
    draws lie beside it.
    """
    names, owner = np.unique(patients, return_inverse=True)
    groups = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    generator, found = np.random.default_rng(0), {}
    for _ in range(draws):
        drawn = np.concatenate([groups[i] for i in generator.integers(len(names), size=len(names))])
        for name, value in measure(drawn).items():
            if not name.endswith("ece"):
                found.setdefault(name, []).append(value)
    return {
        name: tuple(float(end) for end in np.percentile(values, (2.5, 97.5)))
        for name, values in found.items()
    }


def possible(results: dict[str, float]) -> dict[str, float]:
    """The same metrics in the order of `DEFINITIONS`; ValueError where no masks can have them or
    one is no number.
    """
    broken = [name for name, value in results.items() if not np.isfinite(value)]
    if broken:
        raise ValueError(
            f"{broken[0]} is {results[broken[0]]}, which is no number; measure the network again."
        )
    if results.get("jaccard", 0) > results.get("dice", 1) + 1e-9:
        raise ValueError(
            f"A Jaccard of {results['jaccard']:.4f} above a Dice of {results['dice']:.4f} is "
            "impossible; "
            "measure the network again."
        )
    return {name: results[name] for name in DEFINITIONS if name in results}
