"""Calibration: from log-odds to probabilities that can be believed."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import scipy
import torch
from torch import Tensor

Numbers = TypeVar("Numbers", np.ndarray, Tensor)


def calibrate(log_odds: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Temperature and operating point from validation films; {} where they have one class only.

    They are the T and p that make sigmoid(log_odds / T - logit(p)) the most likely where both
    classes weigh the same (Platt 1999): p is the probability after temperature scaling from which a
    film counts as PNEUMONIA. Platt's targets keep few films in perfect order from making the
    network certain.

    Arguments:
        log_odds: (N,) logit of PNEUMONIA minus that of NORMAL.
        labels: (N,), 1 for PNEUMONIA.

    Returns: 'temperature', in [1/4, 10], and 'operating_point', in (0, 1).
    """
    positives = (labels == 1).sum()
    negatives = len(labels) - positives
    if not (positives and negatives):
        return {}
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = np.where(labels == 1, 1 / positives, 1 / negatives)

    def nll(parameters: np.ndarray) -> float:
        log_temperature, shift = parameters
        z = log_odds / np.exp(log_temperature) - shift
        return (weight * (target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z))).sum()

    bounds = (np.log((0.25, 10)), (-8, 8))
    log_temperature, shift = scipy.optimize.minimize(nll, (0.0, 0.0), bounds=bounds).x
    return {
        "temperature": float(np.exp(log_temperature)),
        "operating_point": float(scipy.special.expit(shift)),
    }


def calibrated_log_odds(log_odds: Numbers, calibration: dict[str, float]) -> Numbers:
    """Log-odds after temperature scaling, moved so that 0 is the operating point.

    Their sigmoid is the probability of PNEUMONIA where both classes are equally frequent. Unchanged
    without a calibration.
    """
    if not calibration:
        return log_odds
    point = calibration["operating_point"]
    return log_odds / calibration["temperature"] - math.log(point / (1 - point))


def class_probabilities(class_logits: Tensor, calibration: dict[str, float]) -> Tensor:
    """Calibrated probabilities of NORMAL and PNEUMONIA, (N, 2), from the logits, (N, 2)."""
    normal, pneumonia = class_logits.unbind(1)
    log_odds = calibrated_log_odds(pneumonia - normal, calibration)
    return torch.sigmoid(torch.stack([-log_odds, log_odds], 1))
