"""The results of an evaluation: metrics by name, for the terminal, a notebook, JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from multimix.data.film_set import FilmSet
from multimix.evaluation.metrics import DEFINITIONS, RAW
from multimix.runtime.files import write_text


class Results(dict[str, float]):
    """Metrics by name; `multimix.evaluation.metrics.DEFINITIONS` explains each.

    A network with a calibration has two sets: 'calibrated_accuracy' is that of `predict`, and
    'accuracy' that of the raw probability, which the tables show as 'raw_accuracy'.

    Attributes:
        intervals: 95%, by bootstrap over patients.
        baseline: the metrics of the share of PNEUMONIA in the training split, as each film's
            probability, and of the mean training mask; without training films, and for the splits
            'train' and 'all', of the measured films.
        rows: one for each film. `probability` (of PNEUMONIA) and `correct` are those of `predict`;
            `raw_probability` and `raw_correct` are without calibration.
        subgroups: the output of `multimix.evaluation.subgroups.subgroups`, if it was used.
        notes: plain sentences: which films were measured, and what could not be measured.
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
        """A line for the head, then one for each metric: value, interval, baseline."""
        form = "{:<30}{:>9}   {:<20}{:>9}".format
        lines = [form("metric", "value", "95% interval", "baseline")]
        for name, value in self.items():
            raw = name in RAW and "calibrated_accuracy" in self
            baseline = f"{self.baseline[name]:.4f}" if name in self.baseline else ""
            interval = " to ".join(f"{end:.4f}" for end in self.intervals.get(name, ()))
            shown = f"raw_{name}" if raw else name
            lines.append(form(shown, f"{value:.4f}", interval, baseline).rstrip())
        return "\n".join(lines)


def as_table(results: Results) -> str:
    """The notes, and the metrics with their definitions, for the terminal."""
    head, *rows = repr(results).splitlines()
    lines = [*results.notes, "", head]
    for row, name in zip(rows, results):
        lines += [row, f"    {DEFINITIONS[name]}"]
    lines += ["", "Intervals: bootstrap over patients. Baseline: more frequent class and mean mask"]
    lines += ["of the training films; without training films, of these."]
    if results.subgroups:
        groups = pd.DataFrame(results.subgroups)
        forms = {"auc_interval": lambda ends: "{:.3f} to {:.3f}".format(*ends)}
        style = {"float_format": "{:.3f}".format, "na_rep": "", "index": False}
        lines += ["", groups.to_string(formatters=forms, **style)]
    return "\n".join(lines)


def write_results(results: Results, path: Path, **more: object) -> None:
    """Write all results, and `more`, as JSON, and the rows as CSV; errors: `table_beside`."""
    found: dict[str, Mapping] = {"value": results, "interval": results.intervals}
    found |= {"baseline": results.baseline, "definition": DEFINITIONS}
    metrics = {name: {key: values.get(name) for key, values in found.items()} for name in results}
    content = {"metrics": metrics, "notes": results.notes, "subgroups": results.subgroups}
    table = table_beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(table, pd.DataFrame(results.rows).to_csv(index=False, lineterminator="\r\n"))
    write_text(path, json.dumps({**more, **content, "films": results.rows}, indent=1))


def table_beside(path: Path) -> Path:
    """The CSV file that `write_results` writes beside a .json.

    Errors: ValueError if `path` does not end in .json, or a file that is not the output of an
        evaluation would be overwritten.
    """
    if path.suffix != ".json":
        raise ValueError(f"{path} does not end in .json; give a name that does.")
    table = path.with_suffix(".csv")
    try:
        # A pipe would wait for somebody to write to it.
        ours = path.is_file() and {"metrics", "films"} <= json.loads(path.read_bytes()).keys()
    except (ValueError, AttributeError):
        ours = False
    for file in (path, table):
        if file.exists() and not ours:
            raise ValueError(f"{file} is not the output of an evaluation; give another name.")
    return table
