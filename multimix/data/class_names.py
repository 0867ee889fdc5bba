"""What the classes are called on disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from multimix.data.folders import folded
from multimix.model import CLASSES
from multimix.runtime.files import in_brief

LIKE_NORMAL = re.compile(r"^(no|non|not|without)[ _-]|(?<!ab)normal|healthy|negative")
LIKE_PNEUMONIA = re.compile(r"pneumonia|bacteria|virus|viral|positive|abnormal")
MOST_NAMES = 2  # of a class, in a suggestion
LONGEST = 24  # letters of such a name

Labels = dict[str, int]  # a class's name as `folded` gives it: 0 NORMAL, 1 PNEUMONIA


def labels_of(classes: Mapping[str, str] | None) -> Labels:
    """NORMAL and PNEUMONIA, and the names that somebody has for them besides.

    Errors: ValueError where a name is said to be something else, or both.
    """
    if not isinstance(classes, Mapping | None):
        raise ValueError(
            f"The classes are {in_brief(classes)}; a dict is needed, such as "
            f"{{'Healthy': '{CLASSES[0]}', 'Viral': '{CLASSES[1]}'}}."
        )
    labels = {folded(name): label for label, name in enumerate(CLASSES)}
    ours = dict(labels)
    for name, meaning in (classes or {}).items():
        label = ours.get(folded(str(meaning)))
        if label is None or labels.setdefault(folded(str(name)), label) != label:
            raise ValueError(
                f"The class '{in_brief(name)}' is said to be '{in_brief(meaning)}'; it can be "
                f"{CLASSES[0]} or {CLASSES[1]}, and not both: {{'Viral': '{CLASSES[1]}'}}."
            )
    return labels


def named_by_user(labels: Labels) -> bool:
    """Whether somebody gave names of classes; the others are then left out on purpose."""
    return len(labels) > len(CLASSES)


def option_for(names: Iterable[str], pneumonia_alone: bool = False) -> str:
    """The option that says which class is which, with these names as far as they tell.

    `pneumonia_alone` where the name of NORMAL is known already.
    """
    normal, pneumonia, unclear = [], [], []
    for name in sorted(name for name in names if len(name) <= LONGEST):
        if LIKE_NORMAL.search(folded(name)):
            normal.append(name)
        elif LIKE_PNEUMONIA.search(folded(name)):
            pneumonia.append(name)
        else:
            unclear.append(name)
    if len(unclear) > 1 and not normal and not pneumonia and not pneumonia_alone:
        normal, unclear = unclear[:1], unclear[1:]
    pneumonia = [name for name in pneumonia if "pneumonia" in folded(name)] or pneumonia
    pneumonia = pneumonia or unclear[:1] or ([] if normal else ["NAME"])
    parts = []
    for ours, found in (("normal", normal), ("pneumonia", pneumonia)):
        if found:
            parts.append(f"{ours}={'|'.join(found[:MOST_NAMES])}")
    return f'--classes "{",".join(parts)}"'
