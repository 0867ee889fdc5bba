"""Weights files: tensors and plain metadata, written whole or not at all, read without running
anything in them.
"""

from __future__ import annotations

import io
import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import torch
from filelock import FileLock, Timeout

from multimix.model import SIDES, SIDES_NAMED, MultiMix, load_tensors

LARGEST = 2**30  # bytes that a checkpoint may unpack to


@contextmanager
def whole_file(path: Path, old: Path | None = None, durable: bool = True) -> Iterator[BinaryIO]:
    """Write beside `path`, then rename: a reader meets the old file or the new one, never half.

    `old` is where the file that was there goes, if it is to be kept; `durable` waits until the disk
    has it, so that a power cut leaves no empty file either.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise ValueError(f"{path} is a device or a pipe; give the name of a file.")
    part = target.with_name(
        f"{os.getpid()}-{threading.get_ident()}.part"
    )  # others may be writing the same file
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if old and target.exists():
            os.replace(target, old)
        os.replace(part, target)
    except OSError as error:
        if error.errno:
            error.filename = str(path)  # a full disk does not say of itself where it is
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Make a folder and hold it; ValueError where another process does."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"{folder} is a file, and a folder is needed to write to; choose another name."
        )
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ValueError(
            f"Another process is writing to {folder}; wait for it, or choose another folder."
        ) from None
    except NotImplementedError:  # a file system without locks
        pass
    try:
        yield
    finally:
        lock.release()


def write_text(path: Path, text: str) -> None:
    """A whole file of text, in which file names may be any bytes."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def one_line(text: str) -> str:
    """What a terminal cannot take for a new line or an order, as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def whole_lines(path: Path) -> str:
    """The text of a file that lines are appended to, as it is; what a killed process left of a last
    line is cut off.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape") if path.is_file() else ""
    return text[: text.rfind("\n") + 1]


def save_checkpoint(path: Path, content: dict, old: Path | None = None) -> None:
    """Tensors and plain values, in the format of `torch.save`; `old` as in `whole_file`."""
    with whole_file(path, old) as file:
        torch.save(content, file)


def read_checkpoint(path: str | os.PathLike) -> dict:
    """What `save_checkpoint` wrote, or the authors' bare state dict as {'weights': …}. Tensors come
    to the CPU.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no weights file {path}; give the path of a .pth file.")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                    raise ValueError("it is too large")
                if archive.testzip():  # torch itself looks at no checksum
                    raise ValueError("a checksum differs")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  (torch raises many kinds, from pickle's to its own)
        if "unsupported global" in str(error).lower() or "unsupported class" in str(error).lower():
            raise ValueError(
                f"{path} holds program code besides tensors and was not opened; save the network's "
                "state_dict() alone."
            ) from None
        raise ValueError(
            f"{path} is not a weights file, or it is damaged; copy or train it again."
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds a {type(content).__name__} where a state dict is needed; save the "
            "network's "
            "state_dict()."
        )
    content = content if isinstance(content.get("weights"), dict) else {"weights": content}
    if not all(isinstance(n, str) and is_plain(t) for n, t in content["weights"].items()):
        raise ValueError(
            f"{path} holds more than named tensors of floats; save the network's state_dict() "
            "alone."
        )
    return content


def is_plain(tensor: object) -> bool:
    """Whether it is a dense tensor of floats that takes no more memory than the file has for it."""
    return (
        isinstance(tensor, torch.Tensor)
        and tensor.is_floating_point()
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.nbytes <= tensor.untyped_storage().nbytes()
    )


def network_of(content: dict, path: str | os.PathLike) -> MultiMix:
    """The network in a checkpoint, in eval mode."""
    try:
        model = load_tensors(content["weights"])
        broken = next(
            (name for name, tensor in model.named_parameters() if not tensor.isfinite().all()), None
        )
        if broken:
            raise ValueError(
                f"Tensor {broken} has values that are no numbers; take another checkpoint."
            )
        model.side = side_of(content.get("config", {}), model.side)
        model.seed = seed_of(content.get("config", {}))
        model.manifest = content.get("manifest", "")
        model.calibration = calibration_of(content.get("calibration", {}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return model


def side_of(config: object, usual: int) -> int:
    side = config.get("side", usual) if isinstance(config, dict) else None
    if side not in SIDES:
        raise ValueError(
            f"Its 'config' names no side that is {SIDES_NAMED}; train it again, or leave 'config' "
            "out for "
            "256."
        )
    return side


def seed_of(config: dict) -> int:
    seed = config.get("seed", 0)
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(
            "Its 'config' names no seed of 0 or more; train it again, or leave 'config' out."
        )
    return seed


def calibration_of(values: object) -> dict[str, float]:
    if values == {}:
        return {}
    names = {"temperature": (0, float("inf")), "operating_point": (0, 1)}
    if (
        not isinstance(values, dict)
        or set(values) != set(names)
        or not all(
            isinstance(values[name], float) and low < values[name] < high
            for name, (low, high) in names.items()
        )
    ):
        raise ValueError(
            "Its 'calibration' is no temperature above 0 with an operating point in (0, 1); leave "
            "it out."
        )
    return values


def publish(source: str | os.PathLike, out: str | os.PathLike, card: str) -> None:
    """A trained network as it is passed on: tensors in bfloat16, a model card in the file, all of
    it deflated.
    """
    content = read_checkpoint(source)
    network_of(content, source)
    content["weights"] = {name: tensor.bfloat16() for name, tensor in content["weights"].items()}
    stored = io.BytesIO()
    torch.save({**content, "card": card}, stored)
    with (
        whole_file(Path(out)) as file,
        zipfile.ZipFile(stored) as loose,
        zipfile.ZipFile(file, "w") as packed,
    ):
        for entry in loose.infolist():
            packed.writestr(entry, loose.read(entry), zipfile.ZIP_DEFLATED, compresslevel=9)
