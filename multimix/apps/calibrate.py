"""A weights file with a threshold for one's own site."""

from __future__ import annotations

import argparse
import sys

from multimix.data.films import load_films
from multimix.evaluation.site import calibrate_to_site
from multimix.inference import load_model, weights_file
from multimix.runtime.checkpoint import read_checkpoint, save_checkpoint
from multimix.runtime.files import make_folder


def run_calibrate(options: argparse.Namespace) -> int:
    """Write the network of `--weights` with the calibration of the given folders' films.

    Errors: ValueError where the new file's name does not do, or the films do not.
    """
    out = options.out
    if out.suffix != ".pth" or out.exists():
        reason = "is there already" if out.exists() else "does not end in .pth"
        raise ValueError(f"{out} {reason}; give another name for the new weights.")
    model, shown = load_model(options.weights, options.device), sys.stderr.isatty()
    films = load_films(
        options.classification,
        (),
        model.side,
        model.seed,
        progress=shown,
        classification_layout=options.layout,
        classes=options.classes,
    )
    found = calibrate_to_site(model, films, shown)
    content = read_checkpoint(weights_file(options.weights))
    make_folder(out.parent)
    save_checkpoint(out, {**content, "calibration": found.values})
    point, temperature = found.values["operating_point"], found.values["temperature"]
    before = model.calibration.get("operating_point")
    was = "there was none" if before is None else f"it was {before:.3f}"
    print(found.note)
    print(
        f"Operating point {point:.3f} ({was}), temperature {temperature:.2f}. Use it with: "
        f"--weights {out}"
    )
    return 0
