"""The command `sweep`: train and measure a grid of systems, label budgets and seeds.

Each run is what a user would type, `train` and then `evaluate`, in a process of its own.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from multimix.apps.options import changes_of, config_arguments
from multimix.config import Config
from multimix.model import TASKS
from multimix.recipes import SYSTEMS
from multimix.runtime.device import choose_device
from multimix.runtime.files import bundled, printable, write_text

DOMAINS = {"test": "test", "cross": "all"}  # the split that is measured, by domain
SMALL = [str(bundled("sample_data") / "small")]
QUICK_SWEEP: dict[str, Any] = {  # for --quick: about a minute on two cores
    **dict(classification=SMALL, segmentation=SMALL, class_labels=[100], masks=[10], seeds=1),
    **dict(systems="unet,enc,multimix", side=64, steps=120, validate_every=40),
}
FILM = ["domain", "task", "film", "patient", "label"]  # the first columns of films.csv
# Run command lines in turn until one fails, in one process, as starting takes seconds.
# Standard input ends when the sweep ends, however it does; then the training saves and stops.
PROGRAM = """import json, os, signal, sys, threading
def watch():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=watch, daemon=True).start()
from multimix.apps.cli import main
sys.exit(any(map(main, json.loads(sys.argv[1]))))"""

# What must match for a finished run to be reused: system, recipe, config, and the folders of both
# tasks by domain ('films'). It is in the run's test.json.
Spec = dict[str, Any]


def sweep(options: argparse.Namespace) -> list[str]:
    """Train and measure every combination; finished runs are kept, interrupted ones continue.

    Each run has a folder, `out`/NAME; runs.csv and films.csv have those that are finished. The
    means over seeds are printed. Returns a sentence for each run that failed.
    """
    for name, value in QUICK_SWEEP.items() if options.quick else ():
        if getattr(options, name, None) in (None, []):
            setattr(options, name, value)
    if not options.classification and not options.segmentation:
        raise ValueError("No films were given; name their folders, or take the small set: --quick.")
    runs, device = grid(options), choose_device(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    missing = [folder for folder, spec in runs.items() if not is_finished(folder, spec)]
    cores = os.cpu_count() or 1
    at_once = options.jobs or (cores if device.type == "cpu" else 1)
    at_once = max(1, min(at_once, len(missing)))
    print(f"{len(runs)} runs, {len(runs) - len(missing)} done; {at_once} at once.", flush=True)
    more = ["--cache", str(options.cache or options.out / "cache"), "--device", options.device]

    def work(folder: Path) -> str:
        fault = run_one(folder, runs[folder], more, max(1, cores // at_once), waiting)
        print(f"{folder.name}: {fault or 'done'}", flush=True)
        return f"{folder.name}: {fault}" if fault else ""

    read_end, write_end = os.pipe()
    with open(read_end) as waiting, ThreadPoolExecutor(at_once) as pool, open(write_end, "w"):
        faults = [*filter(None, pool.map(work, missing))]
    print(write_tables(options.out))
    if options.quick:
        print("These are short trainings: they show that all works, not which system is better.")
    return faults


def grid(options: argparse.Namespace) -> dict[Path, Spec]:
    """Folder and settings of each run; the budgets of a task that a system lacks add no runs."""
    if (seeds := 5 if options.seeds is None else options.seeds) < 1:
        raise ValueError(f"The number of seeds is {seeds}; 1 or more are needed.")
    recipe = options.recipe
    systems = options.systems.split(",") if options.systems else SYSTEMS
    budgets = options.class_labels or [None], options.masks or [None]
    sets = {"test": (options.classification, options.segmentation)}
    sets["cross"] = options.cross_classification, options.cross_segmentation
    runs, changes = {}, changes_of(options) | {"class_labels": None, "masks": None}
    for seed, system, *counts in product(range(seeds), systems, *budgets):
        config = Config.preset(system, recipe, **changes | {"seed": seed})
        learns = config.classify, config.segment
        for task, names, learnt in zip(TASKS, sets["test"], learns):
            if learnt and not names:
                raise ValueError(f"{system} learns {task}; give --{task}, or other --systems.")
        labels, masks = (count if learnt else None for count, learnt in zip(counts, learns))
        config = replace(config, class_labels=labels, masks=masks)
        films: dict[str, list] = {}
        for domain, folders in sets.items():
            used = [names if learnt else [] for names, learnt in zip(folders, learns)]
            films |= {domain: used} if any(used) else {}
        spec = {"system": system, "recipe": recipe, "config": config.as_dict(), "films": films}
        parts = [system, *([] if recipe == "paper" else [recipe]), *budget_of(spec)]
        folder = options.out / "-".join([*parts, f"seed{seed}"])
        runs[folder] = json.loads(json.dumps(spec, default=str))  # as a file has it
    return runs


def budget_of(spec: Spec) -> list[str]:
    """Class labels and masks: a number, 'all', or 'none' if the system lacks the task."""
    fields, config = (("classify", "class_labels"), ("segment", "masks")), spec["config"]
    return [str(config[count] or "all") if config[learnt] else "none" for learnt, count in fields]


def is_finished(folder: Path, spec: Spec) -> bool:
    """Whether a folder has the results of this very run."""
    try:
        return json.loads((folder / "test.json").read_bytes())["spec"] == spec
    except (OSError, ValueError, LookupError, TypeError):
        return False


def run_one(folder: Path, spec: Spec, more: Sequence[str], threads: int, stdin: TextIO) -> str:
    """Train and measure one run in a new process, with `more` words; a fault's sentence, or ''."""
    for old in (path for domain in DOMAINS for path in folder.glob(f"{domain}.*")):
        old.unlink()  # damaged, or of a shorter training
    commands = [[*training(spec), "--resume", "--out", str(folder), *more]]
    for domain, folders in spec["films"].items():
        words = ["evaluate", *as_words(folders), "--weights", str(folder / "best.pth"), *more]
        words += ["--split", DOMAINS[domain], "--raw"]  # as published
        commands.append([*words, "--json", str(folder / f"{domain}.json")])
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)},
        stdin=stdin,
        capture_output=True,
        start_new_session=True,  # Ctrl-C reaches the sweep alone
    )
    said = process.stderr.decode("utf-8", "replace").strip()
    if process.returncode:
        last = said.rpartition("\n")[2] if process.returncode > 0 else ""  # else it was killed
        ended = f"its process ended with code {process.returncode}; try fewer at once (--jobs)"
        return last.removeprefix("multimix: ") or ended
    notes = [line for line in said.splitlines() if line.startswith("multimix: ")]
    print(*dict.fromkeys(notes), sep="\n", end="\n" * bool(notes), file=sys.stderr)
    content = json.loads((folder / "test.json").read_bytes())
    write_text(folder / "test.json", json.dumps({"spec": spec, **content}, indent=1))
    return ""


def training(spec: Spec) -> list[str]:
    """The words of `train` for a run, without its folder."""
    named = spec["system"], spec["recipe"]
    words = ["train", "--system", named[0], "--recipe", named[1], *as_words(spec["films"]["test"])]
    return words + config_arguments(Config.from_dict(spec["config"]), *named)


def as_words(folders: list[list[str]]) -> list[str]:
    """The options that name the films of both tasks."""
    return [word for task, names in zip(TASKS, folders) if names for word in (f"--{task}", *names)]


def write_tables(out: Path) -> str:
    """Write runs.csv and films.csv of all finished runs in a folder; the means as text."""
    rows, columns = [], {}
    for path in sorted(out.glob("*/test.json")):
        try:
            row, columns[path.parent.name] = read_run(path)
            rows.append(row)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            print(f"multimix: {path} is not of a finished run; it is left out.", file=sys.stderr)
    if not rows:
        return "No run is finished."
    runs = pd.DataFrame(rows).sort_values("system", key=lambda of: of.map([*SYSTEMS].index))
    runs = runs[sorted(runs, key=("command", "config").__contains__)]  # long ones last
    films = pd.concat(columns, axis="columns")[runs["run"].tolist()].reset_index()
    for name, table in (("runs", runs), ("films", films)):
        write_text(out / f"{name}.csv", table.to_csv(index=False, lineterminator="\r\n"))
    cells = runs.groupby(["system", "recipe", "class_labels", "masks", "steps"], sort=False)
    shown = [f"{domain}_{name}" for domain in DOMAINS for name in ("auc", "accuracy", "dice")]
    means = cells[[name for name in shown if name in runs]].agg(["mean", "std"]).round(3)
    means.insert(0, "runs", cells.size())
    return f"{means.to_string(na_rep='')}\nEvery run: {out / 'runs.csv'}; films: films.csv"


def read_run(path: Path) -> tuple[dict[str, Any], pd.Series]:
    """The row of runs.csv, and the column of films.csv, of the run with this test.json."""
    spec, parts = json.loads(path.read_bytes())["spec"], []
    again = ["python", "-m", "multimix", *training(spec), "--out", f"{path.parent}-again"]
    row = {"run": path.parent.name, "system": spec["system"], "recipe": spec["recipe"]}
    row |= dict(zip(("class_labels", "masks"), budget_of(spec)))
    row |= {name: spec["config"][name] for name in ("seed", "side", "steps")}
    row |= {"command": shlex.join(again), "config": json.dumps(spec["config"])}
    for domain in spec["films"]:
        content = json.loads(path.with_name(f"{domain}.json").read_bytes())
        for name, metric in content["metrics"].items():
            row[f"{domain}_{name}"] = round(float(metric["value"]), 5)
        parts.append(pd.DataFrame(content["films"]).assign(domain=domain))
    films = pd.concat(parts).reindex(columns=[*FILM, "dice", "raw_probability"])
    raw = films["raw_probability"].astype(float).round(6)
    values = films["dice"].astype(float).round(4).fillna(raw)
    values.index = pd.MultiIndex.from_frame(films[FILM].fillna("").map(printable))
    return row, values[~values.index.duplicated()]
