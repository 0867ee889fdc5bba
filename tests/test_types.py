"""The public names tell editors and type checkers what they take and give."""

import re
import subprocess
import sys

import pytest
from helpers import ROOT

USAGE = """
from pathlib import Path

import torch

import multimix

model = multimix.load_model("multimix", device="cpu")
found = multimix.predict(model, Path("a.png"), flip=True, invert="auto")
for p in found if isinstance(found, list) else [found]:
    p.plot().savefig(p.save("out", figure=False))
    reveal_type((p.label, p.probability, p.warnings, p.lung_share))
reveal_type(model(torch.zeros(1, 1, 256, 256)))
config = multimix.Config.preset("multimix", recipe="improved", class_labels=100, masks=10)
films = multimix.load_films("a", ["b", "c"], side=256)
reveal_type(multimix.train(config, films, out="runs/a", resume=True, init_from=None, device="auto"))
results = multimix.evaluate(model, films, "test", clean=False)
reveal_type((results["dice"], results.intervals["dice"], results.rows))
"""
REVEALED = [
    "tuple[str | None, float | None, tuple[str, ...], float]",
    "tuple[Tensor, Tensor, Tensor | None, fallback=ModelOutput]",
    "MultiMix",
    "tuple[float, tuple[float, float], list[dict[Any, Any]]]",
]
WRONG = {
    "multimix.load_model(3)": "arg-type",
    "multimix.load_films('a').counts": "attr-defined",
    "multimix.predict(model, 'a.png', flop=True)": "call-arg",
    "multimix.train(config, films, 'runs/a', start=None)": "call-arg",
}
CONFIG = """
[mypy]
strict = True
follow_imports = skip
[mypy-multimix.*,torch,torch._C.*,torch._tensor,torch.nn.modules.*]
follow_imports = silent
"""  # other libraries are Any: reading all of torch takes three quarters of a minute


def test_the_public_names_are_typed(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "usage.py").write_text("\n".join([USAGE, *WRONG]))
    (tmp_path / "mypy.ini").write_text(CONFIG)
    options = [f"--config-file={tmp_path}/mypy.ini", f"--cache-dir={tmp_path}/cache"]
    command = [sys.executable, "-m", "mypy", *options, "--no-error-summary", f"{tmp_path}/usage.py"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    plain = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", printed)
    assert re.findall(r'Revealed type is "(.*)"', plain) == REVEALED
    errors = re.findall(r"error: .*\[([a-z-]+)\]$", printed, re.MULTILINE)
    assert errors == list(WRONG.values()), printed
