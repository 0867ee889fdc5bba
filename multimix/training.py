"""The training loop: steps, validations, and a folder that a training can be continued from."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from tqdm.auto import tqdm

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.films import Films
from multimix.data.manifest import manifest_of
from multimix.model import MultiMix, choose_device, place
from multimix.runtime.checkpoint import network_of, read_checkpoint, sole_writer
from multimix.runtime.distributed import ranks_of, restarted
from multimix.runtime.run_folder import Record
from multimix.trainer import Run

SAID = ("auc", "balanced_accuracy", "accuracy", "dice", "jaccard")  # of a validation, on the screen


class StopSignal:
    """Whether SIGINT or SIGTERM came: the step is finished and saved first. A second one ends at
    once.
    """

    def __enter__(self) -> StopSignal:
        self.came, self.before = False, {}
        if (
            threading.current_thread() is threading.main_thread()
        ):  # elsewhere Python allows no handlers
            self.before = {
                number: signal.signal(number, self._note)
                for number in (signal.SIGINT, signal.SIGTERM)
            }
        return self

    def _note(self, *_) -> None:
        self.came = True
        self.__exit__()

    def __exit__(self, *_) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}


def train(
    config: Config,
    films: Films,
    out: str | os.PathLike,
    *,
    resume: bool = False,
    start: MultiMix | None = None,
    device: str = "auto",
    compile: bool = False,
    progress: bool = True,
    report: Callable[[dict], None] | None = None,
) -> MultiMix:
    """Train, validating on the films' 'val' split, and return the best network, in eval mode.

    Writes into the folder `out`: `best.pth` (the highest validation score: the mean of AUC and
    Dice), `last.pth` and the one before, `previous.pth` (to resume from), `log.csv`, one row for
    each validation, and `manifest.csv`, one row for each film. `resume` continues, if there is
    something, as if it had never stopped; `start` gives the weights to begin from; `compile` lets
    torch compile the network; `report` is called with each row of the log, to draw it or to stop by
    raising. SIGINT and SIGTERM finish the step and save it: KeyboardInterrupt. Under torchrun all
    processes train one network. ValueError names what does not fit, or the term of the loss that is
    no number any more.
    """
    place_of = choose_device(device)
    with ranks_of(place_of) as ranks, StopSignal() as stop:
        loader = Loader(films, config, place_of, ranks)
        run = Run(config, place_of, ranks, start)
        record = Record(Path(out), config, manifest_of(films, loader.kept()), ranks.first)
        with sole_writer(record.out) if ranks.first else nullcontext():
            if content := record.open(resume or restarted()):
                run.restore(content)
            if progress and ranks.first:
                print(loader.describe())
            if compile and (fault := compile_network(run.model)) and ranks.first:
                print(f"multimix: torch cannot compile here ({fault}); training goes on without.")
            make_steps(run, loader, record, stop, films, progress and ranks.first, report)
        ranks.wait()
        return place(
            network_of(read_checkpoint(record.out / "best.pth"), record.out / "best.pth"), place_of
        )


def make_steps(
    run: Run,
    loader: Loader,
    record: Record,
    stop: StopSignal,
    films: Films,
    progress: bool,
    report: Callable[[dict], None] | None,
) -> None:
    """Step, validate and save until the end; KeyboardInterrupt where a signal ended it before."""
    moving = (
        sys.stderr.isatty() or "ipykernel" in sys.modules
    )  # into a file goes one line in half a minute
    with tqdm(
        initial=run.step,
        total=run.config.steps,
        desc="training",
        unit="step",
        disable=not progress,
        mininterval=0.1 if moving else 30,
    ) as bar:
        while not run.finished:
            make_step(run, loader, record, stop, bar)
            if run.validation_due:
                row = run.validate(films)
                record.log(row)
                record.save(run.content(), best=run.best_step == run.step)
                if report and record.first:
                    report(row)
                if progress:
                    bar.write(
                        f"step {run.step}: "
                        + ", ".join(
                            f"{name} {run.results[name]:.4f}"
                            for name in SAID
                            if name in run.results
                        )
                    )
            elif run.stopped or record.due():
                record.save(run.content())
            if run.stopped and not run.finished:
                raise KeyboardInterrupt(
                    f"stopped after step {run.step} of {run.config.steps}; --resume goes on from "
                    "there (in Python: resume=True)"
                )


def make_step(run: Run, loader: Loader, record: Record, stop: StopSignal, bar: tqdm) -> None:
    """One step, shown on the bar. ValueError where it gave no number."""
    try:
        terms = run.optimise(loader(run.step), stop.came)
    except FloatingPointError as error:
        raise ValueError(
            f"{error}; the last good checkpoint is {record.last_good()}. Lower the learning rate "
            f"({run.config.learning_rate_at(run.step):.2g} there) and start anew, or from that "
            "checkpoint (--init) in another folder."
        ) from None
    bar.update()
    films = (bar.format_dict["rate"] or 0) * run.config.films_a_step
    bar.set_postfix(
        {
            **{name: f"{value:.3f}" for name, value in terms.items()},
            "films/s": f"{films:.0f}",
            **({"best": f"{run.best:.3f}"} if run.results else {}),
        },
        refresh=False,
    )


def compile_network(model: MultiMix) -> str | None:
    """Have torch compile encoder and decoder; where it cannot, they stay as they are, and the
    reason comes back.
    """
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1))
    except Exception as error:  # noqa: BLE001  (a compiler may fail in any way)
        return str(error).splitlines()[0]
    model.encoder.compile()
    model.decoder.compile()
    return None
