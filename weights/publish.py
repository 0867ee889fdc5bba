"""Make a network that is passed on from a training's best.pth: bfloat16, with its card, deflated.

    python weights/publish.py runs/few/best.pth weights/few.pth --card weights/README.md

Prints the line for SHA256SUMS.
"""

import argparse
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from multimix.runtime.checkpoint import model_from_checkpoint, read_checkpoint
from multimix.runtime.files import atomic_write


def publish(source: Path, out: Path, card: str) -> None:
    """Write `out`; ValueError where `source` holds no network."""
    content = read_checkpoint(source)
    model_from_checkpoint(content, source)
    content["weights"] = {name: tensor.bfloat16() for name, tensor in content["weights"].items()}
    stored = io.BytesIO()
    torch.save({**content, "card": card}, stored)
    with (
        atomic_write(out) as file,
        zipfile.ZipFile(stored) as loose,
        zipfile.ZipFile(file, "w") as packed,
    ):
        for entry in loose.infolist():
            packed.writestr(entry, loose.read(entry), zipfile.ZIP_DEFLATED, compresslevel=9)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--card", type=Path, required=True)
    options = parser.parse_args()
    publish(options.source, options.out, options.card.read_text(encoding="utf-8"))
    print(f"{hashlib.sha256(options.out.read_bytes()).hexdigest()}  {options.out.name}")
