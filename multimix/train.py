"""The training loop: the paper's equations in `train_step`, and around them what a long run needs."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from multimix.checkpoint import network_of, read_checkpoint, save_checkpoint
from multimix.config import Config
from multimix.data import Films
from multimix.evaluate import evaluate, score
from multimix.loader import Batch, Loader
from multimix.losses import dice_loss, mask_consistency_loss, pseudo_label_loss
from multimix.manifest import write_manifest
from multimix.model import MultiMix, choose_device


def train_step(model: MultiMix, batch: Batch, config: Config, teacher: MultiMix | None = None) -> dict[str, Tensor]:
    """The loss of one step, every term by name: 'total' is what to back-propagate (equations 1 to 3).

    total = classification + lambda * pseudo_label + alpha * dice + beta * mask_consistency; a term that the system
    does not have is absent. 'kept' is the share of unlabelled films whose pseudo-label counted. `teacher` draws the
    pseudo-labels if given, else the model itself does.
    """
    terms: dict[str, Tensor] = {}
    total = 0.0
    if batch.class_films is not None:
        films = batch.class_films if batch.strong is None else torch.cat([batch.class_films, batch.strong])
        logits, strong_logits = model.classify(films).float().tensor_split([len(batch.class_films)])
        terms["classification"] = F.cross_entropy(logits, batch.labels)
        total = terms["classification"]
        if batch.strong is not None:
            with torch.no_grad():
                weak_logits = (teacher or model).classify(batch.weak).float()
            terms["pseudo_label"], terms["kept"] = pseudo_label_loss(weak_logits, strong_logits, config.threshold)
            total = total + config.pseudo_label_weight * terms["pseudo_label"]
    if batch.mask_films is not None:
        unlabelled = batch.unlabelled_mask_films
        films = batch.mask_films if unlabelled is None else torch.cat([batch.mask_films, unlabelled])
        logits, unlabelled_logits = model(films).mask_logits.float().tensor_split([len(batch.mask_films)])
        terms["dice"] = dice_loss(logits, batch.masks)
        total = total + config.dice_weight * terms["dice"]
        if unlabelled is not None:
            terms["mask_consistency"] = mask_consistency_loss(logits, unlabelled_logits)
            total = total + config.mask_consistency_weight * terms["mask_consistency"]
    return {**terms, "total": total}


class Run:
    """Everything of a training that changes from step to step, and its files in the folder `out`."""

    def __init__(self, config: Config, out: Path, device: torch.device, start: MultiMix | None = None):
        torch.manual_seed(config.seed)
        self.config, self.out, self.device = config, out, device
        self.step, self.best = 0, float("-inf")
        self.model = MultiMix(config.widths, config.bridge)
        if start is not None:
            if (start.widths, start.bridge) != (self.model.widths, self.model.bridge):
                raise ValueError(f"The weights to start from have widths {start.widths}, bridge {start.bridge}; the "
                                 f"training wants widths {config.widths}, bridge {config.bridge}.")
            self.model.load_state_dict(start.state_dict())
        self.model.to(device).train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.average = None
        if config.ema_decay:
            self.average = AveragedModel(self.model, avg_fn=self._moving_average).eval()

    def _moving_average(self, average: Tensor, new: Tensor, count: Tensor) -> Tensor:
        # Short at first, so that the random weights of the start are soon forgotten.
        decay = torch.clamp((1 + count) / (10 + count), max=self.config.ema_decay)
        return average * decay + new * (1 - decay)

    @property
    def network(self) -> MultiMix:
        """What is validated, kept and handed out: the average where there is one."""
        return self.average.module if self.average else self.model

    def optimise(self, batch: Batch) -> dict[str, float]:
        """One step; the terms of its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(self.step)
        teacher = self.average.module if self.average else None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            terms = train_step(self.model, batch, self.config, teacher)
        self.optimizer.zero_grad(set_to_none=True)
        terms["total"].backward()
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.model)
        self.step += 1
        return {name: term.item() for name, term in terms.items()}

    def save(self, results: dict[str, float]) -> None:
        """`last.pth` to resume from, and `best.pth` when no validation before scored higher."""
        kept = {"weights": self.network.state_dict(), "config": self.config.as_dict(), "step": self.step,
                "validation": results}
        if score(results) > self.best:
            self.best = score(results)
            save_checkpoint(self.out / "best.pth", kept)
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "best": self.best,
                 "average": self.average.state_dict() if self.average else None}
        save_checkpoint(self.out / "last.pth", {**kept, "training": state})

    def restore(self) -> None:
        """Continue from `last.pth`."""
        path = self.out / "last.pth"
        content = read_checkpoint(path)
        if "training" not in content:
            raise ValueError(f"{path} has weights but no training state; --resume needs a file that training wrote.")
        before, now = content["config"], self.config.as_dict()
        changed = [f"{name} ({before.get(name)} then, {value} now)" for name, value in now.items()
                   if before.get(name) != value]
        if changed:
            raise ValueError(f"{path} was trained otherwise: {', '.join(changed)}; resume with the same settings, or "
                             "start afresh in another folder.")
        state = content["training"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.step, self.best = content["step"], state["best"]


def train(config: Config, films: Films, out: str | os.PathLike, *, resume: bool = False, start: MultiMix | None = None,
          device: str = "auto", progress: bool = True, report: Callable[[dict], None] | None = None) -> MultiMix:
    """Train, validating on the films' 'val' split, and return the best network, in eval mode.

    Writes into the folder `out`: `best.pth` (the highest validation score: the mean of AUC and Dice), `last.pth`
    (to resume from), `log.csv`, one row for each validation, and `manifest.csv`, one row for each film. `resume`
    continues from `last.pth`, if there is one, as if it had never stopped; `start` gives the weights to begin from;
    `report` is called with each row of the log, to draw it or to stop by raising.
    ValueError names what does not fit.
    """
    out, device = Path(out), choose_device(device)
    loader = Loader(films, config, device)
    run = Run(config, out, device, start)
    if (out / "last.pth").exists():
        if not resume:
            raise ValueError(f"{out} already holds a training; resume it (--resume) or choose another folder.")
        run.restore()
    out.mkdir(parents=True, exist_ok=True)
    write_manifest(out / "manifest.csv", films, loader.kept())
    if progress:
        print(loader.describe())
    with tqdm(initial=run.step, total=config.steps, desc="training", unit="step", disable=not progress) as bar:
        while run.step < config.steps:
            terms = train_until_validation(run, loader, bar)
            results = evaluate(run.network, films, "val")
            run.save(results)
            row = {"step": run.step, "rate": config.learning_rate_at(run.step - 1), **terms,
                   **{f"val_{name}": value for name, value in results.items()}, "time": round(time.time(), 1)}
            log(out / "log.csv", row)
            if report:
                report(row)
            if progress:
                bar.write(f"step {run.step}: " + ", ".join(f"{n} {v:.4f}" for n, v in results.items()))
    return network_of(read_checkpoint(out / "best.pth"), out / "best.pth")


def train_until_validation(run: Run, loader, bar: tqdm) -> dict[str, float]:
    """Steps up to the next validation; the mean of each term on the way."""
    sums: dict[str, float] = {}
    first = run.step
    while run.step < run.config.steps:
        torch.manual_seed(run.config.seed * 1_000_003 + run.step)  # dropout depends on the step, not on its past
        terms = run.optimise(loader(run.step))
        sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
        bar.update()
        bar.set_postfix({name: f"{value:.3f}" for name, value in terms.items()}, refresh=False)
        if run.step % run.config.validate_every == 0:
            break
    return {name: value / (run.step - first) for name, value in sums.items()}


def log(path: Path, row: dict) -> None:
    """Append to a CSV that starts with a header."""
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
