"""Import this before torchmetrics, which imports torchvision where that is installed.

PyPI's torchvision is built for CUDA: beside a CPU-only torch two operators are missing.
"""

import sys
from contextlib import suppress

import torch

try:
    with suppress(ImportError):
        import torchvision  # noqa: F401
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")  # torch drops what a deleted one declares
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[module]  # half-initialised by the failed import
