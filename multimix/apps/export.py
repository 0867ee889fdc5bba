"""The network as an ONNX file, its saliency bridge inside the graph: the gradient is written out in
plain operators.
"""

from __future__ import annotations

import copy
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multimix.images.reading import Source, network_input, read_film, resize
from multimix.model import CLASSES, ModelOutput, MultiMix, bridge_maps
from multimix.runtime.device import to_device
from multimix.runtime.files import atomic_write


class Unrolled(nn.Module):
    """A MultiMix in eval mode with d max class logit / d film as a second walk through the encoder,
    backwards.

    Takes films (N, 1, side, side) in [-1, 1] and gives the same `ModelOutput` as the network, without
    autograd.
    """

    def __init__(self, model: MultiMix):
        super().__init__()
        self.model = model

    def forward(self, film: Tensor) -> ModelOutput:
        class_logits, maps, steps = self.walk(film)
        saliency = self.walk_back(class_logits, maps, steps).abs()
        bridge = bridge_maps(film, saliency) if self.model.bridge else None
        return ModelOutput(class_logits, self.model.decoder(maps, bridge), saliency)

    def walk(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Step]]:
        """The encoder's forward pass, with what the way back has to know of each stage."""
        maps, steps = [], []
        for stage in range(1, 6):
            convolutions = self.model.encoder.get_submodule(f"dconv_down{stage}")
            normal, scales = [], []
            for convolution in (convolutions[0], convolutions[3]):
                x = convolution(x)
                x = x - x.mean((2, 3), keepdim=True)
                scales.append(torch.rsqrt(x.square().mean((2, 3), keepdim=True) + 1e-5))
                normal.append(x * scales[-1])
                x = F.leaky_relu(normal[-1], 0.2)
            maps.append(x)
            x, places = F.max_pool2d(x, 2, return_indices=True)
            steps.append(
                Step(convolutions[0].weight, convolutions[3].weight, normal, scales, places)
            )
        return self.model.encoder.fc(x.mean((2, 3))), maps, steps

    def walk_back(self, class_logits: Tensor, maps: list[Tensor], steps: list[Step]) -> Tensor:
        """The gradient of each film's larger logit, (N, 1, side, side)."""
        pooled = steps[-1].places.shape[2:]
        winner = F.one_hot(class_logits.argmax(1), len(CLASSES)).to(class_logits.dtype)
        gradient = (winner @ self.model.encoder.fc.weight)[:, :, None, None].expand(
            -1, -1, *pooled
        ) / pooled.numel()
        for step, map in zip(reversed(steps), reversed(maps)):
            gradient = unpooled(gradient, step.places, *map.shape[2:])
            for i, weight in ((1, step.second), (0, step.first)):
                normal = step.normal[i]
                gradient = torch.where(normal > 0, gradient, 0.2 * gradient)
                gradient = step.scales[i] * (
                    gradient
                    - gradient.mean((2, 3), keepdim=True)
                    - normal * (gradient * normal).mean((2, 3), keepdim=True)
                )
                gradient = F.conv_transpose2d(gradient, weight, padding=1)
        return gradient


class Step(NamedTuple):
    """What the way back through one stage needs: both convolutions' weights and normalised maps,
    the pool's choices.
    """

    first: Tensor
    second: Tensor
    normal: list[Tensor]
    scales: list[Tensor]
    places: Tensor


def unpooled(gradient: Tensor, places: Tensor, height: int, width: int) -> Tensor:
    """Each value to the pixel that 2 x 2 max pooling took it from, 0 to the others."""
    pixels = torch.arange(height * width, dtype=gradient.dtype).view(height, width)
    pixels = pixels[: height - height % 2, : width - width % 2]
    chosen = F.interpolate(places.to(gradient.dtype), scale_factor=2) == pixels
    return F.pad(F.interpolate(gradient, scale_factor=2) * chosen, (0, width % 2, 0, height % 2))


class Exported(NamedTuple):
    """What `export` measured, on the films that it was given."""

    differences: dict[
        str, float
    ]  # from torch in float64: the largest of class and lung probabilities, mean saliency
    seconds: float  # for a film with onnxruntime
    seconds_torch: float


def export(model: MultiMix, out: str | os.PathLike, films: Sequence[Source]) -> Exported:
    """Write an ONNX file, and compare what onnxruntime makes of it with torch, on `films`, at least
    one.

    Input `film` (N, 1, side, side) in [-1, 1]; outputs `class_logits` (N, 2), `mask_logits` and
    `saliency` (N, 1, side, side). The file's metadata tell side, classes and calibration.
    ValueError where a package is missing, or where a difference is above 1e-3: then nothing is
    written. Compared is with torch in float64, as its float32 is off by more: rounding decides in
    single pixels which of two like ones a pooling takes, and so where the gradient goes.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise ValueError(
            f"Exporting needs the package {error.name}: pip install onnxscript onnxruntime."
        ) from None
    model = to_device(copy.deepcopy(model).eval(), torch.device("cpu"))
    x = network_input(
        torch.from_numpy(np.stack([resize(read_film(film), model.side) for film in films]))[:, None]
    )
    content = onnx_of(model)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        exact, _ = timed(copy.deepcopy(model).double(), x.double())
        _, seconds_torch = timed(model, x)
        found, seconds = timed(
            lambda film: map(torch.from_numpy, session.run(None, {"film": film.numpy()})), x
        )
    class_probability, lung_probability, saliency = (
        (f(a) - f(b)).abs()
        for f, a, b in zip(
            (lambda logits: logits.softmax(1), torch.sigmoid, torch.abs), exact, found
        )
    )
    differences = {
        "class probability": class_probability.max().item(),
        "lung probability": lung_probability.max().item(),
        "saliency": saliency.mean().item(),
    }
    if not max(differences.values()) < 1e-3:
        raise ValueError(
            f"The exported network is off by {max(differences.values()):.1g} from torch's, so "
            f"{out} was not written; try other versions of torch and onnxscript."
        )
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(Path(out)) as file:
        file.write(content)
    return Exported(differences, seconds, seconds_torch)


def onnx_of(model: MultiMix) -> bytes:
    """The content of the ONNX file."""
    model = copy.deepcopy(model).to(
        memory_format=torch.contiguous_format
    )  # so that no norm takes the batch apart
    films, batch = torch.zeros(2, 1, model.side, model.side), torch.export.Dim("films", max=4096)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torch itself will change
            program = torch.onnx.export(
                Unrolled(model),
                (films,),
                dynamo=True,
                opset_version=18,
                verbose=False,
                input_names=["film"],
                output_names=list(ModelOutput._fields),
                dynamic_shapes=({0: batch},),
            )
    except Exception as error:
        raise ValueError(
            f"torch {torch.__version__} cannot export with the onnxscript that is installed "
            f"({type(error).__name__}); newer ones can: pip install -U torch onnxscript."
        ) from error
    program.model.metadata_props["multimix"] = json.dumps(
        {
            "side": model.side,
            "classes": CLASSES,
            "film": "grey level / 127.5 - 1",
            **model.calibration,
        }
    )
    return program.model_proto.SerializeToString()


def timed(
    network: Callable[[Tensor], Iterable[Tensor]], films: Tensor
) -> tuple[list[Tensor], float]:
    """The answers to all films, one after the other, and the seconds that one took; the first is
    asked twice.
    """
    list(network(films[:1]))
    start = time.perf_counter()
    answers = [list(network(film[None])) for film in films]
    return [torch.cat(part) for part in zip(*answers)], (time.perf_counter() - start) / len(films)
