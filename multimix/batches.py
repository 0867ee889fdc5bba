"""Batches: the five kinds of films of a training step."""

from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multimix import augment
from multimix.augment import AffineParameters
from multimix.config import Config
from multimix.data.film_set import Films, FilmSet
from multimix.data.training_films import sample_budget
from multimix.images.reading import network_input, rescale
from multimix.joint_augment import joint_views, sample_affine
from multimix.model import CLASSES, TASKS
from multimix.runtime.device import SINGLE, World


class Batch(NamedTuple):
    """The films of one step, (N, 1, side, side) in [-1, 1]; None where a system needs none."""

    mask_films: Tensor | None = None
    masks: Tensor | None = None  # (N, 1, side, side), 0 or 1
    unlabelled_mask_films: Tensor | None = None
    plain_mask_films: Tensor | None = None  # the unlabelled ones before augmentation
    affine: AffineParameters | None = None  # how augmentation moved those
    class_films: Tensor | None = None  # weak views
    labels: Tensor | None = None  # (N,)
    weak: Tensor | None = None  # two views of the same unlabelled films
    strong: Tensor | None = None

    @property
    def films_each(self) -> int:
        """N, the films of each kind."""
        return next(len(x) for x in (self.mask_films, self.class_films) if x is not None)

    def slices(self, size: int) -> "Iterator[Batch]":
        """Parts of the batch with at most `size` films of each kind."""
        parts = [repeat(None) if part is None else part.split(size) for part in self]
        return (Batch(*together) for together in zip(*parts))


class Loader:
    """Makes the batch of any step from seed and step alone, so that there is no state to store.

    With several ranks each makes its own part of the same batch as a single process.
    """

    def __init__(
        self,
        films: Films,
        config: Config,
        device: torch.device | str = "cpu",
        world: World = SINGLE,
    ):
        if world.size > config.batch:
            raise ValueError(
                f"{world.size} processes cannot share {config.batch} films; start fewer."
            )
        self.config, self.device, self.share = config, device, world.share(config.batch)
        self.slots = torch.tensor(list(self.share))  # (n,): this rank's places in a batch
        self.places = self.slots.to(device)[:, None, None, None]  # the same for films: (n, 1, 1, 1)
        # By task: the training films, and those of them that keep their labels.
        self.films: dict[str, FilmSet] = {}
        self.labelled: dict[str, FilmSet] = {}
        self.groups: dict[str, list[Tensor]] = {}  # their indices, as `_in_turn` takes them
        budgets = (config.class_labels, config.masks)
        for task, learnt, budget in zip(TASKS, (config.classify, config.segment), budgets):
            if learnt:
                found = self.films[task] = getattr(films, task).split("train")
                kept = sample_budget(found, budget, config.seed)
                self.labelled[task] = found[kept]
                numbers = self._group_numbers(task)[kept]
                self.groups[task] = [kept[numbers == number] for number in numbers.unique()]

    def _group_numbers(self, task: str) -> Tensor:
        """Each film's class or folder as a number, if they are balanced; else 0 for all films."""
        films = self.films[task]
        if task == "classification" and self.config.balanced_classes:
            return films.labels
        if task == "segmentation" and self.config.balanced_sets:
            folders = list(dict.fromkeys(films.sources))
            return torch.tensor([folders.index(folder) for folder in films.sources])
        return torch.zeros(len(films))

    def describe(self) -> str:
        """'training on 100 of 5216 classes (26 NORMAL, 74 PNEUMONIA), 10 of 111 masks; ...'"""
        parts, unlabelled = [], 0
        for task, kept in self.labelled.items():
            what = "masks"
            if task == "classification":
                counts = [f"{(kept.labels == i).sum()} {name}" for i, name in enumerate(CLASSES)]
                what = f"classes ({', '.join(counts)})"
            parts.append(f"{len(kept)} of {len(self.films[task])} {what}")
            unlabelled += len(self.films[task]) - len(kept)
        rest = "; the other films are unlabelled" if unlabelled else ""
        return f"training on {', '.join(parts)}{rest}"

    def __call__(self, step: int) -> Batch:
        """The batch of step 0, 1, ..., on the device."""
        masks = self._mask_part(step) if "segmentation" in self.films else {}
        classes = self._class_part(step) if "classification" in self.films else {}
        return Batch(**masks, **classes)

    def _mask_part(self, step: int) -> dict:
        source, config = self.films["segmentation"], self.config
        which = self._in_turn(self.groups["segmentation"], step, 20 if config.balanced_sets else 1)
        films, masks = self._films(source, which, step), source.masks[which][:, None]
        masks = rescale(masks.to(self.device).float(), config.side_at(step)) > 0.5
        films, masks, _ = self._joint_views(films, masks.float(), step, stream=1)
        parts: dict = {"mask_films": films, "masks": masks}
        if config.mask_consistency and config.uses_unlabelled(step):
            plain = self._films(source, self._pick(len(source), step, stream=2), step)
            if config.class_films_for_masks and "classification" in self.films:
                others = self.films["classification"]
                class_films = self._films(others, self._pick(len(others), step, stream=8), step)
                plain = torch.where(self.places % 2 == 1, class_films, plain)
            views, _, affine = self._joint_views(plain, torch.zeros_like(plain), step, stream=2)
            parts["unlabelled_mask_films"] = views
            if config.pixel_consistency_weight:
                parts["plain_mask_films"], parts["affine"] = network_input(plain), affine
        return parts

    def _class_part(self, step: int) -> dict:
        source, config = self.films["classification"], self.config
        stream = 6 if config.balanced_classes else 3
        which = self._in_turn(self.groups["classification"], step, stream)
        films, generators = self._films(source, which, step), self._generators(3, step)
        views = augment.weak(films, generators)
        if config.class_augmentation:
            affine, no_masks = sample_affine(generators), torch.zeros_like(films)
            broad, _ = joint_views(films, no_masks, affine, generators, opaque=False)
            # For every second pair of slots, so that the network still sees plain films.
            views = torch.where(self.places // 2 % 2 == 1, broad, views)
        labels = source.labels[which].to(self.device)
        parts = {"class_films": network_input(views), "labels": labels}
        if config.pseudo_labels and config.uses_unlabelled(step):
            films = self._films(source, self._pick(len(source), step, stream=4), step)
            parts["weak"] = network_input(augment.weak(films, self._generators(4, step)))
            parts["strong"] = network_input(augment.strong(films, self._generators(5, step)))
        return parts

    def _in_turn(self, groups: list[Tensor], step: int, stream: int) -> Tensor:
        """Indices of the step's labelled films, one of each group in turn, (n,)."""
        picked = [group[self._pick(len(group), step, stream + i)] for i, group in enumerate(groups)]
        turn = (step * self.config.batch + self.slots) % len(groups)
        return torch.stack(picked)[turn, torch.arange(len(turn))]

    def _joint_views(
        self, films: Tensor, masks: Tensor, step: int, stream: int
    ) -> tuple[Tensor, Tensor, AffineParameters]:
        """Network inputs, masks, and how both were moved."""
        affine = AffineParameters.identity(len(films))
        if self.config.mask_augmentation:
            generators, white_out = self._generators(stream, step), self.config.opacities
            affine = sample_affine(generators)
            films, masks = joint_views(films, masks, affine, generators, white_out=white_out)
        return network_input(films), masks, affine

    def _pick(self, count: int, step: int, stream: int) -> Tensor:
        """This rank's part of the step's indices: `count` films in a new random order each pass."""
        positions = step * self.config.batch + self.slots
        passes = (positions // count).unique().tolist()
        generators = [self._generator(10 + stream, number) for number in passes]
        orders = [torch.randperm(count, generator=generator) for generator in generators]
        return torch.cat(orders)[positions - passes[0] * count]

    def _generators(self, stream: int, step: int) -> list[torch.Generator]:
        """One generator for each film of this rank's part of a batch."""
        return [self._generator(stream, step, slot) for slot in self.share]

    def _generator(self, *key: int) -> torch.Generator:
        entropy = np.random.SeedSequence([self.config.seed, *key]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(entropy) >> 1)

    def _films(self, films: FilmSet, which: Tensor, step: int) -> Tensor:
        """(n, 1, side, side) in [0, 1], on the device, at the step's side."""
        pixels = films.pixels[which][:, None].to(self.device).float() / 255
        return rescale(pixels, self.config.side_at(step))
