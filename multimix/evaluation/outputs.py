"""The network's outputs as they are used: averaged with the mirrored film's, and post-processed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from multimix.images.quality import largest_parts
from multimix.images.reading import network_input
from multimix.images.scaling import rescale
from multimix.model import MultiMix

Module = TypeVar("Module", bound=nn.Module)


class InferenceOutput(NamedTuple):
    """What the network says of N films, on the CPU."""

    log_odds: Tensor  # (N,) float64: logit of PNEUMONIA minus that of NORMAL
    lung: Tensor  # (N, 1, H, W): probability of lung
    saliency: Tensor  # (N, 1, H, W)
    disagreement: Tensor | None  # (N, 1, H, W): |lung - that of the mirrored film|, in [0, 1]


def network_of(model: nn.Module) -> MultiMix:
    """The network to ask: a twin in eval mode, so that no mode changes that anybody else sees.

    Arguments:
        model: a network, or what torch makes of one: DataParallel, AveragedModel, torch.compile.

    Returns: other modules of the same weights, never compiled: saliency needs autograd.

    Errors: ValueError where there is no network in it, or its weights do not go together.
    """
    found: object = model
    while isinstance(found, nn.Module) and not isinstance(found, MultiMix):
        found = getattr(found, "module", getattr(found, "_orig_mod", None))
    if not isinstance(found, MultiMix):
        raise ValueError(
            f"A {type(model).__name__} was given as the network; a MultiMix is needed: what "
            "load_model or train gives."
        )
    weights = list(found.parameters())
    kinds = sorted({f"{p.dtype} on {p.device.type}".removeprefix("torch.") for p in weights})
    if len(kinds) > 1:
        raise ValueError(
            f"The network's weights are {' and '.join(kinds)}; they need one type and one device: "
            "model.float().to('cpu'), for example."
        )
    if any(p.is_inference() for p in weights):
        raise ValueError(
            "The network's weights were made within torch.inference_mode(), so no saliency can be "
            "had of them; make them outside, or within torch.no_grad()."
        )
    return eval_twin(found)


def eval_twin(module: Module) -> Module:
    """The module and all in it once more, in eval mode, with the same weights."""
    twin = copy.copy(module)  # leaves out what torch compiled
    twin.training = False
    twin._modules = dict(module._modules)
    for name, part in module.named_children():
        twin._modules[name] = eval_twin(part)
    return twin


@contextmanager
def asking(network: MultiMix) -> Iterator[None]:
    """No gradients kept. ValueError where torch cannot run: of memory, a type, a setting."""
    try:
        with torch.inference_mode():
            yield
    except RuntimeError as error:
        weight = next(network.parameters())
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise ValueError(
            f"torch cannot run this network, {weight.dtype} on {weight.device} ({reason}); take "
            "smaller films or fewer at once, or model.float().to('cpu')."
        ) from error


def films_for(network: MultiMix, pixels: Tensor) -> Tensor:
    """Films (N, side, side) uint8 as a network takes them, on its device, of its weights' type.

    ValueError where they are at another side than the network's.
    """
    if pixels.shape[-1] != network.side:
        raise ValueError(
            f"The films are at {pixels.shape[-1]} px, and the network takes {network.side}: load "
            f"them with load_films(..., side={network.side}); a network of your own takes what its "
            "`side` says."
        )
    weight = next(network.parameters())
    films = pixels[:, None].to(weight.device, torch.float32) / 255  # whatever torch's default type
    return network_input(films).to(weight.dtype)


def run_network(
    model: MultiMix, x: Tensor, flip: bool = False, clean: bool = False
) -> InferenceOutput:
    """Ask a network in eval mode.

    Arguments:
        x: films (N, 1, H, W) in [-1, 1].
        flip: average with what it says of the mirrored film.
        clean: post-process the lungs: at most two, without holes.
    """
    log_odds, lung, saliency = ask(model, x)
    disagreement = None
    if flip:
        mirrored_log_odds, mirrored_lung, mirrored_saliency = ask(model, x.flip(3))
        disagreement = (lung - mirrored_lung.flip(3)).abs()
        log_odds = (log_odds + mirrored_log_odds) / 2
        lung = (lung + mirrored_lung.flip(3)) / 2
        saliency = (saliency + mirrored_saliency.flip(3)) / 2
    return InferenceOutput(log_odds, post_process(lung) if clean else lung, saliency, disagreement)


def ask(model: MultiMix, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-odds (N,), lung probability and saliency (N, 1, H, W), as full floats on the CPU."""
    # Autocast may have narrowed them; a network in eval mode always gives a saliency.
    class_logits, mask_logits, saliency = (part.float() for part in model(x) if part is not None)
    log_odds = log_odds_of(logits_over_sides(model, x, class_logits).cpu())
    return log_odds, torch.sigmoid(mask_logits).cpu(), saliency.cpu()


def class_log_odds(model: MultiMix, x: Tensor, flip: bool = False) -> Tensor:
    """`run_network(...).log_odds` alone, which needs neither decoder nor saliency."""
    log_odds = log_odds_of(logits_over_sides(model, x).cpu())
    if flip:
        log_odds = (log_odds + log_odds_of(logits_over_sides(model, x.flip(3)).cpu())) / 2
    return log_odds


def logits_over_sides(model: MultiMix, x: Tensor, class_logits: Tensor | None = None) -> Tensor:
    """Class logits (N, 2), their mean over the sides that the network names.

    Their log-odds are the mean of those of the sides.

    Arguments:
        x: films (N, 1, H, W) in [-1, 1], at the network's side.
        class_logits: (N, 2), those of x as it is, where they are known already.
    """
    found = []
    for side in model.class_sides or (x.shape[-1],):
        logits = class_logits if side == x.shape[-1] else None
        if logits is None:
            logits = model.classify(rescale(x, side))
        found.append(logits.to(torch.promote_types(logits.dtype, torch.float32)))
    return torch.stack(found).mean(0)


def log_odds_of(class_logits: Tensor) -> Tensor:
    """(N, 2) -> (N,) float64: logit of PNEUMONIA minus that of NORMAL."""
    normal, pneumonia = class_logits.double().unbind(1)
    return pneumonia - normal


def post_process(lung: Tensor) -> Tensor:
    """Lung probabilities (N, 1, H, W) with at most two lungs and no holes in them.

    Only the two largest connected parts above 0.5 stay there, and what they enclose joins them: the
    probabilities p of the other pixels concerned become 1 - p.
    """
    processed = []
    for p in lung[:, 0].numpy():
        mask = p > 0.5
        lungs = np.logical_or.reduce([np.zeros_like(mask), *largest_parts(mask)])
        wanted = scipy.ndimage.binary_fill_holes(lungs)
        processed.append(np.where(wanted != mask, 1 - p, p))
    return torch.from_numpy(np.stack(processed))[:, None]
