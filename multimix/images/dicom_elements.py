"""What single elements of a DICOM file say, where they say it: nothing in them is an error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_LENGTH = 4096  # bytes of an element that holds numbers or a text


def value_of(dataset: Dataset, keyword: str) -> Any:
    """An element's value; None where it is missing, empty or damaged."""
    try:
        return dataset[keyword].value
    except Exception:  # noqa: BLE001  (pydicom converts values when they are asked for)
        return None


def parts_of(dataset: Dataset, keyword: str) -> list[Any]:
    """The values of an element that has none, one or several; none where it is absurdly long."""
    element = dataset.get_item(keyword)
    if getattr(element, "length", 0) > MAX_LENGTH:  # of one that is not yet converted
        return []
    value = value_of(dataset, keyword)
    if value is None or isinstance(value, bytes):
        return []
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def numbers(dataset: Dataset, keyword: str) -> list[float | None]:
    """An element's numbers, in their order; None for each that is none."""
    found: list[float | None] = []
    for part in parts_of(dataset, keyword):
        try:
            converted = float(part)
        except (TypeError, ValueError, OverflowError):
            converted = math.nan
        found.append(converted if math.isfinite(converted) else None)
    return found


def number(dataset: Dataset, keyword: str) -> float | None:
    """An element's first number."""
    return next(iter(numbers(dataset, keyword)), None)


def integer(dataset: Dataset, keyword: str, default: int = 0) -> int:
    """An element's first number as an integer, `default` where it has none."""
    found = number(dataset, keyword)
    return default if found is None else int(found)


def text(dataset: Dataset, keyword: str) -> str:
    """An element's text in capitals, '' where it has none."""
    return " ".join(map(str, parts_of(dataset, keyword))).strip().upper()


def first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence."""
    items = value_of(dataset, keyword)
    return items[0] if items and hasattr(items, "append") else None  # a Sequence is no list


def lookup_table(item: Dataset | None, signed: bool) -> tuple[int, np.ndarray] | None:
    """The first input and the entries of a lookup table.

    Arguments:
        item: of a Modality or VOI LUT sequence.
        signed: whether its inputs may be negative.

    Returns: None where there is no whole table.
    """
    descriptor = numbers(item, "LUTDescriptor") if item else []
    content = value_of(item, "LUTData") if item else None
    if len(descriptor) < 3 or None in descriptor or content is None:
        return None
    count, first = int(descriptor[0] or 0) % 2**16 or 2**16, int(descriptor[1] or 0)
    if isinstance(content, bytes):
        content = np.frombuffer(content, "<u2" if len(content) >= 2 * count else "u1")
    try:
        entries = np.asarray(content, dtype=np.float64).ravel()[:count]
    except (TypeError, ValueError):
        return None
    if len(entries) < count:
        return None
    return first - 2**16 if signed and first >= 2**15 else first, entries


def mapped(values: np.ndarray, table: tuple[int, np.ndarray]) -> np.ndarray:
    """What a lookup table makes of values; those beyond its ends take the entry there."""
    first, entries = table
    places = np.clip(np.rint(values) - first, 0, len(entries) - 1)
    return entries[places.astype(int)]
