"""The training loop: steps, validations, and a folder that a training is resumed from."""

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from multimix.batches import Loader
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.training_films import check_training_films, manifest_of
from multimix.evaluation.evaluator import films_of_split
from multimix.model import MultiMix
from multimix.runtime.checkpoint import model_from_checkpoint, read_checkpoint
from multimix.runtime.device import choose_device, compile_parts, connect, to_device, usual_settings
from multimix.runtime.files import lock_folder
from multimix.runtime.run_folder import RunFolder
from multimix.runtime.stop_signal import StopSignal
from multimix.trainer import Trainer


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
            `last.pth`, `log.csv` (a row for each validation) and `manifest.csv` (a row for each
            film).
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
    printed, shown = redirect_stdout(safe(sys.stdout)), redirect_stderr(safe(sys.stderr))
    with printed, shown, connect(place) as world, StopSignal() as stop, usual_settings(place):
        loader = Loader(films, config, place, world)
        trainer = Trainer(config, validation, place, world, init_from)
        if compile:
            compile_parts(trainer.model.encoder, trainer.model.decoder)
        folder = RunFolder(out, config, manifest_of(films, loader.labelled), world.is_main)
        with lock_folder(out) if world.is_main else nullcontext():
            if content := folder.open(resume):
                trainer.load_state_dict(content)
            with progress_bar(trainer, loader, progress and world.is_main) as bar:
                run(trainer, loader, folder, stop, bar, on_validation)
        world.gather(None)  # all wait for the main one, which writes
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
            terms = trainer.optimise(loader(trainer.step), stop.came)
            shown = {"loss": terms["total"], **trainer.results}
            bar.update()
            kept = {n: f"{shown[n]:.3f}" for n in ("loss", "auc", "dice") if n in shown}
            bar.set_postfix(kept, refresh=False)
        if trainer.validation_due or trainer.stopped or folder.checkpoint_due():
            folder.save(trainer.state_dict())
        validates = trainer.validation_due and not trainer.stopped
        if validates and (row := trainer.validate(lambda: stop.came)):
            folder.log(row)
            folder.save(trainer.state_dict(), best=trainer.best_step == trainer.step)
            if on_validation and trainer.world.is_main:
                on_validation(row)
            if not bar.disable:
                names = ("auc", "balanced_accuracy", "accuracy", "dice", "jaccard")
                metrics = [f"{n} {trainer.results[n]:.4f}" for n in names if n in trainer.results]
                bar.write(f"step {trainer.step}: {', '.join(metrics)}")
        if trainer.stopped and not trainer.finished:
            raise KeyboardInterrupt(
                f"stopped after step {trainer.step} of {trainer.config.steps}; --resume continues "
                "from there (in Python: resume=True)"
            )


def progress_bar(trainer: Trainer, loader: Loader, prints: bool) -> tqdm:
    """Print the films, and show a bar of the steps; a log file gets a line every half minute."""
    steps, finished = trainer.config.steps, trainer.finished
    done = f"this training is finished ({trainer.step} of {steps} steps), and nothing is left to do"
    if prints:
        print(done if finished else loader.describe())
    notebook = "ipykernel" in sys.modules
    seconds = 0.1 if notebook or sys.stderr.isatty() else 30
    width = None if notebook else 100  # characters; in a notebook they would be pixels
    bar = dict(initial=trainer.step, disable=finished or not prints, mininterval=seconds)
    return tqdm(None, "training", steps, unit="step", ncols=width, **bar)


def safe(stream: Any) -> Any:
    """A stream whose failing writes are ignored, such as those to a closed terminal."""

    class Safe:
        def __getattr__(self, name: str) -> Any:
            attribute = getattr(stream, name)

            def call(*arguments: Any) -> Any:
                with suppress(OSError, ValueError):
                    return attribute(*arguments)

            return call if callable(attribute) else attribute

    return Safe()
