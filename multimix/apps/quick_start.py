"""The end of the first training: how well the network does on the test films."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from multimix.data.film_set import Films
from multimix.evaluation.evaluator import evaluate
from multimix.model import MultiMix


def show_test(model: MultiMix, films: Films, out: Path) -> None:
    """Print the test films' AUC, accuracy and Dice, and draw eight of them with their lungs."""
    import matplotlib.pyplot as plt  # slow to import

    from multimix.evaluation.figures import PREDICTED, TRUE, draw_film, draw_outline, save_figure

    results = evaluate(model, films, "test")
    names = [name for name in ("auc", "accuracy", "dice") if name in results]
    print(f"test films: {', '.join(f'{name} {results[name]:.3f}' for name in names)}")
    if (measured := results.segmentation) is None or results.predicted is None:
        return
    figure, axes = plt.subplots(2, 4, figsize=(12, 6.4), layout="constrained")
    chosen = np.linspace(0, len(measured) - 1, min(8, len(measured))).astype(int).tolist()
    for axis, index in zip(axes.flat, chosen):
        draw_film(axis, measured.pixels[index].numpy())
        draw_outline(axis, measured.masks[index].numpy(), TRUE)
        draw_outline(axis, results.predicted[index], PREDICTED)
        axis.set_title(measured.names[index], parse_math=False, fontsize=8)
    for axis in axes.flat:
        axis.set_axis_off()
    picture = save_figure(figure, out / "test_films.png")
    print(f"Eight of them, with true (green) and found (red) outlines: {picture}")
