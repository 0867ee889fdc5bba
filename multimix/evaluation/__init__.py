"""How good a network is, and what it says of a film.

evaluator: `evaluate`, `validate`. results: `Results`. metrics: every one, with its definition.
outputs: averaging and post-processing. calibration: probabilities. prediction: `Prediction`.
figures, film_figures, film_pictures: what is drawn of them.
"""
