"""What the runs of a sweep found, and whether each part of the method helped: paired, film by film
and seed by seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, wilcoxon

from multimix.config import RECIPES, SYSTEMS
from multimix.evaluation.metrics import check_metrics, intervals
from multimix.study.sweep import Job, read

# A part of the method, and the pairs of systems that differ in it alone.
PARTS = {
    "unlabelled films": (("enc", "enc_ssl"), ("umtl", "umtl_ssl"), ("umtl_s", "umtl_ssl_s")),
    "saliency bridge": (("umtl", "umtl_s"), ("umtl_ssl", "umtl_ssl_s")),
    "KL term": (("umtl_ssl_s", "multimix"),),
    "second task": (("enc", "umtl"), ("enc_ssl", "umtl_ssl"), ("unet", "umtl")),
    "all but the second task": (("umtl", "multimix"),),
}
RECIPE = "improved recipe"  # a part too: every system against itself
PER_FILM = {
    "accuracy": "correct",
    "auc": "placement",
    "dice": "dice",
}  # metrics that are means of a film's values


class RunResult(NamedTuple):
    """One run's results."""

    job: Job
    metrics: dict[str, dict[str, float]]  # by domain and name
    rows: dict[str, list[dict]]  # of single films, by domain


class Cell(NamedTuple):
    """What runs of one cell of the table share."""

    system: str
    recipe: str
    class_labels: str
    masks: str

    def __str__(self) -> str:
        return f"{self.label} {self.class_labels}/{self.masks}"

    @property
    def label(self) -> str:
        return self.system if self.recipe == "paper" else f"{self.system}, {self.recipe}"


class Comparison(NamedTuple):
    """One part of the method, on against off."""

    part: str
    off: str
    on: str
    class_labels: str
    masks: str
    domain: str
    metric: str
    difference: float  # on minus off, mean over films of the mean over seeds
    low: float  # 95% interval, bootstrap over patients
    high: float
    # Wilcoxon's signed-rank test over patients; from `comparisons`, adjusted for their number
    p: float
    agreeing: int  # seeds whose mean change has the sign of the difference
    seeds: int

    @property
    def verdict(self) -> str:
        """A difference counts if the films show it, by test and by interval, and all of two or more
        seeds agree.
        """
        if self.seeds < 2:
            return "one seed: open"
        if self.p >= 0.05 or self.low <= 0 <= self.high or self.agreeing < self.seeds:
            return "not shown"
        return "helped" if self.difference > 0 else "harmed"


def collect(jobs: list[Job], out: Path) -> list[RunResult]:
    """What finished runs left in the folder, in the table's order: these, and others of as many
    steps and that side.

    ValueError where figures are impossible.
    """
    found, alike = [], {(job.config.side, job.config.steps) for job in jobs}
    for name in (path.parent.name for path in out.glob("*/test.json")):
        try:
            job = Job.of(read(out / name / "test.json")["asked"])
        except (KeyError, TypeError):  # not there, or of another version
            continue
        if (
            (job.config.side, job.config.steps) in alike
            and job.name == name
            and (content := job.results(out))
        ):
            found.append(
                RunResult(
                    job,
                    {
                        domain: check_metrics(
                            {name: metric["value"] for name, metric in c["metrics"].items()}
                        )
                        for domain, c in content.items()
                    },
                    {domain: c["films"] for domain, c in content.items()},
                )
            )
    return sorted(found, key=lambda run: table_order(run.job))


def table_order(job: Job) -> tuple:
    """In the table: by system, recipe, labels (fewest first), seed."""
    config, every = job.config, float("inf")
    return (
        list(SYSTEMS).index(job.system),
        list(RECIPES).index(job.recipe),
        config.class_labels or every,
        config.masks or every,
        config.seed,
    )


def cells(found: Iterable[RunResult]) -> dict[Cell, list[RunResult]]:
    """The runs of each system, recipe and budget."""
    groups: dict[Cell, list[RunResult]] = {}
    for run in found:
        groups.setdefault(Cell(run.job.system, run.job.recipe, *run.job.budget), []).append(run)
    return groups


def film_values(
    runs: list[RunResult], domain: str, column: str
) -> dict[int, dict[tuple[str, str, str], float]]:
    """By seed, then by patient, film and class (of films with masks: '')."""
    return {
        run.job.config.seed: {
            (row["patient"], row["film"], row.get("label", "")): float(row[column])
            for row in run.rows[domain]
            if row.get(column) is not None
        }
        for run in runs
        if domain in run.rows
    }


def comparisons(found: list[RunResult]) -> list[Comparison]:
    """Every part of the method that two systems with the same budget tell apart, on every metric
    both have.

    The p values are adjusted together (Benjamini and Hochberg 1995).
    """
    groups = cells(found)
    raw = [
        comparison
        for part, off, on in pairs(list(groups))
        for comparison in compare(part, off, on, groups[off], groups[on])
    ]
    adjusted = false_discovery_control([comparison.p for comparison in raw]) if raw else ()
    return [comparison._replace(p=float(p)) for comparison, p in zip(raw, adjusted)]


def pairs(cells: list[Cell]) -> Iterator[tuple[str, Cell, Cell]]:
    """The cells that differ in one part of the method; a system without a task has any budget of
    it.
    """

    def told_apart(off: Cell, on: Cell) -> Iterator[str]:
        if all(a == b or "none" in (a, b) for a, b in zip(off[2:], on[2:])):
            if off.recipe == on.recipe:
                yield from (
                    part for part, systems in PARTS.items() if (off.system, on.system) in systems
                )
            elif off.system == on.system and (off.recipe, on.recipe) == ("paper", "improved"):
                yield RECIPE

    found = [(part, off, on) for on in cells for off in cells for part in told_apart(off, on)]
    yield from sorted(found, key=lambda pair: [*PARTS, RECIPE].index(pair[0]))


def compare(part: str, off: Cell, on: Cell, *runs: list[RunResult]) -> Iterator[Comparison]:
    """Two cells, seed by seed and film by film; `runs` are those of each."""
    for domain in runs[1][0].rows:
        for metric, column in PER_FILM.items():
            by_seed = [film_values(of_cell, domain, column) for of_cell in runs]
            seeds = [seed for seed in by_seed[1] if seed in by_seed[0]]
            changes = [
                {
                    film: by_seed[1][seed][film] - value
                    for film, value in by_seed[0][seed].items()
                    if film in by_seed[1][seed]
                }
                for seed in seeds
            ]
            if any(changes):
                yield paired(part, off, on, domain, metric, [c for c in changes if c])


def paired(
    part: str, off: Cell, on: Cell, domain: str, metric: str, changes: list[dict]
) -> Comparison:
    """From the change of each film, seed by seed."""
    films = sorted({film for change in changes for film in change})
    mean = np.array(
        [np.mean([change[film] for change in changes if film in change]) for film in films]
    )
    difference = mean.mean()
    if (
        metric == "auc"
    ):  # each class's mean is the AUC: a film counts as one of its class, not one of all (DeLong)
        labels = [label for *_, label in films]
        mean = difference + (mean - difference) * [
            len(labels) / labels.count(label) for label in labels
        ]
    patients = tuple(patient for patient, *_ in films)
    low, high = intervals(lambda at: {"": mean[at].mean()}, patients)[""]
    owner = np.unique(patients, return_inverse=True)[1]
    by_patient = np.bincount(owner, mean) / np.bincount(owner)
    p = float(wilcoxon(by_patient).pvalue) if np.any(by_patient) else 1.0
    agreeing = sum(
        np.sign(np.mean(list(change.values()))) == np.sign(difference) for change in changes
    )
    return Comparison(
        part,
        off.label,
        on.label,
        on.class_labels,
        on.masks,
        domain,
        metric,
        float(difference),
        low,
        high,
        p,
        int(agreeing),
        len(changes),
    )
