"""The training loop: steps, validations, and a folder that a training is resumed from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from tqdm.auto import tqdm
from typing_extensions import Unpack

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


class TrainOptions(TypedDict, total=False):
    """What `train` takes besides configuration, films and folder."""

    resume: bool
    init_from: MultiMix | None
    device: str
    compile: bool
    progress: bool
    on_validation: Callable[[dict], None] | None


def train(
    config: Config, films: Films, out: str | os.PathLike, **options: Unpack[TrainOptions]
) -> MultiMix:
    """Train, validating on the films' 'val' split.

    SIGINT and SIGTERM finish the step and save it. Under torchrun all processes train one network.

    Arguments:
        config: every number of the training.
        films: what `load_films` gave, at the side that `config` names.
        out: a folder for `best.pth` (the highest validation score: the mean of AUC and Dice),
            `last.pth` and the one before, `previous.pth`, `log.csv` (a row for each validation) and
            `manifest.csv` (a row for each film).
        resume: continue what is in the folder, if anything, as if it had never stopped.
        init_from: a network whose weights to begin with.
        device: 'auto', 'cpu', 'cuda' or 'mps'.
        compile: have torch compile the network.
        progress: print, and show a bar (the default).
        on_validation: called with each row of the log, to draw it, or to stop by raising.

    Returns: the best network, in eval mode.

    Errors: ValueError names what does not fit, or the term of the loss that is no longer a number;
        KeyboardInterrupt where a signal ended it.
    """
    check_arguments(config, films, options)
    device = choose_device(options.get("device", "auto"))
    validation = films_of_split(check_training_films(films, config), "val")
    settings = usual_settings(device)
    with connect(device) as world, StopSignal() as stop, memory_in_words(device), settings:
        loader = Loader(films, config, device, world)
        trainer = Trainer(config, validation, device, world, options.get("init_from"))
        manifest = manifest_of(films, loader.labelled_films())
        folder = RunFolder(Path(out), config, manifest, writes=world.is_main)
        with lock_folder(folder.out) if world.is_main else nullcontext():
            if content := folder.open(options.get("resume", False) or restarted()):
                trainer.load_state_dict(content)
            prints = options.get("progress", True) and world.is_main
            if prints:
                print(finished_in_words(trainer) or loader.describe())
            if options.get("compile"):
                compile_or_say_why(trainer)
            Loop(trainer, loader, folder, stop, prints, options.get("on_validation")).run()
        world.barrier()
        best = folder.out / "best.pth"
        model = model_from_checkpoint(read_checkpoint(best), best)
        to_device(model, device)
        return model


def check_arguments(config: object, films: object, options: Mapping[str, object]) -> None:
    """ValueError where `train` was given something else than it takes."""
    if wrong := options.keys() - TrainOptions.__annotations__.keys():
        known = ", ".join(TrainOptions.__annotations__)
        raise ValueError(f"train has no argument '{min(wrong)}'; it takes {known}.")
    for value, kind, name in ((config, Config, "config"), (films, Films, "films")):
        if not isinstance(value, kind):
            found = type(value).__name__
            raise ValueError(f"train was given a {found} as {name}; a {kind.__name__} is needed.")


def compile_or_say_why(trainer: Trainer) -> None:
    """Have torch compile the network in place, where it can."""
    fault = compile_parts(trainer.model.encoder, trainer.model.decoder)
    if fault and trainer.world.is_main:
        print(f"multimix: torch cannot compile here ({fault}); training goes on without.")


def finished_in_words(trainer: Trainer) -> str:
    """That a training which is resumed is at its end, '' where it is not."""
    if not trainer.finished:
        return ""
    reached = f"{trainer.step} of {trainer.config.steps} steps"
    return f"this training is finished ({reached}), and nothing is left to do"


@dataclass
class Loop:
    """Step, validate and save until the end."""

    trainer: Trainer
    loader: Loader
    folder: RunFolder
    stop: StopSignal
    prints: bool
    on_validation: Callable[[dict], None] | None

    def run(self) -> None:
        """KeyboardInterrupt where a signal ended it before."""
        trainer = self.trainer
        # Into a file goes one line in half a minute.
        live = sys.stderr.isatty() or "ipykernel" in sys.modules
        bar = tqdm(
            initial=trainer.step,
            total=trainer.config.steps,
            desc="training",
            unit="step",
            disable=not self.prints or trainer.finished,
            mininterval=0.1 if live else 30,
        )
        with bar:
            while not trainer.finished:
                self.step(bar)
                if trainer.validation_due:
                    self.validate(bar)
                elif trainer.stopped or self.folder.checkpoint_due():
                    self.folder.save(trainer.state_dict())
                if trainer.stopped and not trainer.finished:
                    raise KeyboardInterrupt(
                        f"stopped after step {trainer.step} of {trainer.config.steps}; --resume "
                        "goes on from there (in Python: resume=True)"
                    )

    def step(self, bar: tqdm) -> None:
        """One step, shown on the bar. ValueError where its loss is not a number."""
        trainer = self.trainer
        try:
            terms = trainer.optimise(self.loader(trainer.step), self.stop.came)
        except FloatingPointError as error:
            rate = trainer.config.learning_rate_at(trainer.step)
            last = self.folder.last_good()
            saved, again = "nothing was saved before", "start anew"
            if last:
                saved = f"the last good checkpoint is {last}"
                again = "start anew, or from that checkpoint (--init) in another folder"
            raise ValueError(
                f"{error}; {saved}. Lower the learning rate ({rate:.2g} there) and {again}."
            ) from None
        bar.update()
        films = (bar.format_dict["rate"] or 0) * trainer.config.films_a_step
        shown = {name: f"{value:.3f}" for name, value in terms.items()}
        shown["films/s"] = f"{films:.0f}"
        if trainer.results:
            shown["best"] = f"{trainer.best:.3f}"
        bar.set_postfix(shown, refresh=False)

    def validate(self, bar: tqdm) -> None:
        """Measure, log, save, report."""
        trainer = self.trainer
        row = trainer.validate()
        self.folder.log(row)
        self.folder.save(trainer.state_dict(), best=trainer.best_step == trainer.step)
        if self.on_validation and self.trainer.world.is_main:
            self.on_validation(row)
        if self.prints:
            metrics = [f"{n} {trainer.results[n]:.4f}" for n in PRINTED if n in trainer.results]
            bar.write(f"step {trainer.step}: {', '.join(metrics)}")
