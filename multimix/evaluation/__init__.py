"""How good a network is: metrics, calibration, subgroups, figures; `evaluator` has `evaluate`."""
