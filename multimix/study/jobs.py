"""What a sweep trains: a grid of systems, label budgets and seeds, each cell of it one job."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import chain, product
from pathlib import Path
from typing import Any, NamedTuple

from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.model import CLASSES
from multimix.runtime.config_options import config_arguments

# What the command line takes for --quick where nothing else is said.
QUICK = {
    "classification": ["phantom://100"],
    "segmentation": ["phantom://60"],
    "cross_classification": ["phantom://40+1000"],
    "cross_segmentation": ["phantom://40+1000"],
    "class_labels": [20],
    "masks": [5],
    "seeds": 2,
    "steps": 60,
    "side": 64,
    "validate_every": 20,
}


@dataclass(frozen=True)
class Sources:
    """Folders of films, as `load_films` takes them.

    The first two are trained and tested on, the `cross` ones, films from elsewhere, tested alone.
    """

    classification: tuple[str, ...] = ()
    segmentation: tuple[str, ...] = ()
    cross_classification: tuple[str, ...] = ()
    cross_segmentation: tuple[str, ...] = ()
    cache: str | None = None


@dataclass(frozen=True)
class Job:
    """One training of the grid, and what to measure it on."""

    system: str
    recipe: str
    config: Config
    sources: Sources

    @property
    def budget(self) -> tuple[str, str]:
        """Class labels and masks: a number, 'all', or 'none' where the system lacks the task."""
        labels, masks = self.config.class_labels, self.config.masks
        return (
            str(labels or "all") if self.config.classify else "none",
            str(masks or "all") if self.config.segment else "none",
        )

    @property
    def name(self) -> str:
        """'multimix-100-10-seed0': system, class labels, masks, seed.

        The recipe stands after the system, if it is not the paper's.
        """
        recipe = [self.recipe] if self.recipe != "paper" else []
        return "-".join([self.system, *recipe, *self.budget, f"seed{self.config.seed}"])

    @property
    def domains(self) -> list[str]:
        """What is measured: 'test', and 'cross' if there are films from elsewhere."""
        return ["test", "cross"] if any(self.folders("cross")) else ["test"]

    def folders(self, domain: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Folders of classification and segmentation films; none for a task the system lacks."""
        if domain == "cross":
            classes, masks = self.sources.cross_classification, self.sources.cross_segmentation
        else:
            classes, masks = self.sources.classification, self.sources.segmentation
        return classes if self.config.classify else (), masks if self.config.segment else ()

    def films(self, domain: str, progress: bool = False) -> Films:
        """The films of a domain, with the splits of this job's seed."""
        return load_films(
            *self.folders(domain),
            self.config.side,
            self.config.seed,
            progress=progress,
            cache=self.sources.cache,
        )

    def spec(self) -> dict[str, Any]:
        """What a finished run must have been made from to count as this one: plain values."""
        films = {}
        for domain in self.domains:
            films[domain] = [list(folders) for folders in self.folders(domain)]
        config = self.config.as_dict()
        config["widths"] = list(self.config.widths)  # as JSON gives them back
        return {"system": self.system, "recipe": self.recipe, "config": config, "films": films}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], cache: str | None = None) -> Job:
        """The job of a spec, also of an earlier version.

        Errors: KeyError, TypeError or ValueError where it is none.
        """
        nothing: tuple[list[str], list[str]] = ([], [])
        classes, masks = spec["films"].get("test", nothing)
        cross_classes, cross_masks = spec["films"].get("cross", nothing)
        sources = Sources(
            tuple(classes), tuple(masks), tuple(cross_classes), tuple(cross_masks), cache
        )
        if not all(isinstance(folder, str) for folder in chain(*astuple(sources)[:4])):
            raise TypeError("a folder's name is not text")
        Config.preset(spec["system"], spec["recipe"])  # which there must be
        return cls(spec["system"], spec["recipe"], Config.from_dict(spec["config"]), sources)

    def results(self, out: Path) -> dict[str, Measured] | None:
        """What was measured, by domain; None while the run is not done."""
        found = {}
        for domain in self.domains:
            measured = read_measured(out / self.name / f"{domain}.json")
            if measured is None or measured.job.spec() != self.spec():
                return None
            found[domain] = measured
        return found

    def done(self, out: Path) -> bool:
        """Whether `out` holds the results of this very job."""
        return self.results(out) is not None

    def command(self, out: Path) -> str:
        """The command line that trains just this one again, beside it."""
        words = ["python", "-m", "multimix", "train"]
        words += ["--system", self.system, "--recipe", self.recipe]
        for task, folders in zip(("classification", "segmentation"), self.folders("test")):
            if folders:
                words += [f"--{task}", *folders]
        words += config_arguments(self.config, self.system, self.recipe)
        return shlex.join([*words, "--out", str(out / f"{self.name}-again")])


class Measured(NamedTuple):
    """What one run's network scored in one domain."""

    job: Job
    metrics: dict[str, float]
    films: list[dict[str, Any]]  # a row for each film


def read_measured(path: Path) -> Measured | None:
    """What a run's `test.json` or `cross.json` holds; None where that is missing or damaged.

    Earlier versions wrote 'asked' for 'spec', and tuned_... for what is calibrated_... now.
    """
    try:
        content = json.loads(path.read_bytes())
        job = Job.from_spec(content["spec"] if "spec" in content else content["asked"])
        metrics = {}
        for name, metric in content["metrics"].items():
            metrics[name.replace("tuned_", "calibrated_")] = float(metric["value"])
        check_rows(content["films"])
        return Measured(job, metrics, content["films"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def check_rows(films: list[dict[str, Any]]) -> None:
    """KeyError, TypeError or ValueError where a film's row is not as it was written."""
    texts = ("task", "film", "patient")
    seen = set()
    for row in films:
        seen.add((row["task"], row["film"]))
        if not all(isinstance(row[name], str) for name in texts):
            raise TypeError("a name is not text")
        if row.get("label", "") not in ("", *CLASSES):
            raise ValueError("a label is no class")
        if not math.isfinite(sum(row[name] for name in row if name not in (*texts, "label"))):
            raise ValueError("a value is not a number")
        if row.keys() != next(other for other in films if other["task"] == row["task"]).keys():
            raise KeyError("a column is missing")
    if len(seen) < len(films):
        raise ValueError("a film comes twice")


def grid(
    systems: Sequence[str],
    class_labels: Sequence[int | None],
    masks: Sequence[int | None],
    seeds: int,
    recipe: str,
    sources: Sources,
    **changes: Any,
) -> list[Job]:
    """Every combination once, in which a system without a task has no budget for it.

    Arguments:
        systems: names, of `multimix.recipes.SYSTEMS`.
        class_labels, masks: numbers of films that keep theirs; None is all of them.
        seeds: trainings of each, with the seeds 0, 1, ...
        recipe: a name, of `multimix.recipes.RECIPES`.
        sources: the folders of films.
        changes: any field of Config, for all of them.

    Returns: the jobs: one seed of all cells, then the next.

    Errors: ValueError where there is no seed, or a name or a value does not fit.
    """
    if seeds < 1:
        raise ValueError(f"{seeds} seeds are asked for; 1 or more are needed.")
    jobs = {}
    for seed, system, labels, count in product(range(seeds), systems, class_labels, masks):
        config = Config.preset(system, recipe, seed=seed, **changes)
        config = replace(
            config,
            class_labels=labels if config.classify else None,
            masks=count if config.segment else None,
        )
        jobs[config] = Job(system, recipe, config, sources)
    return list(jobs.values())
