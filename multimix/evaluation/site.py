"""A threshold for one's own site: a network's calibration fitted to films from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from multimix.data.film_set import Films, FilmSet
from multimix.evaluation.calibration import calibrate
from multimix.evaluation.evaluator import predict_log_odds
from multimix.model import CLASSES, MultiMix

MIN_FILMS = 30  # that a threshold without labels is found in
MIN_LABELLED = 5  # of each class
MIN_SHARE = 0.05  # of the films, on either side of the threshold
MIN_SEPARATION = 0.75  # share of the log-odds' variance that lies between the two groups


@dataclass(frozen=True)
class SiteCalibration:
    """Temperature and operating point for one site, and a sentence about where they come from."""

    values: dict[str, float]
    note: str


def calibrate_to_site(model: MultiMix, films: Films, progress: bool = False) -> SiteCalibration:
    """Fit temperature and operating point to a site's films; `model` stays as it is.

    With labels by `calibrate`. Without, the operating point parts the two groups that the log-odds
    fall into (Otsu 1979), and the temperature stays: it is transductive, made for these very films.

    Arguments:
        model: a network.
        films: what `load_films` gave, at the network's side; all splits are used.
        progress: show a bar.

    Errors: ValueError where there are too few films, or they seem to be of one class.
    """
    part = films.classification
    if part is None:
        raise ValueError("There are no films to calibrate with; give folders of them.")
    if labelled := part.with_labels():
        return from_labels(predict_log_odds(model, labelled, progress).numpy(), labelled)
    return from_groups(predict_log_odds(model, part, progress).numpy(), model.calibration)


def from_labels(log_odds: np.ndarray, films: FilmSet) -> SiteCalibration:
    """From films whose classes are known."""
    counts = films.labels.bincount(minlength=len(CLASSES)).tolist()
    named = ", ".join(f"{count} {name}" for count, name in zip(counts, CLASSES))
    if min(counts) < MIN_LABELLED:
        raise ValueError(
            f"There are {named} with a label; at least {MIN_LABELLED} of each are needed."
        )
    values = calibrate(log_odds, films.labels.numpy())
    return SiteCalibration(values, f"Fitted to {len(films)} labelled films ({named}).")


def from_groups(log_odds: np.ndarray, calibration: dict[str, float]) -> SiteCalibration:
    """From films (N,) whose classes are not known."""
    if len(log_odds) < MIN_FILMS:
        raise ValueError(
            f"There are {len(log_odds)} films without labels; at least {MIN_FILMS} are needed, or "
            "labels: a folder for each class, or a table."
        )
    threshold, separation = otsu_threshold(log_odds)
    above = int((log_odds > threshold).sum())
    below = len(log_odds) - above
    if separation < MIN_SEPARATION or min(above, below) < MIN_SHARE * len(log_odds):
        raise ValueError(
            f"The {len(log_odds)} films without labels do not fall into two groups (separation "
            f"{separation:.2f}; {MIN_SEPARATION} is needed): they seem to be of one class; give "
            "films of both, or labels."
        )
    temperature = calibration.get("temperature", 1.0)
    values = {"temperature": temperature, "operating_point": float(expit(threshold / temperature))}
    return SiteCalibration(
        values,
        f"Fitted without labels to {len(log_odds)} films, of which {below} lie below and {above} "
        "above the threshold. It is made for these very films, and nothing says how often it is "
        "right: check it on films whose class is known.",
    )


def otsu_threshold(values: np.ndarray) -> tuple[float, float]:
    """The cut of numbers (N,) into two groups of the least variance within (Otsu 1979).

    Returns: the cut, and the share of the variance between the groups, in [0, 1]: .64 for one
        normal distribution, .75 for an even one.
    """
    ordered = np.sort(values)
    count, total = len(ordered), ordered.sum()
    below = np.arange(1, count)
    means_below = np.cumsum(ordered)[:-1] / below
    means_above = (total - means_below * below) / (count - below)
    between = below * (count - below) * np.square(means_below - means_above) / count**2
    best = int(between.argmax())
    variance = max(float(ordered.var()), 1e-12)
    return float(ordered[best : best + 2].mean()), float(between[best] / variance)
