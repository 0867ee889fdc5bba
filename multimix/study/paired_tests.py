"""Whether each part of the method helped: paired tests, film by film and seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy

from multimix.evaluation.metrics import intervals
from multimix.study.results import Cell, RunResult

# A part of the method, and the pairs of systems that differ in it alone.
PARTS = {
    "unlabelled films": (("enc", "enc_ssl"), ("umtl", "umtl_ssl"), ("umtl_s", "umtl_ssl_s")),
    "saliency bridge": (("umtl", "umtl_s"), ("umtl_ssl", "umtl_ssl_s")),
    "KL term": (("umtl_ssl_s", "multimix"),),
    "second task": (("enc", "umtl"), ("enc_ssl", "umtl_ssl"), ("unet", "umtl")),
    "all but the second task": (("umtl", "multimix"),),
}
RECIPE = "improved recipe"  # a part too: every system against itself
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
    difference: float  # on minus off, mean over films of the mean over seeds
    low: float  # 95% interval, bootstrap over patients
    high: float
    # Wilcoxon's signed-rank test over patients; from `comparisons`, adjusted for their number
    p: float
    agreeing: int  # seeds whose mean change has the sign of the difference
    seeds: int

    @property
    def verdict(self) -> str:
        """'helped' or 'harmed' where the films show it, and all of two or more seeds agree.

        The films show it where both the test and the interval do.
        """
        if self.seeds < 2:
            return "one seed: open"
        if self.p >= 0.05 or self.low <= 0 <= self.high or self.agreeing < self.seeds:
            return "not shown"
        return "helped" if self.difference > 0 else "harmed"


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
    return [comparison._replace(p=float(p)) for comparison, p in zip(raw, adjusted)]


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
    order = [*PARTS, RECIPE]
    return sorted(found, key=lambda pair: order.index(pair.part))


def same_budget(off: Cell, on: Cell) -> bool:
    """Whether both have as many labels; a system without a task has any number of them."""
    budgets = ((off.class_labels, on.class_labels), (off.masks, on.masks))
    return all(a == b or "none" in (a, b) for a, b in budgets)


def parts_between(off: Cell, on: Cell) -> list[str]:
    """The parts of the method that `on` has and `off` has not, if they differ in nothing else."""
    if off.recipe == on.recipe:
        return [part for part, systems in PARTS.items() if (off.system, on.system) in systems]
    if off.system == on.system and (off.recipe, on.recipe) == ("paper", "improved"):
        return [RECIPE]
    return []


def paired_tests(
    pair: Pair, off: Sequence[RunResult], on: Sequence[RunResult]
) -> Iterator[Comparison]:
    """The runs of two cells compared, in each domain and metric that both have."""
    for domain in on[0].metrics:
        for metric, column in PER_FILM.items():
            off_values = {run.job.config.seed: film_values(run, domain, column) for run in off}
            changes = {}
            for run in on:
                seed = run.job.config.seed
                if seed in off_values:
                    change = film_values(run, domain, column) - off_values[seed]
                    changes[seed] = change.dropna()
            by_seed = pd.DataFrame(changes).dropna(axis="columns", how="all")
            if not by_seed.empty:
                yield paired_test(pair, domain, metric, by_seed.sort_index())


def film_values(run: RunResult, domain: str, column: str) -> pd.Series:
    """One value of each film of a domain that has it, by the columns SAME_FILM."""
    films = run.films[run.films["domain"] == domain]
    values = films.reindex(columns=[*SAME_FILM, column]).set_index(SAME_FILM)[column]
    return values.astype(float).dropna()


def paired_test(pair: Pair, domain: str, metric: str, changes: pd.DataFrame) -> Comparison:
    """One comparison, from the change of each film (a row) with each seed (a column)."""
    mean = changes.mean(axis="columns")
    difference = mean.mean()
    if metric == "auc":
        # The mean of each class is the AUC: a film counts as one of its class, not one of all
        # (DeLong 1988).
        labels = mean.index.get_level_values("label")
        weight = len(labels) / labels.map(labels.value_counts()).to_numpy()
        mean = difference + (mean - difference) * weight
    values = mean.to_numpy()
    patients = mean.index.get_level_values("patient")
    low, high = intervals(lambda index: {"mean": values[index].mean()}, patients)["mean"]
    by_patient = mean.groupby(level="patient").mean()
    agreeing = np.sign(changes.mean()) == np.sign(difference)
    return Comparison(
        pair.part,
        pair.off.label,
        pair.on.label,
        pair.on.class_labels,
        pair.on.masks,
        domain,
        metric,
        float(difference),
        low,
        high,
        p=float(scipy.stats.wilcoxon(by_patient).pvalue) if by_patient.any() else 1.0,
        agreeing=int(agreeing.sum()),
        seeds=len(agreeing),
    )
