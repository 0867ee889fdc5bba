"""How good a network is.

evaluator: `evaluate`, and a threshold for one hospital. results: what it returns; subgroups by age,
view, sex. metrics: all of the paper's. calibration: log-odds to probabilities. figures.
"""
