"""A sweep as tables, one of them the paper's Table 2 with its published figures, and as figures
drawn from those.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections import Counter
from pathlib import Path

from matplotlib.figure import Figure

from multimix.runtime.files import csv_text
from multimix.runtime.files import write_text
from multimix.study.paired_tests import Cell, RunResult, comparisons

Row = dict[str, str]  # of a CSV file

# Table 2 and the supplement: system, class labels, masks, then the figures in the order of COLUMNS.
PUBLISHED = """
unet        none  10    -     -     -     .634  .695  .810  2.899  -     .555  8.691
unet        none  all   -     -     -     .915  .906  .929  .104   -     .838  1.414
enc         100   none  .732  .424  .806  -     -     -     -      .352  -     -
enc_ssl     100   none  .780  .570  .844  -     -     -     -      .402  -     -
umtl        100   10    .707  .443  .797  .626  .871  .908  4.323  .350  .586  7.156
umtl_s      100   10    .704  .358  .806  .922  .848  .891  4.005  .344  .797  5.754
multimix    100   10    .800  .594  .856  .954  .920  .938  .695   .440  .857  1.227
multimix    100   50    .824  .613  .854  .971  .943  .951  .681   .370  .889  1.061
multimix    1000  50    .825  .650  .860  .970  .941  .950  .811   .540  .912  1.293
multimix    all   50    .854  .760  .890  .972  .950  .956  .692   .560  .935  .515
multimix    all   all   .843  .740  .890  .975  .952  .960  .528   .520  .943  .417
"""
# Domain and metric, and how the table's head calls it.
COLUMNS = {
    ("test", "accuracy"): "accuracy",
    ("test", "f1_normal"): "F1-N",
    ("test", "f1_pneumonia"): "F1-P",
    ("test", "dice"): "Dice",
    ("test", "jaccard"): "Jaccard",
    ("test", "ssim"): "SSIM",
    ("test", "asd"): "ASD",
    ("cross", "accuracy"): "cross accuracy",
    ("cross", "dice"): "cross Dice",
    ("cross", "asd"): "cross ASD",
    ("test", "auc"): "AUC",
    ("test", "balanced_accuracy"): "balanced",
    ("cross", "auc"): "cross AUC",
    ("cross", "balanced_accuracy"): "cross balanced",
}
# As the table shows them: what the share of each class does not move comes first.
ORDER = [
    ("test", name)
    for name in (
        "auc",
        "balanced_accuracy",
        "accuracy",
        "f1_normal",
        "f1_pneumonia",
        "dice",
        "jaccard",
        "ssim",
        "asd",
    )
]
ORDER += [("cross", name) for name in ("auc", "balanced_accuracy", "accuracy", "dice", "asd")]


def published() -> dict[tuple[str, str, str], dict[tuple[str, str], float]]:
    """The paper's figures by system, class labels and masks, then by domain and metric."""
    rows = (line.split() for line in PUBLISHED.split("\n") if line)
    return {
        tuple(row[:3]): {
            column: float(value) for column, value in zip(COLUMNS, row[3:]) if value != "-"
        }
        for row in rows
    }


def report(found: list[RunResult], out: Path) -> str:
    """Write `runs.csv`, `comparisons.csv`, `films.csv` and, made from those, `table.md`; its text."""
    write_text(out / "runs.csv", csv_text(run_rows(found, out)))
    write_text(
        out / "comparisons.csv",
        csv_text([{**c._asdict(), "verdict": c.verdict} for c in comparisons(found)]),
    )
    write_text(out / "films.csv", csv_text(film_rows(found)))
    runs = read_rows(out / "runs.csv")
    sides, steps = ({run[name] for run in runs} for name in ("side", "steps"))
    text = f"""# {len(runs)} runs: {", ".join(sorted(sides))} px, {", ".join(sorted(steps))} steps each

{table(runs)}

Means ± standard deviations over seeds; ASD in px at 256.

## Which parts helped

{verdicts(read_rows(out / "comparisons.csv"))}

A part helped or harmed where Wilcoxon's signed-rank test over patients gives p < 0.05, adjusted for the number of
lines (Benjamini and Hochberg), the interval (bootstrap over patients) leaves 0 out, and all seeds agree. Test and
interval tell of other films, not of other trainings: the seeds have to show those.
"""
    write_text(out / "table.md", text)
    return text


def run_rows(found: list[RunResult], out: Path) -> list[dict]:
    """One row for each run: what it was, every metric of every domain, the command that repeats it,
    its config.
    """
    return [
        {
            "run": run.job.name,
            "system": run.job.system,
            "recipe": run.job.recipe,
            "class_labels": run.job.budget[0],
            "masks": run.job.budget[1],
            "seed": run.job.config.seed,
            "side": run.job.config.side,
            "steps": run.job.config.steps,
            **{
                f"{domain}_{name}": round(value, 5)
                for domain, metrics in run.metrics.items()
                for name, value in metrics.items()
            },
            "command": run.job.command(out),
            "config": json.dumps(run.job.config.as_dict()),
        }
        for run in found
    ]


def film_rows(found: list[RunResult]) -> list[dict]:
    """One row for each film: its Dice, or its probability of PNEUMONIA, in each run."""
    films: dict[tuple[str, ...], dict] = {}
    for run in found:
        for domain, rows in run.rows.items():
            for row in rows:
                what = {
                    "domain": domain,
                    **{name: row.get(name, "") for name in ("task", "film", "patient", "label")},
                }
                value = row["dice" if row["task"] == "segmentation" else "probability"]
                films.setdefault(tuple(what.values()), what)[run.job.name] = round(value, 4)
    return list(films.values())


def read_rows(path: Path) -> list[Row]:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def by_cell(runs: list[Row]) -> dict[Cell, list[Row]]:
    """The rows of `runs.csv` that differ in their seeds alone."""
    groups: dict[Cell, list[Row]] = {}
    for run in runs:
        groups.setdefault(Cell(*(run[name] for name in Cell._fields)), []).append(run)
    return groups


def values(rows: list[Row], name: str) -> list[float]:
    """What a column holds, where it holds something."""
    return [float(row[name]) for row in rows if row.get(name)]


def spread(numbers: list[float]) -> str:
    """'.812 ± .010', or the one number."""
    text = f"{statistics.mean(numbers):.3f}"
    return text + (f" ± {statistics.stdev(numbers):.3f}" if len(numbers) > 1 else "")


def table(runs: list[Row]) -> str:
    """Markdown, of the rows of `runs.csv`: for each cell our mean ± standard deviation over seeds,
    and the paper's.
    """
    groups, paper = by_cell(runs), published()
    shown = [c for c in ORDER if any(values(rows, "_".join(c)) for rows in groups.values())]
    lines = [["system", "class labels", "masks", "", *(COLUMNS[c] for c in shown)]]
    impossible = False
    for cell, rows in groups.items():
        ours = [
            spread(numbers) if (numbers := values(rows, "_".join(column))) else ""
            for column in shown
        ]
        seeds = f"ours, {len(rows)} seed{'s' * (len(rows) > 1)}"
        lines.append([cell.label, cell.class_labels, cell.masks, seeds, *ours])
        if cell.recipe == "paper" and (
            theirs := paper.get((cell.system, cell.class_labels, cell.masks))
        ):
            mark = (
                "†" if theirs.get(("test", "jaccard"), 0) > theirs.get(("test", "dice"), 1) else ""
            )
            impossible |= bool(mark)
            lines.append(
                [
                    "",
                    "",
                    "",
                    "paper",
                    *(
                        f"{theirs[c]:.3f}{mark if c == ('test', 'jaccard') else ''}"
                        if c in theirs
                        else ""
                        for c in shown
                    ),
                ]
            )
    note = "\n\n† As published; no masks can have a Jaccard above their Dice." if impossible else ""
    return markdown(lines) + note


def verdicts(compared: list[Row]) -> str:
    """Markdown, of the rows of `comparisons.csv`: whether each part of the method helped."""
    lines = [
        [
            "part",
            "off",
            "on",
            "class labels / masks",
            "films",
            "metric",
            "on - off",
            "95% interval",
            "p",
            "seeds that agree",
            "",
        ]
    ]
    for row in compared:
        difference, low, high, p = (float(row[name]) for name in ("difference", "low", "high", "p"))
        lines.append(
            [
                row["part"],
                row["off"],
                row["on"],
                f"{row['class_labels']} / {row['masks']}",
                row["domain"],
                row["metric"],
                f"{difference:+.4f}",
                f"{low:+.4f} to {high:+.4f}",
                f"{p:.2g}",
                f"{row['agreeing']} of {row['seeds']}",
                f"**{row['verdict']}**",
            ]
        )
    return markdown(lines)


def markdown(lines: list[list[str]]) -> str:
    return "\n".join(
        f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    )


def draw(out: Path) -> dict[str, Figure]:
    """Every figure that the folder's `runs.csv`, `films.csv` and the logs of its runs allow, by
    name.
    """
    from multimix.study import figures as plot

    groups, films = by_cell(read_rows(out / "runs.csv")), read_rows(out / "films.csv")
    figures = {}
    for domain, which in (("test", "test film"), ("cross", "film from elsewhere")):
        there = [
            film for film in films if (film["domain"], film["task"]) == (domain, "segmentation")
        ]
        dice = {
            str(cell): means for cell, runs in groups.items() if (means := film_means(there, runs))
        }
        if dice:
            figures[f"dice_{domain}"] = plot.plot_boxes(
                dice, f"Dice of each {which}, mean over seeds"
            )
        pairs = [
            (a, b) for b in dice if b.startswith("multimix ") for a in dice if a.startswith("umtl ")
        ]
        for first, second in pairs[:1]:
            figures[f"scatter_{domain}"] = plot.plot_scatter(
                dice[first], dice[second], first, second, f"Dice of each {which}"
            )
    for metric, budget in (("auc", "class_labels"), ("dice", "masks")):
        title = COLUMNS["test", metric]
        if lines := budget_curves(groups, metric, budget):
            figures[f"budget_{metric}"] = plot.plot_lines(
                lines, f"Test {title} by label budget", budget.replace("_", " "), title
            )
        logs = {
            str(cell): curve
            for cell, runs in groups.items()
            if (curve := log_means(runs, out, f"val_{metric}"))
        }
        if logs:
            figures[f"training_{metric}"] = plot.plot_lines(
                logs, f"Validation {title}, mean over seeds", "step", title
            )
    return figures


def budget_curves(
    groups: dict[Cell, list[Row]], metric: str, budget: str
) -> dict[str, list[tuple[str, float]]]:
    """A test metric, mean over seeds, against the number of `class_labels` or `masks`, where there
    are several.

    A line for each system; several, one for each other budget, where a system has all pairs of the
    two.
    """
    points = Counter((cell.label, getattr(cell, budget)) for cell in groups)
    crossed = {label for (label, _), count in points.items() if count > 1}
    lines: dict[str, list[tuple[str, float]]] = {}
    for cell, rows in groups.items():
        here, other = (
            getattr(cell, budget),
            {"class_labels": f"{cell.masks} masks", "masks": f"{cell.class_labels} class labels"}[
                budget
            ],
        )
        if here != "none" and (numbers := values(rows, f"test_{metric}")):
            name = f"{cell.label}, {other}" if cell.label in crossed else cell.label
            lines.setdefault(name, []).append((here, statistics.mean(numbers)))
    longest_first = sorted(
        lines.items(), key=lambda line: -len(line[1])
    )  # has the words across in their order
    return {name: points for name, points in longest_first if len(points) > 1}


def film_means(films: list[Row], runs: list[Row]) -> list[float]:
    """Each film's value, mean over these runs, in the order of `films.csv`."""
    found = [[float(film[run["run"]]) for run in runs if film.get(run["run"])] for film in films]
    return [statistics.mean(numbers) for numbers in found if numbers]


def log_means(runs: list[Row], out: Path, column: str) -> list[tuple[int, float]]:
    """A column of the runs' logs against the step, mean over seeds."""
    by_step: dict[int, list[float]] = {}
    for run in runs:
        path = out / run["run"] / "log.csv"
        for row in read_rows(path) if path.exists() else ():
            if row.get(column):
                by_step.setdefault(int(row["step"]), []).append(float(row[column]))
    return [(step, statistics.mean(numbers)) for step, numbers in sorted(by_step.items())]
