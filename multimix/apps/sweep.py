"""The command `sweep`: train and measure a grid of systems, label budgets and seeds.

Each run has a process of its own: `python -m multimix.apps.sweep ORDER`, with an order in JSON.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.data.training_films import check_training_films
from multimix.evaluation.evaluator import evaluate, films_of_split
from multimix.evaluation.results import write_results
from multimix.recipes import SYSTEMS
from multimix.runtime.config_options import config_arguments
from multimix.runtime.device import choose_device
from multimix.runtime.files import bundled, printable, write_text
from multimix.runtime.stop_signal import STOPPED, StopSignal
from multimix.training import train

SPLITS = {"test": "test", "cross": "all"}  # the split that is measured, by domain
SMALL = [str(bundled("sample_data") / "small")]
QUICK: dict[str, Any] = {"classification": SMALL, "segmentation": SMALL, "seeds": 2, "side": 64}
QUICK |= {"class_labels": [100], "masks": [10], "steps": 60, "validate_every": 20}  # for --quick
FILM = ["domain", "task", "film", "patient", "label"]  # the first columns of films.csv


def sweep(
    out: Path,
    films: Mapping[str, Sequence[Sequence[str]]],
    *,
    systems: Sequence[str] = tuple(SYSTEMS),
    recipe: str = "paper",
    class_labels: Sequence[int | None] = (None,),
    masks: Sequence[int | None] = (None,),
    seeds: int = 5,
    at_once: int = 0,
    device: str = "auto",
    cache: str | os.PathLike | None = None,
    **changes: Any,
) -> list[str]:
    """Train and measure every combination; finished runs are kept, interrupted ones continue.

    Each run has a folder, `out`/NAME. runs.csv has a row for each finished run in `out`, films.csv
    the Dice, or the raw probability, of each film in each run. The means over seeds are printed.

    Arguments:
        films: folders of classification and of segmentation films: 'test' to train and test on,
            'cross' to test on.
        class_labels, masks: numbers of films that keep theirs; None keeps all.
        at_once: number of runs at the same time; 0: one, on a CPU as many as fit.
        changes: other fields of Config, for all runs.

    Returns: a sentence for each run that failed. ValueError, before the first training, if a run
        could not be trained or measured; KeyboardInterrupt, after the trainings saved, on Ctrl-C.
    """
    if seeds < 1:
        raise ValueError(f"The number of seeds is {seeds}; 1 or more are needed.")
    jobs = {}
    for seed, system, *budgets in product(range(seeds), systems, class_labels, masks):
        config = Config.preset(system, recipe, seed=seed, **changes)
        job = make_job(films, config, system, recipe, *budgets)
        jobs[job.name] = job  # systems without a task have one job for all its budgets
    out.mkdir(parents=True, exist_ok=True)
    order = {"out": str(out), "device": device, "cache": str(cache or out / "cache")}
    missing = [job for job in jobs.values() if not job.done(out)]
    check_films(missing, order["cache"])
    at_once = max(1, min(at_once or most_at_once(choose_device(device)), len(missing)))
    done = len(jobs) - len(missing)
    print(f"{len(jobs)} runs, {done} of them done; {at_once} at once.", flush=True)
    faults = run_all(missing, order, at_once)
    print(write_tables(out))
    return faults


@dataclass(frozen=True)
class Job:
    """One training of the grid; `films` are folders of both tasks, by domain."""

    system: str
    recipe: str
    config: Config
    films: Mapping[str, Sequence[Sequence[str]]]

    @property
    def budget(self) -> list[str]:
        """Class labels and masks: a number, 'all', or 'none' if the system lacks the task."""
        c = self.config
        budgets = ((c.classify, c.class_labels), (c.segment, c.masks))
        return [str(number or "all") if learnt else "none" for learnt, number in budgets]

    @property
    def name(self) -> str:
        """'multimix-100-10-seed0': system, recipe if not 'paper', labels, masks, seed."""
        recipe = [self.recipe] if self.recipe != "paper" else []
        return "-".join([self.system, *recipe, *self.budget, f"seed{self.config.seed}"])

    def load(self, domain: str, cache: str | None, progress: bool = False) -> Films:
        """The films of one domain, with the splits of this job's seed."""
        (classes, lungs), c = self.films[domain], self.config
        return load_films(classes, lungs, c.side, c.seed, progress, cache=cache)

    def spec(self) -> dict[str, Any]:
        """The settings that must match for a finished run to be reused, as JSON has them."""
        return json.loads(json.dumps({**asdict(self), "config": self.config.as_dict()}))

    def done(self, out: Path) -> bool:
        """Whether `out` has the results of this very job: 'test.json' is written last."""
        try:
            return json.loads((out / self.name / "test.json").read_bytes())["spec"] == self.spec()
        except (OSError, ValueError, LookupError, TypeError):
            return False

    def command(self, out: Path) -> str:
        """The command line that trains this run again, in a folder beside it."""
        words = f"python -m multimix train --system {self.system} --recipe {self.recipe}".split()
        for task, folders in zip(("classification", "segmentation"), self.films["test"]):
            words += [f"--{task}", *folders] if folders else []
        words += config_arguments(self.config, self.system, self.recipe)
        return shlex.join([*words, "--out", str(out / f"{self.name}-again")])


def make_job(films: Mapping, config: Config, system: str, recipe: str, labels, masks) -> Job:
    """One job, without the budgets and folders of a task that its system lacks."""
    labels, masks = labels if config.classify else None, masks if config.segment else None
    own = {}
    for domain, (classes, lungs) in films.items():
        folders = classes if config.classify else (), lungs if config.segment else ()
        if domain == "test" or any(folders):
            own[domain] = folders
    return Job(system, recipe, replace(config, class_labels=labels, masks=masks), own)


def check_films(jobs: Sequence[Job], cache: str) -> None:
    """Read all films into the cache. ValueError if a job could not be trained or measured."""
    loaded: dict[str, Films] = {}
    for job in jobs:
        for domain, folders in job.films.items():
            key = json.dumps([folders, job.config.side, job.config.seed])
            if key not in loaded:
                loaded[key] = job.load(domain, cache, sys.stderr.isatty())
            if domain == "test":
                check_training_films(loaded[key], job.config)
                Loader(loaded[key], job.config)
            films_of_split(loaded[key], SPLITS[domain])


def most_at_once(device: torch.device) -> int:
    """On a CPU one run for each core and 2 GiB of free memory; elsewhere one."""
    fitting = min(os.cpu_count() or 1, psutil.virtual_memory().available // 2**31)
    return max(1, fitting) if device.type == "cpu" else 1


def run_all(jobs: Sequence[Job], order: Mapping[str, Any], at_once: int) -> list[str]:
    """Run these jobs and print when each ends; a sentence for each that failed."""
    # The end of this pipe, which comes however this process ends, tells all runs to save and stop.
    read_end, write_end = os.pipe()
    order = {**order, "threads": max(1, torch.get_num_threads() // at_once)}
    pool, faults = ThreadPoolExecutor(at_once), []
    try:
        with StopSignal() as stop:
            running = {pool.submit(run_process, job, order, read_end): job.name for job in jobs}
            while running and not stop.came:
                for future in wait(running, 0.2, FIRST_COMPLETED).done:
                    name, fault = running.pop(future), future.result()
                    faults += [f"{name}: {fault}"] if fault else []
                    number = len(jobs) - len(running)
                    print(f"[{number}/{len(jobs)}] {name}: {fault or 'done'}", flush=True)
        if running:
            raise KeyboardInterrupt("stopped; the same command continues")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        os.close(write_end)
        pool.shutdown()
        os.close(read_end)
    return faults


def run_process(job: Job, order: Mapping[str, Any], standard_input: int) -> str:
    """Train and measure one job in a process of its own; its fault, or ''."""
    process = subprocess.run(
        [sys.executable, "-m", "multimix.apps.sweep", json.dumps({**order, **job.spec()})],
        stdin=standard_input,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C in the terminal reaches the sweep only
    )
    if process.returncode == 0:
        return process.stdout.decode("utf-8", "replace").strip()
    code = process.returncode
    return f"its process was ended from outside (exit code {code}); try fewer at once (--jobs)"


def main() -> int:
    """The process of one run, from an order in JSON. Prints its fault, if there is one."""
    order = json.loads(sys.argv[1])
    threading.Thread(target=stop_with_sweep, daemon=True).start()
    torch.set_num_threads(order["threads"])
    names = order["system"], order["recipe"]
    try:
        with redirect_stdout(sys.stderr):
            job = Job(*names, Config.from_dict(order["config"]), order["films"])
            run(job, Path(order["out"]), order["cache"], order["device"])
    except KeyboardInterrupt:
        return STOPPED
    except Exception as error:  # noqa: BLE001  (the sweep reports any fault and continues)
        kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        print(f"{kind}{error}")
    return 0


def stop_with_sweep() -> None:
    """Wait for the end of standard input, then have this process save its training and end."""
    os.read(0, 1)  # sys.stdin would be locked when Python ends
    os.kill(os.getpid(), signal.SIGTERM)


def run(job: Job, out: Path, cache: str | None, device: str) -> None:
    """Train and measure one job in this process."""
    films, config = job.load("test", cache), job.config
    model = train(config, films, out / job.name, resume=True, device=device, progress=False)
    row: dict = {"run": job.name, "system": job.system, "recipe": job.recipe}
    row |= dict(zip(("class_labels", "masks"), job.budget))
    row |= {"seed": config.seed, "side": config.side}
    row |= {"steps": config.steps, "command": job.command(out), "config": job.spec()["config"]}
    for domain in list(job.films)[::-1]:  # 'test' last: its file says that the run is finished
        measured = films if domain == "test" else job.load(domain, cache)
        results = evaluate(model, measured, SPLITS[domain], clean=False)  # as published
        for old in (out / job.name).glob(f"{domain}.*"):  # damaged, or of a shorter training
            old.unlink()
        write_results(results, out / job.name / f"{domain}.json", spec=job.spec(), run=row)


def write_tables(out: Path) -> str:
    """Write runs.csv and films.csv of all finished runs in a folder; the means as text."""
    rows, columns = [], {}
    for path in sorted(out.glob("*/test.json")):
        try:
            row, column = read_run(path)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            print(f"multimix: {path} is damaged; its run is left out.", file=sys.stderr)
            continue
        rows.append(row)
        columns[row["run"]] = column
    if not rows:
        return "No run is finished."
    runs = pd.DataFrame(rows).sort_values("system", key=lambda of: of.map([*SYSTEMS].index))
    runs = runs[sorted(runs, key=("command", "config").__contains__)]  # long ones last
    films = pd.concat(columns, axis="columns")[runs["run"].tolist()].reset_index()
    for name, table in (("runs", runs), ("films", films)):
        write_text(out / f"{name}.csv", table.to_csv(index=False, lineterminator="\r\n"))
    cells = runs.groupby(["system", "recipe", "class_labels", "masks", "steps"], sort=False)
    shown = [f"{domain}_{name}" for domain in SPLITS for name in ("auc", "accuracy", "dice")]
    means = cells[[name for name in shown if name in runs]].agg(["mean", "std"]).round(3)
    means.insert(0, "runs", cells.size())
    return f"{means.to_string(na_rep='')}\nEvery run: {out / 'runs.csv'}; films: films.csv"


def read_run(path: Path) -> tuple[dict[str, Any], pd.Series]:
    """The row of runs.csv, and the column of films.csv, of the run that wrote this test.json."""
    content = json.loads(path.read_bytes())
    row, parts = content["run"], []
    if row["run"] != path.parent.name:
        raise ValueError("it is of another run")
    for domain in content["spec"]["films"]:
        content = json.loads(path.with_name(f"{domain}.json").read_bytes())
        for name, metric in content["metrics"].items():
            row[f"{domain}_{name}"] = round(float(metric["value"]), 5)
        parts.append(pd.DataFrame(content["films"]).assign(domain=domain))
    films = pd.concat(parts).reindex(columns=[*FILM, "dice", "raw_probability"])
    raw = films["raw_probability"].astype(float).round(6)
    values = films["dice"].astype(float).round(4).fillna(raw)
    values.index = pd.MultiIndex.from_frame(films[FILM].fillna("").map(printable))
    return {**row, "config": json.dumps(row["config"])}, values[~values.index.duplicated()]


if __name__ == "__main__":
    sys.exit(main())
