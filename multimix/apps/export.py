"""The network as an ONNX file that needs no autograd: its saliency is part of the graph."""

from __future__ import annotations

import copy
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from multimix.evaluation.calibration import class_probabilities
from multimix.evaluation.outputs import logits_over_sides, network_of
from multimix.images.reading import Source, network_input, picture_for_network
from multimix.images.scaling import filter_weights
from multimix.model import CLASSES, ModelOutput, MultiMix, bridge_maps
from multimix.runtime.device import to_device
from multimix.runtime.files import atomic_write

LARGEST_DIFFERENCE = 1e-3  # from torch in float64: more is refused
MOST_FILMS = 4096  # of a batch that the exported network takes

aten = torch.ops.aten


ABOUT = {
    "classes": CLASSES,
    "film": "grey level / 127.5 - 1",
    "probabilities": "calibrated, of the classes in their order",
    "mask_probability": "of lung, before specks are removed and holes filled",
}


class ExportedOutput(NamedTuple):
    """What the file says about N films."""

    class_logits: Tensor  # (N, 2), their mean over the sides that the class is read at
    mask_logits: Tensor  # (N, 1, side, side)
    saliency: Tensor  # (N, 1, side, side), >= 0
    probabilities: Tensor  # (N, 2): NORMAL, PNEUMONIA, calibrated as predictions are
    mask_probability: Tensor  # (N, 1, side, side), of lung


class Exported(NamedTuple):
    """What `export` measured, on the films that it was given."""

    # From torch in float64: the largest of class and lung probabilities, the mean of the saliency.
    differences: dict[str, float]
    seconds: float  # a film, with onnxruntime
    seconds_torch: float  # a film, with torch


def export(model: MultiMix, out: str | os.PathLike, films: Sequence[Source]) -> Exported:
    """Write a network as an ONNX file, and compare what onnxruntime makes of it with torch.

    The file's input is `film` (N, 1, side, side) in [-1, 1], its outputs are those of
    `ExportedOutput`, in float32. The JSON under `multimix` in its metadata holds side, classes and
    calibration.

    Arguments:
        model: it stays as it is.
        out: a name that ends in .onnx; its folder is made if it is missing.
        films: at least one, to compare on.

    Errors: ValueError where a package is missing or too old, or where the two differ by 1e-3 or
        more: then nothing is written.
    """
    if Path(out).suffix != ".onnx" or not len(films):
        raise ValueError(
            f"The network was to be written to {out}, compared on {len(films)} films; give a name "
            "that ends in .onnx, and at least one film."
        )
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise ValueError(
            f"Exporting needs the package {error.name}: pip install onnxscript onnxruntime."
        ) from None
    model = copy.deepcopy(network_of(model)).float()
    to_device(model, torch.device("cpu"))
    pixels = np.stack([picture_for_network(film, model.side) for film in films])
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(Path(out)) as file:  # opened first, as exporting takes a while
        content = onnx_file(model)
        measured = compare(model, content, network_input(torch.from_numpy(pixels)[:, None]))
        worst = max(measured.differences.values())
        if not worst < LARGEST_DIFFERENCE:
            raise ValueError(
                f"The exported network is off by {worst:.1g} from torch's, so {out} was not "
                "written; try other versions of torch and onnxscript."
            )
        file.write(content)
    return measured


def onnx_file(model: MultiMix) -> bytes:
    """The content of the ONNX file of a network in eval mode."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what torch itself will change
            program = torch.onnx.export(
                TracedMultiMix(model).eval(),
                (example_films(model),),
                dynamo=True,
                opset_version=18,
                verbose=False,
                input_names=["film"],
                output_names=list(ExportedOutput._fields),
                dynamic_shapes=({0: torch.export.Dim("films", max=MOST_FILMS)},),
            )
    except Exception as error:
        raise ValueError(
            f"torch {torch.__version__} cannot export with the onnxscript that is installed "
            f"({type(error).__name__}); newer ones can: pip install -U torch onnxscript."
        ) from error
    assert program is not None  # as it always is with dynamo
    about = {"side": model.side, **ABOUT, **model.calibration}
    program.model.metadata_props["multimix"] = json.dumps(about)
    return program.model_proto.SerializeToString()


def example_films(model: MultiMix) -> Tensor:
    """Two films to trace with, (2, 1, side, side): of one, torch would take the count as fixed."""
    return next(model.parameters()).new_zeros(2, 1, model.side, model.side)


class TracedMultiMix(nn.Module):
    """A network in eval mode whose saliency is made of plain operators, without autograd.

    Takes films (N, 1, side, side) in [-1, 1]. What it gives begins with the network's own output.
    """

    def __init__(self, model: MultiMix):
        super().__init__()
        model = copy.deepcopy(model)
        # In channels-last memory every norm would take the batch apart, film by film.
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # stubs
        self.model = model
        self.encode = traced_encoder(model)
        for side in model.class_sides:
            filter_weights(model.side, side)  # kept from here on: while tracing they are no numbers

    def forward(self, films: Tensor) -> ExportedOutput:
        class_logits, maps, saliency = self.encode(films)
        bridge = bridge_maps(films, saliency) if self.model.bridge else None
        mask_logits = self.model.decoder(maps, bridge)
        class_logits = logits_over_sides(self.model, films, class_logits)
        probabilities = class_probabilities(class_logits, self.model.calibration)
        lung = torch.sigmoid(mask_logits)
        return ExportedOutput(class_logits, mask_logits, saliency, probabilities, lung)


def traced_encoder(model: MultiMix) -> fx.GraphModule:
    """Films to class logits, maps and saliency, as torch computes them: gradient and all.

    The network's own method is traced below autograd, so that the operators of the backward pass
    are recorded like those of the forward pass. It serves any number of films.
    """
    for module in model.modules():
        if isinstance(module, nn.LeakyReLU):
            module.inplace = False  # autograd's way around it has no ONNX operators
    operators: dict[Any, Callable] = {
        aten.convolution_backward.default: convolution_backward,
        aten.max_pool2d_with_indices_backward.default: max_pool_backward,
    }
    operators |= get_decompositions([aten.native_batch_norm_backward, aten.leaky_relu_backward])

    def encode(films: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        return model._encode_with_saliency(films)

    # Symbolic: with sizes that are not fixed. The weights are the tensors that are no fake.
    trace = make_fx(encode, operators, tracing_mode="symbolic", _allow_non_fake_inputs=True)
    with torch.no_grad():
        return trace(example_films(model))


def convolution_backward(
    gradient: Tensor, _maps: Tensor, weight: Tensor, *settings: object
) -> tuple[Tensor, None, None]:
    """The gradient of a convolution's input, of stride 1 and padding 1 as the encoder's all are.

    ONNX has no operator for it, but for a transposed convolution. Nobody asks for the gradients of
    weight and bias.
    """
    return F.conv_transpose2d(gradient, weight, padding=1), None, None


def max_pool_backward(gradient: Tensor, maps: Tensor, *settings: object) -> Tensor:
    """Each value to the pixel that pooling took it from, (N, C, H, W); no two come from one."""
    indices = settings[-1]
    assert isinstance(indices, Tensor)
    pixels = torch.zeros_like(maps).flatten(2)
    pixels = pixels.scatter(2, indices.flatten(2), gradient.flatten(2))
    return pixels.view_as(maps)


def compare(model: MultiMix, content: bytes, films: Tensor) -> Exported:
    """What the file's network and torch's say of films (N, 1, side, side), and their seconds.

    The differences are from torch in float64, as its float32 is off by more: rounding decides in
    single pixels which of two equal ones a pooling takes, and so where the gradient goes.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def with_onnxruntime(film: Tensor) -> list[Tensor]:
        return [torch.from_numpy(part) for part in session.run(None, {"film": film.numpy()})]

    with torch.no_grad():
        exact, _ = timed(partial(network_output, copy.deepcopy(model).double()), films.double())
        _, seconds_torch = timed(partial(network_output, model), films)
        found, seconds = timed(with_onnxruntime, films)
    class_logits, mask_logits, saliency = exact
    ours = ExportedOutput(*found)
    classes = class_probabilities(class_logits, model.calibration)
    differences = {
        "class probability": (classes - ours.probabilities).abs().max().item(),
        "lung probability": (mask_logits.sigmoid() - ours.mask_probability).abs().max().item(),
        "saliency": (saliency - ours.saliency).abs().mean().item(),
    }
    return Exported(differences, seconds, seconds_torch)


def network_output(model: MultiMix, film: Tensor) -> ModelOutput:
    """The network's output with the class logits of all its sides."""
    output = model(film)
    return output._replace(class_logits=logits_over_sides(model, film, output.class_logits))


def timed(network: Callable[[Tensor], Iterable], films: Tensor) -> tuple[list[Tensor], float]:
    """The outputs for all films, one film after the other, and the seconds that one took."""
    list(network(films[:1]))  # the first time is slower
    start = time.perf_counter()
    answers = [list(network(film[None])) for film in films]
    seconds = (time.perf_counter() - start) / len(films)
    return [torch.cat(part) for part in zip(*answers)], seconds
