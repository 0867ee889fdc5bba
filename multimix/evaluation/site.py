"""A threshold for one site: a network's calibration, fitted to labelled films from there."""

from __future__ import annotations

from typing import NamedTuple

from multimix.data.film_set import Films
from multimix.evaluation.calibration import calibrate
from multimix.evaluation.evaluator import predict_log_odds
from multimix.model import CLASSES, MultiMix


class SiteCalibration(NamedTuple):
    """Temperature and operating point for one site, and a sentence on how they were found."""

    values: dict[str, float]
    note: str


def calibrate_to_site(model: MultiMix, films: Films, progress: bool = False) -> SiteCalibration:
    """Fit temperature and operating point to a site's labelled films; `model` does not change.

    Errors: ValueError if the network has not learnt the classes, or there are too few films.
    """
    if "classification" not in model.info.tasks:
        raise ValueError("The network has not learnt classification; take one that has.")
    labelled = films.classification.with_labels() if films.classification else None
    counts = labelled.labels.bincount(minlength=len(CLASSES)).tolist() if labelled else [0, 0]
    named = ", ".join(f"{count} {name}" for count, name in zip(counts, CLASSES))
    if not labelled or min(counts) < 5:
        raise ValueError(
            f"There are {named} films with a label; at least 5 of each are needed: give a folder "
            "for each class, or a table."
        )
    log_odds = predict_log_odds(model, labelled, progress).numpy()
    values = calibrate(log_odds, labelled.labels.numpy())
    return SiteCalibration(values, f"Fitted to {len(labelled)} labelled films ({named}).")
