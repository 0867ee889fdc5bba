"""How good a network is, and what it says of a film.

evaluator: `evaluate`, `validate`. results: `Results`. metrics: every one, with its definition.
outputs: averaging and post-processing. calibration: probabilities. prediction: `Prediction`.
lungs: right and left. answer_contents, dicom_seg: the files that are written of a prediction.
figures, film_figures, film_pictures, overlay: what is drawn of them.
"""
