"""One step of training: the paper's equations in `train_step`, and what changes from step to step
in `Run`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from multimix.batches import Batch
from multimix.config import Config
from multimix.data.films import Films
from multimix.evaluation.evaluator import score, validate
from multimix.joint_augment import move
from multimix.losses import (
    dice_loss,
    mask_consistency_loss,
    pixel_consistency_loss,
    pseudo_label_loss,
)
from multimix.model import MultiMix, films_at_once, place
from multimix.runtime.distributed import ALONE, Ranks


def train_step(
    model: MultiMix, batch: Batch, config: Config, teacher: MultiMix | None = None
) -> dict[str, Tensor]:
    """The loss of one step, every term by name: 'total' is what to back-propagate (equations 1 to
    3).

    total = classification + lambda * pseudo_label + alpha * dice + beta * mask_consistency; a term
    that the system does not have is absent, and the improved recipe may add 'mask_bce' and
    'pixel_consistency'. 'kept' is the share of unlabelled films whose pseudo-label counted.
    `teacher` draws the pseudo-labels if given, else the model itself does.
    """
    terms: dict[str, Tensor] = {}
    total = 0.0
    if batch.class_films is not None:
        films = (
            batch.class_films
            if batch.strong is None
            else torch.cat([batch.class_films, batch.strong])
        )
        logits, strong_logits = model.classify(films).float().tensor_split([len(batch.class_films)])
        terms["classification"] = F.cross_entropy(logits, batch.labels)
        total = terms["classification"]
        if batch.strong is not None:
            with torch.no_grad():
                weak_logits = (teacher or model).classify(batch.weak).float()
            terms["pseudo_label"], terms["kept"] = pseudo_label_loss(
                weak_logits, strong_logits, config.threshold
            )
            total = total + config.pseudo_label_weight * terms["pseudo_label"]
    if batch.mask_films is not None:
        unlabelled = batch.unlabelled_mask_films
        films = (
            batch.mask_films if unlabelled is None else torch.cat([batch.mask_films, unlabelled])
        )
        logits, unlabelled_logits = (
            model(films).mask_logits.float().tensor_split([len(batch.mask_films)])
        )
        terms["dice"] = dice_loss(logits, batch.masks)
        total = total + config.dice_weight * terms["dice"]
        if config.bce_weight:
            terms["mask_bce"] = F.binary_cross_entropy_with_logits(logits, batch.masks)
            total = total + config.bce_weight * terms["mask_bce"]
        if unlabelled is not None:
            terms["mask_consistency"] = mask_consistency_loss(logits, unlabelled_logits)
            total = total + config.mask_consistency_weight * terms["mask_consistency"]
            if batch.plain_mask_films is not None:
                with torch.no_grad():
                    guess = torch.sigmoid(
                        (teacher or model)(batch.plain_mask_films).mask_logits.float()
                    )
                terms["pixel_consistency"] = pixel_consistency_loss(
                    *move(guess, batch.places), unlabelled_logits, config.pixel_threshold
                )
                total = total + config.pixel_consistency_weight * terms["pixel_consistency"]
    return {**terms, "total": total}


class Run:
    """Everything of a training that changes from step to step."""

    def __init__(
        self,
        config: Config,
        device: torch.device,
        ranks: Ranks = ALONE,
        start: MultiMix | None = None,
    ):
        torch.manual_seed(config.seed)
        self.config, self.device, self.ranks = config, device, ranks
        self.films_at_once = config.films_at_once or films_at_once(device, config.side)
        self.step, self.best, self.best_step, self.stopped = 0, float("-inf"), 0, False
        self.results: dict[str, float] = {}  # of the last validation
        self.calibration: dict[str, float] = {}  # temperature and operating point, of the same
        self.sums: dict[str, float] = {}  # of each term, since then
        self.model = MultiMix(config.widths, config.bridge)
        if start is not None:
            if (start.widths, start.bridge) != (self.model.widths, self.model.bridge):
                raise ValueError(
                    f"The weights to start from have widths {start.widths}, bridge {start.bridge}; "
                    "the "
                    f"training wants widths {config.widths}, bridge {config.bridge}."
                )
            self.model.load_state_dict(start.state_dict())
        place(self.model, device).train()
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

    def optimise(self, batch: Batch, stop: bool = False) -> dict[str, float]:
        """One step on this rank's part of a batch; the terms of the whole batch's loss.

        The part is worked through in slices: every term is a mean over films, so their weighted
        gradients add up to the batch's. `stop` of any rank stops them all after this step.
        FloatingPointError names the term that is no number any more.
        """
        config, slot = self.config, self.ranks.share(self.config.batch).start
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        terms: dict[str, Tensor] = {}
        for part in batch.slices(self.films_at_once):
            torch.manual_seed(
                (config.seed * 1_000_003 + self.step) * 10_007 + slot
            )  # dropout hangs on no past
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
            ):
                losses = train_step(
                    self.model, part, config, self.average.module if self.average else None
                )
            films = len(part.class_films if part.class_films is not None else part.mask_films)
            (losses["total"] * (films / config.batch)).backward()
            terms = {
                name: terms.get(name, 0) + loss.detach() * (films / config.batch)
                for name, loss in losses.items()
            }
            slot += films
        values = self._sum_over_ranks(terms, stop)
        size = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), config.gradient_clip or float("inf")
        )
        for name, value in {**values, "gradient": size.item()}.items():
            if not abs(value) < float("inf"):
                raise FloatingPointError(f"The {name} became {value} in step {self.step + 1}")
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.model)
        self.step += 1
        self.sums = {
            name: self.sums.get(name, 0.0) + value for name, value in {**values, "steps": 1}.items()
        }
        return values

    def _sum_over_ranks(self, terms: dict[str, Tensor], stop: bool) -> dict[str, float]:
        """Adds up gradients, terms and wishes to stop, in one message."""
        gradients = (
            [p.grad for p in self.model.parameters() if p.grad is not None]
            if self.ranks.count > 1
            else []
        )
        numbers = torch.stack([*terms.values(), torch.tensor(float(stop), device=self.device)])
        message = self.ranks.sum(
            torch.cat([numbers, *(gradient.flatten() for gradient in gradients)])
        )
        *values, stops = message[: len(numbers)].tolist()
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, total in zip(gradients, message[len(numbers) :].split(sizes)):
            gradient.copy_(total.view(gradient.shape))
        self.stopped = stops > 0
        return dict(zip(terms, values))

    def validate(self, films: Films) -> dict[str, float]:
        """The row of the log: rate, mean terms since the last validation, and what the network
        scores now.
        """
        steps = self.sums.pop("steps")
        self.results, self.calibration = validate(self.network, films, self.ranks)
        row = {
            "step": self.step,
            "rate": self.config.learning_rate_at(self.step - 1),
            **{name: total / steps for name, total in self.sums.items()},
            **{f"val_{name}": value for name, value in self.results.items()},
        }
        self.sums = {}
        if score(self.results) > self.best:
            self.best, self.best_step = score(self.results), self.step
        return row

    @property
    def validation_due(self) -> bool:
        """Every `validate_every` steps, and after the last one."""
        return self.step % self.config.validate_every == 0 or self.step >= self.config.steps

    @property
    def finished(self) -> bool:
        """All steps made, or no better score for `patience` validations."""
        patience = (
            self.config.patience * self.config.validate_every
            if self.config.patience
            else float("inf")
        )
        return self.step >= self.config.steps or self.step - self.best_step >= patience

    def content(self) -> dict:
        """For a checkpoint: the network and, as 'training', what continuing needs.

        There is no state of random numbers: batches and dropout follow from seed and step.
        """
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "best_step": self.best_step,
            "sums": self.sums,
            "average": self.average.state_dict() if self.average else None,
        }
        return {
            "weights": self.network.state_dict(),
            "config": self.config.as_dict(),
            "step": self.step,
            "validation": self.results,
            "calibration": self.calibration,
            "training": state,
        }

    def restore(self, content: dict) -> None:
        """Continue from what `content` gave. ValueError where that is not whole."""
        try:
            self._restore(content)
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(
                f"The training's state is damaged ({type(error).__name__}), so it cannot go on; "
                "start "
                "from its best.pth (--init) in another folder."
            ) from None

    def _restore(self, content: dict) -> None:
        state = content["training"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.step, self.results, self.sums = content["step"], content["validation"], state["sums"]
        self.calibration = content["calibration"]
        self.best, self.best_step = state["best"], state["best_step"]
