"""The network as an ONNX file that needs no autograd: its saliency is part of the graph."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from multimix.evaluation.calibration import calibrated_log_odds
from multimix.images.reading import Source, filter_weights, network_input, picture_for_network
from multimix.model import CLASSES, MultiMix, bridge_maps
from multimix.predictions.outputs import eval_mode, logits_over_sides
from multimix.runtime.files import atomic_write, make_folder

OUTPUTS = {  # by the task that the network must have learnt; all float32
    "classification": ("class_logits", "probabilities", "saliency"),
    "segmentation": ("mask_logits", "mask_probability"),
}
ABOUT = {
    "classes": CLASSES,
    "film": "grey level / 127.5 - 1, without plain borders",
    "probabilities": "calibrated, of the classes in their order",
    "mask_probability": "of lung, before specks are removed and holes filled",
}


def export(
    model: MultiMix, out: Path, films: Sequence[Source], precision: str = "float32"
) -> dict[str, float]:
    """Write a network as an ONNX file and compare its outputs in onnxruntime with torch's.

    The file's input is `film` (N, 1, side, side) float32 in [-1, 1]; `OUTPUTS` has its outputs. The
    JSON under `multimix` in its metadata has side, classes and calibration.

    Arguments:
        model: it stays as it is.
        out: a new file; its folder is made if it is missing.
        films: at least one, to compare on.
        precision: of the weights, 'float32' or 'float16'.

    Returns: by output, the largest difference from torch in float64, of the saliency the mean.

    Errors: ValueError if a package is missing or too old, or if an output differs by 0.001 or more
        (float16: 0.01). Then nothing is written.
    """
    if missing := [name for name in ("onnxscript", "onnxruntime") if not find_spec(name)]:
        raise ValueError(f"Exporting needs {missing[0]}: pip install onnxscript onnxruntime.")
    with eval_mode(model) as network, torch.inference_mode(False):
        model = copy.deepcopy(network).float().cpu()
    pixels = np.stack([picture_for_network(film, model.info.side) for film in films])
    make_folder(out.parent)
    with atomic_write(out) as file:  # opened first, as exporting takes a while
        content = onnx_file(model, precision)
        found = differences(model, content, network_input(torch.from_numpy(pixels)[:, None]))
        if not max(found.values()) < (1e-3 if precision == "float32" else 1e-2):
            raise ValueError(
                f"The exported network differs from torch's by {max(found.values()):.1g}, so {out} "
                "was not written; try other versions of torch and onnxscript."
            )
        file.write(content)
    return found


def names_of_outputs(model: MultiMix) -> list[str]:
    """The outputs of the tasks that the network has learnt."""
    return [name for task, names in OUTPUTS.items() if task in model.info.tasks for name in names]


def onnx_file(model: MultiMix, precision: str = "float32") -> bytes:
    """The content of the ONNX file of a network in eval mode."""
    films = torch.zeros(2, 1, model.info.side, model.info.side)
    how: dict[str, Any] = {"dynamo": True, "opset_version": 18, "verbose": False}
    how |= {"input_names": ["film"], "output_names": names_of_outputs(model)}
    how["dynamic_shapes"] = ({0: torch.export.Dim("films", max=4096)},)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what torch itself will change
            program = torch.onnx.export(TracedMultiMix(model).eval(), (films,), **how)
    except Exception as error:
        raise ValueError(
            f"torch {torch.__version__} cannot export with the onnxscript that is installed "
            f"({type(error).__name__}); newer ones can: pip install -U torch onnxscript."
        ) from error
    assert program is not None  # as always with dynamo
    about = {"side": model.info.side, **ABOUT, **model.info.calibration}
    program.model.metadata_props["multimix"] = json.dumps(about)
    proto = program.model_proto
    if precision == "float16":
        halve_weights(proto.graph)
    return proto.SerializeToString()


def halve_weights(graph: Any) -> None:
    """Store an ONNX graph's weights in float16; they are cast when the file is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            name, half = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
            cast = helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)
            graph.node.insert(0, cast)


class TracedMultiMix(nn.Module):
    """A network in eval mode whose saliency is made of plain operators, without autograd."""

    def __init__(self, model: MultiMix):
        super().__init__()
        self.model = copy.deepcopy(model)
        # In channels-last memory every norm would take the batch apart, film by film.
        for parameter in self.model.parameters():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
        self.encode = traced_encoder(self.model)
        for side in model.info.class_sides:  # kept in a cache: while tracing they are not numbers
            filter_weights(model.info.side, side)

    def forward(self, films: Tensor) -> tuple[Tensor, ...]:
        """Films (N, 1, side, side) in [-1, 1] to the outputs of the tasks that were learnt."""
        class_logits, maps, saliency = self.encode(films)
        bridge = bridge_maps(films, saliency) if self.model.bridge else None
        mask_logits = self.model.decoder(maps, bridge)
        class_logits = logits_over_sides(self.model, films, class_logits)
        log_odds = class_logits[:, 1:] - class_logits[:, :1]
        log_odds = calibrated_log_odds(log_odds, self.model.info.calibration)
        found = {
            "class_logits": class_logits,
            "probabilities": torch.sigmoid(torch.cat([-log_odds, log_odds], 1)),
            "saliency": saliency,
            "mask_logits": mask_logits,
            "mask_probability": torch.sigmoid(mask_logits),
        }
        return tuple(found[name] for name in names_of_outputs(self.model))


def traced_encoder(model: MultiMix) -> fx.GraphModule:
    """Films to class logits, maps and saliency, as torch computes them: gradient and all.

    The network's own method is traced below autograd, so that the operators of the backward pass
    are recorded like those of the forward pass. It takes any number of films.
    """
    for module in model.modules():
        if isinstance(module, nn.LeakyReLU):
            module.inplace = False  # its gradient has no ONNX operators
    aten = torch.ops.aten
    operators: dict[Any, Callable[..., Any]] = {
        aten.convolution_backward.default: convolution_backward,
        aten.max_pool2d_with_indices_backward.default: max_pool_backward,
        **get_decompositions([aten.native_batch_norm_backward, aten.leaky_relu_backward]),
    }
    # Symbolic: the sizes are not fixed. With one film, torch would take their number as fixed.
    encode, options = model._encode_with_saliency, {"_allow_non_fake_inputs": True}
    trace = make_fx(lambda x: encode(x), operators, tracing_mode="symbolic", **options)
    with torch.no_grad():
        return trace(next(model.parameters()).new_zeros(2, 1, model.info.side, model.info.side))


def convolution_backward(
    gradient: Tensor, _maps: Tensor, weight: Tensor, *settings: object
) -> tuple[Tensor, None, None]:
    """The gradient of the input of the encoder's convolutions: stride 1, padding 1.

    ONNX has no operator for it but a transposed convolution. Weight and bias need no gradient.
    """
    return F.conv_transpose2d(gradient, weight, padding=1), None, None


def max_pool_backward(gradient: Tensor, maps: Tensor, *settings: object) -> Tensor:
    """Each value to the pixel that pooling took, (N, C, H, W); no two values go to one pixel."""
    indices: Tensor = settings[-1]  # type: ignore[assignment]
    pixels = torch.zeros_like(maps).flatten(2)
    return pixels.scatter(2, indices.flatten(2), gradient.flatten(2)).view_as(maps)


def differences(model: MultiMix, content: bytes, films: Tensor) -> dict[str, float]:
    """How far a file's outputs for films (N, 1, side, side) are from torch's in float64.

    Not from float32: rounding decides there in single pixels which of two equal values a pooling
    takes, and so where the gradient goes.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    exact, names = TracedMultiMix(copy.deepcopy(model).double()), names_of_outputs(model)
    found = {name: 0.0 for name in names if "logits" not in name}
    for film in films.split(1):
        with torch.no_grad():
            expected = dict(zip(names, exact(film.double())))
        for name, output in zip(found, session.run(list(found), {"film": film.numpy()})):
            off = np.abs(output - expected[name].numpy())
            found[name] = max(found[name], float(off.mean() if name == "saliency" else off.max()))
    return found
