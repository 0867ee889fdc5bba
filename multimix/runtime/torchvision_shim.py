"""Make torchvision importable beside a CPU-only torch.

PyPI's torchvision is built against CUDA torch: beside a CPU-only torch its compiled operators are
not registered and `import torchvision` dies with "operator torchvision::nms does not exist". The
transforms need none of those operators, so declaring the two missing schemas is enough. Where
torchvision is healthy, nothing happens. Import torchvision through this module.
"""

import sys

import torch

_SCHEMAS = ("nms", "qnms")
_library = None  # torch drops the schemas when the Library object is collected


def _heal() -> None:
    global _library
    _library = torch.library.Library("torchvision", "DEF")
    for name in _SCHEMAS:
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [m for m in sys.modules if m == "torchvision" or m.startswith("torchvision.")]:
        del sys.modules[module]  # half-initialised by the failed import


try:
    from torchvision.transforms.v2 import functional
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    _heal()
    from torchvision.transforms.v2 import functional

__all__ = ["functional"]
