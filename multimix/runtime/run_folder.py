"""The folder of a training: what it leaves there, and how it goes on from there."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

from multimix.config import Config
from multimix.runtime.checkpoint import read_checkpoint, save_checkpoint, whole_lines, write_text

FREE = {"validate_every", "patience", "films_at_once"}  # what a resumed training may have otherwise
CHECKPOINT_SECONDS = 600  # between two validations


class Record:
    """`best.pth`, `last.pth`, `previous.pth`, `log.csv`, `manifest.csv`; TensorBoard's events where
    it is installed.

    Every rank has one, to read what is there; only the first writes.
    """

    def __init__(self, out: Path, config: Config, manifest: str, first: bool):
        self.out, self.config, self.manifest, self.first = out, config, manifest, first
        self.saved, self.board = time.monotonic(), None

    def open(self, resume: bool) -> dict | None:
        """What to go on from, None for a fresh start. ValueError where the folder holds another
        training.
        """
        there = [
            path for path in (self.out / "last.pth", self.out / "previous.pth") if path.exists()
        ]
        if (there or (self.out / "best.pth").exists()) and not resume:
            raise ValueError(
                f"{self.out} already holds a training; resume it (--resume) or choose another "
                "folder."
            )
        content = self._newest(there) if there else None
        if self.first:
            for left in self.out.glob("*.part"):  # of a process that was killed as it wrote
                left.unlink()
            write_text(self.out / "manifest.csv", self.manifest)
            step = content["step"] if content else 0
            self._cut_log(step)
            self.board = tensorboard(self.out / "tensorboard", step)
        return content

    def _newest(self, there: list[Path]) -> dict:
        """The newest checkpoint that is whole, if it is of the same training."""
        for path in there:
            try:
                content = read_checkpoint(path)
                break
            except ValueError as error:
                fault = error
                if self.first:
                    print(f"multimix: {error} Trying the one before.")
        else:
            raise ValueError(f"Nothing in {self.out} can be resumed: {fault}")
        if not {"training", "config", "step", "manifest"} <= content.keys() or not isinstance(
            content["config"], dict
        ):
            raise ValueError(
                f"{path} has weights but no training state; --resume needs a file that training "
                "wrote."
            )
        before, now = content["config"], self.config.as_dict()
        longer = self.config.schedule == "staircase" and content["step"] <= self.config.steps
        free = FREE | ({"steps"} if longer else set())
        changed = [
            f"{name} ({before.get(name)} then, {value} now)"
            for name, value in now.items()
            if before.get(name) != value and name not in free
        ]
        if content["manifest"] != self.manifest:
            changed.append("the films, their splits or labels (see manifest.csv there)")
        if changed:
            raise ValueError(
                f"{path} was trained otherwise: {', '.join(changed)}; resume with the same "
                "settings, or "
                "start afresh in another folder."
            )
        if self.first and path.name == "previous.pth":  # a damaged last.pth must not take its place
            (self.out / "last.pth").unlink(missing_ok=True)
        return content

    def save(self, content: dict, best: bool = False) -> None:
        """`last.pth`, the one before as `previous.pth`, and `best.pth` where no validation before
        scored higher.
        """
        self.saved = time.monotonic()
        if not self.first:
            return
        try:
            content = {**content, "manifest": self.manifest}
            if best:
                save_checkpoint(
                    self.out / "best.pth", {n: v for n, v in content.items() if n != "training"}
                )
            save_checkpoint(self.out / "last.pth", content, self.out / "previous.pth")
        except OSError as error:
            raise ValueError(
                f"{self.out} could not be written to ({error.strerror or error}); "
                f"{self.last_good()} is "
                "whole: make room, then resume (--resume)."
            ) from error

    def last_good(self) -> str:
        """The newest checkpoint, in words."""
        path = self.out / "last.pth"
        return (
            f"{path} (step {read_checkpoint(path)['step']})"
            if path.exists()
            else "the start, as nothing was saved"
        )

    def due(self) -> bool:
        """Whether the last checkpoint is some time ago."""
        return time.monotonic() - self.saved > CHECKPOINT_SECONDS

    def log(self, row: dict) -> None:
        """Append to `log.csv`, which starts with a header, and to TensorBoard's events."""
        row["time"] = round(time.time(), 1)
        if not self.first:
            return
        path = self.out / "log.csv"
        new = not path.exists()
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self.board:
            for name in row.keys() - {"step", "time"}:
                self.board.add_scalar(name, row[name], row["step"])
            self.board.flush()

    def _cut_log(self, step: int) -> None:
        """Take out what was logged after the step that is gone on from: it will come again."""
        path = self.out / "log.csv"
        header, *rows = whole_lines(path).splitlines(keepends=True) or [""]
        if header:
            steps = [row.partition(",")[0] for row in rows]
            kept = [
                row
                for row, number in zip(rows, steps)
                if number.isdecimal() and int(number) <= step
            ]
            write_text(path, "".join([header, *kept]))
        else:
            path.unlink(missing_ok=True)


def tensorboard(folder: Path, step: int):
    """A writer of events that forgets those after `step`; None where TensorBoard is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=step + 1)
