"""What was found out about a folder of films: facts, remarks, faults, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from multimix.data.found_films import Film

SHOWN = 5  # names after a finding


@dataclass(frozen=True)
class Scan:
    """One film that was read: either `fault`, or all the rest."""

    film: Film
    fault: str = ""
    size: tuple[int, int] = (0, 0)  # height, width
    kind: str = ""  # Pillow's mode or the array's type
    digest: str = ""  # of the pixels
    bits: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # (255,) perceptual hash
    inverted: bool = False
    turned: bool = False
    mask_fault: str = ""  # what is wrong with it
    lung_share: float | None = None


@dataclass
class Findings:
    """Facts, then what is worth a look, then what must be mended before training."""

    facts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def fit(self) -> bool:
        """Whether nothing must be mended."""
        return not self.faults

    def remark(self, what: str, names: Sequence[str], count: int = 0) -> None:
        """Add what is worth a look, if it has names; `count` where there are more than those."""
        add_line(self.remarks, what, names, count)

    def fault(self, what: str, names: Sequence[str]) -> None:
        """Add what must be mended, if it has names."""
        add_line(self.faults, what, names)

    def __str__(self) -> str:
        lines = []
        for mark, found in ((" ", self.facts), ("?", self.remarks), ("x", self.faults)):
            for line in found:
                lines.append(f"{mark} {line}")
        if self.faults:
            lines.append("Not fit to train on: mend what is marked with x.")
        elif self.remarks:
            lines.append("Fit to train on; look at what is marked with ? first.")
        else:
            lines.append("Fit to train on.")
        return "\n".join(lines)


def add_line(lines: list[str], what: str, names: Sequence[str], count: int = 0) -> None:
    """One line: how many, what, and the first few by name; nothing where there are none."""
    if names:
        lines.append(f"{count or len(names)} {what}: {first_few(names, '; ', count)}")


def first_few(names: Sequence[str], between: str, count: int = 0) -> str:
    """The first few names, and how many more there are, of `count` in all."""
    rest = (count or len(names)) - min(len(names), SHOWN)
    more = f", and {rest} more" if rest else ""
    return f"{between.join(names[:SHOWN])}{more}"
