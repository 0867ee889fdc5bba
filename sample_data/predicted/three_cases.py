"""Draw the picture at the top of the main README: `python sample_data/predicted/three_cases.py`."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

import multimix
from multimix.evaluation.figures import CURVE, TRUE, draw_film, draw_outline

HERE = Path(__file__).parent.parent
CASES = ("child_normal_1.jpg", "child_viral.jpg", "child_normal_2.jpg")

table = pd.read_csv(HERE / "films.csv", index_col="path")
model = multimix.load_model(device="cpu")
predictions = [multimix.predict(model, HERE / name) for name in CASES]
widths = [p.film.shape[1] / p.film.shape[0] for p in predictions]  # so that heights are equal
figure, axes = plt.subplots(1, 3, figsize=(12, 3.9), layout="constrained", width_ratios=widths)
for axis, name, p in zip(axes, CASES, predictions):
    truth = table["truth"][name]
    draw_film(axis, p.film)
    draw_outline(axis, np.array(Image.open(HERE / table["mask"][name])) > 0, TRUE)
    draw_outline(axis, p.mask, CURVE)
    verdict = "right" if p.label == truth else "WRONG"
    title = f"predicted {p.label} ({p.probability:.2f})\ntruth {truth}: {verdict}"
    axis.set_title(title, fontsize=13, color="black" if p.label == truth else "#D55E00")
    axis.set_axis_off()
figure.supxlabel("lungs: network blue, by hand green", fontsize=13)
figure.savefig(HERE / "predicted" / "three_cases.jpg", dpi=85, pil_kwargs={"quality": 85})
