"""What changes from step to step of a training: weights, optimizer, average, results."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from multimix.batches import Batch
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.evaluation.evaluator import score, validate
from multimix.model import MultiMix
from multimix.runtime.device import micro_batch_size, to_device
from multimix.runtime.distributed import SINGLE, World
from multimix.training_step import train_step


class Trainer:
    """Everything of a training that changes from step to step."""

    def __init__(
        self,
        config: Config,
        validation: Films,
        device: torch.device,
        world: World = SINGLE,
        init_from: MultiMix | None = None,
    ):
        torch.manual_seed(config.seed)
        self.config, self.validation, self.device, self.world = config, validation, device, world
        self.step, self.best, self.best_step, self.stopped = 0, float("-inf"), 0, False
        self.results: dict[str, float] = {}  # of the last validation
        self.calibration: dict[str, float] = {}  # of the same
        self.sums: dict[str, float] = {}  # of each term, since then
        self.model = MultiMix(config.widths, config.bridge)
        self.model.side, self.model.class_sides = config.side, config.class_sides
        if init_from is not None:
            if (init_from.widths, init_from.bridge) != (self.model.widths, self.model.bridge):
                raise ValueError(
                    f"The weights to start from have widths {init_from.widths}, bridge "
                    f"{init_from.bridge}; the training wants widths {config.widths}, bridge "
                    f"{config.bridge}."
                )
            self.model.load_state_dict(init_from.state_dict())
        to_device(self.model, device)
        self.model.train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.average = None
        if config.ema_decay:
            self.average = AveragedModel(self.model, avg_fn=self._moving_average).eval()

    def _moving_average(self, average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        # Short at first, so that the random weights of the start are soon forgotten.
        count = torch.as_tensor(count)
        decay = torch.clamp((1 + count) / (10 + count), max=self.config.ema_decay)
        return average * decay + new * (1 - decay)

    @property
    def network(self) -> MultiMix:
        """What is validated, kept and handed out: the average where there is one."""
        return cast(MultiMix, self.average.module) if self.average else self.model

    def optimise(self, batch: Batch, stop: bool = False) -> dict[str, float]:
        """One step on this rank's part of a batch.

        The part is worked through in slices: every term is a mean over films, so their weighted
        gradients add up to the batch's.

        Arguments:
            stop: of any rank, stops them all after this step.

        Returns: the terms of the whole batch's loss.

        Errors: FloatingPointError names the term that is no longer a number.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._accumulate_gradients(batch)
        numbers = torch.stack([*terms.values(), torch.tensor(float(stop), device=self.device)])
        *totals, stops = self.world.sum_with_gradients(numbers, self.model.parameters()).tolist()
        values, self.stopped = dict(zip(terms, totals)), stops > 0
        limit = config.gradient_clip or float("inf")
        size = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        for name, value in {**values, "gradient": size.item()}.items():
            if not abs(value) < float("inf"):
                raise FloatingPointError(f"The {name} became {value} in step {self.step + 1}")
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.model)
        self.step += 1
        for name, value in {**values, "steps": 1}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        return values

    def _accumulate_gradients(self, batch: Batch) -> dict[str, Tensor]:
        config, slot = self.config, self.world.share(self.config.batch).start
        terms: dict[str, Tensor] = {}
        side = config.side_at(self.step)
        for part in batch.slices(config.micro_batch or micro_batch_size(self.device, side)):
            # Dropout follows from seed, step and film, so that a resumed training has the same.
            torch.manual_seed((config.seed * 1_000_003 + self.step) * 10_007 + slot)
            narrow = config.precision == "bfloat16"
            with torch.autocast(self.device.type, torch.bfloat16, enabled=narrow):
                losses = train_step(
                    self.model, part, config, teacher=self.network if self.average else None
                )
            # Within another autocast it would hold the weights of the first step for ever.
            torch.clear_autocast_cache()
            share = part.films_each / config.batch
            (losses["total"] * share).backward()
            for name, loss in losses.items():
                terms[name] = terms.get(name, 0) + loss.detach() * share
            slot += part.films_each
        return terms

    def validate(self) -> dict[str, float]:
        """The row of the log: rate, mean terms since the last validation, and the metrics now."""
        steps = self.sums.pop("steps")
        self.results, self.calibration = validate(self.network, self.validation, self.world)
        row = {"step": self.step, "rate": self.config.learning_rate_at(self.step - 1)}
        row |= {name: total / steps for name, total in self.sums.items()}
        row |= {f"val_{name}": value for name, value in self.results.items()}
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
        config = self.config
        patience = config.patience * config.validate_every if config.patience else float("inf")
        return self.step >= config.steps or self.step - self.best_step >= patience

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the network and, as 'training', what continuing needs.

        There is no state of random numbers: batches and dropout follow from seed and step.
        """
        training = {
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
            "training": training,
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave. ValueError where that is not whole."""
        try:
            state = content["training"]
            self.model.load_state_dict(state["model"])
            self._load_optimizer(state["optimizer"]["state"])
            if self.average:
                self.average.load_state_dict(state["average"])
            self.step, self.best_step = int(content["step"]), int(state["best_step"])
            self.best = float(state["best"])
            if not 0 <= self.best_step <= self.step:
                raise ValueError("steps that are none")
            self.results = numbers_by_name(content["validation"])
            self.calibration = numbers_by_name(content["calibration"])
            self.sums = numbers_by_name(state["sums"])
        except (LookupError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError):
            raise ValueError(
                "The training's state is damaged, so it cannot go on; start from its best.pth "
                "(--init) in another folder."
            ) from None

    def _load_optimizer(self, moments: dict[int, dict[str, Tensor]]) -> None:
        """Take Adam's moments; rates and the like follow from the configuration."""
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        for parameter in self.model.parameters():
            held = self.optimizer.state[parameter]
            for name in ("exp_avg", "exp_avg_sq") if held else ():
                if held[name].shape != parameter.shape or not held["step"].numel() == 1:
                    raise ValueError("moments of other tensors")


def numbers_by_name(values: dict[str, Any]) -> dict[str, float]:
    """The same. ValueError, TypeError or AttributeError where something else was given."""
    return {str(name): float(value) for name, value in values.items()}
