"""What an evaluation found: metrics by name, for the terminal, a notebook, JSON and CSV."""

from __future__ import annotations

import html
import json
from pathlib import Path

import numpy as np

from multimix.data.film_set import FilmSet
from multimix.evaluation.metrics import DEFINITIONS, check_metrics
from multimix.evaluation.subgroups import as_lines
from multimix.runtime.files import csv_text, write_text


class Results(dict[str, float]):
    """Metrics by name, as `multimix.evaluation.metrics.DEFINITIONS` explains them.

    Attributes:
        intervals: 95%, by bootstrap over patients.
        baseline: what the larger class, and the mean training mask, score.
        rows: what was found for each film; `evaluate` explains the columns.
        subgroups: what `multimix.evaluation.subgroups.subgroups` gave, if it was asked.
        notes: plain sentences: what was measured, what could not be.
        segmentation: the films with masks; `predicted`: their lungs, (N, side, side) bool.
    """

    def __init__(self) -> None:
        super().__init__()
        self.intervals: dict[str, tuple[float, float]] = {}
        self.baseline: dict[str, float] = {}
        self.rows: list[dict] = []
        self.subgroups: list[dict] = []
        self.notes: list[str] = []
        self.segmentation: FilmSet | None = None
        self.predicted: np.ndarray | None = None

    def __repr__(self) -> str:
        return "\n".join(" ".join(f"{cell:<20}" for cell in row).rstrip() for row in self._cells())

    def _repr_html_(self) -> str:
        header, *rows = self._cells()
        lines = [f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in header)}</tr>"]
        for row in rows:
            lines.append(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>")
        return f"<table>{''.join(lines)}</table>"

    def _cells(self) -> list[tuple[str, str, str, str]]:
        """The table that both show: metric, value, interval, baseline."""
        rows = [("metric", "value", "95% interval", "baseline")]
        for name, value in check_metrics(self).items():
            baseline = f"{self.baseline[name]:.4f}" if name in self.baseline else ""
            rows.append((name, f"{value:.4f}", self.interval(name), baseline))
        return rows

    def interval(self, name: str) -> str:
        """'0.9012 to 0.9377', or '' where a metric has none."""
        if name not in self.intervals:
            return ""
        low, high = self.intervals[name]
        return f"{low:.4f} to {high:.4f}"


def as_table(results: Results) -> str:
    """The metrics with their intervals, baselines and definitions, for the terminal."""
    lines = [*results.notes, ""]
    lines.append(f"{'metric':<30}{'value':>9}   {'95% interval':<18}{'baseline':>9}")
    for name, value in check_metrics(results).items():
        baseline = f"{results.baseline[name]:9.4f}" if name in results.baseline else ""
        lines.append(f"{name:<30}{value:9.4f}   {results.interval(name):<18}{baseline}".rstrip())
        lines.append(f"    {DEFINITIONS[name]}")
    lines += [
        "",
        "Intervals: bootstrap over patients. Baseline: larger class and mean mask of the training "
        "films, or of these where there are no others.",
    ]
    if results.subgroups:
        lines += ["", *as_lines(results.subgroups)]
    return "\n".join(lines)


def as_dict(results: Results) -> dict:
    """Metrics with intervals, baselines and definitions, notes, and films' rows: plain values."""
    metrics = {}
    for name, value in check_metrics(results).items():
        metrics[name] = {
            "value": value,
            "interval": results.intervals.get(name),
            "baseline": results.baseline.get(name),
            "definition": DEFINITIONS[name],
        }
    return {
        "metrics": metrics,
        "notes": results.notes,
        "subgroups": results.subgroups,
        "films": results.rows,
    }


def write_results(results: Results, path: Path, **more: object) -> None:
    """`as_dict`, and `more`, as JSON; the films' rows as CSV beside it."""
    table = table_beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(table, csv_text(results.rows))
    write_text(path, json.dumps({**more, **as_dict(results)}, indent=1))


def table_beside(path: Path) -> Path:
    """Where `write_results` puts the films' rows. ValueError where `path` is not a .json."""
    if path.suffix != ".json":
        raise ValueError(
            f"{path} is asked for as JSON, and the films' table is to lie beside it as .csv; give "
            "a name that ends in .json."
        )
    return path.with_suffix(".csv")
