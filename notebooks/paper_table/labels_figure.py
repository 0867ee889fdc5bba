"""The README's figure: how good the class and the lungs are with few and with many labels.

    python -m notebooks.paper_table.labels_figure

It reads runs.csv and published.csv, and writes labels.png beside them.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from notebooks.paper_table.tables import read_table

HERE = Path(__file__).parent
PANELS = {  # a metric: its title, the budget that it depends on, and how many 'all' are
    "test_accuracy": ("accuracy of the class (Kermany's test films)", "class_labels", 5216),
    "test_dice": ("Dice of the lungs (JSRT's test films)", "masks", 111),
    "cross_dice": ("Dice at another hospital (Montgomery)", "masks", 111),
}
RECIPES = {  # colour and marker
    "the paper's figures": ("#000000", "s"),
    "paper": ("#E69F00", "o"),
    "quick": ("#0072B2", "^"),
    "improved": ("#009E73", "D"),
}
NAMES = {
    "paper": "MultiMix, shortened (128 px, 1,200 steps)",
    "quick": "MultiMix, quick",
    "improved": "MultiMix, improved",
}


def plot_panel(axis: Axes, runs: pd.DataFrame, metric: str) -> None:
    """Mean and standard deviation over seeds against the number of labels, by recipe."""
    title, budget, everything = PANELS[metric]
    for recipe, (colour, marker) in RECIPES.items():
        rows = runs[runs["recipe"] == recipe].dropna(subset=[metric])
        counts = rows[budget].replace("all", str(everything)).astype(int)
        found = rows.groupby(counts)[metric].agg(["mean", "std"]).fillna(0)
        line = "--" if recipe not in NAMES else "-"
        axis.errorbar(
            found.index, found["mean"], found["std"], label=NAMES.get(recipe, recipe),
            color=colour, marker=marker, linestyle=line, capsize=3,
        )  # fmt: skip
    axis.set_xscale("log")
    ticks = [100, 1000, everything] if budget == "class_labels" else [10, 50, everything]
    axis.set_xticks(ticks, [*map(str, ticks[:-1]), f"all {everything}"])
    axis.minorticks_off()
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("films with a class" if budget == "class_labels" else "films with a mask")
    axis.grid(alpha=0.3)


def main() -> None:
    ours = read_table(HERE / "runs.csv")
    published = read_table(HERE / "published.csv").assign(recipe="the paper's figures")
    runs = pd.concat([ours, published])
    pairs = runs["class_labels"].str.cat(runs["masks"], "/")
    runs = runs[pairs.isin(["100/10", "1000/50", "all/all"]) & (runs["system"] == "multimix")]
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for axis, metric in zip(axes, PANELS):
        plot_panel(axis, runs, metric)
    title = "bars: standard deviation of two to five trainings"
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, title=title, loc="outside lower center", ncols=4, fontsize=9)
    figure.savefig(HERE / "labels.png", dpi=80)


if __name__ == "__main__":
    main()
