"""What the first cell of every notebook runs, so that the cells below it find the project.

The packages that are missing are installed, and the working directory becomes the root of the
repository. A clone that such a cell made is updated first; a checkout of your own is left alone.
"""

import importlib
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement  # comes with every notebook kernel

ROOT = Path(__file__).resolve().parent.parent


def update() -> None:
    """Get the newest version, unless the repository is the user's own or already imported."""
    made_by_a_cell = ["git", "-C", str(ROOT), "config", "multimix.clone"]
    if "multimix" in sys.modules or subprocess.run(made_by_a_cell, capture_output=True).returncode:
        return
    print("Looking for a newer version ...", flush=True)
    pull = ["git", "-C", str(ROOT), "pull", "--quiet", "--ff-only"]
    if subprocess.run(pull, capture_output=True).returncode:
        print(f"None could be fetched: what stands in {ROOT} is used.")


def is_missing(line: str) -> bool:
    """Not installed, or too old. One newer than what was tried is left alone: torch is large."""
    requirement = Requirement(line)
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return True
    oldest = [part for part in requirement.specifier if part.operator == ">="]
    return not all(part.contains(installed, prereleases=True) for part in oldest)


def install() -> None:
    """Install what is missing for running, which is the first part of requirements.txt."""
    needed = (ROOT / "requirements.txt").read_text(encoding="utf-8").split("\n\n")[0]
    missing = [line for line in needed.splitlines() if line[0] != "#" and is_missing(line)]
    if not missing:
        return
    print(f"Installing {', '.join(missing)} ...", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", *missing]
    if subprocess.run(command, capture_output=True).returncode:
        sys.exit(
            f"{', '.join(missing)} could not be installed: connect to the internet (on Kaggle: "
            f"Settings, Internet on) and run this cell again, or install them by hand."
        )
    importlib.invalidate_caches()


update()
install()
os.chdir(ROOT)
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import multimix  # noqa: F401  (before torch: it sets how torch's threads wait)
