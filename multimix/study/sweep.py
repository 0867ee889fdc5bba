"""Train and measure a grid of systems, label budgets and seeds; what is done is skipped, what was
cut off goes on.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from itertools import product
from pathlib import Path

import psutil
import torch

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.results import write_results
from multimix.runtime.device import choose_device
from multimix.study.workers import in_processes
from multimix.training import train

GIB = 2**30
NEEDED = 1.5 * GIB  # memory of one run at 256 px and batches of 10 on a CPU, with room to spare
# A CPU's cache holds two films at once, a GPU works on all fifty: their maps count.
NEEDED_CUDA = 8 * GIB
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
    """Folders of films, as `load_films` takes them: to train and test on, and from elsewhere to
    test on alone.
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
        """Class labels and masks, as words: a number, 'all', or 'none' where the system lacks the
        task.
        """
        return tuple(
            str(count or "all") if task else "none"
            for task, count in (
                (self.config.classify, self.config.class_labels),
                (self.config.segment, self.config.masks),
            )
        )

    @property
    def name(self) -> str:
        """'multimix-100-10-seed0': system, recipe if it is not the paper's, class labels, masks,
        seed.
        """
        recipe = [self.recipe] if self.recipe != "paper" else []
        return "-".join([self.system, *recipe, *self.budget, f"seed{self.config.seed}"])

    @property
    def domains(self) -> list[str]:
        """What is measured: 'test', and 'cross' if there are films from elsewhere."""
        return ["test"] + ["cross"] * any(self.folders("cross"))

    def folders(self, domain: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Folders for the tasks that the system has."""
        s, prefix = self.sources, "cross_" if domain == "cross" else ""
        return (
            getattr(s, f"{prefix}classification") if self.config.classify else (),
            getattr(s, f"{prefix}segmentation") if self.config.segment else (),
        )

    def films(self, domain: str) -> Films:
        return load(*self.folders(domain), self.config.side, self.config.seed, self.sources.cache)

    def spec(self) -> dict:
        """What a finished run must have been made from to count as this one."""
        return {
            "system": self.system,
            "recipe": self.recipe,
            "config": json.loads(json.dumps(self.config.as_dict())),
            "films": {
                domain: [list(folders) for folders in self.folders(domain)]
                for domain in self.domains
            },
        }

    @classmethod
    def of(cls, spec: dict) -> Job:
        """The run that was made from this."""
        folders = [
            tuple(map(tuple, spec["films"].get(domain, ((), ())))) for domain in ("test", "cross")
        ]
        return cls(
            spec["system"],
            spec["recipe"],
            Config.from_dict(spec["config"]),
            Sources(*folders[0], *folders[1]),
        )

    def results(self, out: Path) -> dict[str, dict] | None:
        """What was measured, by domain; None while the run is not done."""
        found, spec = (
            {domain: read(out / self.name / f"{domain}.json") for domain in self.domains},
            self.spec(),
        )
        return found if all(content.get("asked") == spec for content in found.values()) else None

    def done(self, out: Path) -> bool:
        return self.results(out) is not None

    def command(self, out: Path) -> str:
        """The command line that trains just this one, beside it."""
        words = [
            "python",
            "-m",
            "multimix",
            "train",
            "--system",
            self.system,
            "--recipe",
            self.recipe,
        ]
        for task, folders in zip(("classification", "segmentation"), self.folders("test")):
            words += [f"--{task}", *folders] if folders else []
        usual = Config.preset(self.system, self.recipe)
        words += [
            word
            for name, value in asdict(self.config).items()
            if value != getattr(usual, name)
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]
        return shlex.join([*words, "--out", str(out / f"{self.name}-again")])


@lru_cache(maxsize=1)
def load(
    classification: tuple, segmentation: tuple, side: int, seed: int, cache: str | None
) -> Films:
    progress = multiprocessing.parent_process() is None and sys.stderr.isatty()
    return load_films(classification, segmentation, side, seed, progress=progress, cache=cache)


def read(path: Path) -> dict:
    """What a JSON file holds; nothing where it is missing or was cut short."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}


def grid(
    systems: list[str],
    class_labels: list[int | None],
    masks: list[int | None],
    seeds: int,
    recipe: str,
    sources: Sources,
    **changes,
) -> list[Job]:
    """Every combination once: a system without a task has no budget for it. One seed of all cells,
    then the next.
    """
    if seeds < 1:
        raise ValueError(f"{seeds} seeds are asked for; 1 or more are needed.")
    jobs = {}
    for seed, system, classes, count in product(range(seeds), systems, class_labels, masks):
        config = Config.preset(system, recipe, seed=seed, **changes)
        config = replace(
            config,
            class_labels=classes if config.classify else None,
            masks=count if config.segment else None,
        )
        jobs[config] = Job(system, recipe, config, sources)
    return list(jobs.values())


def check(jobs: list[Job]) -> int:
    """Read the films of every job (the cache then has them); refuse what could not be trained on or
    measured.

    Returns the bytes of the largest set's pixels.
    """
    largest = 0
    for domain, splits in (("test", ("val", "test")), ("cross", ("all",))):
        # Jobs of the same films in a row, as those of one set are held.
        for job in sorted(
            (job for job in jobs if domain in job.domains),
            key=lambda job: (job.folders(domain), job.config.seed),
        ):
            films = job.films(domain)
            if domain == "test":
                Loader(films, job.config)
            for split in splits:
                known = films.labelled(split)
                if known.classification is None and known.segmentation is None:
                    raise ValueError(
                        f"{job.name} could not be measured: of the folders "
                        f"{', '.join(sum(job.folders(domain), ()))} no film of the split '{split}' "
                        "has a class or a mask that the system needs."
                    )
            parts = films.classification, films.segmentation
            largest = max(largest, sum(part.pixels.nbytes for part in parts if part))
    load.cache_clear()
    return largest


def sweep(jobs: list[Job], out: Path, at_once: int = 0, device: str = "auto") -> list[str]:
    """Run what is not done, several at once; a sentence for each that failed.

    Every run has a folder of its own, `out`/NAME, that `train` writes into; `test.json` and
    `cross.json` there, each with a .csv of single films, say that it is done. `at_once` 0: as many
    as processors and memory allow.
    """
    missing = [job for job in jobs if not job.done(out)]
    held = check(missing)
    at_once = max(
        1, min(at_once or runs_at_once(choose_device(device), jobs[0].config, held), len(missing))
    )
    print(
        f"{len(jobs)} runs, {len(jobs) - len(missing)} of them done; {at_once} at once.", flush=True
    )
    work, faults = partial(run, out=out, device=device), []
    ended = (
        ((job, *timed(work, job)) for job in missing)
        if at_once == 1
        else in_processes(work, missing, at_once)
    )
    try:
        for number, (job, seconds, fault) in enumerate(ended, start=1):
            if fault:
                faults.append(f"{job.name}: {fault}")
            print(
                f"[{number}/{len(missing)}] {job.name}: {fault or f'{seconds / 60:.1f} min'}",
                flush=True,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command goes on") from None
    return faults


def timed(work: Callable[[Job], str], job: Job) -> tuple[float, str]:
    start = time.perf_counter()
    fault = work(job)
    return time.perf_counter() - start, fault


def run(job: Job, out: Path, device: str) -> str:
    """Train one, measure it, write down what came; what went wrong, or ''."""
    folder = out / job.name
    try:
        model = train(
            job.config, job.films("test"), folder, resume=True, device=device, progress=False
        )
        for domain, split in (("test", "test"), ("cross", "all")):
            if domain in job.domains:
                results = evaluate(model, job.films(domain), split, clean=False)  # as published
                write_results(
                    results, folder / f"{domain}.json", spec=job.spec(), command=job.command(out)
                )
    except Exception as error:  # noqa: BLE001  (whatever ends one run must not end the others)
        return (
            str(error)
            if isinstance(error, (ValueError, OSError))
            else f"{type(error).__name__}: {error}"
        )
    return ""


def runs_at_once(device: torch.device, config: Config, held: int) -> int:
    """As many as there are processors (on a CPU) and memory for: a small network fills neither
    alone.

    `held` is the size in bytes of the films of one run.
    """
    size = (config.side / 256) ** 2
    if device.type == "cuda":
        return max(
            1,
            int(
                torch.cuda.mem_get_info(device)[0] / (NEEDED_CUDA * size * config.batch / 10 + GIB)
            ),
        )
    if device.type == "mps":
        return 1
    each = (
        max(NEEDED * size, GIB) + 3 * held
    )  # whole, its training split, and a while as it is read
    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available / each)))
