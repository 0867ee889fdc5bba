"""A sweep as the paper's Table 2, with its published figures, and as figures."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

from multimix.checkpoint import write_text
from multimix.compare import Found, cells, comparisons, film_values
from multimix.evaluate import as_csv
from multimix.sweep import Job

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
COLUMNS = {("test", "accuracy"): "accuracy", ("test", "f1_normal"): "F1-N", ("test", "f1_pneumonia"): "F1-P",
           ("test", "dice"): "Dice", ("test", "jaccard"): "Jaccard", ("test", "ssim"): "SSIM", ("test", "asd"): "ASD",
           ("cross", "accuracy"): "cross accuracy", ("cross", "dice"): "cross Dice", ("cross", "asd"): "cross ASD",
           ("test", "auc"): "AUC", ("test", "balanced_accuracy"): "balanced", ("cross", "auc"): "cross AUC",
           ("cross", "balanced_accuracy"): "cross balanced"}
# As the table shows them: what the share of each class does not move comes first.
ORDER = [("test", name) for name in ("auc", "balanced_accuracy", "accuracy", "f1_normal", "f1_pneumonia", "dice",
                                     "jaccard", "ssim", "asd")]
ORDER += [("cross", name) for name in ("auc", "balanced_accuracy", "accuracy", "dice", "asd")]
def published() -> dict[tuple[str, str, str], dict[tuple[str, str], float]]:
    """The paper's figures by system, class labels and masks, then by domain and metric."""
    rows = (line.split() for line in PUBLISHED.split("\n") if line)
    return {tuple(row[:3]): {column: float(value) for column, value in zip(COLUMNS, row[3:]) if value != "-"}
            for row in rows}


def values(runs: list[Found], column: tuple[str, str]) -> list[float]:
    domain, metric = column
    return [run.metrics[domain][metric] for run in runs if metric in run.metrics.get(domain, {})]


def spread(numbers: list[float]) -> str:
    """'.812 ± .010', or the one number."""
    text = f"{statistics.mean(numbers):.3f}"
    return text + (f" ± {statistics.stdev(numbers):.3f}" if len(numbers) > 1 else "")


def table(found: list[Found]) -> str:
    """Markdown: for each cell our mean ± standard deviation over seeds, and what the paper says."""
    groups, paper = cells(found), published()
    shown = [c for c in ORDER if any(values(runs, c) for runs in groups.values())]
    head = ["system", "class labels", "masks", "", *(COLUMNS[c] for c in shown)]
    lines = [head, ["---"] * len(head)]
    impossible = False
    for cell, runs in groups.items():
        ours = [spread(numbers) if (numbers := values(runs, column)) else "" for column in shown]
        lines.append([*cell, f"ours, {len(runs)} seed{'s' * (len(runs) > 1)}", *ours])
        if theirs := paper.get(cell):
            mark = "†" if theirs.get(("test", "jaccard"), 0) > theirs.get(("test", "dice"), 1) else ""
            impossible |= bool(mark)
            lines.append(["", "", "", "paper", *(
                f"{theirs[c]:.3f}{mark if c == ('test', 'jaccard') else ''}" if c in theirs else "" for c in shown)])
    note = "\n\n† As published; no masks can have a Jaccard above their Dice." if impossible else ""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + note


def verdicts(found: list[Found]) -> str:
    """Markdown: whether each part of the method helped."""
    head = ["part", "off", "on", "class labels / masks", "films", "metric", "on - off", "95% interval", "p",
            "seeds that agree", ""]
    lines = [head, ["---"] * len(head)]
    for t in comparisons(found):
        lines.append([t.part, t.off, t.on, " / ".join(t.budget), t.domain, t.metric, f"{t.difference:+.4f}",
                      f"{t.interval[0]:+.4f} to {t.interval[1]:+.4f}", f"{t.p:.2g}", f"{t.agreeing} of {t.seeds}",
                      f"**{t.verdict}**"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def runs_table(found: list[Found]) -> str:
    """CSV: one row for each run, with every metric of every domain."""
    rows = [{"system": run.job.system, "recipe": run.job.recipe, "class_labels": run.job.budget[0],
             "masks": run.job.budget[1], "seed": run.job.config.seed, "side": run.job.config.side,
             "steps": run.job.config.steps, **{f"{domain}_{name}": value for domain, metrics in run.metrics.items()
                                               for name, value in metrics.items()}} for run in found]
    return as_csv(rows)


def report(found: list[Found], jobs: list[Job], out: Path) -> str:
    """Write `table.md`, and `runs.csv` of what is done; the text of `table.md`."""
    first = jobs[0].config
    text = f"""# {len(found)} of {len(jobs)} runs: recipe `{jobs[0].recipe}`, {first.side} px, {first.steps} steps

{table(found)}

Means ± standard deviations over seeds; ASD in px at 256.

## Which parts helped

{verdicts(found)}

A part helped or harmed where Wilcoxon's signed-rank test over patients gives p < 0.05, adjusted for the number of
lines (Benjamini and Hochberg), the interval (bootstrap over patients) leaves 0 out, and all seeds agree. Test and
interval tell of other films, not of other trainings: the seeds have to show those.
"""
    write_text(out / "table.md", text)
    write_text(out / "runs.csv", runs_table(found))
    return text


def draw(found: list[Found], out: Path) -> list[Path]:
    """Write the figures of what is done into `out`; their paths."""
    from multimix import plot

    groups, figures = cells(found), {}
    names = {cell: f"{cell[0]} {cell[1]}/{cell[2]}" for cell in groups}
    for domain, which in (("test", "test film"), ("cross", "film from elsewhere")):
        films = {names[cell]: means for cell, runs in groups.items() if (means := film_means(runs, domain, "dice"))}
        if films:
            figures[f"dice_{domain}"] = plot.plot_boxes({name: list(means.values()) for name, means in films.items()},
                                                        f"Dice of each {which}, mean over seeds")
        pairs = [(a, b) for b in films if b.startswith("multimix ") for a in films if a.startswith("umtl ")]
        for first, second in pairs[:1]:
            shared = [film for film in films[first] if film in films[second]]
            dice = [[films[name][film] for film in shared] for name in (first, second)]
            figures[f"scatter_{domain}"] = plot.plot_scatter(*dice, first, second, f"Dice of each {which}")
    for metric, budget in (("auc", "class labels"), ("dice", "masks")):
        title = COLUMNS["test", metric]
        if lines := budget_curves(groups, metric, budget):
            figures[f"budget_{metric}"] = plot.plot_lines(lines, f"Test {title} by label budget", budget, title)
        logs = {names[cell]: curve for cell, runs in groups.items() if (curve := log_means(runs, out, f"val_{metric}"))}
        if logs:
            figures[f"training_{metric}"] = plot.plot_lines(logs, f"Validation {title}, mean over seeds", "step", title)
    return [plot.save_figure(figure, out / f"{name}.png") for name, figure in figures.items()]


def budget_curves(groups: dict, metric: str, budget: str) -> dict[str, list[tuple[str, float]]]:
    """A test metric, mean over seeds, against the number of class labels or masks, where there are several."""
    lines: dict[str, list[tuple[str, float]]] = {}
    for (system, classes, masks), runs in groups.items():
        here, other, kind = (classes, masks, "masks") if budget == "class labels" else (masks, classes, "class labels")
        if here != "none" and (numbers := values(runs, ("test", metric))):
            name = system if other == "none" else f"{system}, {other} {kind}"
            lines.setdefault(name, []).append((here, statistics.mean(numbers)))
    return {name: points for name, points in lines.items() if len(points) > 1}


def film_means(runs: list[Found], domain: str, column: str) -> dict:
    """Each film's value, mean over seeds."""
    by_film: dict = {}
    for films in film_values(runs, domain, column).values():
        for film, value in films.items():
            by_film.setdefault(film, []).append(value)
    return {film: statistics.mean(numbers) for film, numbers in by_film.items()}


def log_means(runs: list[Found], out: Path, column: str) -> list[tuple[int, float]]:
    """A column of the runs' logs against the step, mean over seeds."""
    by_step: dict[int, list[float]] = {}
    for run in runs:
        with open(out / run.job.name / "log.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row.get(column):
                    by_step.setdefault(int(row["step"]), []).append(float(row[column]))
    return [(step, statistics.mean(numbers)) for step, numbers in sorted(by_step.items())]
