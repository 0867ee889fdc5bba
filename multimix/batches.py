"""Films to batches: label budgets, and the five streams of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multimix import augment
from multimix.config import Config
from multimix.data.films import Films, FilmSet
from multimix.images.reading import network_input
from multimix.joint_augment import STAY, draw_places, vary
from multimix.model import CLASSES
from multimix.runtime.distributed import ALONE, Ranks


def draw_budget(films: FilmSet, budget: int | None, seed: int) -> Tensor:
    """Places of the `budget` training films that may keep their labels, (budget,); None is all of
    them.

    Drawn patient by patient, each class in its own share of the set.
    """
    usable = films.labelled.nonzero().flatten()
    if budget is None or budget == len(usable):
        return usable
    if budget > len(usable):
        raise ValueError(
            f"{budget} labelled films are asked for, but there are {len(usable)} for training; ask "
            "for "
            "fewer, or for all."
        )
    strata = (
        films.targets[usable]
        if films.targets.ndim == 1
        else torch.zeros(len(usable), dtype=torch.int64)
    )
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    shares = [(strata == stratum).sum().item() for stratum in strata.unique()]
    # Cumulative rounding: the parts add up to the budget exactly.
    counts = np.diff(np.rint(np.cumsum(shares) * budget / len(usable)).astype(int), prepend=0)
    for absent in np.flatnonzero(counts == 0)[: max(0, budget - 1)]:  # one of each class at least
        counts[counts.argmax()] -= 1
        counts[absent] += 1
    for stratum, wanted in zip(strata.unique(), counts):
        places = usable[strata == stratum].tolist()
        rank = {
            p: i
            for i, p in enumerate(
                generator.permutation(sorted({films.patients[i] for i in places}))
            )
        }
        chosen += sorted(places, key=lambda i: rank[films.patients[i]])[:wanted]
    return torch.tensor(sorted(chosen))


class Batch(NamedTuple):
    """The films of one step, (N, 1, side, side) in [-1, 1]; None where the system has no use for
    them.
    """

    mask_films: Tensor | None = None
    masks: Tensor | None = None  # (N, 1, side, side), 0 or 1
    unlabelled_mask_films: Tensor | None = None
    plain_mask_films: Tensor | None = None  # the same films as they are,
    places: Tensor | None = None  # and where they went, (N, 11) as `vary.draw_places` says
    class_films: Tensor | None = None  # weak views
    labels: Tensor | None = None  # (N,)
    weak: Tensor | None = None  # two views of the same unlabelled films
    strong: Tensor | None = None

    def slices(self, films: int) -> Iterator[Batch]:
        """The batch in parts of at most so many films of each kind."""
        parts = [repeat(None) if part is None else part.split(films) for part in self]
        return (Batch(*together) for together in zip(*parts))


class Loader:
    """Batches as a pure function of seed and step: nothing to store when a training stops, nothing
    to restore.

    Of several ranks each makes its own part of a batch, the same films in the same views as a
    single one would.
    """

    def __init__(
        self, films: Films, config: Config, device: torch.device | str = "cpu", ranks: Ranks = ALONE
    ):
        self.config, self.device, self.share = config, device, ranks.share(config.batch)
        if ranks.count > config.batch:
            raise ValueError(
                f"{ranks.count} processes cannot share batches of {config.batch} films; start "
                "fewer, or "
                "make the batch larger (--batch)."
            )
        self.class_films = (
            self._training_films(films.classification, "classification")
            if config.classify
            else None
        )
        self.mask_films = (
            self._training_films(films.segmentation, "segmentation") if config.segment else None
        )
        self.class_budget = config.classify and draw_budget(
            self.class_films, config.class_labels, config.seed
        )
        self.mask_budget = config.segment and draw_budget(
            self.mask_films, config.masks, config.seed
        )

    def _training_films(self, films: FilmSet | None, task: str) -> FilmSet:
        train = films.split("train") if films else None
        if not train or not train.labelled.any():
            raise ValueError(
                f"There are no labelled training films for {task}; give a folder that has them, or "
                "train "
                "a system without this task."
            )
        if task == "classification":
            absent = [
                name
                for i, name in enumerate(CLASSES)
                if not (train.targets[train.labelled] == i).any()
            ]
            if absent:
                raise ValueError(
                    f"Among the training films there is no {absent[0]} one; films of both classes "
                    "are "
                    f"needed, as in train/{CLASSES[0]} and train/{CLASSES[1]}."
                )
        if train.pixels.shape[-1] != self.config.side:
            raise ValueError(
                f"The films were loaded at {train.pixels.shape[-1]} px and the training wants "
                f"{self.config.side} px: load them with side={self.config.side}."
            )
        return train

    def describe(self) -> str:
        """'training on 100 of 5216 classes (26 NORMAL, 74 PNEUMONIA), 10 of 111 masks; the other
        films …'
        """
        parts = []
        if self.config.classify:
            counts = (
                self.class_films.targets[self.class_budget]
                .bincount(minlength=len(CLASSES))
                .tolist()
            )
            parts.append(
                f"{len(self.class_budget)} of {len(self.class_films)} classes "
                f"({', '.join(f'{count} {name}' for count, name in zip(counts, CLASSES))})"
            )
        if self.config.segment:
            parts.append(f"{len(self.mask_budget)} of {len(self.mask_films)} masks")
        return f"training on {', '.join(parts)}; the other films are unlabelled"

    def kept(self) -> dict[str, FilmSet]:
        """The training films of each task that keep their labels."""
        kept = {}
        if self.config.classify:
            kept["classification"] = self.class_films[self.class_budget]
        if self.config.segment:
            kept["segmentation"] = self.mask_films[self.mask_budget]
        return kept

    def __call__(self, step: int) -> Batch:
        """The batch of step 0, 1, …, on the device."""
        config, batch = self.config, {}
        if config.segment:
            which = self.mask_budget[self._pick(len(self.mask_budget), step, stream=1)]
            films, masks = self._films(self.mask_films, which), self.mask_films.targets[which, None]
            batch["mask_films"], batch["masks"], _ = self._views(
                films, masks.to(self.device).float(), step, 1
            )
            if config.mask_consistency:
                films = self._unlabelled_mask_films(step)
                batch["unlabelled_mask_films"], _, places = self._views(
                    films, torch.zeros_like(films), step, 2
                )
                if config.pixel_consistency_weight:
                    batch["plain_mask_films"], batch["places"] = network_input(films), places
        if config.classify:
            which = self._labelled_class_films(step)
            films, chance = self._films(self.class_films, which), self._chance(3, step)
            views = augment.weak(films, chance)
            if (
                config.class_augmentation
            ):  # every second pair of slots: the plain look must stay known
                broad, _ = vary(
                    films, torch.zeros_like(films), draw_places(chance), chance, opaque=False
                )
                odd = torch.tensor([slot // 2 % 2 == 1 for slot in self.share], device=self.device)
                views = torch.where(odd[:, None, None, None], broad, views)
            batch["class_films"] = network_input(views)
            batch["labels"] = self.class_films.targets[which].to(self.device)
            if config.pseudo_labels:
                films = self._films(
                    self.class_films, self._pick(len(self.class_films), step, stream=4)
                )
                batch["weak"] = network_input(augment.weak(films, self._chance(4, step)))
                batch["strong"] = network_input(augment.strong(films, self._chance(5, step)))
        return Batch(**batch)

    def _generator(self, *place: int) -> torch.Generator:
        entropy = np.random.SeedSequence([self.config.seed, *place]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(entropy) >> 1)

    def _chance(self, stream: int, step: int) -> list[torch.Generator]:
        """One generator for each film of this rank's part of a batch."""
        return [self._generator(stream, step, slot) for slot in self.share]

    def _pick(self, count: int, step: int, stream: int) -> Tensor:
        """The step's places in an endless row of fresh permutations of `count` films; this rank's
        part of them.
        """
        first = step * self.config.batch
        places = torch.tensor([first + slot for slot in self.share])
        passes = (places // count).unique().tolist()
        order = torch.cat(
            [
                torch.randperm(count, generator=self._generator(10 + stream, number))
                for number in passes
            ]
        )
        return order[places - passes[0] * count]

    def _films(self, films: FilmSet, which: Tensor) -> Tensor:
        return films.pixels[which, None].to(self.device).float() / 255

    def _labelled_class_films(self, step: int) -> Tensor:
        """Where in the set the step's labelled films are.

        If they are to be balanced, classes take turns, and of its own row each has every second
        place.
        """
        if not self.config.balanced_classes:
            return self.class_budget[self._pick(len(self.class_budget), step, stream=3)]
        kinds = [
            self.class_budget[self.class_films.targets[self.class_budget] == i]
            for i in range(len(CLASSES))
        ]
        places = [self._pick(len(kind), step, stream=6 + i) for i, kind in enumerate(kinds)]
        turn = (step * self.config.batch + torch.tensor(list(self.share))) % len(CLASSES)
        return torch.where(turn == 0, kinds[0][places[0]], kinds[1][places[1]])

    def _unlabelled_mask_films(self, step: int) -> Tensor:
        """Every second one is a classification film, if those are to serve too."""
        films = self._films(self.mask_films, self._pick(len(self.mask_films), step, stream=2))
        if self.config.class_films_for_masks and self.class_films is not None:
            others = self._films(
                self.class_films, self._pick(len(self.class_films), step, stream=8)
            )
            odd = torch.tensor([slot % 2 == 1 for slot in self.share], device=self.device)
            films = torch.where(odd[:, None, None, None], others, films)
        return films

    def _views(
        self, films: Tensor, masks: Tensor, step: int, stream: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Network inputs, masks, and where both went."""
        chance = self._chance(stream, step)
        if not self.config.mask_augmentation:
            return network_input(films), masks, STAY.expand(len(films), -1)
        places = draw_places(chance)
        films, masks = vary(films, masks, places, chance)
        return network_input(films), masks, places
