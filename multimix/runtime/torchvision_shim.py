"""Make torchvision importable beside a CPU-only torch; import it through this module.

PyPI's torchvision is built for CUDA. Beside a CPU-only torch its import fails, as two operators are
not registered. The transforms do not need these, so it is enough to declare them.
"""

import sys

import torch

try:
    from torchvision.transforms.v2 import functional
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    library = torch.library.Library("torchvision", "DEF")  # torch drops what a deleted one declares
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[module]  # half-initialised by the failed import
    from torchvision.transforms.v2 import functional

__all__ = ["functional"]
