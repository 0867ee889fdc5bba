"""The command `calibrate`: weights with a threshold for one's own site."""

from __future__ import annotations

import argparse
import sys

from multimix.data.films import load_films
from multimix.evaluation.site import calibrate_to_site
from multimix.inference import load_model, weights_file
from multimix.runtime.checkpoint import read_checkpoint, save_checkpoint
from multimix.runtime.files import make_folder


def run_calibrate(options: argparse.Namespace) -> int:
    """Write the network of `--weights` with a calibration that fits the given folders' films."""
    out = options.out
    if out.suffix != ".pth" or out.exists():
        reason = "exists already" if out.exists() else "does not end in .pth"
        raise ValueError(f"{out} {reason}; give another name for the new weights.")
    model, progress = load_model(options.weights, options.device), sys.stderr.isatty()
    layout = dict(classification_layout=options.layout, classes=options.classes)
    info = model.info
    films = load_films(
        options.classification, (), info.side, info.seed, progress=progress, **layout
    )
    found = calibrate_to_site(model, films, progress)
    content = read_checkpoint(weights_file(options.weights))
    make_folder(out.parent)
    save_checkpoint(out, {**content, "calibration": found.values})
    before = info.calibration.get("operating_point")
    earlier = "none before" if before is None else f"{before:.3f} before"
    values = "Operating point {operating_point:.3f} ({}), temperature {temperature:.2f}."
    print(found.note, values.format(earlier, **found.values), f"Use it with: --weights {out}")
    return 0
