"""The folder of a training: what it leaves there, and what it continues from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from multimix.config import Config, current_name
from multimix.runtime.checkpoint import read_checkpoint, save_checkpoint
from multimix.runtime.files import csv_text, read_whole_lines, write_text

MAY_CHANGE = {"validate_every", "patience", "micro_batch"}  # when a training is resumed
CHECKPOINT_SECONDS = 600  # between two validations
MOST_SHOWN = 3  # settings that were changed


class RunFolder:
    """`best.pth`, `last.pth`, `previous.pth`, `log.csv` and `manifest.csv`.

    Every rank has one, to read what is there; only the main one writes.
    """

    def __init__(self, out: Path, config: Config, manifest: str, writes: bool):
        self.out, self.config, self.manifest, self.writes = out, config, manifest, writes
        self.saved = time.monotonic()

    def open(self, resume: bool) -> dict | None:
        """The checkpoint to continue from, None for a fresh start.

        Errors: ValueError where the folder holds another training, or one that is not resumed.
        """
        found = [self.out / name for name in ("last.pth", "previous.pth")]
        found = [path for path in found if path.exists()]
        if (found or (self.out / "best.pth").exists()) and not resume:
            raise ValueError(
                f"{self.out} already holds a training; resume it (--resume) or choose another "
                "folder."
            )
        content = self._newest(found) if found else None
        if self.writes:
            with self.writing():
                write_text(self.out / "manifest.csv", self.manifest)
                self._cut_log(content["step"] if content else 0)
        return content

    def _newest(self, found: list[Path]) -> dict:
        """The newest checkpoint that is whole, if it is of the same training."""
        fault = None
        for path in found:
            try:
                content = read_checkpoint(path)
            except ValueError as error:
                fault = error
                if self.writes and path != found[-1]:
                    print(f"multimix: {error} Trying the one before.")
            else:
                self._check_same_training(path, content)
                if self.writes and path.name == "previous.pth":
                    (self.out / "last.pth").unlink(missing_ok=True)  # damaged: not to be kept
                return content
        raise ValueError(f"Nothing in {self.out} can be resumed: {fault}")

    def _check_same_training(self, path: Path, content: dict) -> None:
        before = config_before(path, content)
        now = self.config.as_dict()
        may_change = set(MAY_CHANGE)
        by_share = self.config.sides or self.config.unlabelled_from
        by_step = self.config.schedule == "staircase" and not by_share
        if by_step and content["step"] <= self.config.steps:
            may_change.add("steps")  # the steps that were made would be the same
        changed = []
        for name, value in now.items():
            if before[name] != value and name not in may_change:
                changed.append(f"{name} ({before[name]} then, {value} now)")
        if content["manifest"] != self.manifest:
            changed.insert(0, "the films, their splits or labels (see manifest.csv there)")
        if changed:
            more = f" and {len(changed) - MOST_SHOWN} more" if len(changed) > MOST_SHOWN else ""
            raise ValueError(
                f"{path} was trained otherwise: {', '.join(changed[:MOST_SHOWN])}{more}; resume "
                "with the same "
                "settings, or start afresh in another folder."
            )

    def save(self, content: dict, best: bool = False) -> None:
        """Write `last.pth`, keep the one before as `previous.pth`; `best.pth` where it is best."""
        self.saved = time.monotonic()
        if not self.writes:
            return
        content = {**content, "manifest": self.manifest}
        with self.writing():
            if best:
                without_state = {name: v for name, v in content.items() if name != "training"}
                save_checkpoint(self.out / "best.pth", without_state)
            save_checkpoint(self.out / "last.pth", content, self.out / "previous.pth")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """ValueError where the disk is full, or may not be written to."""
        try:
            yield
        except OSError as error:
            last = self.last_good()
            if last:
                remedy = f"{last} is whole: make room, then resume (--resume)."
            else:
                remedy = "nothing was saved yet: make room, then start again."
            raise ValueError(
                f"{self.out} could not be written to ({error.strerror or error}); {remedy}"
            ) from error

    def last_good(self) -> str:
        """The newest checkpoint, in words; '' where there is none."""
        path = self.out / "last.pth"
        return f"{path} (step {read_checkpoint(path)['step']})" if path.exists() else ""

    def checkpoint_due(self) -> bool:
        """Whether the last checkpoint is some time ago."""
        return time.monotonic() - self.saved > CHECKPOINT_SECONDS

    def log(self, row: dict) -> None:
        """Append to `log.csv`, which starts with a header; adds the time to the row."""
        row["time"] = round(time.time(), 1)
        if self.writes:
            path = self.out / "log.csv"
            text = csv_text([row], header=not path.exists())
            with self.writing(), open(path, "a", newline="", encoding="utf-8") as file:
                file.write(text)

    def _cut_log(self, step: int) -> None:
        """Take out what was logged after the step that is continued from: it will come again."""
        path = self.out / "log.csv"
        header, *rows = read_whole_lines(path).splitlines(keepends=True) or [""]
        if not header:
            path.unlink(missing_ok=True)
            return
        kept = [header]
        for row in rows:
            number = row.partition(",")[0]
            if number.isdecimal() and int(number) <= step:
                kept.append(row)
        write_text(path, "".join(kept))


def config_before(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The settings in a checkpoint. ValueError where it is not one that training wrote."""
    needed = {"config": dict, "training": dict, "step": int, "manifest": str}
    if any(not isinstance(content.get(name), kind) for name, kind in needed.items()):
        raise ValueError(
            f"{path} has weights but no training state; --resume needs a file that training wrote."
        )
    names = [field.name for field in fields(Config)]
    known = {}
    for name, value in content["config"].items():
        if current_name(name) in names:  # others are of another version
            known[name] = value
    try:
        return Config.from_dict(known).as_dict()  # with what a field had before it was one
    except ValueError:
        raise ValueError(
            f"{path} has settings that no training can have, so it cannot go on; start from its "
            "weights (--init) in another folder."
        ) from None
