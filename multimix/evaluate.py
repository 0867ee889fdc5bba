"""How good a network is on films whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm

from multimix.data import Films, FilmSet
from multimix.film import network_input
from multimix.model import MultiMix, films_at_once
from multimix.parallel import ALONE, Ranks


def evaluate(model: MultiMix, films: Films, split: str = "test", progress: bool = False,
             ranks: Ranks = ALONE) -> dict[str, float]:
    """Metrics on one split ('train', 'val', 'test' or 'all'), by name.

    Classification: accuracy, balanced_accuracy, f1_normal, f1_pneumonia at probability 0.5, and auc (area under the
    ROC curve of the softmax probability). Segmentation: dice and jaccard per film at probability 0.5, then the
    mean; where mask and prediction are both empty, 1. Several `ranks` share the films. ValueError if the split holds
    no labelled film.
    """
    chosen = {task: getattr(films, task).split(split) for task in ("classification", "segmentation")
              if getattr(films, task)}
    chosen = {task: part[part.labelled.nonzero().flatten()] for task, part in chosen.items() if part.labelled.any()}
    if not chosen:
        raise ValueError(f"There are no labelled films in the split '{split}'; choose another one, or give a folder "
                         "that has labels or masks.")
    results: dict[str, float] = {}
    if "classification" in chosen:
        part = chosen["classification"]
        results |= classification_metrics(shared(probabilities, model, part, progress, ranks), part.targets)
    if "segmentation" in chosen:
        part = chosen["segmentation"]
        results |= segmentation_metrics(shared(masks, model, part, progress, ranks), part.targets)
    return results


def shared(answers: Callable, model: MultiMix, films: FilmSet, progress: bool, ranks: Ranks) -> Tensor:
    """What `answers` gives for the films, each rank working on its part where there are enough."""
    if len(films) < ranks.count:
        return answers(model, films, progress)
    mine = films[torch.tensor(ranks.share(len(films)))]
    return ranks.join(answers(model, mine, progress and ranks.first))


def in_batches(films: FilmSet, model: MultiMix, progress: bool):
    """The films as network inputs on the network's device, a batch at a time; leaves the network in its mode."""
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    try:
        with torch.no_grad():
            size = films_at_once(device, films.pixels.shape[-1])
            for pixels in tqdm(films.pixels.split(size), desc="evaluating", unit="batch", disable=not progress,
                               leave=False):
                yield network_input(pixels[:, None].to(device))
    finally:
        model.train(was_training)


def probabilities(model: MultiMix, films: FilmSet, progress: bool = False) -> Tensor:
    """Probability of PNEUMONIA, (N,)."""
    return torch.cat([model.classify(x).softmax(1)[:, 1].cpu() for x in in_batches(films, model, progress)])


def masks(model: MultiMix, films: FilmSet, progress: bool = False) -> Tensor:
    """Predicted lungs, (N, side, side) bool."""
    return torch.cat([(model(x).mask_logits[:, 0] > 0).cpu() for x in in_batches(films, model, progress)])


def classification_metrics(probability: Tensor, labels: Tensor) -> dict[str, float]:
    """From probabilities of PNEUMONIA (N,) and labels (N,). The AUC is left out where only one class is there."""
    from multimix import _torchvision  # noqa: F401  (heals torchvision for torchmetrics; both take a second to import)
    # isort: split
    from torchmetrics.functional import classification as metrics

    predicted = (probability >= 0.5).long()
    f1_normal, f1_pneumonia = metrics.multiclass_f1_score(predicted, labels, 2, average="none").tolist()
    results = {"accuracy": (predicted == labels).float().mean().item(),
               "balanced_accuracy": metrics.multiclass_accuracy(predicted, labels, 2, average="macro").item(),
               "f1_normal": f1_normal, "f1_pneumonia": f1_pneumonia}
    if len(labels.unique()) == 2:
        results["auc"] = metrics.binary_auroc(probability, labels).item()
    return results


def segmentation_metrics(predicted: Tensor, truth: Tensor) -> dict[str, float]:
    """From two stacks of masks (N, H, W) bool."""
    both, either = (predicted & truth).sum((1, 2)), (predicted | truth).sum((1, 2))
    jaccard = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    dice = 2 * jaccard / (1 + jaccard)
    return {"dice": dice.mean().item(), "jaccard": jaccard.mean().item()}


def score(results: dict[str, float]) -> float:
    """One number to choose a checkpoint by: the mean of AUC and Dice, of whichever were measured."""
    parts = [results[name] for name in ("auc", "dice") if name in results]
    return sum(parts) / len(parts) if parts else results["balanced_accuracy"]
