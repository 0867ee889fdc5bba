"""The patient of each film."""

import pytest

from multimix.data.found_films import Film
from multimix.data.patients import patient_of, with_patients


@pytest.mark.parametrize(
    "stem, patient",
    (
        ("person12_bacteria_46", "person12"),
        ("person12_virus_9", "person12"),
        ("IM-0115-0001-0002", "IM-0115"),
        ("NORMAL2-IM-1427-0001", "NORMAL2-IM-1427"),
        ("BACTERIA-1008087-0001", "BACTERIA-1008087"),
        ("patient00012", "patient00012"),
        ("00000013_005", "00000013"),
        ("film7", ""),
        ("7", ""),
        ("1.2.826.0.1.3680043.8.498.154120222789036265674072140081", ""),
    ),
)
def test_patients_from_file_names(stem, patient):
    assert patient_of(stem) == patient


def test_other_films_are_patients_of_their_own():
    names = ("train/a.png", "val/1.png", "test/1.png", "test/1.jpg", "val/person3_x.png", "b.png")
    films = [Film("", name, patient="Bob" if name == "b.png" else "") for name in names]
    patients = [film.patient for film in with_patients(films)]
    assert patients == ["a", "val/1", "test/1", "test/1", "person3", "Bob"]
