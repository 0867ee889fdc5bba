"""Calibration: from log-odds to calibrated probabilities."""

import math
from typing import Any

import numpy as np
import scipy


def calibrate(log_odds: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Temperature T and operating point p from validation films; {} if they are of one class.

    They maximise the likelihood of sigmoid(log_odds / T - logit(p)), with equal weight for both
    classes, and with Platt's targets (1999): few films in perfect order do not make the network
    certain. p is the probability after temperature scaling from which a film is PNEUMONIA.
    `log_odds` (N,): logit of PNEUMONIA minus that of NORMAL; `labels` (N,): 1 for PNEUMONIA.
    """
    positives = (labels == 1).sum()
    negatives = len(labels) - positives
    if not (positives and negatives):
        return {}
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = np.where(labels == 1, 1 / positives, 1 / negatives)

    def loss(parameters: np.ndarray) -> float:
        z = log_odds / np.exp(parameters[0]) - parameters[1]
        return (weight * (target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z))).sum()

    bounds = (np.log((0.25, 10)), (-8, 8))
    log_temperature, shift = scipy.optimize.minimize(loss, (0.0, 0.0), bounds=bounds).x
    point = float(scipy.special.expit(shift))
    return {"temperature": float(np.exp(log_temperature)), "operating_point": point}


def calibrated_log_odds(log_odds: Any, calibration: dict[str, float]) -> Any:
    """Log-odds, an array or tensor, after temperature scaling; 0 is the operating point.

    Their sigmoid is the probability of PNEUMONIA if both classes are equally frequent.
    """
    if not calibration:
        return log_odds
    point = calibration["operating_point"]
    return log_odds / calibration["temperature"] - math.log(point / (1 - point))
