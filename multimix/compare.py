"""What the runs of a sweep found, and whether each part of the method helped: paired, film by film and seed by seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, wilcoxon

from multimix.metrics import intervals, possible
from multimix.sweep import Job

# A part of the method, and the pairs of systems that differ in it alone.
PARTS = {"unlabelled films": (("enc", "enc_ssl"), ("umtl", "umtl_ssl"), ("umtl_s", "umtl_ssl_s")),
         "saliency bridge": (("umtl", "umtl_s"), ("umtl_ssl", "umtl_ssl_s")),
         "KL term": (("umtl_ssl_s", "multimix"),),
         "second task": (("enc", "umtl"), ("enc_ssl", "umtl_ssl"), ("unet", "umtl")),
         "all but the second task": (("umtl", "multimix"),)}
PER_FILM = {"accuracy": "correct", "auc": "placement", "dice": "dice"}  # metrics that are means of a film's values


class Found(NamedTuple):
    """One run's results."""

    job: Job
    metrics: dict[str, dict[str, float]]  # by domain and name
    rows: dict[str, list[dict]]  # of single films, by domain


class Comparison(NamedTuple):
    """One part of the method, on against off."""

    part: str
    off: str
    on: str
    budget: tuple[str, str]
    domain: str
    metric: str
    difference: float  # on minus off, mean over films of the mean over seeds
    interval: tuple[float, float]  # 95%, bootstrap over patients
    p: float  # Wilcoxon's signed-rank test over patients; from `comparisons`, adjusted for their number
    agreeing: int  # seeds whose mean change has the sign of the difference
    seeds: int

    @property
    def verdict(self) -> str:
        """A difference counts if the films show it, by test and by interval, and all of two or more seeds agree."""
        if self.seeds < 2:
            return "one seed: open"
        low, high = self.interval
        if self.p >= 0.05 or low <= 0 <= high or self.agreeing < self.seeds:
            return "not shown"
        return "helped" if self.difference > 0 else "harmed"


def collect(jobs: list[Job], out: Path) -> list[Found]:
    """What the finished runs of these jobs left. ValueError where figures are impossible."""
    found = []
    for job in jobs:
        if content := job.results(out):
            found.append(Found(job, {domain: possible({name: metric["value"] for name, metric in c["metrics"].items()})
                                     for domain, c in content.items()},
                               {domain: c["films"] for domain, c in content.items()}))
    return found


def cells(found: Iterable[Found]) -> dict[tuple[str, str, str], list[Found]]:
    """The runs of each system and budget."""
    groups: dict[tuple[str, str, str], list[Found]] = {}
    for run in found:
        groups.setdefault((run.job.system, *run.job.budget), []).append(run)
    return groups


def film_values(runs: list[Found], domain: str, column: str) -> dict[int, dict[tuple[str, str, str], float]]:
    """By seed, then by patient, film and class (of films with masks: '')."""
    return {run.job.config.seed: {(row["patient"], row["film"], row.get("label", "")): float(row[column])
                                  for row in run.rows[domain] if row.get(column) is not None}
            for run in runs if domain in run.rows}


def comparisons(found: list[Found]) -> list[Comparison]:
    """Every part of the method that two systems with the same budget tell apart, on every metric both have.

    The p values are adjusted together (Benjamini and Hochberg 1995).
    """
    raw = list(all_pairs(cells(found)))
    adjusted = false_discovery_control([comparison.p for comparison in raw]) if raw else ()
    return [comparison._replace(p=float(p)) for comparison, p in zip(raw, adjusted)]


def all_pairs(groups: dict[tuple[str, str, str], list[Found]]) -> Iterator[Comparison]:
    for part, pairs in PARTS.items():
        for off, on in pairs:
            for (system, *budget), runs in groups.items():
                for (other, *others), baseline in groups.items():
                    same = all(a == b or "none" in (a, b) for a, b in zip(budget, others))
                    if system == on and other == off and same:
                        yield from compare(part, baseline, runs)


def compare(part: str, off: list[Found], on: list[Found]) -> Iterator[Comparison]:
    """Two cells, seed by seed and film by film."""
    for domain in on[0].rows:
        for metric, column in PER_FILM.items():
            by_seed = [film_values(runs, domain, column) for runs in (off, on)]
            seeds = [seed for seed in by_seed[1] if seed in by_seed[0]]
            changes = [{film: by_seed[1][seed][film] - value for film, value in by_seed[0][seed].items()
                        if film in by_seed[1][seed]} for seed in seeds]
            if any(changes):
                yield paired(part, off[0].job, on[0].job, domain, metric, [c for c in changes if c])


def paired(part: str, off: Job, on: Job, domain: str, metric: str, changes: list[dict]) -> Comparison:
    """From the change of each film, seed by seed."""
    films = sorted({film for change in changes for film in change})
    mean = np.array([np.mean([change[film] for change in changes if film in change]) for film in films])
    difference = mean.mean()
    if metric == "auc":  # each class's mean is the AUC: a film counts as one of its class, not one of all (DeLong)
        labels = [label for *_, label in films]
        mean = difference + (mean - difference) * [len(labels) / labels.count(label) for label in labels]
    patients = tuple(patient for patient, *_ in films)
    interval = intervals(lambda at: {"": mean[at].mean()}, patients)[""]
    owner = np.unique(patients, return_inverse=True)[1]
    by_patient = np.bincount(owner, mean) / np.bincount(owner)
    p = float(wilcoxon(by_patient).pvalue) if np.any(by_patient) else 1.0
    agreeing = sum(np.sign(np.mean(list(change.values()))) == np.sign(difference) for change in changes)
    return Comparison(part, off.system, on.system, on.budget, domain, metric, float(difference), interval, p,
                      int(agreeing), len(changes))
