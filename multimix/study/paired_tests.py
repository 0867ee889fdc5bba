"""Whether each part of the method helped: paired tests in which films and seeds are both chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy

from multimix.study.results import Cell, RunResult

# A part of the method, and the pairs of systems that differ in it alone.
PARTS = {
    "unlabelled films": (("enc", "enc_ssl"), ("umtl", "umtl_ssl"), ("umtl_s", "umtl_ssl_s")),
    "saliency bridge": (("umtl", "umtl_s"), ("umtl_ssl", "umtl_ssl_s")),
    "KL term": (("umtl_ssl_s", "multimix"),),
    "second task": (("enc", "umtl"), ("enc_ssl", "umtl_ssl"), ("unet", "umtl")),
    "all but the second task": (("umtl", "multimix"),),
}
# Recipes that count as parts too: each against 'paper', with the same system.
RECIPE_PARTS = {"quick": "quick recipe", "improved": "improved recipe"}
# Metrics that are means of a film's values, and the columns of those.
PER_FILM = {"accuracy": "raw_correct", "auc": "placement", "dice": "dice"}
SAME_FILM = ["patient", "film", "label"]


class Pair(NamedTuple):
    """Two cells that differ in one part of the method."""

    part: str
    off: Cell
    on: Cell


class Comparison(NamedTuple):
    """One part of the method, on against off, in one metric."""

    part: str
    off: str
    on: str
    class_labels: str
    masks: str
    domain: str
    metric: str
    difference: float  # on minus off, mean over seeds
    low: float  # 95% interval
    high: float
    p: float
    adjusted_p: float  # for the number of comparisons, by `comparisons`
    agreeing: int  # seeds whose own difference has its sign
    seeds: int

    @property
    def verdict(self) -> str:
        """'helped' or 'harmed' where the adjusted p is below 0.05, of two or more seeds."""
        if self.seeds < 2:
            return "one seed: open"
        if self.adjusted_p >= 0.05:
            return "not shown"
        return "helped" if self.difference > 0 else "harmed"


class Estimate(NamedTuple):
    """A mean change, its 95% interval, and the p value of no change."""

    difference: float
    low: float
    high: float
    p: float


def comparisons(found: Sequence[RunResult]) -> list[Comparison]:
    """Every part that two systems with the same budget tell apart, on every metric both have.

    The p values are adjusted together (Benjamini and Hochberg 1995).
    """
    groups: dict[Cell, list[RunResult]] = {}
    for run in found:
        groups.setdefault(run.cell, []).append(run)
    raw: list[Comparison] = []
    for pair in pairs(list(groups)):
        raw += paired_tests(pair, groups[pair.off], groups[pair.on])
    if not raw:
        return []
    adjusted = scipy.stats.false_discovery_control([comparison.p for comparison in raw])
    return [comparison._replace(adjusted_p=float(p)) for comparison, p in zip(raw, adjusted)]


def comparisons_table(found: Sequence[RunResult]) -> pd.DataFrame:
    """`comparisons.csv`: the comparisons with their verdicts."""
    rows = []
    for comparison in comparisons(found):
        rows.append({**comparison._asdict(), "verdict": comparison.verdict})
    return pd.DataFrame(rows, columns=[*Comparison._fields, "verdict"])


def pairs(cells: Sequence[Cell]) -> list[Pair]:
    """All pairs of cells that differ in one part of the method, part by part."""
    found = []
    for on in cells:
        for off in cells:
            if same_budget(off, on):
                found += [Pair(part, off, on) for part in parts_between(off, on)]
    order = [*PARTS, *RECIPE_PARTS.values()]
    return sorted(found, key=lambda pair: order.index(pair.part))


def same_budget(off: Cell, on: Cell) -> bool:
    """Whether both have as many labels; a system without a task has any number of them."""
    budgets = ((off.class_labels, on.class_labels), (off.masks, on.masks))
    return all(a == b or "none" in (a, b) for a, b in budgets)


def parts_between(off: Cell, on: Cell) -> list[str]:
    """The parts of the method that `on` has and `off` has not, if they differ in nothing else."""
    if off.recipe == on.recipe:
        return [part for part, systems in PARTS.items() if (off.system, on.system) in systems]
    if off.system == on.system and off.recipe == "paper" and on.recipe in RECIPE_PARTS:
        return [RECIPE_PARTS[on.recipe]]
    return []


def paired_tests(
    pair: Pair, off: Sequence[RunResult], on: Sequence[RunResult]
) -> Iterator[Comparison]:
    """The runs of two cells compared, in each domain and metric that both have."""
    for domain in on[0].metrics:
        for metric in PER_FILM:
            changes = film_changes(off, on, domain, metric)
            if not changes.empty:
                yield paired_test(pair, domain, metric, changes)


def film_changes(
    off: Sequence[RunResult], on: Sequence[RunResult], domain: str, metric: str
) -> pd.DataFrame:
    """The change of each film (a row, by SAME_FILM) with each seed (a column) that both have."""
    column = PER_FILM[metric]
    off_values = {run.job.config.seed: film_values(run, domain, column) for run in off}
    changes = {}
    for run in on:
        seed = run.job.config.seed
        if seed in off_values:
            change = film_values(run, domain, column) - off_values[seed]
            changes[seed] = change.dropna()
    return pd.DataFrame(changes).dropna(axis="columns", how="all").sort_index(axis="columns")


def film_values(run: RunResult, domain: str, column: str) -> pd.Series:
    """One value of each film of a domain that has it, by the columns SAME_FILM."""
    films = run.films[run.films["domain"] == domain]
    values = films.reindex(columns=[*SAME_FILM, column]).set_index(SAME_FILM)[column]
    return values.astype(float).dropna()


def paired_test(pair: Pair, domain: str, metric: str, changes: pd.DataFrame) -> Comparison:
    """One comparison, from the change of each film (a row) with each seed (a column)."""
    estimate = mean_change(changes, by_class=metric == "auc")
    agreeing = np.sign(changes.mean()) == np.sign(estimate.difference)
    return Comparison(
        pair.part,
        pair.off.label,
        pair.on.label,
        pair.on.class_labels,
        pair.on.masks,
        domain,
        metric,
        *estimate,
        adjusted_p=estimate.p,
        agreeing=int(agreeing.sum()),
        seeds=len(agreeing),
    )


def mean_change(changes: pd.DataFrame, by_class: bool) -> Estimate:
    """The mean change, tested as in a study of many readers and many cases.

    Seeds are the readers and patients the cases, so that the answer is meant for other trainings
    and for other films (Obuchowski and Rockette 1995, degrees of freedom by Hillis 2007; for two
    systems their F is the square of this t). With one seed it is DeLong's paired test, and tells of
    other films alone.

    Arguments:
        changes: of each film, by patient and label, (films, seeds).
        by_class: whether the mean of each class is the whole, as placements have it.
    """
    by_seed = changes.mean().to_numpy()
    difference, seeds = float(by_seed.mean()), len(by_seed)
    shares = patient_shares(changes, by_class)
    covariance = shares.T @ shares  # of the seeds' mean changes, by the choice of patients
    if seeds == 1:
        variance, freedom = float(covariance[0, 0]), math.inf
    else:
        between = float(by_seed.var(ddof=1)) / seeds
        # What all seeds owe to the same films: more seeds do not average it out.
        shared = (covariance.sum() - covariance.trace()) / (seeds * (seeds - 1))
        variance = between + max(float(shared), 0.0)
        freedom = (seeds - 1) * (variance / between) ** 2 if between else math.inf
    if variance == 0:
        return Estimate(difference, difference, difference, float(difference == 0))
    error = math.sqrt(variance)
    low, high = scipy.stats.t.interval(0.95, freedom, difference, error)
    p = 2 * scipy.stats.t.sf(abs(difference) / error, freedom)
    return Estimate(difference, float(low), float(high), float(p))


def patient_shares(changes: pd.DataFrame, by_class: bool) -> np.ndarray:
    """How far each patient moves each seed's mean change, (patients, seeds).

    Their squares sum to the variance of that mean: for placements DeLong's (1988), and Obuchowski's
    (1997) where a patient has several films.
    """
    labels = changes.index.get_level_values("label")
    groups = [changes[labels == label] for label in labels.unique()] if by_class else [changes]
    shares = []
    for films in groups:
        moved = (films - films.mean()) / films.count()
        of_patient = moved.groupby(level="patient").sum()
        patients = len(of_patient)
        shares.append(of_patient * math.sqrt(patients / max(patients - 1, 1)))
    return pd.concat(shares).groupby(level="patient").sum().to_numpy()
