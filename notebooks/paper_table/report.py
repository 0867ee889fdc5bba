"""The paper's table and tests for a folder of your own sweep.

    python -m notebooks.paper_table.report FOLDER

It reads runs.csv and films.csv, and writes comparisons.csv, table.md and figures as PNG there.
"""

import sys
from pathlib import Path

from notebooks.paper_table.figures import draw_figures, plot_verdicts
from notebooks.paper_table.paired_tests import comparisons
from notebooks.paper_table.tables import read_table, results_table, verdicts_table


def main(folder: Path) -> None:
    """Write the report of one folder."""
    runs, films = read_table(folder / "runs.csv"), read_table(folder / "films.csv")
    compared = comparisons(runs, films)
    compared.to_csv(folder / "comparisons.csv", index=False, lineterminator="\r\n")
    paragraphs = [
        f"# {len(runs)} runs",
        results_table(runs),
        "Means ± standard deviations over seeds; ASD in px at 256.",
        "## Which parts helped",
        verdicts_table(compared),
        "A part helped or harmed if p < 0.05, adjusted for the number of lines. Notebook 05 "
        "explains the test.",
    ]
    (folder / "table.md").write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    figures = draw_figures(folder)
    if len(compared):
        figures["verdicts"] = plot_verdicts(compared)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=90)
    print("Written:", folder / "comparisons.csv", folder / "table.md", *figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
