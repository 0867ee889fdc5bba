"""Every number of a training, with the paper's symbol."""

from __future__ import annotations

import dataclasses
import difflib
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from multimix.model import SIDES, SIDES_NAMED, STRIDE, WIDTHS
from multimix.recipes import RECIPES, SYSTEMS

PRECISIONS = ("float32", "bfloat16", "auto")
RENAMED = {"films_at_once": "micro_batch"}  # names of fields in earlier versions


def setting(
    default: Any, help: str, allowed: Sequence = (), low: float = 0, high: float = math.inf
) -> Any:
    """A field of Config: one of the allowed values, or else a number from `low` to `high`."""
    metadata = {"help": help, "allowed": allowed, "limits": (low, high)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, repr=False)
class Config:
    """One training. The defaults are MultiMix as published; `Config.preset` names the others.

    Errors: ValueError where a value has another type or is out of its range.
    """

    # The system: parts of the method, on or off.
    classify: bool = setting(True, "the class head")
    segment: bool = setting(True, "the decoder")
    bridge: bool = setting(True, "the saliency bridge")
    pseudo_labels: bool = setting(True, "learn from unlabelled classification films")
    mask_consistency: bool = setting(True, "the KL term, with unlabelled segmentation films")

    # The losses (equations 1 to 3).
    pseudo_label_weight: float = setting(0.25, "lambda, the weight of the pseudo-labels")
    threshold: float = setting(0.7, "t: least confidence of a pseudo-label", high=1)
    dice_weight: float = setting(5.0, "alpha, the weight of Dice")
    mask_consistency_weight: float = setting(0.01, "beta, the weight of the KL term")

    # The labels that training may see; None is all of them.
    class_labels: int | None = setting(None, "films that keep their class", low=2)
    masks: int | None = setting(None, "films that keep their mask", low=1)

    # The optimisation. The paper counts epochs of 5216 unlabelled films, 10 a batch: 522 steps.
    steps: int = setting(52_200, "training steps (the paper's 100 epochs)", low=1)
    batch: int = setting(10, "films of each of the five kinds in a step", low=1, high=10_000)
    learning_rate: float = setting(1e-4, "Adam's largest rate", low=1e-15, high=1)
    schedule: str = setting("staircase", "how the learning rate falls", ("staircase", "cosine"))
    decay_steps: int = setting(4_176, "steps between two falls of the staircase (8 epochs)", low=1)
    ema_decay: float = setting(0.0, "above 0: average the weights, to save and to teach", high=1)
    gradient_clip: float = setting(0.0, "above 0: the largest norm of a gradient")
    patience: int = setting(0, "above 0: stop after so many validations without gain")

    # What the improved recipe adds.
    mask_augmentation: bool = setting(False, "broad views of the lung films")
    class_augmentation: bool = setting(False, "broad views of half of the labelled class films")
    balanced_classes: bool = setting(False, "as many labelled films of each class in a batch")
    balanced_sets: bool = setting(False, "as many lung films of each folder in a batch")
    bce_weight: float = setting(0.0, "weight of the masks' cross-entropy")
    pixel_consistency_weight: float = setting(0.0, "weight of sure pixels (UniMatch)")
    pixel_threshold: float = setting(0.9, "least confidence of a sure pixel", low=0.5, high=1)
    class_films_for_masks: bool = setting(False, "class films: half of the unlabelled lung films")
    opacities: bool = setting(False, "opaque lungs in broad views of the films with masks")
    unlabelled_from: float = setting(0.0, "share of the steps before unlabelled films join", high=1)

    # The rest.
    side: int = setting(256, "px that films are reduced to, and lungs are read at", SIDES)
    sides: tuple[int, ...] = setting((), "px of each step's films; none: side alone", SIDES)
    side_schedule: str = setting(
        "multi-scale", "of sides: random, or one after the other", ("multi-scale", "progressive")
    )
    class_sides: tuple[int, ...] = setting((), "px the class is read at (mean); none: side", SIDES)
    widths: tuple[int, ...] = setting(WIDTHS, "channels of the five stages")
    precision: str = setting("float32", "of convolutions; auto: bfloat16 where fast", PRECISIONS)
    seed: int = setting(0, "of every random choice", high=10**9 - 1)
    validate_every: int = setting(500, "steps between two validations", low=1)
    micro_batch: int = setting(0, "films of each kind in one pass; 0: as suits the device")

    def __post_init__(self) -> None:
        start = "Training cannot start:"
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # from JSON
                value = tuple(value)
            if isinstance(value, float) and value.is_integer() and "int" in str(field.type):
                value = int(value)  # steps=1e3
            object.__setattr__(self, field.name, value)
            if needed := what_is_needed(field, value):
                raise ValueError(f"{start} {field.name} is {value!r:.40}; {needed} is needed.")
        if not (self.classify or self.segment):
            raise ValueError(f"{start} no task is on; classify, segment or both are needed.")
        largest, side = max(self.sides, default=self.side), self.side
        if largest != side or max(self.class_sides, default=0) > side:
            raise ValueError(
                f"{start} side is {side}, sides {self.sides}, class_sides {self.class_sides}; the "
                f"largest of sides must be {side}, and none of class_sides may be larger."
            )

    def __repr__(self) -> str:
        values = [(field, getattr(self, field.name)) for field in fields(self)]
        changed = [f"{field.name}={value!r}" for field, value in values if value != field.default]
        return f"Config({', '.join(changed)})"

    @classmethod
    def preset(cls, system: str = "multimix", recipe: str = "paper", **changes: Any) -> Config:
        """One of the paper's eight systems under a recipe.

        Arguments:
            system: 'unet', 'enc', 'enc_ssl', 'umtl', 'umtl_s', 'umtl_ssl', 'umtl_ssl_s' or
                'multimix'.
            recipe: 'paper', as published; 'quick', better than its figures in minutes; 'improved',
                better and slower.
            changes: any field of Config. The other sides keep their proportion to a new `side`.

        Errors: ValueError where there is no such system, recipe or field, or a value does not fit.
        """
        for name, known, kind in ((system, SYSTEMS, "system"), (recipe, RECIPES, "recipe")):
            if not isinstance(name, str) or name not in known:
                raise ValueError(f"There is no {kind} '{name}'; choose one of {', '.join(known)}.")
        values = {**SYSTEMS[system], **RECIPES[recipe]}
        if "side" in values and (side := changes.get("side")) in SIDES:
            for name in ("sides", "class_sides"):
                strides = [round(px * side / values["side"] / STRIDE) for px in values[name]]
                values[name] = tuple(max(SIDES[0], count * STRIDE) for count in strides)
        return cls.from_dict({**values, **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The Config of `as_dict`, also of an earlier version. ValueError for an unknown field."""
        values = {RENAMED.get(name, name): value for name, value in values.items()}
        known = [field.name for field in fields(cls)]
        for name in [name for name in values if name not in known]:
            near = difflib.get_close_matches(str(name), known, 1)
            meant = f"did you mean {near[0]}?" if near else "see help(multimix.Config)."
            raise ValueError(f"Config has no field '{str(name)[:40]}'; {meant}")
        return replace(cls(), **values)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and logs."""
        return asdict(self)

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of step 0, 1, ..., `steps` - 1."""
        if self.schedule == "staircase":
            return self.learning_rate * 0.1 ** (step // self.decay_steps)
        warm_up = max(1, self.steps // 20)
        if step < warm_up:
            return self.learning_rate * (step + 1) / warm_up
        progress = (step - warm_up) / (self.steps - warm_up)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))

    def side_at(self, step: int) -> int:
        """The px of a step's films; a side that is twice in `sides` comes twice as often."""
        if not self.sides:
            return self.side
        if self.side_schedule == "progressive":
            return self.sides[min(step, self.steps - 1) * len(self.sides) // self.steps]
        return random.Random(f"{self.seed} {step}").choice(self.sides)

    def uses_unlabelled(self, step: int) -> bool:
        """Whether the unlabelled films have joined by this step."""
        return step >= self.unlabelled_from * self.steps


def what_is_needed(field: dataclasses.Field, value: Any) -> str:
    """What a field's value should be instead; '' where it is right."""
    kind, allowed = str(field.type), field.metadata["allowed"]
    low, high = field.metadata["limits"]
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "bool":
        fits, needed = isinstance(value, bool), "True or False"
    elif field.name == "widths":
        fits = isinstance(value, tuple) and len(value) == 5
        fits = fits and all(isinstance(width, int) and width >= 1 for width in value)
        needed = "a tuple of five positive channel numbers"
    elif kind == "tuple[int, ...]":
        fits = isinstance(value, tuple) and all(px in allowed for px in value)
        needed = f"for each {SIDES_NAMED},"
    elif allowed:
        choices = f"{', '.join(map(str, allowed[:-1]))} or {allowed[-1]}"
        fits, needed = value in allowed, SIDES_NAMED if allowed is SIDES else choices
    elif kind.startswith("int") and not is_whole:
        fits, needed = value is None and kind.endswith("None"), "a whole number"
    else:
        fits = (is_whole or isinstance(value, float)) and low <= value <= high
        needed = f"{low} or more" if high == math.inf else f"a number from {low} to {high}"
    return "" if fits else needed
