"""How good a network is.

evaluator: `evaluate`. results: what it returns. metrics: all of the paper's. calibration: log-odds
to probabilities. site: a threshold for one hospital. subgroups: by age, view, sex. figures.
"""
