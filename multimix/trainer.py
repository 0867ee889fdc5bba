"""The state of a training: weights, optimizer, averaged weights, results."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from multimix.batches import Batch
from multimix.config import Config
from multimix.data.film_set import Films
from multimix.evaluation.evaluator import score, validate
from multimix.model import MultiMix
from multimix.runtime.device import SINGLE, World, best_precision, micro_batch_size, to_device
from multimix.training_step import train_step


class Trainer:
    """The state of a training; `optimise` makes a step, `validate` evaluates the network."""

    def __init__(
        self,
        config: Config,
        validation: Films,
        device: torch.device,
        world: World = SINGLE,
        init_from: MultiMix | None = None,
    ):
        torch.manual_seed(config.seed)
        if config.precision == "auto":
            config = replace(config, precision=best_precision(device))
        self.config, self.validation, self.device, self.world = config, validation, device, world
        self.step, self.best, self.best_step, self.stopped = 0, float("-inf"), 0, False
        self.results: dict[str, float] = {}  # of the last validation
        self.calibration: dict[str, float] = {}  # of the same
        self.sums: dict[str, float] = {}  # of each term, since then
        self.model = MultiMix(config.widths, config.bridge)
        self.model.info.side, self.model.info.class_sides = config.side, config.class_sides
        if init_from is not None:
            if (init_from.widths, init_from.bridge) != (self.model.widths, self.model.bridge):
                bridge = "--bridge" if init_from.bridge else "--no-bridge"
                raise ValueError(
                    "The weights to start from are of another architecture; train with "
                    f"{bridge} --widths {','.join(map(str, init_from.widths))}. For one task, keep "
                    "the system multimix and add --no-classify or --no-segment."
                )
            self.model.load_state_dict(init_from.state_dict())
        to_device(self.model, device)
        self.model.train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.average = None
        if config.ema_decay:
            self.average = AveragedModel(self.model, avg_fn=self._moving_average).eval()

    def _moving_average(self, average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        # Short at first, so that the random first weights soon have no effect.
        count = torch.as_tensor(count)
        decay = torch.clamp((1 + count) / (10 + count), max=self.config.ema_decay)
        return average * decay + new * (1 - decay)

    @property
    def network(self) -> MultiMix:
        """The network that is validated, saved and returned: the averaged one, if there is one."""
        return cast(MultiMix, self.average.module) if self.average else self.model

    def optimise(self, batch: Batch, stop: bool = False) -> dict[str, float]:
        """One step on this rank's part of a batch. Returns the terms of the whole batch's loss.

        `stop` of any rank ends all after this step. ValueError names a term that is not a number.
        """
        (group,) = self.optimizer.param_groups
        rate = group["lr"] = self.config.learning_rate_at(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._accumulate_gradients(batch)
        numbers = torch.stack([*terms.values(), torch.tensor(float(stop), device=self.device)])
        *totals, stops = self.world.sum_with_gradients(numbers, self.model.parameters()).tolist()
        values, self.stopped = dict(zip(terms, totals)), stops > 0
        limit = self.config.gradient_clip or float("inf")
        size = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        for name, value in {**values, "gradient": size.item()}.items():
            if not abs(value) < float("inf"):
                raise ValueError(
                    f"The {name} became {value} in step {self.step + 1}; train in a new "
                    f"folder with a rate below {rate:.2g}, anew or from this last.pth (--init)."
                )
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
        teacher = self.network if self.average else None
        size = config.micro_batch or micro_batch_size(self.device, config.side_at(self.step))
        for part in batch.slices(size):
            # Dropout depends on seed, step and film alone, so that a resumed training repeats it.
            torch.manual_seed((config.seed * 1_000_003 + self.step) * 10_007 + slot)
            with torch.autocast(self.device.type, torch.bfloat16, config.precision == "bfloat16"):
                losses = train_step(self.model, part, config, teacher)
            # Inside another autocast the cache would keep the weights of the first step.
            torch.clear_autocast_cache()
            share = part.films_each / config.batch  # each term is a mean over films
            (losses["total"] * share).backward()
            for name, loss in losses.items():
                terms[name] = terms.get(name, 0) + loss.detach() * share
            slot += part.films_each
        return terms

    def validate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """The log's row: rate, mean terms since the last validation, metrics; None if stopped."""
        found = validate(self.network, self.validation, self.world, stop)
        if found is None:
            self.stopped = True
            return None
        self.results, self.calibration = found
        steps = self.sums.pop("steps")
        row = {"step": self.step, "rate": self.config.learning_rate_at(self.step - 1)}
        row |= {name: total / steps for name, total in self.sums.items()}
        row |= {f"val_{name}": value for name, value in self.results.items()}
        self.sums = {}
        if score(self.results) > self.best:
            self.best, self.best_step = score(self.results), self.step
        return row

    @property
    def validation_due(self) -> bool:
        """Whether to validate now: every `validate_every` steps, and after the last one."""
        due = self.step % self.config.validate_every == 0 or self.step >= self.config.steps
        return due and bool(self.sums)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or `patience` validations brought no better score."""
        patience = self.config.patience * self.config.validate_every or float("inf")
        enough = self.step >= self.config.steps or self.step - self.best_step >= patience
        return enough and not self.validation_due

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the network, and as 'training' what is needed to continue."""
        return {
            "weights": self.network.state_dict(),
            "config": self.config.as_dict(),
            "step": self.step,
            "validation": self.results,
            "calibration": self.calibration,
            "training": {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "best": self.best,
                "best_step": self.best_step,
                "sums": self.sums,
                "average": self.average.state_dict() if self.average else None,
            },
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Continue from the content of `state_dict`. ValueError where it is damaged."""
        try:
            state = content["training"]
            self.model.load_state_dict(state["model"])
            if self.average:
                self.average.load_state_dict(state["average"])
            # The learning rate and the like follow from the configuration.
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})
            for parameter, own in self.optimizer.state.items():
                shapes = own["exp_avg"].shape, own["exp_avg_sq"].shape, own["step"].shape
                if shapes != (parameter.shape, parameter.shape, ()):
                    raise ValueError("moments of another shape")
            self.step, self.best_step = int(content["step"]), int(state["best_step"])
            self.best = float(state["best"])
            if not 0 <= self.best_step <= self.step:
                raise ValueError("the best step is in the future")
            self.results = {name: float(x) for name, x in content["validation"].items()}
            self.calibration = {name: float(x) for name, x in content["calibration"].items()}
            self.sums = {name: float(x) for name, x in state["sums"].items()}
            precision = content["config"].get("precision", "float32")
            self.config = replace(self.config, precision=precision)
        except (LookupError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError):
            raise ValueError(
                "The training's state is damaged; start from its best.pth (--init) in a new folder."
            ) from None
