"""Films to batches: the five streams of a training step."""

from __future__ import annotations

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
from multimix.data.label_budget import sample_budget
from multimix.data.training_films import films_with_answers
from multimix.images.reading import network_input
from multimix.images.scaling import rescale
from multimix.joint_augment import joint_views, sample_affine
from multimix.model import CLASSES
from multimix.runtime.distributed import SINGLE, World


class Batch(NamedTuple):
    """The films of one step, (N, 1, side, side) in [-1, 1]; None where a system has no use."""

    mask_films: Tensor | None = None
    masks: Tensor | None = None  # (N, 1, side, side), 0 or 1
    unlabelled_mask_films: Tensor | None = None
    plain_mask_films: Tensor | None = None  # the unlabelled ones before they were moved
    affine: AffineParameters | None = None  # where those went
    class_films: Tensor | None = None  # weak views
    labels: Tensor | None = None  # (N,)
    weak: Tensor | None = None  # two views of the same unlabelled films
    strong: Tensor | None = None

    @property
    def films_each(self) -> int:
        """N, the films of each kind."""
        films = self.mask_films if self.class_films is None else self.class_films
        assert films is not None, "a batch has films of one task at least"
        return len(films)

    def slices(self, size: int) -> Iterator[Batch]:
        """The batch in parts of at most `size` films of each kind."""
        parts = [repeat(None) if part is None else part.split(size) for part in self]
        return (Batch(*together) for together in zip(*parts))


class Loader:
    """Batches as a pure function of seed and step: nothing to store, nothing to restore.

    Of several ranks each makes its own part of a batch, the same films in the same views as a
    single process would.
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
        # Which slots of a batch this rank has, (n,).
        self.slots = torch.tensor(list(self.share))
        # Training films of each task, and indices of those among them that keep their labels.
        self.class_films = self.mask_films = None
        if config.classify:
            self.class_films = films_with_answers(
                films.classification, "classification", "train", config.side
            )
            self.class_budget = sample_budget(self.class_films, config.class_labels, config.seed)
        if config.segment:
            self.mask_films = films_with_answers(
                films.segmentation, "segmentation", "train", config.side
            )
            self.mask_budget = sample_budget(self.mask_films, config.masks, config.seed)

    def describe(self) -> str:
        """'training on 100 of 5216 classes (26 NORMAL, 74 PNEUMONIA), 10 of 111 masks; ...'"""
        parts, others = [], 0
        if self.class_films is not None:
            labels = self.class_films.labels[self.class_budget]
            counts = labels.bincount(minlength=len(CLASSES)).tolist()
            names = ", ".join(f"{count} {name}" for count, name in zip(counts, CLASSES))
            total = len(self.class_films)
            others += total - len(self.class_budget)
            parts.append(f"{len(self.class_budget)} of {total} classes ({names})")
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
        parts: dict = {}
        if self.mask_films is not None:
            parts |= self._mask_part(self.mask_films, step)
        if self.class_films is not None:
            parts |= self._class_part(self.class_films, step)
        return Batch(**parts)

    def _mask_part(self, source: FilmSet, step: int) -> dict:
        which = self.mask_budget[self._pick(len(self.mask_budget), step, stream=1)]
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
        which = self._labelled_class_films(source.labels, step)
        films, generators = self._films(source, which, step), self._generators(3, step)
        views = augment.weak(films, generators)
        if self.config.class_augmentation:
            affine, no_masks = sample_affine(generators), torch.zeros_like(films)
            broad, _ = joint_views(films, no_masks, affine, generators, opaque=False)
            # Every second pair of slots, so that the network goes on seeing plain films.
            views = self._where(self.slots // 2 % 2 == 1, broad, views)
        labels = source.labels[which].to(self.device)
        parts = {"class_films": network_input(views), "labels": labels}
        if self.config.pseudo_labels and self.config.uses_unlabelled(step):
            films = self._films(source, self._pick(len(source), step, stream=4), step)
            parts["weak"] = network_input(augment.weak(films, self._generators(4, step)))
            parts["strong"] = network_input(augment.strong(films, self._generators(5, step)))
        return parts

    def _labelled_class_films(self, labels: Tensor, step: int) -> Tensor:
        """Indices in the set of the step's labelled films.

        Balanced, the classes take turns: every second film of the batch is of each.
        """
        budget = self.class_budget
        if not self.config.balanced_classes:
            return budget[self._pick(len(budget), step, stream=3)]
        normal, pneumonia = (budget[labels[budget] == label] for label in range(len(CLASSES)))
        normal = normal[self._pick(len(normal), step, stream=6)]
        pneumonia = pneumonia[self._pick(len(pneumonia), step, stream=7)]
        turn = (step * self.config.batch + self.slots) % len(CLASSES)
        return torch.where(turn == 0, normal, pneumonia)

    def _unlabelled_mask_films(self, source: FilmSet, step: int) -> Tensor:
        """Every second one is a classification film, if those are to serve too."""
        films = self._films(source, self._pick(len(source), step, stream=2), step)
        if not self.config.class_films_for_masks or self.class_films is None:
            return films
        which = self._pick(len(self.class_films), step, stream=8)
        others = self._films(self.class_films, which, step)
        return self._where(self.slots % 2 == 1, others, films)

    def _joint_views(
        self, films: Tensor, masks: Tensor, step: int, stream: int
    ) -> tuple[Tensor, Tensor, AffineParameters]:
        """Network inputs, masks, and where both went."""
        if not self.config.mask_augmentation:
            return network_input(films), masks, AffineParameters.identity(len(films))
        generators = self._generators(stream, step)
        affine = sample_affine(generators)
        white_out = self.config.opacities
        films, masks = joint_views(films, masks, affine, generators, white_out=white_out)
        return network_input(films), masks, affine

    def _pick(self, count: int, step: int, stream: int) -> Tensor:
        """This rank's part of the step's indices, in endless fresh permutations of `count`."""
        positions = step * self.config.batch + self.slots
        passes = (positions // count).unique().tolist()
        orders = []
        for number in passes:
            orders.append(torch.randperm(count, generator=self._generator(10 + stream, number)))
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
