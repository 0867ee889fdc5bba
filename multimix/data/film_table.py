"""A table of films, as anyone may write it: what its columns are, and what a row says of a film."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from multimix.data.class_names import Labels, named_by_user, option_for
from multimix.data.film_set import SPLITS
from multimix.data.folders import folded, split_of
from multimix.data.found_films import Film
from multimix.data.patients import patient_of
from multimix.data.tables import Table
from multimix.model import CLASSES
from multimix.runtime.files import in_brief

COLUMNS = {  # ours, and what else they are called, without spaces and the like
    "path": ("path", "filepath", "imagepath", "filename", "file", "image", "imagename", "film"),
    "label": ("label", "target", "class", "category"),
    "findings": ("findinglabels", "findings", "finding", "labels", "diagnosis", "classname"),
    "normal": ("normal", "nofinding"),  # 1 or 0, and so is the next
    "pneumonia": ("pneumonia",),
    "mask": ("mask", "masks", "maskpath", "lungmask", "leftmask", "leftlungmask"),
    "right": ("rightmask", "rightlungmask"),
    "patient": ("patient", "patientid", "subject", "subjectid"),
    "split": ("split", "subset", "set", "datasettype"),
    "view": ("view", "viewposition", "projection", "frontallateral"),
}
SAYING = ("label", "findings", "normal", "pneumonia", "mask", "patient", "split")
NUMBERS = {"0": 0, "1": 1, "false": 0, "true": 1, "no": 0, "yes": 1, "-1": -1}
NO_FINDING = {"no finding": 0}
BETWEEN_FINDINGS = re.compile(r"[|/,;\[\]'\"]+")
NOT_FRONTAL = re.compile(r"lat|ll?$|rl$|axial|coronal|sagittal")  # how such a view begins
UNCERTAIN = -1
OTHER = "other findings"
ABSENT = "that are not on disk"
PROBED = 200  # rows
SHOWN = 40  # letters of a cell, in a sentence


@dataclass
class FilmTable:
    """A table with films in its rows."""

    table: Table
    labels: Labels
    published: bool = False  # its films may be elsewhere, or of other classes
    split: str = ""  # of all of them
    column: dict[str, str] = field(default_factory=dict)  # names in the table, '' where it has none
    left_out: Counter[str] = field(default_factory=Counter)
    lateral: list[Path] = field(default_factory=list)
    uncertain: int = 0
    repeats: bool = False

    def __post_init__(self) -> None:
        for ours, names in COLUMNS.items():
            self.column[ours] = next((name for name in names if name in self.table.columns), "")
        if not self.column["path"]:
            self.column["path"] = self.column_of_films()
            self.published = True

    def column_of_films(self) -> str:
        """The column whose cells name most of the films that are there; '' where none does."""
        found: Counter[str] = Counter()
        for name in self.table.columns:
            cells = {row[name] for row in list(self.table.rows.values())[:PROBED]} - {""}
            found[name] = sum(bool(self.table.files.find(cell)) for cell in cells)
        best = found.most_common(1)
        return best[0][0] if best and best[0][1] else ""

    def says_something(self) -> bool:
        """Whether it names films, and anything of them."""
        return bool(self.column["path"]) and any(self.column[ours] for ours in SAYING)

    def films(self) -> dict[Path, Film]:
        """Each film once. ValueError names the line that does not fit."""
        films: dict[Path, Film] = {}
        for line, row in self.table.rows.items():
            where = f"{self.table.path}, line {line}"
            cells = {ours: row.get(name, "") for ours, name in self.column.items()}
            film = self.film_of_row(cells, where)
            if film is None:
                continue
            source = Path(str(film.source))
            if NOT_FRONTAL.match(folded(cells["view"])):
                self.left_out["that are not frontal"] += 1
                self.lateral.append(source)
            elif source not in films:
                films[source] = film
            elif self.published:
                films[source] = graver(films[source], film)
            else:
                films[source] = joined(films[source], film, where)
                self.repeats = True
        return films

    def film_of_row(self, cells: Mapping[str, str], where: str) -> Film | None:
        """The film of a row; None where it is not there. ValueError says what does not fit."""
        folder, find = self.table.path.parent, self.table.files.find
        if not cells["path"]:
            raise ValueError(f"{where}: the path is empty; name a film, or leave the line out.")
        source = find(cells["path"])
        if not source and self.published:
            self.left_out[ABSENT] += 1
            return None
        source = source or folder / cells["path"]
        if cells["split"] and not split_of(cells["split"]):
            raise ValueError(
                f"{where}: split '{in_brief(cells['split'])}'; it may be {', '.join(SPLITS)} or "
                "empty."
            )
        masks = []
        for mask in f"{cells['mask']}|{cells['right']}".split("|"):
            if mask.strip():
                masks.append(find(mask.strip(), mask=True) or folder / mask.strip())
        label, other = self.class_of(cells, where)
        return Film(
            source,
            cells["path"],
            label,
            tuple(masks),
            cells["patient"] or patient_of(cells["path"]),
            split_of(cells["split"]) or self.split,
            other,
        )

    def class_of(self, cells: Mapping[str, str], where: str) -> tuple[int | None, str]:
        """The label, and the name of another class. ValueError where a label is none of ours."""
        if not self.column["label"] and not self.column["findings"]:
            for ours in ("normal", "pneumonia"):
                if cells[ours] and number(cells[ours]) not in (0, 1, UNCERTAIN):
                    raise ValueError(
                        f"{where}: {ours} '{in_brief(cells[ours])}'; it may be 0, 1, -1 or empty."
                    )
            return self.class_of_numbers(number(cells["normal"]), number(cells["pneumonia"]))
        said = cells["label"] or cells["findings"]
        label = label_of(said, self.labels)
        if label is not None or not said:
            return label, ""
        if cells["label"] and not self.published and not named_by_user(self.labels):
            word = in_brief(said)
            raise ValueError(
                f"{where}: label '{word}'; it may be {CLASSES[0]}, {CLASSES[1]}, 0, 1 or empty. "
                f"Names of your own: {option_for([word], pneumonia_alone=True)}."
            )
        return None, said

    def class_of_numbers(self, normal: int | None, pneumonia: int | None) -> tuple[int | None, str]:
        """The same of a column for each class, with 1, 0 or, where nobody knows, -1."""
        if pneumonia == 1:
            return 1, ""
        if pneumonia == UNCERTAIN:
            self.uncertain += 1
            return None, ""
        if normal == 1 or (pneumonia == 0 and not self.column["normal"]):
            return 0, ""
        nothing_said = normal is None and pneumonia is None and not self.published
        return None, "" if nothing_said else OTHER

    def notes(self) -> list[str]:
        """A sentence for each kind of films that are left out, or unlabelled."""
        name, notes = self.table.path.name, []
        for kind, count in self.left_out.items():
            notes.append(f"{count} films of {name} {kind} are left out.")
        if self.repeats:
            notes.append(f"{name} lists films several times; each is taken once.")
        if self.uncertain:
            notes.append(f"{self.uncertain} films of uncertain pneumonia (-1) are unlabelled.")
        known = ("label", "findings", "normal", "pneumonia", "mask")
        if not any(self.column[ours] for ours in known):
            names = ", ".join(sorted(self.table.columns))[: 3 * SHOWN]
            notes.append(
                f"{name} has no column label or mask (it has {names}), so all its films are "
                "unlabelled."
            )
        return notes


def label_of(text: str, labels: Labels) -> int | None:
    """The label that a cell says in a word, a number, or a list of findings; None for others."""
    if folded(text) in labels:
        return labels[folded(text)]
    known = NO_FINDING | labels
    said = number(text)
    if said is not None:
        return labels.get(str(said), said if said in (0, 1) else None)
    findings = {folded(word) for word in BETWEEN_FINDINGS.split(text)} - {""}
    found = {known.get(word) for word in findings}
    if 1 in found:
        return 1
    return 0 if found == {0} else None


def number(cell: str) -> int | None:
    """A cell's whole number, as 1.0, True or yes is; None where it has none."""
    if folded(cell) in NUMBERS:
        return NUMBERS[folded(cell)]
    with suppress(ValueError, OverflowError):
        return int(float(cell)) if float(cell).is_integer() else None
    return None


def graver(before: Film, film: Film) -> Film:
    """Of what several readers, or several marks, say of one film: pneumonia, else what is there."""
    for candidate in (before, film):
        if candidate.label == 1:
            return candidate
    return film if film.other_class else before


def joined(before: Film, film: Film, where: str) -> Film:
    """What two rows say of one film: masks of both. ValueError where they contradict each other."""
    facts = {}
    for name in ("label", "split", "patient", "other_class"):
        said = {getattr(before, name), getattr(film, name)} - {None, ""}
        if len(said) > 1:
            raise ValueError(
                f"{where}: {film.name[-2 * SHOWN :]} has another "
                f"{name.replace('_', ' ')} than in a line before; leave one of them out."
            )
        facts[name] = said.pop() if said else getattr(film, name)
    return replace(film, **facts, masks=tuple(dict.fromkeys(before.masks + film.masks)))
