"""The folder of a training: what it writes there, and what it resumes from."""

import re
import time
from pathlib import Path

import pandas as pd

from multimix.config import Config
from multimix.runtime.checkpoint import config_of, read_checkpoint, save_checkpoint
from multimix.runtime.files import atomic_write, in_brief, write_text


class RunFolder:
    """`best.pth`, `last.pth`, `log.csv`, `manifest.csv`: all ranks read, the main one writes."""

    def __init__(self, out: Path, config: Config, manifest: str, writes: bool):
        self.out, self.config, self.manifest, self.writes = out, config, manifest, writes
        self.saved = time.monotonic()

    def open(self, resume: bool) -> dict | None:
        """The checkpoint to continue from, None for a fresh start.

        Errors: ValueError where the folder has another training, or one that is not resumed.
        """
        # Earlier versions renamed the last checkpoint before they wrote the next.
        names = ("last.pth", "previous.pth", "best.pth")
        path = next((self.out / name for name in names if (self.out / name).exists()), None)
        if path and not resume:
            raise ValueError(
                f"{self.out} already has a training in it; use --resume, or another folder."
            )
        content = read_checkpoint(path) if path else None
        step = self._validated_step(path, content) if path and content else 0
        if self.writes:
            write_text(self.out / "manifest.csv", self.manifest)
            self._cut_log(step)
        return content

    def _validated_step(self, path: Path, content: dict) -> int:
        """The last step that may be in the log. ValueError for a checkpoint of another training."""
        try:
            before, step = config_of(content).as_dict(), int(content["step"])
            pending = bool(content["training"].get("sums"))  # its own step is not validated yet
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{path} has no training state, or it is damaged ({in_brief(error)}); --resume "
                "needs a file that training wrote."
            ) from None
        config, may_change = self.config, {"validate_every", "patience", "micro_batch"}
        by_share = config.sides or config.unlabelled_from or config.schedule == "cosine"
        if not by_share and step <= config.steps:
            may_change.add("steps")  # the steps so far would be the same
        if config.precision == "auto":
            may_change.add("precision")  # the run's own stays
        changed = [
            f"{name} ({before[name]} then, {value} now)"
            for name, value in config.as_dict().items()
            if before[name] != value and name not in may_change
        ]
        if content.get("manifest") != self.manifest:
            changed.insert(0, "the films, their splits or labels (see manifest.csv there)")
        if changed:
            raise ValueError(
                f"{path} was trained with other settings: {', '.join(changed[:4])}; resume with "
                "the same settings, or start in another folder."
            )
        return step - pending

    def _cut_log(self, step: int) -> None:
        """Remove half-written rows of the log, and those after `step`: they will be made again."""
        path = self.out / "log.csv"
        log = path.read_bytes() if path.exists() else b""
        rows = [row[0] for row in re.finditer(rb"(?m)^(\d+),.*\n", log) if int(row[1]) <= step]
        if rows:
            with atomic_write(path) as file:
                file.write(b"".join([log[: log.index(b"\n") + 1], *rows]))
        else:
            path.unlink(missing_ok=True)

    def save(self, content: dict, best: bool = False) -> None:
        """Write `last.pth`; if it is the best, `best.pth` too, without the training's state."""
        self.saved = time.monotonic()
        if not self.writes:
            return
        content = {**content, "manifest": self.manifest}
        if best:
            weights = {name: value for name, value in content.items() if name != "training"}
            save_checkpoint(self.out / "best.pth", weights)
        save_checkpoint(self.out / "last.pth", content)

    def checkpoint_due(self) -> bool:
        """Whether ten minutes have passed since the last checkpoint."""
        return time.monotonic() - self.saved > 600

    def log(self, row: dict) -> None:
        """Append to `log.csv`, which starts with a header; adds the time to the row."""
        row["time"] = round(time.time(), 1)
        path = self.out / "log.csv"
        if self.writes:
            pd.DataFrame([row]).to_csv(path, mode="a", header=not path.exists(), index=False)
