"""Weights files: tensors and plain metadata, read without running anything in them."""

import io
import os
import zipfile
from dataclasses import fields
from pathlib import Path

import torch

from multimix.config import RENAMED, Config
from multimix.model import TASKS, ModelInfo, MultiMix
from multimix.runtime.files import atomic_write, in_brief


def save_checkpoint(path: Path, content: dict) -> None:
    """Write tensors and plain values in the format of `torch.save`, whole or not at all."""
    buffer = io.BytesIO()  # torch does not report a full disk
    torch.save(content, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: str | os.PathLike) -> dict:
    """The content of a weights file, on the CPU; the authors' bare state dict as {'weights': ...}.

    ValueError where it is missing or damaged, or has more in it than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no weights file {path}; give the path of a .pth file.")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # torch checks neither size nor checksums
                size = sum(entry.file_size for entry in archive.infolist())
                if size > 2**30 or archive.testzip():
                    raise ValueError
        content = torch.load(path, map_location="cpu", weights_only=True)
        content = content if "weights" in content else {"weights": content}
        for name, tensor in content["weights"].items():
            fits = tensor.nbytes <= tensor.untyped_storage().nbytes()  # in memory as in the file
            plain = isinstance(name, str) and fits and tensor.is_floating_point()
            if not (plain and tensor.isfinite().all()):
                raise ValueError
    except Exception:  # noqa: BLE001  (torch raises many kinds, from pickle's to its own)
        raise ValueError(
            f"{path} is not a weights file of named tensors of finite floats, or it is damaged, or "
            "it has program code in it, which was not run; copy the file again, or save the "
            "network's state_dict() alone."
        ) from None
    return content


def model_from_checkpoint(content: dict, path: str | os.PathLike) -> MultiMix:
    """The network of a checkpoint, in eval mode. ValueError, with the path, where it has none.

    Widths and bridge are read from the tensors' shapes; the authors' unused ones are dropped.
    """
    try:
        unused = "decoder.conv_last_saliency."
        tensors = {n: t.float() for n, t in content["weights"].items() if not n.startswith(unused)}
        stages = [tensors[f"encoder.dconv_down{stage}.0.weight"] for stage in range(1, 6)]
        widths = tuple(weight.shape[0] for weight in stages)
        bridge = tensors["decoder.dconv_up4.0.weight"].shape[1] != widths[4] + widths[3]
        with torch.device("meta"):  # shapes alone, as these may be of any size
            model = MultiMix(widths, bridge).eval()
        model.load_state_dict(tensors, assign=True)
        config, calibration = config_of(content), content.get("calibration") or {}
        if calibration and not (
            0 < calibration["temperature"] < float("inf") and 0 < calibration["operating_point"] < 1
        ):
            raise ValueError(f"its calibration is {calibration}")
        tasks = zip(TASKS, (config.classify, config.segment))
        model.info = ModelInfo(
            side=config.side,
            class_sides=config.class_sides,
            seed=config.seed,
            manifest=str(content.get("manifest", "")),
            calibration=calibration,
            tasks=tuple(task for task, learnt in tasks if learnt),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        reason = in_brief(" ".join(str(error).split()), 300).rstrip(".")
        raise ValueError(
            f"{path} has no weights of a MultiMix network, or is damaged ({reason}); use another."
        ) from None
    return model


def config_of(content: dict) -> Config:
    """A checkpoint's configuration; the defaults where it stores none."""
    names = {field.name for field in fields(Config)}  # other versions may have had further ones
    stored = content.get("config", {}).items()
    return Config.from_dict({n: v for n, v in stored if RENAMED.get(n, n) in names})
