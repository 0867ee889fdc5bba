"""Every number of a training, with the paper's symbol beside it; the eight systems and the recipes
as presets.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace

from multimix.model import SIDES, SIDES_NAMED

# Which parts of the method each of the paper's systems switches on (table 2).
SYSTEMS = {
    "unet": dict(classify=False, bridge=False, pseudo_labels=False, mask_consistency=False),
    "enc": dict(segment=False, bridge=False, pseudo_labels=False, mask_consistency=False),
    "enc_ssl": dict(segment=False, bridge=False, mask_consistency=False),
    "umtl": dict(bridge=False, pseudo_labels=False, mask_consistency=False),
    "umtl_s": dict(pseudo_labels=False, mask_consistency=False),
    "umtl_ssl": dict(bridge=False, mask_consistency=False),
    "umtl_ssl_s": dict(mask_consistency=False),
    "multimix": dict(),
}
RECIPES = {
    "paper": dict(),
    "improved": dict(
        steps=6000,
        learning_rate=2e-3,
        schedule="cosine",
        ema_decay=0.995,
        mask_augmentation=True,
        class_augmentation=True,
        balanced_classes=True,
        bce_weight=2.5,
        pixel_consistency_weight=1.0,
        class_films_for_masks=True,
    ),
}
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Config:
    """One training. The defaults are MultiMix as published; `Config.preset` names the others."""

    # The system: parts of the method, on or off.
    classify: bool = True
    segment: bool = True
    bridge: bool = True  # saliency bridge
    pseudo_labels: bool = True  # unlabelled classification films
    mask_consistency: bool = True  # unlabelled segmentation films, the KL term

    # The losses (equations 1 to 3).
    pseudo_label_weight: float = 0.25  # lambda
    threshold: float = 0.7  # t: the confidence at which a pseudo-label counts
    dice_weight: float = 5.0  # alpha
    mask_consistency_weight: float = 0.01  # beta

    # The labels that training may see; None is all of them.
    class_labels: int | None = None
    masks: int | None = None

    # The optimisation. The paper counts epochs of the 5216 unlabelled films in batches of 10: 522
    # steps each.
    steps: int = 52_200  # 100 epochs
    batch: int = 10  # films of each of the five kinds in a step
    learning_rate: float = 1e-4  # Adam
    schedule: str = (
        "staircase"  # staircase: x 0.1 every `decay_steps`; cosine: warm-up, then down to 0
    )
    decay_steps: int = 4_176  # 8 epochs
    ema_decay: float = (
        0.0  # > 0: validate, keep, and draw pseudo-labels from a moving average of the weights
    )
    gradient_clip: float = 0.0  # > 0: the largest norm that a step's gradient may have
    patience: int = 0  # > 0: stop after so many validations without a better score

    # What the improved recipe adds.
    mask_augmentation: bool = False  # broad views of the segmentation films
    class_augmentation: bool = False  # and of half of the labelled classification films
    balanced_classes: bool = False  # as many labelled films of each class in a batch
    bce_weight: float = 0.0  # binary cross-entropy of the masks, beside Dice
    pixel_consistency_weight: float = (
        0.0  # masks of unlabelled films follow what is sure in the plain film (UniMatch)
    )
    pixel_threshold: float = 0.9  # what is sure
    class_films_for_masks: bool = (
        False  # half of the unlabelled segmentation films are classification films
    )

    # The rest.
    side: int = 256  # px
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    # or bfloat16: convolutions in half the memory and time; weights and losses stay float32
    precision: str = "float32"
    seed: int = 0
    validate_every: int = 500  # steps
    films_at_once: int = 0  # of each kind, in one pass; 0: as many as suit the device

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # a list where it came from JSON
        for field in fields(self):
            value = getattr(self, field.name)
            if (field.type in ("int", "float") and not isinstance(value, (int, float))) or (
                field.type == "int | None" and not isinstance(value, (int, type(None)))
            ):
                raise ValueError(
                    f"Training cannot start: {field.name} is {value!r}; a number is needed."
                )
        faults = [
            f"{name} is {getattr(self, name)}; {need} is needed"
            for name, valid, need in (
                ("segment", self.classify or self.segment, "at least one task (classify, segment)"),
                ("schedule", self.schedule in ("staircase", "cosine"), "staircase or cosine"),
                ("precision", self.precision in PRECISIONS, " or ".join(PRECISIONS)),
                ("steps", self.steps >= 1, "1 or more"),
                ("batch", 1 <= self.batch <= 10_000, "1 to 10000"),
                ("decay_steps", self.decay_steps >= 1, "1 or more"),
                ("seed", 0 <= self.seed < 10**9, "0 to 999999999"),
                ("validate_every", self.validate_every >= 1, "1 or more"),
                (
                    "class_labels",
                    self.class_labels is None or self.class_labels >= 2,
                    "2 or more (or None for all)",
                ),
                ("masks", self.masks is None or self.masks >= 1, "1 or more (or None for all)"),
                ("learning_rate", 0 < self.learning_rate <= 1, "a rate above 0, 1 at most,"),
                ("ema_decay", 0 <= self.ema_decay < 1, "a number in [0, 1)"),
                ("gradient_clip", self.gradient_clip >= 0, "0 (off) or more"),
                ("patience", self.patience >= 0, "0 (off) or more"),
                (
                    "films_at_once",
                    self.films_at_once >= 0,
                    "0 (as many as suit the device) or more",
                ),
                ("threshold", 0 <= self.threshold <= 1, "a probability"),
                (
                    "pixel_threshold",
                    0.5 <= self.pixel_threshold <= 1,
                    "a probability of 0.5 or more",
                ),
                ("bce_weight", self.bce_weight >= 0, "0 (off) or more"),
                ("pixel_consistency_weight", self.pixel_consistency_weight >= 0, "0 (off) or more"),
                ("side", self.side in SIDES, f"{SIDES_NAMED},"),
                (
                    "widths",
                    len(self.widths) == 5 and min(self.widths) >= 1,
                    "five positive channel numbers",
                ),
            )
            if not valid
        ]
        if faults:
            raise ValueError(f"Training cannot start: {'; '.join(faults)}.")

    @classmethod
    def preset(cls, system: str = "multimix", recipe: str = "paper", **changes) -> Config:
        """One of the paper's eight systems under a recipe ('paper' or 'improved'), with any field
        changed.

        ValueError where there is no such system or recipe, or a value is out of its range.
        """
        for name, known, kind in ((system, SYSTEMS, "system"), (recipe, RECIPES, "recipe")):
            if name not in known:
                raise ValueError(f"There is no {kind} '{name}'; choose one of {', '.join(known)}.")
        return replace(cls(), **{**SYSTEMS[system], **RECIPES[recipe], **changes})

    def learning_rate_at(self, step: int) -> float:
        """The rate of step 0, 1, …, `steps` - 1."""
        if self.schedule == "staircase":
            return self.learning_rate * 0.1 ** (step // self.decay_steps)
        warm_up = max(1, self.steps // 20)
        if step < warm_up:
            return self.learning_rate * (step + 1) / warm_up
        return (
            self.learning_rate
            * 0.5
            * (1 + math.cos(math.pi * (step - warm_up) / (self.steps - warm_up)))
        )

    @property
    def films_a_step(self) -> int:
        """How many films all batches of a step hold."""
        kinds = self.classify * (1 + 2 * self.pseudo_labels) + self.segment * (
            1 + self.mask_consistency
        )
        return self.batch * kinds

    def as_dict(self) -> dict:
        """Plain values, for checkpoints and logs."""
        return asdict(self)
