"""The network as an ONNX file that needs no autograd: its saliency is part of the graph."""

import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from multimix.evaluation.calibration import calibrated_log_odds
from multimix.images.reading import Source, network_input, picture_for_network
from multimix.model import CLASSES, MultiMix
from multimix.predictions.outputs import eval_mode, logits_over_sides
from multimix.runtime.files import atomic_write, in_brief

OUTPUTS = {  # by the task that the network must have learnt; all float32
    "classification": ("class_logits", "probabilities", "saliency"),
    "segmentation": ("mask_logits", "mask_probability"),
}


def export(
    model: MultiMix, out: Path, films: Sequence[Source], precision: str = "float32"
) -> dict[str, float]:
    """Write a network as an ONNX file and compare its outputs in onnxruntime with torch's.

    The file's input is `film` (N, 1, side, side) float32 in [-1, 1]; `OUTPUTS` has its outputs. The
    JSON under `multimix` in its metadata has side, classes and calibration.

    Returns: by output, the largest difference from torch in float64 on `films` (at least one), of
        the saliency the mean.

    Errors: ValueError, and no file, if a package is missing or too old, or an output differs by
        0.001 or more (weights of 'float16': 0.01).
    """
    with eval_mode(model) as network, torch.inference_mode(False):
        model = copy.deepcopy(network).float().cpu()
    exact, found = copy.deepcopy(model).double(), dict[str, float]()
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as file:  # opened first, as exporting takes a while
        content, session = onnx_file(model, precision)
        for source in films:
            pixels = torch.tensor(picture_for_network(source, model.info.side))
            film = network_input(pixels[None, None])
            with torch.no_grad():  # in float32 rounding decides which of two pixels pooling takes
                expected = outputs_of(exact, film.double())
            for name in (name for name in expected if "logits" not in name):
                (output,) = session.run([name], {"film": film.numpy()})
                off = np.abs(output - expected[name].numpy())
                largest = float(off.mean() if name == "saliency" else off.max())
                found[name] = max(found.get(name, 0.0), largest)
        if not max(found.values()) < (1e-3 if precision == "float32" else 1e-2):
            raise ValueError(
                f"The exported network differs from torch's by {max(found.values()):.1g}, so {out} "
                "was not written; try other versions of torch and onnxscript."
            )
        file.write(content)
    return found


def outputs_of(model: MultiMix, films: Tensor) -> dict[str, Tensor]:
    """The outputs, for films (N, 1, side, side) in [-1, 1], of the tasks that were learnt."""
    class_logits, mask_logits, saliency = model(films)
    logits = logits_over_sides(model, films, class_logits)
    found: dict[str, Any] = dict(class_logits=logits, saliency=saliency)
    found |= dict(mask_logits=mask_logits, mask_probability=torch.sigmoid(mask_logits))
    log_odds = calibrated_log_odds(logits[:, 1:] - logits[:, :1], model.info.calibration)
    found["probabilities"] = torch.sigmoid(torch.cat([-log_odds, log_odds], 1))
    learnt = [name for task in OUTPUTS if task in model.info.tasks for name in OUTPUTS[task]]
    return {name: found[name] for name in learnt}


def onnx_file(model: MultiMix, precision: str = "float32") -> tuple[bytes, Any]:
    """The content of the ONNX file of a network in eval mode, and onnxruntime's session of it."""
    films = torch.zeros(2, 1, model.info.side, model.info.side)
    try:
        from onnxruntime import InferenceSession

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what torch itself will change
            plain = PlainMultiMix(model).eval()
            how: Any = dict(input_names=["film"], output_names=plain.names, opset_version=18)
            how["dynamic_shapes"] = ({0: torch.export.Dim("films", max=4096)},)
            program: Any = torch.onnx.export(plain, (films,), dynamo=True, verbose=False, **how)
    except Exception as error:
        raise ValueError(
            f"Exporting is not possible here ({type(error).__name__}: {in_brief(error, 100)}); "
            "install what it needs: pip install -U torch onnx onnxscript onnxruntime."
        ) from error
    about = {"side": model.info.side, "classes": CLASSES, **model.info.calibration}
    program.model.metadata_props["multimix"] = json.dumps(about)
    proto = program.model_proto
    if precision == "float16":
        halve_weights(proto.graph)
    content = proto.SerializeToString()
    return content, InferenceSession(content, providers=["CPUExecutionProvider"])


def halve_weights(graph: Any) -> None:
    """Store an ONNX graph's weights in float16; they are cast when the file is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            name, half = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
            cast = helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)
            graph.node.insert(0, cast)


class PlainMultiMix(nn.Module):
    """A network in eval mode whose saliency is made of plain operators, without autograd."""

    def __init__(self, model: MultiMix):
        super().__init__()
        # In channels-last memory every norm would take the batch apart, film by film.
        self.model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for module in self.model.modules():
            if isinstance(module, nn.LeakyReLU):
                module.inplace = False  # its gradient has no ONNX operators
        aten = torch.ops.aten
        known = [aten.native_batch_norm_backward, aten.leaky_relu_backward]
        operators: dict = get_decompositions(known)
        operators[aten.convolution_backward.default] = convolution_backward
        operators[aten.max_pool2d_with_indices_backward.default] = max_pool_backward
        encode, options = self.model._encode_with_saliency, {"_allow_non_fake_inputs": True}
        # Below autograd, where the backward pass is operators too. Symbolic: it takes any number of
        # films; with one, torch would take their number as fixed.
        trace = make_fx(lambda x: encode(x), operators, tracing_mode="symbolic", **options)
        films = next(model.parameters()).new_zeros(2, 1, model.info.side, model.info.side)
        with torch.no_grad():
            # This caches filters, too: while tracing they are not numbers.
            self.names = [*outputs_of(self.model, films)]
            # Before the class's method.
            self.model.__dict__["_encode_with_saliency"] = self.encode = trace(films)

    def forward(self, films: Tensor) -> list[Tensor]:
        """Films (N, 1, side, side) in [-1, 1] to the values of `outputs_of`."""
        return [*outputs_of(self.model, films).values()]


def convolution_backward(gradient: Tensor, _maps: Tensor, weight: Tensor, *_: object) -> tuple:
    """The gradient of a convolution's input (stride 1, padding 1), as ONNX can compute it."""
    return F.conv_transpose2d(gradient, weight, padding=1), None, None  # no weight or bias


def max_pool_backward(gradient: Tensor, maps: Tensor, *settings: Any) -> Tensor:
    """Each value to the pixel that pooling took, (N, C, H, W); no two values go to one pixel."""
    pixels, indices = torch.zeros_like(maps).flatten(2), settings[-1]
    return pixels.scatter(2, indices.flatten(2), gradient.flatten(2)).view_as(maps)
