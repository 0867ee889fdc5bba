"""The training loop: steps, validations, and a folder that a training is resumed from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, cast

from tqdm.auto import tqdm

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.manifest import manifest_of
from multimix.data.training_films import check_training_films
from multimix.evaluation.evaluator import films_of_split
from multimix.model import MultiMix
from multimix.runtime.checkpoint import model_from_checkpoint, read_checkpoint
from multimix.runtime.device import (
    choose_device,
    compile_parts,
    memory_in_words,
    to_device,
    usual_settings,
)
from multimix.runtime.distributed import connect, restarted
from multimix.runtime.files import lock_folder
from multimix.runtime.run_folder import RunFolder
from multimix.runtime.stop_signal import StopSignal
from multimix.trainer import Trainer

PRINTED = ("auc", "balanced_accuracy", "accuracy", "dice", "jaccard")  # of a validation


def train(
    config: Config,
    films: Films,
    out: str | os.PathLike,
    *,
    resume: bool = False,
    init_from: MultiMix | None = None,
    device: str = "auto",
    compile: bool = False,
    progress: bool = True,
    on_validation: Callable[[dict], None] | None = None,
) -> MultiMix:
    """Train, and validate on the films' 'val' split.

    Signals to stop save the training and end it. Under torchrun, all processes train one network.

    Arguments:
        config: the settings.
        films: from `load_films`, at the side of `config`.
        out: a folder for `best.pth` (the highest validation score: the mean of AUC and Dice),
            `last.pth` and the one before, `previous.pth`, `log.csv` (a row for each validation) and
            `manifest.csv` (a row for each film).
        resume: continue the training in the folder, if there is one, as if it had not stopped.
        init_from: a network that gives the first weights.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
        compile: have torch compile the network.
        progress: print, and show a bar.
        on_validation: called with each row of the log; it may stop the training by raising.

    Returns: the best network, in eval mode.

    Errors: ValueError names what does not fit, or the term of the loss that is not a number;
        KeyboardInterrupt where a signal ended the training.
    """
    for value, kind, name in ((config, Config, "config"), (films, Films, "films")):
        if not isinstance(value, kind):
            found = type(value).__name__
            raise ValueError(f"train was given a {found} as {name}; a {kind.__name__} is needed.")
    place, out = choose_device(device), Path(out)
    validation = films_of_split(check_training_films(films, config), "val")
    memory, settings = memory_in_words(place), usual_settings(place)
    with connect(place) as world, StopSignal() as stop, memory, settings, safe_output():
        loader = Loader(films, config, place, world)
        trainer = Trainer(config, validation, place, world, init_from)
        manifest = manifest_of(films, loader.labelled_films())
        folder = RunFolder(out, config, manifest, writes=world.is_main)
        with lock_folder(out) if world.is_main else nullcontext():
            if content := folder.open(resume or restarted()):
                trainer.load_state_dict(content)
            prints = progress and world.is_main
            if prints:
                reached = f"{trainer.step} of {config.steps} steps"
                finished = f"this training is finished ({reached}), and nothing is left to do"
                print(finished if trainer.finished else loader.describe())
            if compile:
                fault = compile_parts(trainer.model.encoder, trainer.model.decoder)
                if fault and world.is_main:
                    print(f"multimix: torch cannot compile here ({fault}); training without it.")
            with progress_bar(trainer, prints) as bar:
                run(trainer, loader, folder, stop, bar, on_validation)
        world.barrier()
        model = model_from_checkpoint(read_checkpoint(out / "best.pth"), out / "best.pth")
        to_device(model, place)
        return model


def run(
    trainer: Trainer,
    loader: Loader,
    folder: RunFolder,
    stop: StopSignal,
    bar: tqdm,
    on_validation: Callable[[dict], None] | None,
) -> None:
    """Step, validate and save until the end. KeyboardInterrupt where a signal comes before."""
    while not trainer.finished:
        if not trainer.validation_due:  # it is, where the training was stopped in a validation
            step(trainer, loader, folder, stop, bar)
        if trainer.validation_due or trainer.stopped or folder.checkpoint_due():
            folder.save(trainer.state_dict())
        validates = trainer.validation_due and not trainer.stopped
        if validates and (row := trainer.validate(lambda: stop.came)):
            folder.log(row)
            folder.save(trainer.state_dict(), best=trainer.best_step == trainer.step)
            if on_validation and trainer.world.is_main:
                on_validation(row)
            metrics = [f"{n} {trainer.results[n]:.4f}" for n in PRINTED if n in trainer.results]
            if not bar.disable:
                bar.write(f"step {trainer.step}: {', '.join(metrics)}")
        if trainer.stopped and not trainer.finished:
            raise KeyboardInterrupt(
                f"stopped after step {trainer.step} of {trainer.config.steps}; --resume continues "
                "from there (in Python: resume=True)"
            )


def step(trainer: Trainer, loader: Loader, folder: RunFolder, stop: StopSignal, bar: tqdm) -> None:
    """Make one step, and show it on the bar. ValueError where its loss is not a number."""
    try:
        terms = trainer.optimise(loader(trainer.step), stop.came)
    except FloatingPointError as error:
        rate, last = trainer.config.learning_rate_at(trainer.step), folder.last_good()
        saved = f"the last good checkpoint is {last}" if last else "nothing was saved before"
        again = ", or from that checkpoint (--init) in another folder" if last else ""
        raise ValueError(
            f"{error}; {saved}. Lower the learning rate ({rate:.2g} there) and start again{again}."
        ) from None
    bar.update()
    results = {name: trainer.results[name] for name in ("auc", "dice") if name in trainer.results}
    shown: dict[str, float] = {"loss": terms["total"], **results}
    bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items()}, refresh=False)


def progress_bar(trainer: Trainer, prints: bool) -> tqdm:
    """A bar of the steps; a log file gets a line every half minute."""
    notebook = "ipykernel" in sys.modules
    hidden, seconds = not prints or trainer.finished, 0.1 if notebook or sys.stderr.isatty() else 30
    bar = dict(unit="step", initial=trainer.step, disable=hidden, mininterval=seconds)
    bar["ncols"] = None if notebook else 100  # characters; in a notebook they would be pixels
    return tqdm(None, "training", trainer.config.steps, **bar)


class SafeStream:
    """A stream whose failing writes are ignored, such as those to a closed terminal."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.stream, name)

        def call(*arguments: Any) -> Any:
            with suppress(OSError, ValueError):
                return attribute(*arguments)

        return call if callable(attribute) else attribute


@contextmanager
def safe_output() -> Iterator[None]:
    """Print and show bars without errors."""
    out, err = cast(Any, SafeStream(sys.stdout)), cast(Any, SafeStream(sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        yield
