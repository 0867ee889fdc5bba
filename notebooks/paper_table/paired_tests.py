"""Whether each part of the method helped: paired tests over films and seeds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy

from multimix.evaluation.metrics import placements
from notebooks.paper_table.tables import Cell, by_cell

# A part of the method, and the pairs of systems that differ in it alone.
PARTS = {
    "unlabelled films": (("enc", "enc_ssl"), ("umtl", "umtl_ssl"), ("umtl_s", "umtl_ssl_s")),
    "saliency bridge": (("umtl", "umtl_s"), ("umtl_ssl", "umtl_ssl_s")),
    "KL term": (("umtl_ssl_s", "multimix"),),
    "second task": (("enc", "umtl"), ("enc_ssl", "umtl_ssl"), ("unet", "umtl")),
    "all but the second task": (("umtl", "multimix"),),
}
# Recipes count as parts too: each against 'paper', with the same system.
RECIPE_PARTS = {"quick": "quick recipe", "improved": "improved recipe"}
METRICS = ("accuracy", "auc", "dice")  # each is a mean of values of films
SAME_FILM = ["patient", "film", "label"]


class Pair(NamedTuple):
    """Two cells that differ in one part of the method."""

    part: str
    off: Cell
    on: Cell


class Comparison(NamedTuple):
    """One part of the method, on against off, in one metric: a row of comparisons.csv."""

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
    adjusted_p: float  # for the number of comparisons
    agreeing: int  # seeds with a difference of the same sign
    seeds: int

    @property
    def verdict(self) -> str:
        """'helped' or 'harmed' if the adjusted p is below 0.05, with two or more seeds."""
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


def comparisons(runs: pd.DataFrame, films: pd.DataFrame) -> pd.DataFrame:
    """comparisons.csv, from runs.csv and films.csv: each part and metric, with a verdict.

    The p values are adjusted together (Benjamini and Hochberg 1995).
    """
    cells = by_cell(runs)
    raw: list[Comparison] = []
    for pair in pairs(list(cells)):
        raw += paired_tests(pair, cells[pair.off], cells[pair.on], films)
    adjusted = scipy.stats.false_discovery_control([each.p for each in raw]) if raw else []
    rows = []
    for each, p in zip(raw, adjusted):
        each = each._replace(adjusted_p=float(p))
        rows.append({**each._asdict(), "verdict": each.verdict})
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
    """Whether both have as many labels; a system without a task fits any number of them."""
    budgets = ((off.class_labels, on.class_labels), (off.masks, on.masks))
    return all(a == b or "none" in (a, b) for a, b in budgets)


def parts_between(off: Cell, on: Cell) -> list[str]:
    """The parts of the method that only `on` has, if the cells differ in nothing else."""
    if off.recipe == on.recipe:
        return [part for part, systems in PARTS.items() if (off.system, on.system) in systems]
    if off.system == on.system and off.recipe == "paper" and on.recipe in RECIPE_PARTS:
        return [RECIPE_PARTS[on.recipe]]
    return []


def paired_tests(
    pair: Pair, off: pd.DataFrame, on: pd.DataFrame, films: pd.DataFrame
) -> Iterator[Comparison]:
    """The runs of two cells (rows of runs.csv) compared, in each domain and metric."""
    sizes = {(*row,) for row in pd.concat([off, on])[["side", "steps"]].itertuples(index=False)}
    if pair.off.recipe == pair.on.recipe and len(sizes) > 1:
        return  # trainings of other lengths do not compare
    for domain in ("test", "cross"):
        for metric in METRICS:
            changes = film_changes(films, by_seed(off), by_seed(on), domain, metric)
            if changes.empty:
                continue
            estimate = mean_change(changes, by_class=metric == "auc")
            agreeing = np.sign(changes.mean()) == np.sign(estimate.difference)
            names = (pair.part, pair.off.label, pair.on.label)
            budget = (pair.on.class_labels, pair.on.masks)
            counts = (int(agreeing.sum()), len(agreeing))
            yield Comparison(*names, *budget, domain, metric, *estimate, estimate.p, *counts)


def by_seed(runs: pd.DataFrame) -> dict[int, str]:
    """The name of each run of a cell, by its seed."""
    return dict(zip(runs["seed"], runs["run"]))


def film_changes(
    films: pd.DataFrame, off: Mapping[int, str], on: Mapping[int, str], domain: str, metric: str
) -> pd.DataFrame:
    """The change of each film (a row, by SAME_FILM) with each seed (a column) that both have.

    Arguments:
        films: films.csv.
        off, on: names of runs by seed.
        domain: 'test' or 'cross'.
        metric: one of METRICS.
    """
    changes = {}
    for seed in sorted(set(off) & set(on)):
        values = [film_values(films, runs[seed], domain, metric) for runs in (off, on)]
        changes[seed] = (values[1] - values[0]).dropna()
    return pd.DataFrame(changes).dropna(axis="columns", how="all")


def film_values(films: pd.DataFrame, run: str, domain: str, metric: str) -> pd.Series:
    """The value of each film of a domain in one run, by SAME_FILM; their mean is the metric."""
    task = "segmentation" if metric == "dice" else "classification"
    chosen = (films["domain"] == domain) & (films["task"] == task) & films[run].notna()
    rows = films.loc[chosen, [*SAME_FILM, run]]
    values = rows.fillna({"label": ""}).set_index(SAME_FILM)[run].astype(float)
    positive = values.index.get_level_values("label") == "PNEUMONIA"
    if metric == "accuracy":
        return ((values > 0.5) == positive).astype(float)
    if metric == "auc" and len(values):
        return pd.Series(placements(values.to_numpy(), positive.astype(int)), values.index)
    return values


def mean_change(changes: pd.DataFrame, by_class: bool) -> Estimate:
    """The mean change, tested as in a study of many readers and many cases.

    Seeds are the readers and patients the cases, so the result holds for other trainings and for
    other films (Obuchowski and Rockette 1995, degrees of freedom by Hillis 2007; for two systems
    their F is the square of this t). With one seed it is DeLong's paired test, and holds for other
    films only.

    Arguments:
        changes: of each film, by patient and label, (films, seeds).
        by_class: whether the sum of both classes' means is the change, as for placements.
    """
    by_seed = changes.mean().to_numpy()
    difference, seeds = float(by_seed.mean()), len(by_seed)
    shares = patient_shares(changes, by_class)
    covariance = shares.T @ shares  # of the seeds' mean changes, by the choice of patients
    if seeds == 1:
        variance, freedom = float(covariance[0, 0]), math.inf
    else:
        between = float(by_seed.var(ddof=1)) / seeds
        # The part that all seeds share, from the same films: more seeds do not average it out.
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
    """How much each patient moves each seed's mean change, (patients, seeds).

    The sum of their squares is the variance of that mean: for placements DeLong's (1988), and
    Obuchowski's (1997) if a patient has several films.
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
