"""Batches: the five kinds of films of a training step."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multimix import augment
from multimix.augment import AffineParameters
from multimix.config import Config
from multimix.data.film_set import Films, FilmSet
from multimix.data.label_budget import sample_budget
from multimix.data.training_films import films_with_labels
from multimix.images.reading import network_input
from multimix.images.scaling import rescale
from multimix.joint_augment import joint_views, sample_affine
from multimix.model import CLASSES
from multimix.runtime.distributed import SINGLE, World


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
        films = self.mask_films if self.class_films is None else self.class_films
        return 0 if films is None else len(films)

    def slices(self, size: int) -> Iterator[Batch]:
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
                f"{world.size} processes cannot share batches of {config.batch} films; start fewer,"
                " or make the batch larger (--batch)."
            )
        self.config, self.device, self.share = config, device, world.share(config.batch)
        self.slots = torch.tensor(list(self.share))  # (n,): this rank's places in a batch
        # The training films of each task, and the indices of those that keep their labels: in one
        # group, or in several that each batch takes in turn.
        self.class_films = self.mask_films = None
        side, seed = config.side, config.seed
        if config.classify:
            found = films_with_labels(films.classification, "classification", "train", side)
            self.class_films = found
            self.class_budget = sample_budget(found, config.class_labels, seed)
            classes = found.labels.tolist() if config.balanced_classes else [0] * len(found)
            self.class_groups = grouped(self.class_budget, classes, range(len(CLASSES)))
        if config.segment:
            found = films_with_labels(films.segmentation, "segmentation", "train", side)
            self.mask_films, self.mask_budget = found, sample_budget(found, config.masks, seed)
            folders = found.sources if config.balanced_sets else ("",) * len(found)
            self.mask_groups = grouped(self.mask_budget, folders, dict.fromkeys(folders))

    def describe(self) -> str:
        """'training on 100 of 5216 classes (26 NORMAL, 74 PNEUMONIA), 10 of 111 masks; ...'"""
        parts, others = [], 0
        if self.class_films is not None:
            kept, known = self.class_films.labels[self.class_budget], len(self.class_films)
            names = [f"{(kept == label).sum()} {name}" for label, name in enumerate(CLASSES)]
            parts.append(f"{len(kept)} of {known} classes ({', '.join(names)})")
            others += known - len(kept)
        if self.mask_films is not None:
            parts.append(f"{len(self.mask_budget)} of {len(self.mask_films)} masks")
            others += len(self.mask_films) - len(self.mask_budget)
        rest = "; the other films are unlabelled" if others else ""
        return f"training on {', '.join(parts)}{rest}"

    def labelled_films(self) -> dict[str, FilmSet]:
        """By task, the training films that keep their labels."""
        kept = {}
        if self.class_films is not None:
            kept["classification"] = self.class_films[self.class_budget]
        if self.mask_films is not None:
            kept["segmentation"] = self.mask_films[self.mask_budget]
        return kept

    def __call__(self, step: int) -> Batch:
        """The batch of step 0, 1, ..., on the device."""
        masks = {} if self.mask_films is None else self._mask_part(self.mask_films, step)
        classes = {} if self.class_films is None else self._class_part(self.class_films, step)
        return Batch(**masks, **classes)

    def _mask_part(self, source: FilmSet, step: int) -> dict:
        which = self._in_turn(self.mask_groups, step, 20 if self.config.balanced_sets else 1)
        films, masks = self._films(source, which, step), self._masks(source, which, step)
        films, masks, _ = self._joint_views(films, masks, step, stream=1)
        parts: dict = {"mask_films": films, "masks": masks}
        if self.config.mask_consistency and self.config.uses_unlabelled(step):
            plain = self._unlabelled_mask_films(source, step)
            views, _, affine = self._joint_views(plain, torch.zeros_like(plain), step, stream=2)
            parts["unlabelled_mask_films"] = views
            if self.config.pixel_consistency_weight:
                parts["plain_mask_films"], parts["affine"] = network_input(plain), affine
        return parts

    def _class_part(self, source: FilmSet, step: int) -> dict:
        stream = 6 if self.config.balanced_classes else 3
        which = self._in_turn(self.class_groups, step, stream)
        films, generators = self._films(source, which, step), self._generators(3, step)
        views = augment.weak(films, generators)
        if self.config.class_augmentation:
            affine, no_masks = sample_affine(generators), torch.zeros_like(films)
            broad, _ = joint_views(films, no_masks, affine, generators, opaque=False)
            # For every second pair of slots, so that the network still sees plain films.
            views = self._where(self.slots // 2 % 2 == 1, broad, views)
        labels = source.labels[which].to(self.device)
        parts = {"class_films": network_input(views), "labels": labels}
        if self.config.pseudo_labels and self.config.uses_unlabelled(step):
            films = self._films(source, self._pick(len(source), step, stream=4), step)
            parts["weak"] = network_input(augment.weak(films, self._generators(4, step)))
            parts["strong"] = network_input(augment.strong(films, self._generators(5, step)))
        return parts

    def _in_turn(self, groups: list[Tensor], step: int, stream: int) -> Tensor:
        """Indices of the step's labelled films, one of each group in turn, (n,)."""
        picked = [group[self._pick(len(group), step, stream + i)] for i, group in enumerate(groups)]
        turn = (step * self.config.batch + self.slots) % len(groups)
        return torch.stack(picked)[turn, torch.arange(len(turn))]

    def _unlabelled_mask_films(self, source: FilmSet, step: int) -> Tensor:
        """Plain films (n, 1, side, side); every second one may be a classification film."""
        films = self._films(source, self._pick(len(source), step, stream=2), step)
        if self.class_films is None or not self.config.class_films_for_masks:
            return films
        others = self._pick(len(self.class_films), step, stream=8)
        return self._where(self.slots % 2 == 1, self._films(self.class_films, others, step), films)

    def _joint_views(
        self, films: Tensor, masks: Tensor, step: int, stream: int
    ) -> tuple[Tensor, Tensor, AffineParameters]:
        """Network inputs, masks, and how both were moved."""
        if not self.config.mask_augmentation:
            return network_input(films), masks, AffineParameters.identity(len(films))
        generators = self._generators(stream, step)
        affine = sample_affine(generators)
        white_out = self.config.opacities
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

    def _masks(self, films: FilmSet, which: Tensor, step: int) -> Tensor:
        """(n, 1, side, side), 0 or 1, as floats."""
        masks = films.masks[which][:, None].to(self.device).float()
        return (rescale(masks, self.config.side_at(step)) > 0.5).float()

    def _where(self, condition: Tensor, films: Tensor, others: Tensor) -> Tensor:
        """Film by film, by a condition (n,)."""
        return torch.where(condition.to(self.device)[:, None, None, None], films, others)


def grouped(indices: Tensor, keys: Sequence[Hashable], order: Collection[Hashable]) -> list[Tensor]:
    """Indices of films, (n,), in groups of the same key, in a given order of the keys."""
    groups: dict[Hashable, list[int]] = {key: [] for key in order}
    for index in indices.tolist():
        groups[keys[index]].append(index)
    return [torch.tensor(group) for group in groups.values() if group]
