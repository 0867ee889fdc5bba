"""Weights files: tensors and plain metadata, read without running anything in them."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from multimix.model import SIDES, SIDES_NAMED, MultiMix
from multimix.runtime.files import atomic_write

MOST_BYTES = 2**30  # that a checkpoint may unpack to


def save_checkpoint(path: Path, content: dict, old: Path | None = None) -> None:
    """Write tensors and plain values in the format of `torch.save`, whole or not at all.

    `old` is where the file that was there goes, if it is kept.
    """
    buffer = io.BytesIO()  # torch does not say of a disk that it is full
    torch.save(content, buffer)
    with atomic_write(path, old) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: str | os.PathLike) -> dict:
    """The content of a weights file, its tensors on the CPU.

    Returns: what `save_checkpoint` was given; the authors' bare state dict as {'weights': ...}.

    Errors: ValueError where the file is missing, damaged, or holds more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no weights file {path}; give the path of a .pth file.")
    content = load_plain(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds a {type(content).__name__} where a state dict is needed; save the "
            "network's state_dict()."
        )
    if not isinstance(content.get("weights"), dict):
        content = {"weights": content}
    for name, tensor in content["weights"].items():
        if not isinstance(name, str) or not is_plain(tensor):
            raise ValueError(
                f"{path} holds more than named tensors of floats; save the network's state_dict() "
                "alone."
            )
    return content


def load_plain(path: Path) -> object:
    """What torch reads from a file where only tensors and plain values are allowed."""
    try:
        if zipfile.is_zipfile(path):
            check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  (torch raises many kinds, from pickle's to its own)
        said = str(error).lower()  # torch has no class of its own for what it refuses to run
        if "unsupported global" in said or "unsupported class" in said:
            raise ValueError(
                f"{path} holds program code besides tensors and was not opened; save the network's "
                "state_dict() alone."
            ) from None
        raise ValueError(
            f"{path} is not a weights file, or it is damaged; copy or train it again."
        ) from None


def check_archive(path: Path) -> None:
    """ValueError where a zip file is too large or damaged: torch looks at no checksum."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
            raise ValueError("it is too large")
        if archive.testzip():
            raise ValueError("a checksum differs")


def is_plain(tensor: object) -> bool:
    """Whether it is a dense tensor of floats that takes no more memory than the file has for it."""
    return (
        isinstance(tensor, Tensor)
        and tensor.is_floating_point()
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.nbytes <= tensor.untyped_storage().nbytes()
    )


def check_sha256(path: Path) -> None:
    """ValueError where a file is not the one that SHA256SUMS beside it names."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    for line in path.with_name("SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        if name == path.name and digest != found:
            raise ValueError(
                f"{path} is not the file that was published: its SHA-256 differs. Check it out "
                "again, or give its path instead of its name to use it all the same."
            )


def model_from_checkpoint(content: dict, path: str | os.PathLike) -> MultiMix:
    """The network in a checkpoint, in eval mode. ValueError, with the path, where it is none."""
    try:
        model = model_from_tensors(content["weights"])
        for name, tensor in model.named_parameters():
            if not tensor.isfinite().all():
                raise ValueError(
                    f"Tensor {name} has values that are not numbers; take another checkpoint."
                )
        model.side = side_of(content.get("config", {}), model.side)
        model.class_sides = class_sides_of(content.get("config", {}), model.side)
        model.seed = seed_of(content.get("config", {}))
        model.manifest = content.get("manifest", "")
        model.calibration = calibration_of(content.get("calibration", {}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return model


def model_from_tensors(tensors: dict[str, Tensor]) -> MultiMix:
    """The network that a state dict describes, in eval mode.

    Widths and bridge are read from the shapes. The authors' own has two tensors that nothing ever
    used; they are dropped. ValueError names what is missing, extra or wrongly shaped.
    """
    tensors = {n: t for n, t in tensors.items() if not n.startswith("decoder.conv_last_saliency.")}
    try:
        stages = [tensors[f"encoder.dconv_down{stage}.0.weight"] for stage in range(1, 6)]
        widths = tuple(weight.shape[0] for weight in stages)
        joined = tensors["decoder.dconv_up4.0.weight"].shape[1]
    except KeyError as error:
        raise not_weights(f"tensor {error} is missing") from None
    except IndexError:
        raise not_weights("a convolution's has no dimensions") from None
    with torch.device("meta"):  # shapes alone, as these may be of any size
        model = MultiMix(widths, bridge=joined != widths[4] + widths[3])
    faults = tensor_faults(tensors, model.state_dict())
    if faults:
        more = f", and {len(faults) - 3} more faults" if len(faults) > 3 else ""
        raise not_weights(f"{'; '.join(faults[:3])}{more}")
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return model.eval()


def not_weights(reason: str) -> ValueError:
    return ValueError(f"These are not weights of a MultiMix network: {reason}.")


def tensor_faults(tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """What a state dict lacks, has too much, or has in other shapes."""
    faults = [f"{name} is missing" for name in expected if name not in tensors]
    faults += [f"{name[:50]} is not part of it" for name in tensors if name not in expected]
    for name, wanted in expected.items():
        if name in tensors and tensors[name].shape != wanted.shape:
            found = str(tuple(tensors[name].shape))
            faults.append(f"{name} has shape {found[:40]} instead of {tuple(wanted.shape)}")
    return faults


def side_of(config: object, usual: int) -> int:
    """The side that a checkpoint's 'config' names, `usual` where it names none."""
    side = config.get("side", usual) if isinstance(config, dict) else None
    if not isinstance(side, int) or side not in SIDES:
        raise ValueError(
            f"Its 'config' names no side that is {SIDES_NAMED}; train it again, or leave 'config' "
            "out for 256."
        )
    return side


def class_sides_of(config: dict, side: int) -> tuple[int, ...]:
    """The sides that a checkpoint's 'config' has the class read at, none where it names none."""
    sides = config.get("class_sides", ())
    if isinstance(sides, (tuple, list)) and all(px in SIDES and px <= side for px in sides):
        return tuple(sides)
    raise ValueError(
        f"The 'class_sides' of its 'config' are not of {side} px or less, each {SIDES_NAMED}; "
        "train it again, or leave them out."
    )


def seed_of(config: dict) -> int:
    """The seed that a checkpoint's 'config' names, 0 where it names none."""
    seed = config.get("seed", 0)
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(
            "Its 'config' names no seed of 0 or more; train it again, or leave 'config' out."
        )
    return seed


def calibration_of(values: object) -> dict[str, float]:
    """A checkpoint's 'calibration', or none."""
    if values == {}:
        return {}
    if isinstance(values, dict) and values.keys() == {"temperature", "operating_point"}:
        temperature, point = values["temperature"], values["operating_point"]
        floats = isinstance(temperature, float) and isinstance(point, float)
        if floats and 0 < temperature < float("inf") and 0 < point < 1:
            return values
    raise ValueError(
        "Its 'calibration' is not a temperature above 0 with an operating point in (0, 1); leave "
        "it out."
    )
