"""The network's outputs as they are used: averaged with the mirrored film's, and post-processed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor

from multimix.images.quality import largest_parts
from multimix.images.reading import network_input, rescale
from multimix.model import MultiMix

CELLS = 14  # along a side of an explanation
running = threading.RLock()  # of `eval_mode`


class InferenceOutput(NamedTuple):
    """The outputs for N films, on the CPU."""

    log_odds: Tensor  # (N,) float64: logit of PNEUMONIA minus that of NORMAL
    lung: Tensor  # (N, 1, H, W): probability of lung
    saliency: Tensor  # (N, 1, H, W)


@contextmanager
def eval_mode(model: MultiMix) -> Iterator[MultiMix]:
    """The network in eval mode and without gradients; afterwards every module's mode is restored.

    One thread at a time, as the modes are the network's own. ValueError where torch cannot run it.
    """
    if not isinstance(model, MultiMix):
        raise ValueError(
            f"A {type(model).__name__} was given as the network; a MultiMix is needed (load_model)."
        )
    with running:
        # Compiled modules have no saliency, which needs autograd.
        before = [(part, part.training, part._compiled_call_impl) for part in model.modules()]
        try:
            for part, _, _ in before:
                part.training, part._compiled_call_impl = False, None
            with torch.inference_mode():
                yield model
        except RuntimeError as error:
            reason = str(error).partition("\n")[0][:120] or type(error).__name__
            weights = sorted({f"{p.dtype} on {p.device.type}" for p in model.parameters()})
            raise ValueError(
                f"torch cannot run this network, {' and '.join(weights)} ({reason}); use "
                "model.float().to('cpu'), made outside torch.inference_mode()."
            ) from error
        finally:
            for part, training, compiled in before:
                part.training, part._compiled_call_impl = training, compiled


def films_for(network: MultiMix, pixels: Tensor) -> Tensor:
    """Films (N, side, side) uint8 as inputs of a network: on its device, in its weights' type."""
    side, given = network.info.side, pixels.shape[-1]
    if given != side:
        raise ValueError(
            f"The films are at {given} px, and the network needs {side}: load them with "
            f"load_films(..., side={side})."
        )
    weight = network.encoder.fc.weight
    films = pixels[:, None].to(weight.device, torch.float32) / 255  # whatever torch's default type
    return network_input(films).to(weight.dtype)


def run_network(
    model: MultiMix, x: Tensor, flip: bool = False, clean: bool = False
) -> InferenceOutput:
    """The outputs of a network in eval mode, for films x (N, 1, H, W) in [-1, 1].

    `flip` averages with those of the mirrored films; `clean` post-processes the lungs.
    """
    class_logits, mask_logits, saliency = model(x)
    assert saliency is not None, "a network in eval mode gives a saliency"
    log_odds = class_log_odds(model, x, class_logits=class_logits.float())  # after autocast
    lung, saliency = torch.sigmoid(mask_logits.float()).cpu(), saliency.float().cpu()
    if flip:
        mirrored = run_network(model, x.flip(3))
        log_odds = (log_odds + mirrored.log_odds) / 2
        lung = (lung + mirrored.lung.flip(3)) / 2
        saliency = (saliency + mirrored.saliency.flip(3)) / 2
    return InferenceOutput(log_odds, post_process(lung) if clean else lung, saliency)


def class_log_odds(
    model: MultiMix, x: Tensor, flip: bool = False, class_logits: Tensor | None = None
) -> Tensor:
    """`run_network(...).log_odds` alone, which needs neither decoder nor saliency."""
    normal, pneumonia = logits_over_sides(model, x, class_logits).cpu().double().unbind(1)
    log_odds = pneumonia - normal
    return (log_odds + class_log_odds(model, x.flip(3))) / 2 if flip else log_odds


def logits_over_sides(model: MultiMix, x: Tensor, class_logits: Tensor | None = None) -> Tensor:
    """Class logits (N, 2), the mean over `class_sides`; `class_logits` are those of x, if known."""
    found = []
    for side in model.info.class_sides or (x.shape[-1],):
        logits = class_logits if side == x.shape[-1] else None
        if logits is None:
            logits = model.classify(rescale(x, side))
        found.append(logits.to(torch.promote_types(logits.dtype, torch.float32)))
    return torch.stack(found).mean(0)


def explain(model: MultiMix, x: Tensor, flip: bool = False) -> Tensor:
    """What speaks for PNEUMONIA (above 0) and against it in films x (N, 1, H, W): (N, 1, 14, 14).

    Integrated gradients (Sundararajan and others 2017): the gradient of the log odds, its mean over
    four films between the blurred film and the film, times the difference of these two, summed in
    each cell. So all cells together are about what the blurred film lacks in log odds.
    """
    side = min(model.info.class_sides, default=x.shape[-1])
    with torch.inference_mode(False), torch.enable_grad():
        films = rescale(x.clone(), side)
        difference = films - rescale(rescale(films, CELLS), side)
        found = torch.zeros_like(difference)
        for share in (1 / 8, 3 / 8, 5 / 8, 7 / 8):
            between = (films - share * difference).requires_grad_()
            log_odds = model.classify(between).diff(dim=1)
            found += torch.autograd.grad(log_odds.sum(), between)[0] * difference / 4
    cells = F.adaptive_avg_pool2d(found.float(), CELLS).cpu() * (side / CELLS) ** 2
    return (cells + explain(model, x.flip(3)).flip(3)) / 2 if flip else cells


def post_process(lung: Tensor) -> Tensor:
    """Lung probabilities (N, 1, H, W) with at most two lungs and no holes in them.

    Only the two largest connected parts above 0.5 stay lung, and the holes inside them become lung:
    the probabilities p of all pixels that change become 1 - p.
    """
    masks = lung[:, 0].numpy() > 0.5
    parts = [np.logical_or.reduce([mask & False, *largest_parts(mask)]) for mask in masks]
    wanted = np.stack([scipy.ndimage.binary_fill_holes(part) for part in parts])
    changes = torch.from_numpy(wanted != masks)[:, None]
    return torch.where(changes, 1 - lung, lung)
